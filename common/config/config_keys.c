/*
 * Every key of the configuration: its name, how its value is written, where it goes, its default
 * and its bounds. docs/configuration.md and the field's comment in config.h explain each key. A
 * table and a lookup; any process.
 */
#include <string.h>

#include "common/config/config_internal.h"
#include "common/size.h"
#include "common/text/uidl_format.h"

/* The offset of a field; does not compile where the field is not of the type. */
#define FIELD(owner, field, type)                                                                  \
    (offsetof(owner, field) + 0 * sizeof((type *)NULL == &((owner *)NULL)->field))

#define IN_CONFIG(field, type) FIELD(struct config, field, type)

#define SIZE(name, field, fallback, min, max)                                                      \
    {                                                                                              \
        name, CONFIG_KIND_SIZE, IN_CONFIG(field, uint64_t), fallback, false, min, max, {NULL}, 0   \
    }
#define DURATION(name, field, fallback, min, max)                                                  \
    {                                                                                              \
        name, CONFIG_KIND_DURATION, IN_CONFIG(field, uint64_t), fallback, false, min, max, {NULL}, \
            0                                                                                      \
    }
#define COUNT(name, field, fallback, min, max)                                                     \
    {                                                                                              \
        name, CONFIG_KIND_COUNT, IN_CONFIG(field, uint32_t), fallback, false, min, max, {NULL}, 0  \
    }

#define KIBI 1024ULL
#define MEBI (1024 * KIBI)
#define GIBI (1024 * MEBI)
#define TEBI (1024 * GIBI)
#define SECOND 1000ULL
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define SHORTEST 100 /* ms; tests wait that long */

static const struct config_key top_keys[] = {
    {.name = "hostname",
     .kind = CONFIG_KIND_HOST,
     .offset = IN_CONFIG(hostname, const char *),
     .required = true},
    {.name = "state",
     .kind = CONFIG_KIND_PATH,
     .offset = IN_CONFIG(state, struct config_text),
     .fallback = "/var/lib/staffetta"},
    {.name = "control-socket",
     .kind = CONFIG_KIND_PATH,
     .offset = IN_CONFIG(control_socket, struct config_text),
     .fallback = "/run/staffetta/control"},
    {.name = "plaintext-passwords",
     .kind = CONFIG_KIND_CHOICE,
     .offset = IN_CONFIG(plaintext_passwords, enum config_plaintext),
     .fallback = "loopback",
     .words = {[CONFIG_PLAINTEXT_LOOPBACK] = "loopback", [CONFIG_PLAINTEXT_NEVER] = "never"}},
    {.name = "role-users",
     .kind = CONFIG_KIND_TEXT,
     .offset = IN_CONFIG(role_users, struct config_text),
     .fallback = "staffetta-"},
    {.name = "uid-base",
     .kind = CONFIG_KIND_COUNT,
     .offset = IN_CONFIG(uid_base, uint32_t),
     .fallback = "none",
     .min = 1000,
     .max = 2000000000,
     .words = {"none"}},
};

static const struct config_key domain_keys[] = {
    {.name = "aliases",
     .kind = CONFIG_KIND_PATH,
     .offset = FIELD(struct config_domain, aliases, struct config_text)},
    {.name = "catch-all",
     .kind = CONFIG_KIND_TEXT,
     .offset = FIELD(struct config_domain, catch_all, struct config_text)},
};

static const struct config_key accounts_keys[] = {
    {.name = "source",
     .kind = CONFIG_KIND_CHOICE,
     .offset = FIELD(struct config_accounts, source, enum config_source),
     .required = true,
     .words = {[CONFIG_SOURCE_PAM] = "pam", [CONFIG_SOURCE_FILE] = "file"}},
    {.name = "mailbox",
     .kind = CONFIG_KIND_TEXT,
     .offset = FIELD(struct config_accounts, mailbox, struct config_text)},
    {.name = "file",
     .kind = CONFIG_KIND_PATH,
     .offset = FIELD(struct config_accounts, file, struct config_text)},
    {.name = "mail",
     .kind = CONFIG_KIND_PATH,
     .offset = FIELD(struct config_accounts, mail, struct config_text)},
    {.name = "user",
     .kind = CONFIG_KIND_TEXT,
     .offset = FIELD(struct config_accounts, user, struct config_text)},
    {.name = "quota",
     .kind = CONFIG_KIND_SIZE,
     .offset = FIELD(struct config_accounts, quota_octets, uint64_t),
     .fallback = "none",
     .min = MEBI,
     .max = TEBI,
     .words = {"none"}},
};

