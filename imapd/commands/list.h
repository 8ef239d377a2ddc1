/* Functions shared by LIST, LSUB and others. */
#ifndef IMAPD_COMMANDS_LIST_H
#define IMAPD_COMMANDS_LIST_H

#include "imapd/session/session.h"

/* '* LIST (\attributes) "/" name': `response` is LIST or LSUB; `extended` (RFC 5258 6,
 * mbox-list-extended, with its parentheses) may be empty. */
void list_write_name(struct session *session, const char *response, struct slice attributes,
                     struct slice wire_name, struct slice extended);

/* '* LIST (\HasNoChildren) "/" name' for an existing mailbox (RFC 9051 6.3.2), as a plain LIST
 * would return it; unless given.ptr is NULL, with that as OLDNAME (6.3.9.7). Both names in
 * UTF-8. */
void list_write_mailbox(struct session *session, struct slice name, struct slice given);

/* "An empty ("" string) mailbox name argument is a special request to return the hierarchy
 * delimiter and the root name of the name given in the reference." Ends the command. */
void list_answer_delimiter(struct session *session, const char *response);

#endif
