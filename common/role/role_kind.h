/*
 * The roles of the server: one executable each (submission shares smtpd-session's), see the process
 * table in docs/architecture.md. The numbers travel in records: add new ones, but never change the
 * meaning of one.
 */
#ifndef COMMON_ROLE_ROLE_KIND_H
#define COMMON_ROLE_ROLE_KIND_H

enum role_kind {
    ROLE_MASTER,
    ROLE_JOURNAL,
    ROLE_AUTH,
    ROLE_CHECK,
    ROLE_KEYS,
    ROLE_SMTP,       /* smtpd-session for port 25 */
    ROLE_SUBMISSION, /* smtpd-session for 587 and 465; never the same process as ROLE_SMTP */
    ROLE_FILTER,
    ROLE_QUEUE,
    ROLE_DELIVER, /* one for each uid with mail to be delivered */
    ROLE_IMAP_LOGIN,
    ROLE_MAILBOX, /* one for each account with an IMAP session */
    ROLE_POP3_LOGIN,
    ROLE_MAILDROP, /* one for each POP3 session */
    ROLE_RESOLVER,
    ROLE_RELAY,
    ROLE_FETCH,
    ROLE_HTTP,
    ROLE_KINDS,
};

/* "smtpd-queue": the name in logs, in `staffetta status` and, save for submission, of the
 * executable in libexec. "unknown" for any other number. */
const char *role_kind_name(enum role_kind kind);

#endif
