/*
 * Records to and from `auth`. Framing: common/role/ipc.h; texts follow the struct in the order of
 * their lengths, without NUL. An account is always given by its canonical name (alice@demo.test; a
 * system user: alice).
 *
 *   smtpd-session     AUTH_RECIPIENT; from submission also AUTH_SENDER, AUTH_PASSWORD, AUTH_SASL
 *                     and AUTH_READ
 *   login roles       AUTH_PASSWORD, AUTH_SASL
 *   auth to those     AUTH_OFFER, unasked
 *   smtpd-queue       AUTH_TARGET, AUTH_FULL, AUTH_RECIPIENT (the sender that a report goes to)
 *   auth to check     CHECK_PASSWORD, CHECK_USER, CHECK_TOKEN
 *   auth to master    MASTER_ADMIT, MASTER_TARGET, MASTER_READ, MASTER_CHECKS
 *                     (common/role/master_protocol.h)
 */
#ifndef COMMON_AUTH_AUTH_PROTOCOL_H
#define COMMON_AUTH_AUTH_PROTOCOL_H

#include "common/auth/token.h"
#include "common/role/ipc.h"
#include "common/role/master_protocol.h"

enum auth_record {
    AUTH_RECIPIENT = 1,
    AUTH_SENDER,
    AUTH_PASSWORD,
    AUTH_TARGET,
    AUTH_FULL,
    AUTH_SASL,
    AUTH_READ,

    AUTH_RECIPIENT_ANSWER = 101,
    AUTH_SENDER_ANSWER,
    AUTH_VERDICT,
    AUTH_NO_TARGET,
    AUTH_CHALLENGE,
    AUTH_OFFER,
    AUTH_NOT_READ,

    CHECK_PASSWORD = 201,
    CHECK_VERDICT,
    CHECK_USER,
    CHECK_USER_ANSWER,
    CHECK_TOKEN,
    CHECK_TOKEN_ANSWER,
};

enum {
    AUTH_ADDRESS_MAX = 512,   /* octets of an address in a record */
    AUTH_NAME_MAX = 512,      /* octets of a login name */
    AUTH_PASSWORD_MAX = 1024, /* octets */
    AUTH_MESSAGE_MAX = 9216,  /* octets of a SASL message with its channel binding data */
    AUTH_TARGETS_MAX = 256,   /* targets of one recipient in one answer */
};

/* Resolves a recipient: from a session at RCPT, or from queue for the recipient of a report. The
 * address follows, as address_format() gives it. Answered from memory, in microseconds. */
struct auth_recipient {
    struct ipc_header header;
    uint64_t session; /* the session that the answer's permits are for; 0: queue asks */
    /* It may send to foreign domains if it is in relay.networks. IP_NONE: it may not. */
    struct ip_address client;
    uint8_t reserved[3];
    uint32_t address_octets;
};

enum auth_recipient_verdict {
    AUTH_RECIPIENT_TARGETS = 1, /* the targets follow */
    AUTH_RECIPIENT_UNKNOWN,     /* one of our domains, no such local part: 550 5.1.1 */
    AUTH_RECIPIENT_FOREIGN,     /* another domain: accounts and queue may send there; others get
                                   550 5.7.1. A client of relay.networks gets TARGETS instead */
    AUTH_RECIPIENT_LOOP,        /* the aliases form a loop; the text names them: 550 5.4.6 */
    AUTH_RECIPIENT_FULL,        /* over quota: 452 4.2.2 */
    AUTH_RECIPIENT_TEMPORARY,   /* 451 4.3.0 */
};

/* The final targets of a recipient. */
enum auth_target_kind {
    AUTH_TARGET_ACCOUNT = 1, /* the account's name follows */
    AUTH_TARGET_ADDRESS,     /* an address in another domain, allowed by an alias or relay.networks.
                                The permit that lets a session on port 25 send there (token_issue()
                                with the address) follows, then the address */
};
struct auth_recipient_target {
    uint16_t kind;   /* enum auth_target_kind */
    uint16_t octets; /* of the name or the address, without the permit */
};

