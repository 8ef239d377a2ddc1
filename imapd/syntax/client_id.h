/*
 * How a client identifies itself with ID (RFC 2971), before and after login. Pure;
 * imapd-login, imapd-mailbox.
 */
#ifndef IMAPD_SYNTAX_CLIENT_ID_H
#define IMAPD_SYNTAX_CLIENT_ID_H

#include "imapd/syntax/parser.h"

struct config;

/* Borrowed from the command; empty if not sent. */
struct imap_client_id {
    struct slice name;
    struct slice version;
    struct slice vendor;
};

/* SP id_params_list, the arguments of ID. Fields other than those of the struct are skipped. False:
 * parser->expected says what was expected. */
bool imap_parse_client_id(struct imap_parser *parser, struct imap_client_id *id);

/* Packs an ID sent before login for the process after it: three texts, each preceded by NUL and cut
 * to 100 octets. Returns the octets used. */
enum { IMAP_CLIENT_ID_FIELD_MAX = 100, IMAP_CLIENT_ID_TEXT_MAX = 3 * IMAP_CLIENT_ID_FIELD_MAX + 3 };
size_t imap_client_id_format(const struct imap_client_id *id,
                             uint8_t text[IMAP_CLIENT_ID_TEXT_MAX]);

/* Reads a handoff's text: the tag, then the packed ID, if any. The fields borrow. */
struct slice imap_client_id_unpack(struct slice handed, struct imap_client_id *id);

/* The capabilities that the configuration hides from that client (common/login/imap_capability.h).
 * account NULL: not logged in yet. */
uint64_t imap_client_without(const struct config *config, const struct imap_client_id *id,
                             const char *account);

#endif
