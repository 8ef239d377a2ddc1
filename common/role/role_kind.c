/* Names of the roles. Pure; any process. */
#include "common/role/role_kind.h"

static const char *const names[ROLE_KINDS] = {
    [ROLE_MASTER] = "master",
    [ROLE_JOURNAL] = "journal",
    [ROLE_AUTH] = "auth",
    [ROLE_CHECK] = "check",
    [ROLE_KEYS] = "keys",
    [ROLE_SMTP] = "smtpd-session",
    [ROLE_SUBMISSION] = "smtpd-submission",
    [ROLE_FILTER] = "smtpd-filter",
    [ROLE_QUEUE] = "smtpd-queue",
    [ROLE_DELIVER] = "smtpd-deliver",
    [ROLE_IMAP_LOGIN] = "imapd-login",
    [ROLE_MAILBOX] = "imapd-mailbox",
    [ROLE_POP3_LOGIN] = "pop3d-login",
    [ROLE_MAILDROP] = "pop3d-maildrop",
    [ROLE_RESOLVER] = "resolver",
    [ROLE_RELAY] = "smtpd-relay",
    [ROLE_FETCH] = "fetch",
    [ROLE_HTTP] = "http",
};

const char *role_kind_name(enum role_kind kind)
{
    return (unsigned)kind < ROLE_KINDS ? names[kind] : "unknown";
}