static const struct config_key certificate_keys[] = {
    {.name = "chain",
     .kind = CONFIG_KIND_PATH,
     .offset = FIELD(struct config_certificate, chain, struct config_text),
     .required = true},
    {.name = "key",
     .kind = CONFIG_KIND_PATH,
     .offset = FIELD(struct config_certificate, key, struct config_text),
     .required = true},
};

static const struct config_key listen_keys[] = {
    {.name = "port",
     .kind = CONFIG_KIND_PORT,
     .offset = FIELD(struct config_listen, port, uint16_t),
     .min = 1,
     .max = 65535},
    {.name = "addresses",
     .kind = CONFIG_KIND_ADDRESSES,
     .offset = FIELD(struct config_listen, addresses, struct config_addresses),
     .fallback = "0.0.0.0, ::"},
};

static const struct config_key limits_keys[] = {
    SIZE("message-size", limits.message_size_octets, "50M", 64 * KIBI, 2 * GIBI),
    /* RFC 5321 4.5.3.1.8: at least 100. */
    COUNT("recipients", limits.recipients, "1000", 100, 100000),
    COUNT("messages", limits.messages, "1000", 1, 1000000),
    /* RFC 5321 4.5.3.1.4: 512, and what the extensions add. */
    SIZE("command-line", limits.command_line_octets, "4K", 1 * KIBI, 64 * KIBI),
    /* RFC 4954 4: 12288. */
    SIZE("auth-line", limits.auth_line_octets, "12K", 12 * KIBI, 64 * KIBI),
    /* RFC 5321 4.5.3.1.6: at least 1000. */
    SIZE("text-line", limits.text_line_octets, "64K", 1000, 1 * MEBI),
    SIZE("header-size", limits.header_size_octets, "1M", 16 * KIBI, 16 * MEBI),
    COUNT("received", limits.received, "100", 10, 1000),
    COUNT("bad-commands", limits.bad_commands, "20", 1, 1000),
    SIZE("free-space", limits.free_space_octets, "100M", 0, TEBI),
    COUNT("alias-expansion", limits.alias_expansion, "1000", 1, 100000),
    COUNT("mime-depth", limits.mime_depth, "100", 10, 200),
    COUNT("mime-parts", limits.mime_parts, "10000", 100, 100000),
    COUNT("connections", limits.connections, "4000", 10, 100000),
    COUNT("connections-per-network", limits.connections_per_network, "1000", 1, 100000),
    COUNT("unauthenticated-connections", limits.unauthenticated_connections, "1000", 10, 100000),
    COUNT("unauthenticated-per-network", limits.unauthenticated_per_network, "100", 1, 10000),
    COUNT("network-ipv4", limits.network_ipv4_bits, "24", 8, 32),
    COUNT("network-ipv6", limits.network_ipv6_bits, "64", 16, 128),
    COUNT("account-sessions", limits.account_sessions, "100", 1, 10000),
    SIZE("imap-line", limits.imap_line_octets, "256K", 8 * KIBI, MEBI),
    SIZE("imap-literal", limits.imap_literal_octets, "64K", KIBI, 16 * MEBI),
    SIZE("imap-command", limits.imap_command_octets, "1M", 8 * KIBI, 64 * MEBI),
    /* RFC 2449 4: 255. */
    SIZE("pop3-line", limits.pop3_line_octets, "512", 255, 64 * KIBI),
    COUNT("mailboxes", limits.mailboxes, "10000", 10, 100000),
    /* RFC 5464 4.1: at least 1024 octets, and 10 of them. */
    SIZE("annotation", limits.annotation_octets, "64K", KIBI, MEBI),
    COUNT("annotations", limits.annotations, "100", 10, 10000),
    SIZE("account-annotations", limits.account_annotation_octets, "4M", 64 * KIBI, 64 * MEBI),
};

