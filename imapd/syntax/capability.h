/*
 * The capabilities announced to clients (RFC 3501 6.1.1, 7.2.1): one list for both processes.
 * imapd-login and imapd-mailbox.
 */
#ifndef IMAPD_SYNTAX_CAPABILITY_H
#define IMAPD_SYNTAX_CAPABILITY_H

#include "common/buffer.h"
#include "common/login/imap_capability.h"

struct config;

/* What depends on the connection, before login. */
enum capability_login {
    CAPABILITY_STARTTLS = 1 << 0,  /* may still be started */
    CAPABILITY_PASSWORDS = 1 << 1, /* allowed: AUTH= mechanisms; else LOGINDISABLED */
};

/* Appends "CAPABILITY IMAP4rev1 ..." for a client that has not logged in. mechanisms: of
 * common/login/sasl.h, if passwords are allowed. `without`: capabilities hidden from the client
 * (imapd/syntax/client_id.h). */
void capability_append_login(const struct config *config, unsigned login, unsigned mechanisms,
                             uint64_t without, struct buffer *text);

/* The same for one that has. */
void capability_append(const struct config *config, uint64_t without, struct buffer *text);

#endif
