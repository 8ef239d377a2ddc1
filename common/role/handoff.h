/*
 * How a login role passes a client to its user's process: the first octets on the stream socket
 * that both got from the master (ROLE_ADMITTED, ROLE_SESSION), sent with one sendmsg(2).
 *
 * With HANDOFF_DESCRIPTOR the client's own socket is attached (SCM_RIGHTS): the connection is not
 * encrypted, and the stream socket is closed after this. Without it the login role goes on carrying
 * decrypted octets both ways on the stream socket until either side closes.
 *
 * With HANDOFF_RESUMED the client's session was asleep, and the record that the user's process made
 * of it is returned. A descriptor is then the one that came with the record: the client's own
 * socket, or the end of a socket on which the login role already carries octets.
 */
#ifndef COMMON_ROLE_HANDOFF_H
#define COMMON_ROLE_HANDOFF_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "common/role/master_protocol.h"
#include "common/slice.h"

enum {
    HANDOFF_MAGIC = 0x68616e64,
    HANDOFF_DESCRIPTOR = 1,
    HANDOFF_RESUMED = 2,
    HANDOFF_CARRIED = 4, /* the descriptor is the end of a socket that is carried */
    HANDOFF_TAG_MAX = 600,
    HANDOFF_RECORD_MAX = SLEEP_RECORD_MAX,
    HANDOFF_INPUT_MAX = 65536,
};

/* tag_octets and input_octets follow. */
struct handoff {
    uint32_t magic;
    uint32_t flags;
    uint32_t tag_octets;   /* IMAP: the tag of LOGIN or AUTHENTICATE, to be answered with OK by the
                              user's process once it is ready, and where the client has said
                              ID before a NUL and what imapd/syntax/client_id.h makes of that; POP3:
                              "UTF8" where the client said so before it logged in (RFC 6856 2),
                              else 0. Resumed: the record (imapd/session/hibernation.h) */
    uint32_t input_octets; /* what the client sent after its credentials, not yet parsed */
    uint32_t left_ms;      /* resumed: until the client has been silent for too long; else 0 */
};

/* The content of a handoff. */
struct handoff_parcel {
    struct slice tag; /* resumed: the record */
    struct slice input;
    int client_fd; /* -1: no descriptor */
    bool resumed;
    bool carried;
    uint32_t left_ms;
};

/* Sends the handoff on `stream`. Both descriptors stay the caller's. The socket is fresh, so all of
 * it fits and nothing blocks; anything else is an error. */
bool handoff_send(int stream, const struct handoff_parcel *parcel, struct error *error);

enum handoff_result { HANDOFF_DONE, HANDOFF_MORE, HANDOFF_BAD };

/* Reads from a non-blocking `stream`; call again when it is readable while the answer is
 * HANDOFF_MORE. `octets` is a buffer of HANDOFF_BUFFER octets, the same for each call, *got starts
 * at 0, received->client_fd at -1: the stream itself carries the client's bytes. The octets of
 * *received borrow from the buffer. */
enum { HANDOFF_BUFFER = sizeof(struct handoff) + HANDOFF_RECORD_MAX + HANDOFF_INPUT_MAX };
enum handoff_result handoff_receive(int stream, uint8_t *octets, size_t *got,
                                    struct handoff_parcel *received, struct error *error);

#endif
