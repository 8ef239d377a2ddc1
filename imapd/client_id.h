/*
 * What a client says of itself with ID (RFC 2971), before the login and after it. Pure;
 * imapd-login, imapd-mailbox.
 */
#ifndef IMAPD_CLIENT_ID_H
#define IMAPD_CLIENT_ID_H

#include "imapd/parser.h"

/* Borrowed from the command; empty where it was not told. */
struct imap_client_id {
    struct slice name;
    struct slice version;
};

/* SP id_params_list, what stands behind "ID". Other fields than these two are passed over. False:
 * parser->expected says what was looked for. */
bool imap_parse_client_id(struct imap_parser *parser, struct imap_client_id *id);

#endif
