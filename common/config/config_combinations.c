/* Checks for combinations of values that cannot work. Pure. */
#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "common/config/config_internal.h"
#include "common/config/config_value.h"
#include "common/dns/dns_protocol.h"
#include "common/size.h"
#include "common/text/https_url.h"
#include "common/text/uidl_format.h"

static void check_presence(const struct config *config, struct config_mistakes *mistakes)
{
    if (config->domain_count == 0)
        config_mistakes_add(mistakes, CONFIG_MISTAKE, 0,
                            "no domain: write domain example.org { }, with the domain's name");
    if (config->accounts_count == 0)
        config_mistakes_add(mistakes, CONFIG_MISTAKE, 0,
                            "no accounts: write accounts { source = pam } for system users");
    if (config->listen_count == 0)
        config_mistakes_add(mistakes, CONFIG_MISTAKE, 0,
                            "nothing to listen on: write listen smtp { } and the like");
}

/* A top-level name that no folder of an account may have; storage knows the other rules. */
static bool is_top_mailbox(const char *name)
{
    size_t octets = strlen(name);
    return octets > 0 && octets <= 100 && !strchr(name, '/') && strcasecmp(name, "INBOX") != 0;
}

static void check_undo(const struct config_undo *undo, struct config_mistakes *mistakes)
{
    if (!is_top_mailbox(undo->mailbox.text))
        config_mistakes_add(mistakes, CONFIG_MISTAKE, undo->mailbox.line,
                            "undo.mailbox: write a mailbox at the top, such as Expunged");
}

static void check_shared(const struct config *config, struct config_mistakes *mistakes)
{
    const struct config_text *shared = &config->imap.shared;
    if (shared->text
        && (!is_top_mailbox(shared->text) || strcmp(shared->text, config->undo.mailbox.text) == 0))
        config_mistakes_add(mistakes, CONFIG_MISTAKE, shared->line,
                            "imap.shared-mailboxes: write a mailbox at the top, such as Shared, "
                            "that is not the one of undo.mailbox");
}

static void check_names_once(const struct config *config, struct config_mistakes *mistakes)
{
    for (size_t i = 1; i < config->domain_count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(config->domains[i].name, config->domains[j].name) == 0)
                config_mistakes_add(mistakes, CONFIG_MISTAKE, config->domains[i].line,
                                    "domain %.100s is there already, in line %u: write both as one",
                                    config->domains[i].name, config->domains[j].line);
}

static const struct ip_address *common_address(const struct config_addresses *a,
                                               const struct config_addresses *b)
{
    for (size_t i = 0; i < a->count; i++)
        for (size_t j = 0; j < b->count; j++)
            if (ip_address_equal(&a->items[i], &b->items[j]))
                return &a->items[i];
    return NULL;
}

static void check_ports_once(const struct config *config, struct config_mistakes *mistakes)
{
    for (size_t i = 1; i < config->listen_count; i++) {
        const struct config_listen *listen = &config->listens[i];
        for (size_t j = 0; j < i; j++) {
            const struct config_listen *other = &config->listens[j];
            const struct ip_address *both = common_address(&listen->addresses, &other->addresses);
            char text[IP_ADDRESS_TEXT_SIZE];
            if (listen->port == other->port && both)
                config_mistakes_add(mistakes, CONFIG_MISTAKE, listen->line,
                                    "port %u of %s is taken by listen %s in line %u: write another",
                                    listen->port, ip_address_format(both, text),
                                    config_service_name(other->service), other->line);
        }
    }
}

static void check_certificates(const struct config *config, struct config_mistakes *mistakes)
{
    for (size_t i = 0; i < config->listen_count && config->certificate_count == 0; i++)
        if (config_service_is_implicit_tls(config->listens[i].service))
            config_mistakes_add(
                mistakes, CONFIG_MISTAKE, config->listens[i].line,
                "listen %s needs a certificate: write certificate %.60s { chain = ... key = ... }",
                config_service_name(config->listens[i].service),
                config->hostname ? config->hostname : "mail.example.org");
}

