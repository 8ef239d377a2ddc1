/*
 * The configuration, one struct that every role reads. The master opens the file once, copies it
 * into a sealed memfd and hands that descriptor to each role, so all of them see the same text and
 * none opens a file for it. Parsing opens nothing, asks nobody and looks at no environment
 * variable; what only the file system or the network can tell is ctl/check/check's.
 *
 * Every key with its meaning, unit and default is in docs/configuration.md; a unit test holds that
 * file and the table in config_keys.c together. Any process, before it enters its sandbox.
 */
#ifndef COMMON_CONFIG_CONFIG_H
#define COMMON_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/error.h"
#include "common/net/ip_address.h"
#include "common/slice.h"

/* A path, or another text that a later look at the system may find wrong. */
struct config_text {
    const char *text; /* NULL: not given and without a default */
    unsigned line;    /* where it was given; 0: it is the default */
};

enum config_service {
    CONFIG_SMTP,        /* 25, from outside */
    CONFIG_SUBMISSION,  /* 587, STARTTLS before AUTH */
    CONFIG_SUBMISSIONS, /* 465, TLS from the first octet (RFC 8314) */
    CONFIG_IMAP,        /* 143 */
    CONFIG_IMAPS,       /* 993 */
    CONFIG_POP3,        /* 110 */
    CONFIG_POP3S,       /* 995 */
    CONFIG_HTTP,        /* 9725, what the server counts; on loopback alone */
    CONFIG_SERVICES,    /* how many there are */
};

/* "smtp", "submission" and so on, as in `listen NAME`. */
const char *config_service_name(enum config_service service);

/* TLS from the first octet? */
bool config_service_is_implicit_tls(enum config_service service);

struct config_addresses {
    struct ip_address *items;
    size_t count;
};

struct config_durations {
    uint64_t *items_ms;
    size_t count; /* at least one */
};

/* 192.0.2.0/24 */
struct config_network {
    struct ip_address address; /* bits after the prefix are zero */
    unsigned bits;
};
struct config_networks {
    struct config_network *items;
    size_t count;
};

bool config_networks_have(const struct config_networks *networks, const struct ip_address *address);

/* domain NAME { ... } */
struct config_domain {
    const char *name;             /* lower case, as an A-label where it is international */
    struct config_text aliases;   /* path of the alias file of this domain */
    struct config_text catch_all; /* address or account that gets what no other name takes */
    unsigned line;
};

enum config_source {
    CONFIG_SOURCE_PAM,  /* system users, PAM service "staffetta" */
    CONFIG_SOURCE_FILE, /* virtual accounts in a passwd-file */
};

/* accounts { ... }: the sources are asked in the order they are given. */
struct config_accounts {
    enum config_source source;
    struct config_text mailbox; /* pam: a Maildir below the user's home, "~/Maildir" */
    struct config_text file;    /* file: the passwd-file; NULL for pam */
    struct config_text mail;    /* file: <mail>/<domain>/<local part>/Maildir; NULL for pam */
    struct config_text user;    /* file: the system user who owns that mail */
    uint64_t quota_octets;      /* of each account that has none of its own; 0: none */
    unsigned line;
};

/* certificate NAME { ... }: chosen by SNI, the first for all other names. */
struct config_certificate {
    const char *name;         /* lower case host name; may begin with "*." */
    struct config_text chain; /* PEM, the server's certificate first */
    struct config_text key;   /* PEM */
    unsigned line;
};

/* listen SERVICE { ... } */
struct config_listen {
    enum config_service service;
    uint16_t port;
    struct config_addresses addresses; /* at least one */
    unsigned line;
};

/* limits { ... }: the key is the field's name with hyphens and without the unit. */
struct config_limits {
    /* SMTP. The reply that refuses names the key. */
    uint64_t message_size_octets; /* also of an IMAP APPEND */
    uint32_t recipients;          /* of one message */
    uint32_t messages;            /* of one connection */
    uint64_t command_line_octets; /* with CRLF */
    uint64_t auth_line_octets;    /* a response of AUTH, with CRLF */
    uint64_t text_line_octets;    /* a line of a message, with CRLF */
    uint64_t header_size_octets;  /* the header of a message */
    uint32_t received;            /* Received fields: more is a loop */
    uint32_t bad_commands;        /* of one connection, then 421 */
    uint64_t free_space_octets;   /* of the state's file system: below it, mail is refused */
    uint32_t alias_expansion;     /* addresses that one recipient may become */