static const struct config_key timeouts_keys[] = {
    DURATION("handshake", timeouts.handshake_ms, "30s", SHORTEST, 10 * MINUTE),
    /* RFC 5321 4.5.3.2.7: five minutes. */
    DURATION("smtp-command", timeouts.smtp_command_ms, "5m", SHORTEST, HOUR),
    DURATION("smtp-data", timeouts.smtp_data_ms, "5m", SHORTEST, HOUR),
    DURATION("smtp-message", timeouts.smtp_message_ms, "1h", SHORTEST, DAY),
    DURATION("login", timeouts.login_ms, "2m", SHORTEST, HOUR),
    /* RFC 3501 5.4: at least 30 minutes. */
    DURATION("imap", timeouts.imap_ms, "30m", SHORTEST, DAY),
    /* RFC 1939 3: at least 10 minutes. */
    DURATION("pop3", timeouts.pop3_ms, "10m", SHORTEST, DAY),
    DURATION("write", timeouts.write_ms, "5m", SHORTEST, HOUR),
    {.name = "hibernate",
     .kind = CONFIG_KIND_DURATION,
     .offset = IN_CONFIG(timeouts.hibernate_ms, uint64_t),
     .fallback = "30s",
     .min = SHORTEST,
     .max = DAY,
     .words = {"never"},
     .word_value = CONFIG_NEVER},
    DURATION("linger", timeouts.linger_ms, "30s", SHORTEST, HOUR),
    DURATION("shutdown", timeouts.shutdown_ms, "10s", SHORTEST, HOUR),
};

static const struct config_key queue_keys[] = {
    {.name = "retry",
     .kind = CONFIG_KIND_DURATIONS,
     .offset = IN_CONFIG(queue.retry, struct config_durations),
     .fallback = "1m, 5m, 15m, 30m, 1h, 2h, 4h",
     .min = SHORTEST,
     .max = 7 * DAY},
    DURATION("lifetime", queue.lifetime_ms, "5d", SHORTEST, 30 * DAY),
    {.name = "delay-warning",
     .kind = CONFIG_KIND_DURATION,
     .offset = IN_CONFIG(queue.delay_warning_ms, uint64_t),
     .fallback = "4h",
     .min = SHORTEST,
     .max = 30 * DAY,
     .words = {"never"},
     .word_value = CONFIG_NEVER},
};

static const struct config_key relay_keys[] = {
    {.name = "networks",
     .kind = CONFIG_KIND_NETWORKS,
     .offset = IN_CONFIG(relay.networks, struct config_networks)},
    COUNT("connections", relay.connections, "1000", 10, 50000),
    COUNT("per-destination", relay.per_destination, "20", 1, 1000),
    DURATION("idle", relay.idle_ms, "5s", 0, 5 * MINUTE),
    DURATION("connect", relay.connect_ms, "30s", SHORTEST, 10 * MINUTE),
    /* RFC 5321 4.5.3.2: five minutes, ten after the final dot. */
    DURATION("reply", relay.reply_ms, "5m", SHORTEST, HOUR),
    {.name = "private-targets",
     .kind = CONFIG_KIND_BOOL,
     .offset = IN_CONFIG(relay.private_targets, bool),
     .fallback = "no"},
    {.name = "address-literals",
     .kind = CONFIG_KIND_BOOL,
     .offset = IN_CONFIG(relay.address_literals, bool),
     .fallback = "no"},
    {.name = "mta-sts",
     .kind = CONFIG_KIND_BOOL,
     .offset = IN_CONFIG(relay.mta_sts, bool),
     .fallback = "yes"},
    {.name = "tls-reports",
     .kind = CONFIG_KIND_BOOL,
     .offset = IN_CONFIG(relay.tls_reports, bool),
     .fallback = "yes"},
    DURATION("tls-reports-delay", relay.tls_reports_delay_ms, "4h", 0, 20 * HOUR),
    {.name = "tls-report-contact",
     .kind = CONFIG_KIND_TEXT,
     .offset = IN_CONFIG(relay.tls_report_contact, struct config_text)},
    {.name = "authorities",
     .kind = CONFIG_KIND_PATH,
     .offset = IN_CONFIG(relay.authorities, struct config_text),
     .fallback = "/etc/ssl/certs/ca-certificates.crt"},
};

