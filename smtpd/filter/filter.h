/*
 * The role `smtpd-filter`: looks at the content of messages and answers with recipes
 * (filter_protocol.h). It has no files and no network; a body that does not travel in the record
 * comes as a read-only descriptor. Of a message it reads the header alone.
 */
#ifndef SMTPD_FILTER_FILTER_H
#define SMTPD_FILTER_FILTER_H

#include "common/role/role.h"

struct recipe_question;

/* What a FILTER_MESSAGE or FILTER_MESSAGE_FILE says, its texts borrowed from the packet; `body`:
 * the octets behind them. False, ERROR_PEER, where a length is wrong, or a text cannot be what it
 * should be and so might forge a header field. Pure. */
bool filter_parse_question(const struct ipc_packet *packet, struct recipe_question *question,
                           struct slice *body, struct error *error);

extern const struct role_spec filter_role; /* has no state */

#endif