static void check_http(const struct config *config, struct config_mistakes *mistakes)
{
    for (size_t i = 0; i < config->listen_count; i++) {
        const struct config_listen *listen = &config->listens[i];
        for (size_t j = 0; listen->service == CONFIG_HTTP && j < listen->addresses.count; j++) {
            char text[IP_ADDRESS_TEXT_SIZE];
            if (!ip_address_is_loopback(&listen->addresses.items[j]))
                config_mistakes_add(mistakes, CONFIG_MISTAKE, listen->line,
                                    "listen http: %s is open to others, and http asks nobody who "
                                    "he is: write 127.0.0.1 or ::1",
                                    ip_address_format(&listen->addresses.items[j], text));
        }
    }
}

struct number {
    enum config_section_id section;
    const char *key;
    uint64_t value;
};

/* Where a number was given; 0: it is the default. */
static unsigned line_of(const struct config_lines *lines, const struct number *number)
{
    const struct config_section *section = &config_sections[number->section];
    size_t key = config_section_find_key(section, number->key);
    assert(key < section->key_count);
    return lines->of[number->section][key];
}

static void check_order(const struct config_lines *lines, struct number small, struct number large,
                        uint64_t at_most, struct config_mistakes *mistakes)
{
    if (small.value <= at_most)
        return;
    unsigned line = line_of(lines, &small);
    config_mistakes_add(mistakes, CONFIG_MISTAKE, line ? line : line_of(lines, &large),
                        "%s.%s (%" PRIu64 ") is above %s%s.%s (%" PRIu64
                        "): write less there, or more here",
                        config_sections[small.section].name, small.key, small.value,
                        at_most < large.value ? "a tenth of " : "",
                        config_sections[large.section].name, large.key, large.value);
}

#define LIMIT(key, field)                                                                          \
    {                                                                                              \
        CONFIG_SECTION_LIMITS, key, limits->field                                                  \
    }

static void check_limits(const struct config_limits *limits, const struct config_lines *lines,
                         struct config_mistakes *mistakes)
{
    const struct number pairs[][2] = {
        {LIMIT("unauthenticated-connections", unauthenticated_connections),
         LIMIT("connections", connections)},
        {LIMIT("connections-per-network", connections_per_network),
         LIMIT("connections", connections)},
        {LIMIT("header-size", header_size_octets), LIMIT("message-size", message_size_octets)},
        {LIMIT("text-line", text_line_octets), LIMIT("header-size", header_size_octets)},
        {LIMIT("imap-literal", imap_literal_octets), LIMIT("imap-command", imap_command_octets)},
        {LIMIT("imap-line", imap_line_octets), LIMIT("imap-command", imap_command_octets)},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(pairs); i++)
        check_order(lines, pairs[i][0], pairs[i][1], pairs[i][1].value, mistakes);

    const struct number of_network =
        LIMIT("unauthenticated-per-network", unauthenticated_per_network);
    const struct number of_all = LIMIT("unauthenticated-connections", unauthenticated_connections);
    check_order(lines, of_network, of_all, of_all.value / 10, mistakes);
}

static void check_throttle(const struct config_throttle *throttle, const struct config_lines *lines,
                           struct config_mistakes *mistakes)
{
    const struct number slow = {CONFIG_SECTION_THROTTLE, "slow-after", throttle->slow_after};
    const struct number pause = {CONFIG_SECTION_THROTTLE, "pause-after", throttle->pause_after};
    check_order(lines, slow, pause, pause.value, mistakes);
}