static const struct config_key route_keys[] = {
    {.name = "sender",
     .kind = CONFIG_KIND_TEXT,
     .offset = FIELD(struct config_route, sender, struct config_text)},
    {.name = "host",
     .kind = CONFIG_KIND_TEXT,
     .offset = FIELD(struct config_route, host, struct config_text)},
    {.name = "port",
     .kind = CONFIG_KIND_PORT,
     .offset = FIELD(struct config_route, port, uint16_t),
     .fallback = "25",
     .min = 1,
     .max = 65535},
    {.name = "protocol",
     .kind = CONFIG_KIND_CHOICE,
     .offset = FIELD(struct config_route, protocol, enum config_route_protocol),
     .fallback = "smtp",
     .words = {[CONFIG_ROUTE_SMTP] = "smtp", [CONFIG_ROUTE_LMTP] = "lmtp"}},
    {.name = "tls",
     .kind = CONFIG_KIND_CHOICE,
     .offset = FIELD(struct config_route, tls, enum config_route_tls),
     .fallback = "may",
     .words = {[CONFIG_TLS_MAY] = "may",
               [CONFIG_TLS_ENCRYPT] = "encrypt",
               [CONFIG_TLS_VERIFY] = "verify",
               [CONFIG_TLS_NEVER] = "never"}},
    {.name = "implicit-tls",
     .kind = CONFIG_KIND_BOOL,
     .offset = FIELD(struct config_route, implicit_tls, bool),
     .fallback = "no"},
    {.name = "source",
     .kind = CONFIG_KIND_ADDRESSES,
     .offset = FIELD(struct config_route, source, struct config_addresses)},
    {.name = "helo",
     .kind = CONFIG_KIND_TEXT,
     .offset = FIELD(struct config_route, helo, struct config_text)},
    {.name = "user",
     .kind = CONFIG_KIND_TEXT,
     .offset = FIELD(struct config_route, user, struct config_text)},
    {.name = "password-file",
     .kind = CONFIG_KIND_PATH,
     .offset = FIELD(struct config_route, password_file, struct config_text)},
    {.name = "connections",
     .kind = CONFIG_KIND_COUNT,
     .offset = FIELD(struct config_route, connections, uint32_t),
     .fallback = "default",
     .min = 1,
     .max = 1000,
     .words = {"default"}},
    {.name = "messages-per-minute",
     .kind = CONFIG_KIND_COUNT,
     .offset = FIELD(struct config_route, messages_per_minute, uint32_t),
     .fallback = "unlimited",
     .min = 1,
     .max = 1000000,
     .words = {"unlimited"}},
};

static const struct config_key client_keys[] = {
    {.name = "version",
     .kind = CONFIG_KIND_TEXT,
     .offset = FIELD(struct config_client, version, struct config_text)},
    {.name = "vendor",
     .kind = CONFIG_KIND_TEXT,
     .offset = FIELD(struct config_client, vendor, struct config_text)},
    {.name = "account",
     .kind = CONFIG_KIND_TEXT,
     .offset = FIELD(struct config_client, account, struct config_text)},
    {.name = "without",
     .kind = CONFIG_KIND_CAPABILITIES,
     .offset = FIELD(struct config_client, without, uint64_t),
     .required = true},
};

static const struct config_key resolver_keys[] = {
    {.name = "servers",
     .kind = CONFIG_KIND_ADDRESSES,
     .offset = IN_CONFIG(resolver.servers, struct config_addresses)},
    {.name = "port",
     .kind = CONFIG_KIND_PORT,
     .offset = IN_CONFIG(resolver.port, uint16_t),
     .fallback = "53",
     .min = 1,
     .max = 65535},
    {.name = "trust-anchor",
     .kind = CONFIG_KIND_PATH,
     .offset = IN_CONFIG(resolver.trust_anchor, struct config_text),
     .fallback = "/usr/share/dns/root.key"},
};

static const struct config_key throttle_keys[] = {
    COUNT("slow-after", throttle.slow_after, "3", 1, 1000),
    COUNT("pause-after", throttle.pause_after, "10", 1, 10000),
    DURATION("pause", throttle.pause_ms, "15m", SECOND, DAY),
    DURATION("forget", throttle.forget_ms, "1h", SECOND, 7 * DAY),
    DURATION("refusal", throttle.refusal_ms, "500ms", 0, 10 * SECOND),
};

static const struct config_key smtp_keys[] = {
    {.name = "bare-line-ends",
     .kind = CONFIG_KIND_CHOICE,
     .offset = IN_CONFIG(smtp.bare_line_ends, enum config_bare_line_ends),
     .fallback = "refuse",
     .words = {[CONFIG_BARE_REFUSE] = "refuse", [CONFIG_BARE_KEEP] = "keep"}},
};

static const struct config_key submission_keys[] = {
    {.name = "sender-map",
     .kind = CONFIG_KIND_PATH,
     .offset = IN_CONFIG(submission.sender_map, struct config_text)},
    DURATION("future-release", submission.future_release_ms, "30d", 0, 365 * DAY),
    {.name = "sent-copy",
     .kind = CONFIG_KIND_BOOL,
     .offset = IN_CONFIG(submission.sent_copy, bool),
     .fallback = "no"},
};

