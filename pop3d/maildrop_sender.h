/*
 * Sends a message, the answer of RETR and TOP, no faster than the client takes it. Files with CRLF
 * are lent to the stream (sendfile), between lines that need a doubled dot; small messages, and
 * files with LF, are copied. pop3d-maildrop.
 */
#ifndef POP3D_MAILDROP_SENDER_H
#define POP3D_MAILDROP_SENDER_H

#include "common/net/stream.h"
#include "storage/message_file.h"

struct maildrop_sender {
    bool active;
    struct message_file file;
    struct stream_file *lent; /* the same file, if the stream may send from it directly */
    uint64_t at;              /* octets of the message sent so far */
    uint64_t end;             /* octets to be sent in all */
    bool at_line_start;
};

#define MAILDROP_SENDER_IDLE                                                                       \
    (struct maildrop_sender)                                                                       \
    {                                                                                              \
        .active = false, .file = {.fd = -1 }                                                       \
    }

/* Opens the message; nothing is sent yet. False: the reply is -ERR. */
bool maildrop_sender_open(struct maildrop_sender *sender, const struct maildir *box,
                          enum maildir_place place, const char *name, struct error *error);

/* Sends only the header and this many lines of the body; between open and the first step. */
bool maildrop_sender_limit(struct maildrop_sender *sender, uint64_t lines, struct error *error);

/* The size for "+OK n octets": what RETR sends, without doubled dots and the final line with a dot.
 * `counted` is the size in the list; the file is measured only if it no longer fits that. */
bool maildrop_sender_octets(struct maildrop_sender *sender, uint64_t counted, uint64_t *octets,
                            struct error *error);

/* Writes until the stream is full or the message and its final dot are written: then `active` is
 * false and the file is closed. False: the file cannot be read; since the octets were announced,
 * the connection must end. */
bool maildrop_sender_step(struct maildrop_sender *sender, struct stream *stream,
                          struct error *error);

void maildrop_sender_close(struct maildrop_sender *sender); /* may run twice */

#endif