/* The text (for people and the log; may be empty) follows, then `targets` times a struct
 * auth_recipient_target with the octets that belong to it. */
struct auth_recipient_answer {
    struct ipc_header header;
    uint32_t verdict; /* enum auth_recipient_verdict */
    uint32_t targets;
    uint32_t text_octets;
    uint32_t reserved;
};

/* May this account send as that address (envelope or From)? Account and address follow. */
struct auth_sender {
    struct ipc_header header;
    struct token token; /* of the session */
    uint32_t account_octets;
    uint32_t address_octets;
};
struct auth_sender_answer {
    struct ipc_header header;
    uint32_t allowed; /* 1: yes */
    uint32_t reserved;
};

/* An account wants to read a message, its own or another account's, by a URL (BURL, RFC 4468). The
 * account follows, then the login name of the message's owner. On success the master answers the
 * session with ROLE_ADMITTED or ROLE_NOT_ADMITTED, and tells the owner's mailbox process who reads;
 * that process checks the URL (common/role/url_reading.h). Otherwise auth sends AUTH_NOT_READ. */
struct auth_read {
    struct ipc_header header;
    struct token token; /* of the session */
    uint32_t account_octets;
    uint32_t owner_octets;
};
struct auth_not_read {
    struct ipc_header header;
    uint32_t permanent; /* 1: there is no such owner; 0: try again later */
    uint32_t reserved;
};

/* Checks a password. Name and password follow. A submission session always gets AUTH_VERDICT. A
 * login role gets AUTH_VERDICT only for a refusal; after success the master answers with
 * ROLE_ADMITTED or ROLE_NOT_ADMITTED. All refusals take the same time, throttling included: the
 * peer must wait for at least 60 s. */
struct auth_password {
    struct ipc_header header;
    struct master_client client;
    uint32_t service; /* enum config_service, for the log and PAM */
    uint32_t name_octets;
    uint32_t password_octets;
    uint32_t reserved;
};

enum auth_verdict_kind {
    AUTH_GRANTED = 1,
    AUTH_WRONG,     /* wrong name or password, not said which. 535 5.7.8, [AUTHENTICATIONFAILED] */
    AUTH_THROTTLED, /* too many failures, not checked: 454 4.7.0, [UNAVAILABLE]/[SYS/TEMP] */
    AUTH_EXPIRED,   /* right, but the account or its password expired: [EXPIRED], 535 5.7.13 */
    AUTH_TEMPORARY, /* no worker, no memory, PAM failed: 454 4.7.0, [UNAVAILABLE] */
    AUTH_MALFORMED, /* AUTH_SASL: not a message of this mechanism. 501 5.5.2, BAD */
};

/* AUTH_GRANTED: the account follows, and the token is valid for this session. */
struct auth_verdict {
    struct ipc_header header;
    uint32_t verdict; /* enum auth_verdict_kind */
    uint32_t account_octets;
    struct token token;
};

/* A client's message of a SASL mechanism that auth itself implements, decoded. The channel binding
 * data (common/tls/tls_binding.h; empty without TLS), the message, and the client's certificates
 * (for EXTERNAL) follow. A session has one exchange: its first message replaces an earlier one. The
 * answer is AUTH_CHALLENGE, after which the client's next message is sent to auth; or one of those
 * to AUTH_PASSWORD. */
