/* What LIST and LSUB have in common. */
#ifndef IMAPD_COMMANDS_LIST_H
#define IMAPD_COMMANDS_LIST_H

#include "imapd/session.h"

/* '* LIST (\attributes) "/" name': `response` is LIST or LSUB; `extended` (RFC 5258 6,
 * mbox-list-extended, with its parentheses) may be empty. */
void list_write_name(struct session *session, const char *response, struct slice attributes,
                     struct slice wire_name, struct slice extended);

/* "An empty ("" string) mailbox name argument is a special request to return the hierarchy
 * delimiter and the root name of the name given in the reference." Ends the command. */
void list_answer_delimiter(struct session *session, const char *response);

#endif