static const struct config_key imap_keys[] = {
    {.name = "uid-only",
     .kind = CONFIG_KIND_BOOL,
     .offset = IN_CONFIG(imap.uid_only, bool),
     .fallback = "no"},
    {.name = "message-limit",
     .kind = CONFIG_KIND_COUNT,
     .offset = IN_CONFIG(imap.message_limit, uint32_t),
     .fallback = "none",
     .min = 1000,
     .max = 1000000,
     .words = {"none"}},
    DURATION("progress", imap.progress_ms, "10s", 0, HOUR),
    {.name = "shared-mailboxes",
     .kind = CONFIG_KIND_TEXT,
     .offset = IN_CONFIG(imap.shared, struct config_text)},
};

static const struct config_key client_certificates_keys[] = {
    {.name = "authorities",
     .kind = CONFIG_KIND_PATH,
     .offset = IN_CONFIG(client_certificates.authorities, struct config_text)},
    {.name = "name",
     .kind = CONFIG_KIND_CHOICE,
     .offset = IN_CONFIG(client_certificates.name, enum config_certificate_name),
     .fallback = "address",
     .words = {[CONFIG_CERTIFICATE_ADDRESS] = "address",
               [CONFIG_CERTIFICATE_COMMON_NAME] = "common-name"}},
};

static const struct config_key undo_keys[] = {
    DURATION("keep", undo.keep_ms, "7d", 0, 365 * DAY),
    {.name = "quota",
     .kind = CONFIG_KIND_SIZE,
     .offset = IN_CONFIG(undo.quota_octets, uint64_t),
     .fallback = "1G",
     .min = MEBI,
     .max = TEBI,
     .words = {"none"}},
    {.name = "mailbox",
     .kind = CONFIG_KIND_TEXT,
     .offset = IN_CONFIG(undo.mailbox, struct config_text),
     .fallback = "Expunged"},
};

static const struct config_key oauth_keys[] = {
    {.name = "issuer",
     .kind = CONFIG_KIND_TEXT,
     .offset = IN_CONFIG(oauth.issuer, struct config_text)},
    {.name = "audience",
     .kind = CONFIG_KIND_TEXT,
     .offset = IN_CONFIG(oauth.audience, struct config_text)},
    {.name = "scope",
     .kind = CONFIG_KIND_TEXT,
     .offset = IN_CONFIG(oauth.scope, struct config_text)},
    {.name = "claim",
     .kind = CONFIG_KIND_TEXT,
     .offset = IN_CONFIG(oauth.claim, struct config_text),
     .fallback = "email"},
    {.name = "keys", .kind = CONFIG_KIND_PATH, .offset = IN_CONFIG(oauth.keys, struct config_text)},
    {.name = "introspection",
     .kind = CONFIG_KIND_TEXT,
     .offset = IN_CONFIG(oauth.introspection, struct config_text)},
    {.name = "introspection-credentials",
     .kind = CONFIG_KIND_PATH,
     .offset = IN_CONFIG(oauth.credentials, struct config_text)},
    DURATION("introspection-timeout", oauth.introspection_timeout_ms, "5s", SECOND, 30 * SECOND),
    DURATION("introspection-cache", oauth.introspection_cache_ms, "1m", 0, HOUR),
};

static const struct config_key pop3_keys[] = {
    {.name = "expire",
     .kind = CONFIG_KIND_DURATION,
     .offset = IN_CONFIG(pop3.expire_ms, uint64_t),
     .fallback = "never",
     .max = 36500 * DAY,
     .words = {"never"},
     .word_value = CONFIG_NEVER},
    DURATION("login-delay", pop3.login_delay_ms, "0", 0, DAY),
    {.name = "delete-after-retrieval",
     .kind = CONFIG_KIND_BOOL,
     .offset = IN_CONFIG(pop3.delete_after_retrieval, bool),
     .fallback = "no"},
    DURATION("keep", pop3.keep_ms, "0", 0, 36500 * DAY),
    {.name = "dovecot-uidl-format",
     .kind = CONFIG_KIND_TEXT,
     .offset = IN_CONFIG(pop3.uidl_format, struct config_text),
     .fallback = UIDL_FORMAT_DOVECOT},
};

