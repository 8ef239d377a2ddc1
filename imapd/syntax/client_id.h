/*
 * What a client says of itself with ID (RFC 2971), before the login and after it. Pure;
 * imapd-login, imapd-mailbox.
 */
#ifndef IMAPD_SYNTAX_CLIENT_ID_H
#define IMAPD_SYNTAX_CLIENT_ID_H

#include "imapd/syntax/parser.h"

struct config;

/* Borrowed from the command; empty where it was not told. */
struct imap_client_id {
    struct slice name;
    struct slice version;
    struct slice vendor;
};

/* SP id_params_list, what stands after "ID". Other fields than these two are passed over. False:
 * parser->expected says what was looked for. */
bool imap_parse_client_id(struct imap_parser *parser, struct imap_client_id *id);

/* What was said before the login, for the process that comes after it: three texts, each after a
 * NUL and cut to 100 octets. Returns the octets used. */
enum { IMAP_CLIENT_ID_FIELD_MAX = 100, IMAP_CLIENT_ID_TEXT_MAX = 3 * IMAP_CLIENT_ID_FIELD_MAX + 3 };
size_t imap_client_id_format(const struct imap_client_id *id,
                             uint8_t text[IMAP_CLIENT_ID_TEXT_MAX]);

/* What a handoff brings: the tag, and the client's text after it, if any. The fields borrow. */
struct slice imap_client_id_unpack(struct slice handed, struct imap_client_id *id);

/* The capabilities that the configuration keeps from that client (common/login/imap_capability.h).
 * NULL for the account: nobody has logged in yet. */
uint64_t imap_client_without(const struct config *config, const struct imap_client_id *id,
                             const char *account);

#endif
