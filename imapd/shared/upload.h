/*
 * Messages that a client has put together of pieces (CATENATE, RFC 4469) for another account's
 * mailbox: pieces of his own mail, and of third ones', are nothing that the owner's process could
 * read. So they are put together at home, in a file of our own tmp/, as for a mailbox of ours, and
 * then said to the owner's process as one APPEND, which judges what may be put there and answers.
 * imapd-mailbox; commands/append.c alone calls it.
 */
#ifndef IMAPD_SHARED_UPLOAD_H
#define IMAPD_SHARED_UPLOAD_H

#include "imapd/folder/intake.h"
#include "imapd/shared/exchange.h"
#include "storage/message_file.h"

struct upload {
    struct session *session;
    struct exchange exchange;
    const struct intake_message *message; /* that is being said; NULL: all are */
    struct message_file file;             /* its octets, once it is announced */
    uint64_t said;
    bool awaits_plus;
};

/* To the mailbox of that name, ours. The command goes on in `then`, which calls upload_step().
 * False: it was ended. */
bool upload_begin(struct upload *upload, struct session *session, const struct intake *intake,
                  struct slice name, session_step *then);
/* Says more, and waits again; or the command is ended, in the words of the owner's process. */
void upload_step(struct upload *upload, session_step *then);

void upload_end(struct upload *upload); /* may run twice, and on a zeroed struct */

#endif
