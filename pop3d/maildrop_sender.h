/*
 * A message on its way to the client: the answer of RETR and TOP, produced no faster than the
 * client takes it. Octets with CRLF in a file of their own are lent to the stream (sendfile),
 * between lines that need their dot doubled; small messages, and files with LF, are copied.
 * pop3d-maildrop.
 */
#ifndef POP3D_MAILDROP_SENDER_H
#define POP3D_MAILDROP_SENDER_H

#include "common/net/stream.h"
#include "storage/message_file.h"

struct maildrop_sender {
    bool active;
    struct message_file file;
    struct stream_file *lent; /* the same file, where the stream may send it by itself */
    uint64_t at;              /* octets of the message sent so far */
    uint64_t end;             /* octets that are to be sent */
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

/* Only the header and so many lines of the body. Between open and the first step. */
bool maildrop_sender_limit(struct maildrop_sender *sender, uint64_t lines, struct error *error);

/* What RETR sends without doubled dots and the last line with a dot: for "+OK n octets". `counted`
 * is what the list says; only where the file does not fit it any more is the file asked. */
bool maildrop_sender_octets(struct maildrop_sender *sender, uint64_t counted, uint64_t *octets,
                            struct error *error);

/* Writes until the stream is full or the message ends with its line of one dot: then `active` is
 * false and the file is closed. False: the file cannot be read any more. The client was promised
 * those octets: the connection must end. */
bool maildrop_sender_step(struct maildrop_sender *sender, struct stream *stream,
                          struct error *error);

void maildrop_sender_close(struct maildrop_sender *sender); /* may run twice */

#endif
