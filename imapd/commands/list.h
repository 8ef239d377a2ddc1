/* What LIST and LSUB have in common. */
#ifndef IMAPD_COMMANDS_LIST_H
#define IMAPD_COMMANDS_LIST_H

#include "imapd/session/session.h"

/* '* LIST (\attributes) "/" name': `response` is LIST or LSUB; `extended` (RFC 5258 6,
 * mbox-list-extended, with its parentheses) may be empty. */
void list_write_name(struct session *session, const char *response, struct slice attributes,
                     struct slice wire_name, struct slice extended);

/* '* LIST (\HasNoChildren) "/" name' of one mailbox that there is (RFC 9051 6.3.2), with all that a
 * plain LIST says of it; where `given` is not NULL with the OLDNAME by which the client called it
 * (6.3.9.7). Both ours, UTF-8. */
void list_write_mailbox(struct session *session, struct slice name, struct slice given);

/* "An empty ("" string) mailbox name argument is a special request to return the hierarchy
 * delimiter and the root name of the name given in the reference." Ends the command. */
void list_answer_delimiter(struct session *session, const char *response);

#endif
