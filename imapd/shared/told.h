/*
 * What another account's process tells of its mailboxes in answer to a question of ours
 * (exchange.h, listeners.h): responses that say something of one mailbox and cannot pass for
 * anything else. A process that was taken over can lie about its own mailbox; told are only lines
 * that are whole, of the grammar, and of the mailbox that the caller compares the name of. Pure;
 * imapd-mailbox.
 */
#ifndef IMAPD_SHARED_TOLD_H
#define IMAPD_SHARED_TOLD_H

#include "common/arena.h"
#include "imapd/syntax/mailbox_name.h"

enum told_kind {
    TOLD_OTHER,    /* or malformed */
    TOLD_STATUS,   /* "* STATUS name (MESSAGES 5 ...)"    RFC 3501 7.2.4 */
    TOLD_METADATA, /* "* METADATA name (entry value ...)", or "* METADATA name entry ..."
                      RFC 5464 4.4 */
    TOLD_LIST,     /* '* LIST () "/" name', \NonExistent perhaps, and an OLDNAME of the same
                      account    RFC 5465 5.4, 5.5 */
};

/* `text` is a response with its literals, to the CRLF. Puts the name, ours and UTF-8, into *name,
 * which is reset. */
enum told_kind told_parse(struct slice text, enum mailbox_name_form form, struct arena *arena,
                          struct buffer *name);

/* '* ESEARCH (TAG "x" MAILBOX name UIDVALIDITY 1) UID ALL 1:3', with that tag (RFC 7377 2.1).
 * False: it is something else. *name as above. */
bool told_parse_search(struct slice text, struct slice tag, enum mailbox_name_form form,
                       struct arena *arena, struct buffer *name);

#endif
