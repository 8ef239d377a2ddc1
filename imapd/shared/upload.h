/*
 * CATENATE (RFC 4469) into another account's mailbox. The owner's process cannot read pieces of the
 * client's own mail, or of a third account's. So the messages are assembled here, in our own tmp/,
 * as for a mailbox of ours, and then sent to the owner's process as one APPEND, which that process
 * checks and answers. imapd-mailbox; called only by commands/append.c.
 */
#ifndef IMAPD_SHARED_UPLOAD_H
#define IMAPD_SHARED_UPLOAD_H

#include "imapd/folder/intake.h"
#include "imapd/shared/exchange.h"
#include "storage/message_file.h"

struct upload {
    struct session *session;
    struct exchange exchange;
    const struct intake_message *message; /* the one being sent; NULL: all are sent */
    struct message_file file;             /* open once the message is announced */
    uint64_t said;                        /* octets of it sent */
    bool awaits_plus;
};

/* Begins to send to the mailbox of this name. The command goes on in `then`, which calls
 * upload_step(). False: the command was ended. */
bool upload_begin(struct upload *upload, struct session *session, const struct intake *intake,
                  struct slice name, session_step *then);
/* Sends more and waits again, or ends the command with the owner process's response. */
void upload_step(struct upload *upload, session_step *then);

void upload_end(struct upload *upload); /* may run twice, and on a zeroed struct */

#endif