enum auth_mechanism {
    AUTH_SCRAM_SHA_256 = 1,
    AUTH_SCRAM_SHA_256_PLUS,
    AUTH_OAUTHBEARER, /* RFC 7628 */
    AUTH_XOAUTH2,     /* as OAUTHBEARER, in another syntax */
    AUTH_EXTERNAL,    /* RFC 4422 A: the message is an authorization identity, or empty */
};
struct auth_sasl {
    struct ipc_header header;
    struct master_client client;
    uint32_t service;          /* enum config_service */
    uint32_t mechanism;        /* enum auth_mechanism */
    uint32_t begins;           /* 1: the first message */
    uint32_t exporter_octets;  /* tls-exporter, RFC 9266 */
    uint32_t end_point_octets; /* tls-server-end-point, RFC 5929 4 */
    uint32_t message_octets;
    uint32_t certificates_octets; /* DER, common/tls/tls_certificates.h */
    uint32_t reserved;
};
/* The message for the client follows, before base64. */
struct auth_challenge {
    struct ipc_header header;
    uint32_t message_octets;
    uint32_t reserved;
};

/* To sessions and logins, when they connect and when it changes: whether to offer SCRAM. */
struct auth_offer {
    struct ipc_header header;
    uint32_t scram; /* 1: yes */
    uint32_t reserved;
};

/* Where does this account's mail go? From queue; the account follows. On success the master answers
 * queue with ROLE_TARGET; else auth sends AUTH_NO_TARGET. */
struct auth_target {
    struct ipc_header header;
    uint32_t account_octets;
    uint32_t reserved;
};
struct auth_no_target {
    struct ipc_header header;
    uint32_t permanent; /* 1: the account is gone, 5.1.1; 0: try again later */
    uint32_t reserved;
};

/* From queue: a delivery found that this account is over quota (full 1), or has room again (0). The
 * account follows. auth remembers it for a minute. */
struct auth_full {
    struct ipc_header header;
    uint32_t full;
    uint32_t account_octets;
};

/* A job for a `check` process, which has one at a time. Name, verifier and password follow. */
enum check_method {
    CHECK_PAM = 1, /* no verifier */
    CHECK_HASH,    /* verifier: an Argon2id string */
};
struct check_password {
    struct ipc_header header;
    uint32_t method;
    uint32_t name_octets;
    uint32_t verifier_octets;
    uint32_t password_octets;
    struct ip_address address; /* of the client, for PAM_RHOST */
};
struct check_verdict {
    struct ipc_header header;
    uint32_t verdict; /* AUTH_GRANTED, AUTH_WRONG, AUTH_EXPIRED or AUTH_TEMPORARY */
    uint32_t reserved;
};

/* A job: look up a system user. The name follows; empty: the first user who has mail. */
struct check_user {
    struct ipc_header header;
    uint32_t name_octets;
    uint32_t reserved;
};
enum check_user_found {
    CHECK_USER_FOUND = 1,
    CHECK_USER_NONE,      /* no such user, or a user without mail */
    CHECK_USER_TEMPORARY, /* NSS could not tell */
};

/* CHECK_USER_FOUND: name and home directory follow, as struct system_user has them. */
struct check_user_answer {
    struct ipc_header header;
    uint32_t found; /* enum check_user_found */
    uint32_t uid;
    uint32_t gid;
    uint32_t name_octets;
    uint32_t home_octets;
    uint32_t reserved;
};

/* A job: check an access token or a certificate. The name that the client asks for follows, then
 * the token or certificate. */
enum check_token_kind {
    CHECK_JWT = 1,
    CHECK_CERTIFICATES,  /* DER */
    CHECK_INTROSPECTION, /* the server's introspection answer: JSON, RFC 7662 2.2 */
};
struct check_token {
    struct ipc_header header;
    uint32_t kind; /* enum check_token_kind */
    uint32_t name_octets;
    uint32_t token_octets;
    uint32_t reserved;
};

/* AUTH_GRANTED: the account's name in the token follows. */
struct check_token_answer {
    struct ipc_header header;
    uint32_t verdict; /* AUTH_GRANTED, AUTH_WRONG or AUTH_TEMPORARY */
    uint32_t name_octets;
    int64_t until; /* CHECK_INTROSPECTION, granted: its `exp`, seconds since 1970; 0: it has none */
};

#endif