    /* Of a message, however it came. What lies deeper or beyond is kept as it is, unparsed. */
    uint32_t mime_depth;
    uint32_t mime_parts;

    /* Connections: in all for each protocol, and of one client network. */
    uint32_t connections;
    uint32_t connections_per_network;
    uint32_t unauthenticated_connections; /* of `connections`, those not logged in yet */
    uint32_t unauthenticated_per_network; /* at most a tenth of those */
    uint32_t network_ipv4_bits;           /* prefix length that makes a client network */
    uint32_t network_ipv6_bits;
    uint32_t account_sessions; /* IMAP sessions of one account */

    /* IMAP and POP3. */
    uint64_t imap_line_octets;    /* a command line without its literals */
    uint64_t imap_literal_octets; /* one literal, save that of APPEND */
    uint64_t imap_command_octets; /* a command with all its literals, save that of APPEND */
    uint64_t pop3_line_octets;
    uint32_t mailboxes;                 /* of one account */
    uint64_t annotation_octets;         /* one value of METADATA */
    uint32_t annotations;               /* of one mailbox, and of the account beside */
    uint64_t account_annotation_octets; /* all values of one account, with their names */
};

/* timeouts { ... }: of waits for the peer, unless said otherwise. */
struct config_timeouts {
    uint64_t handshake_ms;    /* TLS */
    uint64_t smtp_command_ms; /* the next command */
    uint64_t smtp_data_ms;    /* the next octets of a message */
    uint64_t smtp_message_ms; /* a whole message */
    uint64_t login_ms;        /* IMAP, POP3: from the connection to a login */
    uint64_t imap_ms;         /* a logged in IMAP client's next octet, IDLE too */
    uint64_t pop3_ms;         /* a logged in POP3 client's next command */
    uint64_t write_ms;        /* any peer that takes none of our octets */
    uint64_t hibernate_ms;    /* an account's IMAP sessions without a word, before they sleep; or
                                 CONFIG_NEVER */
    uint64_t linger_ms;       /* a user's process without work, before it ends */
    uint64_t shutdown_ms;     /* sessions after a stop, before they are cut */
};

/* queue { ... } */
struct config_queue {
    struct config_durations retry; /* waits between attempts; the last repeats */
    uint64_t lifetime_ms;          /* then the message is returned */
    uint64_t delay_warning_ms;     /* then its sender is told that it waits; or CONFIG_NEVER */
};

/* throttle { ... }: guesses, counted for each account and network. */
struct config_throttle {
    uint32_t slow_after;  /* failures before answers get slower */
    uint32_t pause_after; /* failures before a pause */
    uint64_t pause_ms;
    uint64_t forget_ms;  /* a failure counts this long */
    uint64_t refusal_ms; /* every refusal takes this long at least */
};

enum config_bare_line_ends { CONFIG_BARE_REFUSE, CONFIG_BARE_KEEP };

/* imap { ... } */
struct config_imap {
    bool uid_only;             /* clients may enable it (RFC 9586) */
    uint32_t message_limit;    /* messages that one command deals with (RFC 9738); 0: all */
    uint64_t progress_ms;      /* between two words of a long command (RFC 9585); 0: it has none */
    struct config_text shared; /* the mailbox below which those of other accounts are; NULL: no
                                  account can share any */
};

enum config_certificate_name { CONFIG_CERTIFICATE_ADDRESS, CONFIG_CERTIFICATE_COMMON_NAME };

/* client-certificates { ... }: TLS certificates to log in with. authorities NULL: none. */
struct config_client_certificates {
    struct config_text authorities;    /* path, PEM */
    enum config_certificate_name name; /* what names the account */
};

/* undo { ... }: what was expunged is kept for a while. */
struct config_undo {
    uint64_t keep_ms;           /* 0: not at all */
    uint64_t quota_octets;      /* of each account, beside its quota; 0: any */
    struct config_text mailbox; /* by which clients find it */
};

/* oauth { ... }: whose access tokens are accepted. Neither keys nor introspection: none. */
struct config_oauth {
    struct config_text issuer;
    struct config_text audience;
    struct config_text scope;
    struct config_text claim;
    struct config_text keys;          /* path: a JWK set */
    struct config_text introspection; /* https_url.h: where tokens are asked about, RFC 7662 */
    struct config_text credentials;   /* path: with which */
    uint64_t introspection_timeout_ms;
    uint64_t introspection_cache_ms; /* so long what was said counts; 0: asked each time */
};

