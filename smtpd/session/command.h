/*
 * One line of SMTP as a struct: the commands of RFC 5321 4.1.1 with the parameters of SIZE (RFC
 * 1870), 8BITMIME (6152), BINARYMIME (3030), SMTPUTF8 (6531), DSN (3461, 6533), DELIVERBY (2852),
 * FUTURERELEASE (4865), REQUIRETLS (8689), AUTH (4954), BDAT (3030), BURL (4468), STARTTLS (3207).
 * Pure; sessions.
 *
 * Exact, but for what real clients need: a space after "FROM:" and "TO:" (Outlook), white space at
 * the end of a line (RFC 5321 4.1.1), SMTPUTF8 without BODY=8BITMIME (iOS), and host names with an
 * underscore in EHLO (Windows).
 */
#ifndef SMTPD_SESSION_COMMAND_H
#define SMTPD_SESSION_COMMAND_H

#include "common/text/address.h"
#include "smtpd/session/reply.h"

enum smtp_verb {
    SMTP_UNKNOWN,
    SMTP_EHLO,
    SMTP_HELO,
    SMTP_MAIL,
    SMTP_RCPT,
    SMTP_DATA,
    SMTP_BDAT,
    SMTP_BURL,
    SMTP_RSET,
    SMTP_VRFY,
    SMTP_EXPN,
    SMTP_HELP,
    SMTP_NOOP,
    SMTP_QUIT,
    SMTP_STARTTLS,
    SMTP_AUTH,
    SMTP_OBSOLETE, /* SEND, SOML, SAML, TURN: known, and never to be done */
    SMTP_HTTP,     /* GET, POST and so on: no SMTP at all */
    SMTP_VERBS,
};

/* RET=, RFC 3461 4.3 */
enum smtp_ret { SMTP_RET_NONE, SMTP_RET_FULL, SMTP_RET_HDRS };

/* NOTIFY=, RFC 3461 4.1 */
enum smtp_notify {
    SMTP_NOTIFY_SUCCESS = 1,
    SMTP_NOTIFY_FAILURE = 2,
    SMTP_NOTIFY_DELAY = 4,
    SMTP_NOTIFY_NEVER = 8, /* alone */
};

/* What is to be done about a message that is too late: by-mode of RFC 2852 4. */
enum smtp_by_mode { SMTP_BY_NONE, SMTP_BY_NOTIFY, SMTP_BY_RETURN };

struct smtp_by {
    enum smtp_by_mode mode; /* SMTP_BY_NONE: BY= is not given */
    bool trace;
    int32_t seconds; /* from now; of SMTP_BY_RETURN more than 0 */
};

/* Which of both is given, RFC 4865 4: seconds from now, or since 1970. */
enum smtp_hold_kind { SMTP_HOLD_NONE, SMTP_HOLD_FOR, SMTP_HOLD_UNTIL };

struct smtp_hold {
    enum smtp_hold_kind kind;
    int64_t seconds;
};

struct smtp_mail {
    struct address reverse_path;
    uint64_t size;      /* 0: not given; more than fits is UINT64_MAX */
    bool body_8bitmime; /* BODY=8BITMIME, or: */
    bool body_binary;   /* BODY=BINARYMIME, RFC 3030 3 */
    bool utf8;          /* SMTPUTF8 */
    bool requiretls;    /* REQUIRETLS */
    struct smtp_by by;
    struct smtp_hold hold;
    enum smtp_ret ret;
    struct slice envid; /* xtext; empty: not given */
    struct slice auth;  /* xtext or "<>"; of no use to anyone here, RFC 4954 5 */
};

struct smtp_rcpt {
    struct address forward_path;
    unsigned notify;    /* of enum smtp_notify; 0: not given */
    struct slice orcpt; /* "type;text", smtp_command_append_orcpt(); empty: not given */
    bool utf8;          /* has octets above 127: only in a transaction with SMTPUTF8 */
};

struct smtp_bdat {
    uint64_t octets;
    bool last;
};

struct smtp_burl {
    struct slice url;
    bool last;
};

struct smtp_auth {
    struct slice mechanism;
    struct slice initial; /* base64 or "="; .ptr NULL: none */
};

/* Borrows from the line. */
struct smtp_command {
    enum smtp_verb verb;
    struct slice argument; /* EHLO, HELO: the name; VRFY, EXPN, HELP, NOOP: the text */
    union {
        struct smtp_mail mail;
        struct smtp_rcpt rcpt;
        struct smtp_bdat bdat;
        struct smtp_burl burl;
        struct smtp_auth auth;
    };
    struct error error; /* words of a refusal that are not literals */
};

/* The line comes without its CRLF. False: *refusal is the reply (it may borrow from *command), and
 * command->verb tells what was meant, SMTP_UNKNOWN if nothing known. A BDAT that is refused here
 * leaves open how many octets follow it: the connection must end. */
bool smtp_command_parse(struct slice line, struct smtp_command *command,
                        struct smtp_reply *refusal);

/* Appends an ORCPT as reports print it, "rfc822;a@b": xtext decoded, "utf-8" as it is. */
void smtp_command_append_orcpt(struct slice orcpt, struct buffer *out);

#endif