static void check_pop3(const struct config_pop3 *pop3, const struct config_lines *lines,
                       struct config_mistakes *mistakes)
{
    const struct number expire = {CONFIG_SECTION_POP3, "expire", pop3->expire_ms};
    const struct number deletes = {CONFIG_SECTION_POP3, "delete-after-retrieval", 0};
    const struct number keep = {CONFIG_SECTION_POP3, "keep", pop3->keep_ms};
    char text[CONFIG_VALUE_TEXT_SIZE];
    if (pop3->delete_after_retrieval && expire.value > keep.value)
        config_mistakes_add(
            mistakes, CONFIG_MISTAKE, line_of(lines, line_of(lines, &expire) ? &expire : &deletes),
            "pop3.expire promises more than pop3.delete-after-retrieval keeps: write expire = %s",
            config_format_duration(keep.value, text));
    if (!uidl_format_is_valid(slice_of_string(pop3->uidl_format.text)))
        config_mistakes_add(
            mistakes, CONFIG_MISTAKE, pop3->uidl_format.line,
            "pop3.dovecot-uidl-format: write it with %%u, %%v, %%f and %%g, such as "
            "%%08Xu%%08Xv");
    if (!pop3->delete_after_retrieval && keep.value > 0)
        config_mistakes_add(mistakes, CONFIG_MISTAKE, line_of(lines, &keep),
                            "pop3.keep does nothing alone: write delete-after-retrieval = yes too");
}

/* Checks the settings for introspection of tokens. */
static void check_introspection(const struct config_oauth *oauth, struct config_mistakes *mistakes)
{
    struct https_url url;
    unsigned line = oauth->introspection.line;
    if (!https_url_parse(slice_of_string(oauth->introspection.text), &url)
        || url.host.len > DNS_NAME_MAX)
        config_mistakes_add(mistakes, CONFIG_MISTAKE, line,
                            "oauth.introspection: write an address like "
                            "https://id.example.org/introspect");
    if (oauth->keys.text)
        config_mistakes_add(mistakes, CONFIG_MISTAKE, oauth->keys.line,
                            "oauth: keys and introspection are two ways to look at a token: write "
                            "one of them");
    if (!oauth->credentials.text)
        config_mistakes_add(mistakes, CONFIG_MISTAKE, line,
                            "oauth.introspection: the server wants to know who asks: write "
                            "introspection-credentials = PATH too");
    if (!oauth->audience.text && !oauth->scope.text)
        config_mistakes_add(mistakes, CONFIG_WARNING, line,
                            "oauth.introspection: each token of that server lets in, whatever it "
                            "is for: write audience or scope too");
}

/* A token issued for another audience must not grant access. */
static void check_oauth(const struct config_oauth *oauth, struct config_mistakes *mistakes)
{
    const struct config_text *texts[] = {&oauth->keys, &oauth->issuer, &oauth->audience,
                                         &oauth->scope};
    const struct config_text *first = NULL;
    for (size_t i = 0; i < ARRAY_LENGTH(texts) && !first; i++)
        first = texts[i]->text ? texts[i] : NULL;
    if (oauth->introspection.text)
        check_introspection(oauth, mistakes);
    else if (first && (!oauth->keys.text || !oauth->issuer.text || !oauth->audience.text))
        config_mistakes_add(mistakes, CONFIG_MISTAKE, first->line,
                            "oauth needs issuer, audience and keys, or introspection: write all "
                            "three, or that");
    if (oauth->credentials.text && !oauth->introspection.text)
        config_mistakes_add(mistakes, CONFIG_MISTAKE, oauth->credentials.line,
                            "oauth.introspection-credentials does nothing alone: write "
                            "introspection = https://... too");
}

void config_check_combinations(const struct config *config, const struct config_lines *lines,
                               struct config_mistakes *mistakes)
{
    check_presence(config, mistakes);
    check_undo(&config->undo, mistakes);
    check_shared(config, mistakes);
    check_names_once(config, mistakes);
    check_ports_once(config, mistakes);
    check_certificates(config, mistakes);
    check_http(config, mistakes);
    check_limits(&config->limits, lines, mistakes);
    check_throttle(&config->throttle, lines, mistakes);
    check_pop3(&config->pop3, lines, mistakes);
    check_oauth(&config->oauth, mistakes);
    const struct number networks = {CONFIG_SECTION_RELAY, "networks", 0};
    config_check_relay(config, line_of(lines, &networks), mistakes);
}
