/*
 * Checks responses of another account's process to our own commands (exchange.h, listeners.h)
 * before they reach the client: only complete, well-formed lines about one mailbox, whose name the
 * caller compares. So a compromised process can lie about its own mailboxes, and nothing else.
 * Pure; imapd-mailbox.
 */
#ifndef IMAPD_SHARED_TOLD_H
#define IMAPD_SHARED_TOLD_H

#include "common/arena.h"
#include "imapd/syntax/mailbox_name.h"

enum told_kind {
    TOLD_OTHER,    /* anything else, or malformed */
    TOLD_STATUS,   /* "* STATUS name (MESSAGES 5 ...)"    RFC 3501 7.2.4 */
    TOLD_METADATA, /* "* METADATA name (entry value ...)", or "* METADATA name entry ..."
                      RFC 5464 4.4 */
    TOLD_LIST,     /* '* LIST () "/" name', \NonExistent perhaps, and an OLDNAME of the same
                      account    RFC 5465 5.4, 5.5 */
};

/* `text` is a response with its literals, up to the CRLF. Replaces *name by the mailbox name, in
 * UTF-8. */
enum told_kind told_parse(struct slice text, enum mailbox_name_form form, struct arena *arena,
                          struct buffer *name);

/* Accepts '* ESEARCH (TAG "x" MAILBOX name UIDVALIDITY 1) UID ALL 1:3' with this tag (RFC 7377
 * 2.1). False: anything else. *name as above. */
bool told_parse_search(struct slice text, struct slice tag, enum mailbox_name_form form,
                       struct arena *arena, struct buffer *name);

#endif