/* pop3 { ... } */
struct config_pop3 {
    uint64_t expire_ms;          /* EXPIRE of CAPA, in days there, RFC 2449 6.7; or CONFIG_NEVER */
    uint64_t login_delay_ms;     /* LOGIN-DELAY, RFC 2449 6.6; 0: none, not announced */
    bool delete_after_retrieval; /* at QUIT, what RETR sent whole */
    uint64_t keep_ms;            /* with it: only messages older than this */
    struct config_text uidl_format; /* of the Dovecot that had the mail before, uidl_format.h */
};

/* processes { ... }: how many of a role run. */
struct config_processes {
    uint32_t session;    /* port 25 */
    uint32_t submission; /* 587 and 465 */
    uint32_t filter;
    uint32_t relay;
    uint32_t imap_login;
    uint32_t pop3_login;
    uint32_t check; /* password hashes and PAM conversations at once */
};

/* relay { ... }: mail to other domains. */
struct config_relay {
    struct config_networks networks; /* may send to other domains on port 25 without AUTH */
    uint32_t connections;            /* of one relay process, to all hosts */
    uint32_t per_destination;        /* connections to one destination at most */
    uint64_t idle_ms;                /* an unused connection is kept this long */
    uint64_t connect_ms;
    uint64_t reply_ms;             /* of a command; of the final dot twice as long */
    bool private_targets;          /* loopback and private addresses found in the DNS are used */
    bool mta_sts;                  /* policies of other domains are asked for */
    bool tls_reports;              /* RFC 8460: domains that ask for it are told how TLS went */
    uint64_t tls_reports_delay_ms; /* after midnight UTC, at most */
    struct config_text tls_report_contact; /* address; NULL: postmaster of the first domain */
    bool address_literals;                 /* user@[192.0.2.1] */
    struct config_text authorities;        /* file of certificates, PEM */
};

enum config_route_protocol { CONFIG_ROUTE_SMTP, CONFIG_ROUTE_LMTP };
enum config_route_tls {
    CONFIG_TLS_MAY,     /* if the peer offers it, whatever its certificate */
    CONFIG_TLS_ENCRYPT, /* never without */
    CONFIG_TLS_VERIFY,  /* with a certificate for the host's name, from a known authority */
    CONFIG_TLS_NEVER,
};

/* route DOMAIN { ... }: how mail for that domain (".example.org": for all below it; "*": for all
 * others) leaves. The first route that fits a recipient and the sender is taken. */
struct config_route {
    const char *domain;        /* lower case */
    struct config_text sender; /* only mail of this address, or of this domain; NULL: of all */
    struct config_text host;   /* name or address; NULL: the MX records of the domain */
    uint16_t port;
    enum config_route_protocol protocol;
    enum config_route_tls tls;
    bool implicit_tls;              /* TLS from the first octet */
    struct config_addresses source; /* local addresses, by turns; none: the kernel's choice */
    struct config_text helo;        /* NULL: hostname */
    struct config_text user, password_file; /* AUTH; the file's first line */
    uint32_t connections;                   /* 0: relay.per-destination */
    uint32_t messages_per_minute;           /* 0: as many as the peer takes */
    unsigned line;
};

/* client PATTERN { ... }: what is kept from the IMAP clients that say so of themselves (ID). In the
 * patterns `*` is any text, in any case. */
struct config_client {
    const char *name; /* pattern of the field "name"; what was not said is empty */
    struct config_text version, vendor; /* patterns, too; NULL: any */
    struct config_text account;         /* only in this account's sessions; NULL: in all */
    uint64_t without;                   /* common/login/imap_capability.h */
    unsigned line;
};

/* resolver { ... } */
struct config_resolver {
    struct config_addresses servers; /* asked instead of the root's */
    uint16_t port;                   /* of those */
    struct config_text trust_anchor; /* file of DNSKEY or DS records; NULL: no validation */
};

enum config_plaintext { CONFIG_PLAINTEXT_LOOPBACK, CONFIG_PLAINTEXT_NEVER };

struct config {
    struct arena arena; /* owns all that follows */

