/*
 * What `auth` is asked, by whom, and what it answers. Records of common/role/ipc.h; texts follow
 * the struct in the order of their lengths, without NUL. An account is always its canonical name
 * (alice@demo.test; a system user alone: alice).
 *
 *   smtpd-session     AUTH_RECIPIENT; of submission AUTH_SENDER, AUTH_PASSWORD, AUTH_SASL and
 *                     AUTH_READ too
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
    AUTH_MESSAGE_MAX = 9216,  /* octets of a mechanism's message, with what binds */
    AUTH_TARGETS_MAX = 256,   /* that one recipient may become in one answer */
};

/* Who is this recipient? From a session at RCPT, or from queue about the recipient of a report. The
 * address follows, as address_format() gives it. Answered from memory, in microseconds. */
struct auth_recipient {
    struct ipc_header header;
    uint64_t session; /* that the permits in the answer are for; 0: queue asks */
    /* Whether it may send to foreign domains is for relay.networks to say. IP_NONE: it may not. */
    struct ip_address client;
    uint8_t reserved[3];
    uint32_t address_octets;
};

enum auth_recipient_verdict {
    AUTH_RECIPIENT_TARGETS = 1, /* the targets follow */
    AUTH_RECIPIENT_UNKNOWN,     /* our domain, nobody of that name: 550 5.1.1 */
    AUTH_RECIPIENT_FOREIGN,     /* not our domain: an account may send there, and queue; others get
                                   550 5.7.1. A client of relay.networks gets TARGETS instead */
    AUTH_RECIPIENT_LOOP,        /* the aliases go in circles; the text names them: 550 5.4.6 */
    AUTH_RECIPIENT_FULL,        /* over quota: 452 4.2.2 */
    AUTH_RECIPIENT_TEMPORARY,   /* 451 4.3.0 */
};

/* Who gets the mail of a recipient in the end. */
enum auth_target_kind {
    AUTH_TARGET_ACCOUNT = 1, /* the account's name follows */
    AUTH_TARGET_ADDRESS,     /* of a foreign domain, an alias or relay.networks led there: the
                                permit, by which queue takes it from a session on port 25
                                (token_issue() with the address), then the address */
};
struct auth_recipient_target {
    uint16_t kind;   /* enum auth_target_kind */
    uint16_t octets; /* of the name or the address, without the permit */
};

/* The text (for people and the log; empty: the verdict says all) follows, then `targets` times a
 * struct auth_recipient_target and what belongs to it. */
struct auth_recipient_answer {
    struct ipc_header header;
    uint32_t verdict; /* enum auth_recipient_verdict */
    uint32_t targets;
    uint32_t text_octets;
    uint32_t reserved;
};

/* May this account send as that address (envelope or From)? Behind it: account, address. */
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

/* That account wants to read a message of another or of its own, by a URL (BURL, RFC 4468): the
 * account, then whose message it is, by a name that one logs in with, follow. On success the master
 * answers the session with ROLE_ADMITTED or ROLE_NOT_ADMITTED, and the owner's mailbox, which hears
 * from the master who reads, judges the URL (common/role/url_reading.h); else auth sends
 * AUTH_NOT_READ. */
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

/* Is this the password? Name and password follow. From a submission session: AUTH_VERDICT in any
 * case. From a login role: AUTH_VERDICT only for a refusal; success reaches it as ROLE_ADMITTED or
 * ROLE_NOT_ADMITTED from the master. Refusals all take the same time, throttling included: the
 * asker waits, without a limit of its own below 60 s. */
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
    AUTH_WRONG,     /* name or password: never said which. 535 5.7.8, [AUTHENTICATIONFAILED] */
    AUTH_THROTTLED, /* too many failures, not even looked at: 454 4.7.0, [UNAVAILABLE]/[SYS/TEMP] */
    AUTH_EXPIRED,   /* right, but the account or its password expired: [EXPIRED], 535 5.7.13 */
    AUTH_TEMPORARY, /* no worker, no memory, PAM's trouble: 454 4.7.0, [UNAVAILABLE] */
    AUTH_MALFORMED, /* of AUTH_SASL: no message of this mechanism. 501 5.5.2, BAD */
};

/* AUTH_GRANTED: the account follows and token is good for this session. */
struct auth_verdict {
    struct ipc_header header;
    uint32_t verdict; /* enum auth_verdict_kind */
    uint32_t account_octets;
    struct token token;
};

/* A message of a mechanism that auth speaks itself, decoded. What binds to the TLS connection
 * (common/tls/tls_binding.h; none without TLS), the message, the client's certificates (of
 * EXTERNAL) follow. The session that said AUTH is the exchange: the first message begins one,
 * whatever there was before. Answer: AUTH_CHALLENGE, and the client's next message is asked about;
 * or what AUTH_PASSWORD is answered. */
enum auth_mechanism {
    AUTH_SCRAM_SHA_256 = 1,
    AUTH_SCRAM_SHA_256_PLUS,
    AUTH_OAUTHBEARER, /* RFC 7628 */
    AUTH_XOAUTH2,     /* the same by another grammar */
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

/* To sessions and logins, when they come and when it changes: whether SCRAM is to be offered. */
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

/* From queue: a delivery found that this account is at its quota (full 1), or has room again (0).
 * The account follows. auth believes it for a minute. */
struct auth_full {
    struct ipc_header header;
    uint32_t full;
    uint32_t account_octets;
};

/* One job for a worker, one at a time. Name, verifier and password follow. */
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

/* Another kind of job: who is that system user? The name follows; empty: the first who has mail. */
struct check_user {
    struct ipc_header header;
    uint32_t name_octets;
    uint32_t reserved;
};
enum check_user_found {
    CHECK_USER_FOUND = 1,
    CHECK_USER_NONE,      /* there is none, or none with mail */
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

/* A third: whose is that access token, or that certificate? The name that is wanted, then what is
 * to be looked at follow. */
enum check_token_kind {
    CHECK_JWT = 1,
    CHECK_CERTIFICATES,  /* DER */
    CHECK_INTROSPECTION, /* what its server says of a token: JSON, RFC 7662 2.2 */
};
struct check_token {
    struct ipc_header header;
    uint32_t kind; /* enum check_token_kind */
    uint32_t name_octets;
    uint32_t token_octets;
    uint32_t reserved;
};

/* AUTH_GRANTED: what the token calls the account follows. */
struct check_token_answer {
    struct ipc_header header;
    uint32_t verdict; /* AUTH_GRANTED, AUTH_WRONG or AUTH_TEMPORARY */
    uint32_t name_octets;
    int64_t until; /* CHECK_INTROSPECTION, granted: its `exp`, seconds since 1970; 0: it has none */
};

#endif
