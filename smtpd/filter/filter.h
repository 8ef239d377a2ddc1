/*
 * The role `smtpd-filter`: reads the header of each message and answers with a recipe
 * (filter_protocol.h). It has no files and no network; a body that is not in the record comes as a
 * read-only descriptor.
 */
#ifndef SMTPD_FILTER_FILTER_H
#define SMTPD_FILTER_FILTER_H

#include "common/role/role.h"

struct recipe_question;

/* Parses a FILTER_MESSAGE or FILTER_MESSAGE_FILE; its texts, and `body`, the octets after them, are
 * borrowed from the packet. False, ERROR_PEER: a length is wrong, or a text is invalid and might
 * forge a header field. Pure. */
bool filter_parse_question(const struct ipc_packet *packet, struct recipe_question *question,
                           struct slice *body, struct error *error);

extern const struct role_spec filter_role; /* has no state */

#endif