    const char *hostname;                      /* lower case; EHLO, Received, greetings */
    struct config_text state;                  /* directory: queue, spool, journal */
    struct config_text control_socket;         /* path */
    enum config_plaintext plaintext_passwords; /* where a password may come without TLS */
    struct config_text role_users;             /* the account of role R is <role_users>R */
    uint32_t uid_base; /* role i has uid and gid uid_base + i, no account; 0: role_users */

    struct config_domain *domains; /* at least one; the first completes names without one */
    size_t domain_count;
    struct config_accounts *accounts; /* at least one */
    size_t accounts_count;
    struct config_certificate *certificates;
    size_t certificate_count;
    struct config_listen *listens; /* at least one */
    size_t listen_count;
    struct config_route *routes;
    size_t route_count;
    struct config_client *clients;
    size_t client_count;

    struct config_limits limits;
    struct config_timeouts timeouts;
    struct config_queue queue;
    struct config_relay relay;
    struct config_resolver resolver;
    struct config_throttle throttle;
    struct config_pop3 pop3;
    struct config_imap imap;
    struct config_undo undo;
    struct config_oauth oauth;
    struct config_client_certificates client_certificates;
    struct config_processes processes;
    struct {
        enum config_bare_line_ends bare_line_ends; /* a bare CR or LF in a message */
    } smtp;
    struct {
        struct config_text sender_map; /* path: who may send as what beside his own addresses */
        uint64_t future_release_ms;    /* so long a message may wait (RFC 4865); 0: not offered */
        bool sent_copy; /* what an account submits is filed in its mailbox with use \Sent */
    } submission;
    struct {
        struct config_text file; /* path; NULL: standard error */
        uint64_t history_ms;     /* what happened to a message is kept so long; 0: not at all */
        uint64_t history_octets; /* at most */
    } log;
};

#define CONFIG_NEVER UINT64_MAX

enum config_severity { CONFIG_WARNING, CONFIG_MISTAKE };

struct config_mistake {
    enum config_severity severity;
    unsigned line;  /* 0: of no line */
    char text[480]; /* what is wrong, and what to write instead; no newline */
};

/* What was found, sorted by line once config_parse returned. Memory of its own. */
struct config_mistakes {
    struct config_mistake *items;
    size_t count;
    size_t capacity;
    size_t fatal; /* how many are CONFIG_MISTAKE, lost ones too */
};

/* Starts empty: `struct config_mistakes mistakes = {0};`. Where there is no memory the mistake is
 * counted in `fatal`, but its text is lost. */
void config_mistakes_add(struct config_mistakes *mistakes, enum config_severity severity,
                         unsigned line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void config_mistakes_sort(struct config_mistakes *mistakes);
void config_mistakes_clear(struct config_mistakes *mistakes); /* may run twice */

/* "FILE:LINE: text", one a line, to standard error. */
void config_mistakes_print(const struct config_mistakes *mistakes, const char *file_name);

/* Fills *config, which the caller clears in any case, from the text of a configuration. False if
 * there was any mistake; `mistakes` then holds all of those in values, and an unknown key or an
 * error of syntax as the last, since libconfuse stops there. What was read till then is in *config,
 * good enough to look for more mistakes (ctl/check/check.h): a path that was mistaken or not read
 * is NULL, whatever its default, such a port 0, such a host name NULL. */
bool config_parse(struct slice text, struct config *config, struct config_mistakes *mistakes);
void config_clear(struct config *config); /* may run twice, also on a zeroed struct */

/* A sealed memfd with the octets of a file, for config_parse_fd in any process; -1 on failure. The
 * file is read once: what is edited meanwhile is seen by all or by none. */
int config_open(const char *path, struct error *error);

/* config_parse on what config_open gave; the descriptor stays open and its offset unmoved. A text
 * that cannot be read is a mistake like any other. */
bool config_parse_fd(int fd, struct config *config, struct config_mistakes *mistakes);

/* What runs where: does any listen line, or any of that service, exist? */
bool config_has_service(const struct config *config, enum config_service service);

/* The domain of that name (in any case), or NULL. */
const struct config_domain *config_find_domain(const struct config *config, struct slice name);

/* Whether access tokens let anybody in. */
static inline bool config_takes_tokens(const struct config *config)
{
    return config->oauth.keys.text || config->oauth.introspection.text;
}

#endif