static const struct config_key processes_keys[] = {
    COUNT("session", processes.session, "1", 1, 64),
    COUNT("submission", processes.submission, "1", 1, 64),
    COUNT("filter", processes.filter, "1", 1, 64),
    COUNT("relay", processes.relay, "1", 1, 64),
    COUNT("imap-login", processes.imap_login, "1", 1, 64),
    COUNT("pop3-login", processes.pop3_login, "1", 1, 64),
    COUNT("check", processes.check, "8", 1, 8),
};

static const struct config_key log_keys[] = {
    {.name = "file", .kind = CONFIG_KIND_PATH, .offset = IN_CONFIG(log.file, struct config_text)},
    DURATION("history", log.history_ms, "30d", 0, 3650 * DAY),
    SIZE("history-size", log.history_octets, "1G", MEBI, TEBI),
};

#define KEYS(table) .keys = (table), .key_count = ARRAY_LENGTH(table)
#define ITEMS(type, array, count)                                                                  \
    .item_octets = sizeof(struct type), .items_offset = IN_CONFIG(array, struct type *),           \
    .count_offset = IN_CONFIG(count, size_t), .line_offset = FIELD(struct type, line, unsigned)

const struct config_section config_sections[CONFIG_SECTIONS] = {
    [CONFIG_SECTION_TOP] = {.name = "", KEYS(top_keys)},
    [CONFIG_SECTION_DOMAIN] = {.name = "domain",
                               .titled = true,
                               KEYS(domain_keys),
                               ITEMS(config_domain, domains, domain_count)},
    [CONFIG_SECTION_ACCOUNTS] = {.name = "accounts",
                                 KEYS(accounts_keys),
                                 ITEMS(config_accounts, accounts, accounts_count)},
    [CONFIG_SECTION_CERTIFICATE] = {.name = "certificate",
                                    .titled = true,
                                    KEYS(certificate_keys),
                                    ITEMS(config_certificate, certificates, certificate_count)},
    [CONFIG_SECTION_LISTEN] = {.name = "listen",
                               .titled = true,
                               KEYS(listen_keys),
                               ITEMS(config_listen, listens, listen_count)},
    [CONFIG_SECTION_LIMITS] = {.name = "limits", KEYS(limits_keys)},
    [CONFIG_SECTION_TIMEOUTS] = {.name = "timeouts", KEYS(timeouts_keys)},
    [CONFIG_SECTION_QUEUE] = {.name = "queue", KEYS(queue_keys)},
    [CONFIG_SECTION_RELAY] = {.name = "relay", KEYS(relay_keys)},
    [CONFIG_SECTION_ROUTE] = {.name = "route",
                              .titled = true,
                              KEYS(route_keys),
                              ITEMS(config_route, routes, route_count)},
    [CONFIG_SECTION_CLIENT] = {.name = "client",
                               .titled = true,
                               KEYS(client_keys),
                               ITEMS(config_client, clients, client_count)},
    [CONFIG_SECTION_RESOLVER] = {.name = "resolver", KEYS(resolver_keys)},
    [CONFIG_SECTION_THROTTLE] = {.name = "throttle", KEYS(throttle_keys)},
    [CONFIG_SECTION_SMTP] = {.name = "smtp", KEYS(smtp_keys)},
    [CONFIG_SECTION_SUBMISSION] = {.name = "submission", KEYS(submission_keys)},
    [CONFIG_SECTION_IMAP] = {.name = "imap", KEYS(imap_keys)},
    [CONFIG_SECTION_CLIENT_CERTIFICATES] = {.name = "client-certificates",
                                            KEYS(client_certificates_keys)},
    [CONFIG_SECTION_UNDO] = {.name = "undo", KEYS(undo_keys)},
    [CONFIG_SECTION_OAUTH] = {.name = "oauth", KEYS(oauth_keys)},
    [CONFIG_SECTION_POP3] = {.name = "pop3", KEYS(pop3_keys)},
    [CONFIG_SECTION_PROCESSES] = {.name = "processes", KEYS(processes_keys)},
    [CONFIG_SECTION_LOG] = {.name = "log", KEYS(log_keys)},
};

_Static_assert(ARRAY_LENGTH(limits_keys) <= CONFIG_KEYS_MAX, "the longest table fits");

size_t config_section_find_key(const struct config_section *section, const char *name)
{
    size_t i = 0;
    while (i < section->key_count && strcmp(section->keys[i].name, name) != 0)
        i++;
    return i;
}
