/*
 * Reading the configuration with libconfuse. The library tokenises, knows the sections and keys,
 * and stops at the first unknown one or error of syntax; each value it finds comes here as text and
 * goes into struct config at once, so that all wrong values are found in one run.
 *
 * It hands its callbacks no pointer of ours and does not tell when a section opens. Two nameless
 * options in each section make up for that: the first carries the reader, the second has a default
 * that the library parses, and so reports, whenever it makes a section. No I/O; any process.
 */
#include "common/config/config.h"

#include <assert.h>
#include <confuse.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config/config_internal.h"
#include "common/config/config_value.h"
#include "common/size.h"

enum {
    ARENA_OCTETS_MAX = 16 << 20,
    OPTION_READER = 0, /* positions of the nameless options */
    OPTION_OPENING = 1,
    OPTIONS_OURS = 2,
};

struct reader {
    struct config *config;
    struct config_mistakes *mistakes;
    struct config_lines lines;
    const struct config_section *section; /* the current section; the first means outside of all */
    const cfg_t *open;                    /* the library's view of the section; NULL outside */
    void *base;                           /* what the section's keys fill */
    size_t fatal_before;                  /* mistakes found before the section began */
    bool stopped;                         /* an error of syntax was added */
    void *self;                           /* &reader, where OPTION_READER points */
};

static const char *const service_names[CONFIG_SERVICES] = {
    [CONFIG_SMTP] = "smtp",
    [CONFIG_SUBMISSION] = "submission",
    [CONFIG_SUBMISSIONS] = "submissions",
    [CONFIG_IMAP] = "imap",
    [CONFIG_IMAPS] = "imaps",
    [CONFIG_POP3] = "pop3",
    [CONFIG_POP3S] = "pop3s",
    [CONFIG_HTTP] = "http",
};

static const uint16_t service_ports[CONFIG_SERVICES] = {
    [CONFIG_SMTP] = 25,   [CONFIG_SUBMISSION] = 587, [CONFIG_SUBMISSIONS] = 465,
    [CONFIG_IMAP] = 143,  [CONFIG_IMAPS] = 993,      [CONFIG_POP3] = 110,
    [CONFIG_POP3S] = 995, [CONFIG_HTTP] = 9725,
};

const char *config_service_name(enum config_service service)
{
    return service_names[service];
}

bool config_service_is_implicit_tls(enum config_service service)
{
    return service == CONFIG_SUBMISSIONS || service == CONFIG_IMAPS || service == CONFIG_POP3S;
}

static struct reader *reader_of(const cfg_t *cfg)
{
    return *cfg->opts[OPTION_READER].simple_value.ptr;
}

static unsigned line_of(const cfg_t *cfg)
{
    return cfg->line > 0 ? (unsigned)cfg->line : 0;
}

static unsigned *given_line(struct reader *reader, size_t key)
{
    return &reader->lines.of[reader->section - config_sections][key];
}

/* "limits.recipients", or "hostname" outside of sections. */
static const char *full_name(const struct reader *reader, const struct config_key *key,
                             char name[64])
{
    const char *section = reader->section->name;
    snprintf(name, 64, "%s%s%s", section, *section ? "." : "", key->name);
    return name;
}

/* A key may be set once: a scalar, or a list that is not added to. */
static void note_key(struct reader *reader, const struct config_key *key, unsigned *given,
                     unsigned line)
{
    char name[64];
    if (*given)
        config_mistakes_add(reader->mistakes, CONFIG_MISTAKE, line,
                            "%s is given twice, before in line %u: leave one out",
                            full_name(reader, key, name), *given);
    *given = line;
    config_key_reset(key, reader->base);
}

static void set_key(struct reader *reader, const struct config_key *key, const char *value,
                    unsigned line)
{
    char name[64];
    struct error error = {0};
    if (!config_key_set(key, reader->base, value, line, &reader->config->arena, &error))
        config_mistakes_add(reader->mistakes, CONFIG_MISTAKE, line, "%s = \"%.60s\": %s",
                            full_name(reader, key, name), value, error.text);
}

/* cfg_callback_t of every key: one value, or one part of a list. */
static int on_value(cfg_t *cfg, cfg_opt_t *option, const char *value, void *result)
{
    struct reader *reader = reader_of(cfg);
    size_t key = config_section_find_key(reader->section, option->name);
    if (reader->stopped || key == reader->section->key_count) /* its short form, "section|key" */
        return -1;
    if (option->nvalues == 1) /* the first part after a "=" */
        note_key(reader, &reader->section->keys[key], given_line(reader, key), line_of(cfg));
    set_key(reader, &reader->section->keys[key], value, line_of(cfg));
    *(const char **)result = value;
    return 0;
}

/* A new element of the array that a repeated section fills; NULL where there is no memory. */
static void *add_item(struct reader *reader, unsigned line)
{
    const struct config_section *section = reader->section;
    uint8_t *config = (uint8_t *)reader->config;
    size_t *count = (size_t *)(config + section->count_offset);
    void *items = NULL; /* all pointers to structs look alike, but aliasing rules want a copy */
    memcpy(&items, config + section->items_offset, sizeof(items));
    uint8_t *grown = config_grow(items, *count, section->item_octets, &reader->config->arena);
    if (!grown)
        return NULL;
    uint8_t *item = grown + *count * section->item_octets;
    memset(item, 0, section->item_octets);
    *(unsigned *)(item + section->line_offset) = line;
    memcpy(config + section->items_offset, &grown, sizeof(grown));
    (*count)++;
    return item;
}

static bool set_fallbacks(struct reader *reader)
{
    const struct config_section *section = reader->section;
    for (size_t i = 0; i < section->key_count; i++)
        if (section->keys[i].fallback
            && !config_key_set_fallback(&section->keys[i], reader->base, &reader->config->arena,
                                        NULL))
            return false;
    return true;
}

static void stop(struct reader *reader, unsigned line, const char *text)
{
    config_mistakes_add(reader->mistakes, CONFIG_MISTAKE, line, "%s", text);
    reader->stopped = true;
}

/* The title of a section as a name in lower case, of which `wild` octets at the front are none;
 * NULL where there is no memory. */
static const char *take_name(struct reader *reader, const cfg_t *cfg, size_t wild)
{
    struct slice title = slice_of_string(cfg->title);
    bool is_all = slice_equal(title, SLICE("*"));
    if (!(is_all && wild == 1) && !config_is_host_name(slice_from(title, wild)))
        config_mistakes_add(reader->mistakes, CONFIG_MISTAKE, line_of(cfg),
                            "%s \"%.60s\": write a name like example.org (an international one as "
                            "A-label, xn--...)",
                            cfg->name, cfg->title);
    char *copy = arena_copy_string(&reader->config->arena, title);
    for (char *at = copy; at && *at; at++)
        *at = (char)ascii_lower((uint8_t)*at);
    return copy;
}

/* Metrics are served on loopback only, unless configured otherwise. */
static void stay_on_loopback(struct reader *reader, struct config_addresses *addresses)
{
    struct ip_address *items = arena_alloc_array(&reader->config->arena, 2, sizeof(*items));
    *addresses = (struct config_addresses){.items = items, .count = items ? 2 : 0};
    if (!items)
        return;
    ip_address_parse(SLICE("127.0.0.1"), &items[0]);
    ip_address_parse(SLICE("::1"), &items[1]);
}

static void take_service(struct reader *reader, const cfg_t *cfg, struct config_listen *listen)
{
    for (unsigned i = 0; i < CONFIG_SERVICES; i++)
        if (strcmp(cfg->title, service_names[i]) == 0) {
            listen->service = i;
            listen->port = service_ports[i];
            if (i == CONFIG_HTTP)
                stay_on_loopback(reader, &listen->addresses);
            return;
        }
    config_mistakes_add(reader->mistakes, CONFIG_MISTAKE, line_of(cfg),
                        "listen \"%.60s\": write smtp, submission, submissions, imap, imaps, "
                        "pop3, pop3s or http instead",
                        cfg->title);
}

/* "*.example.org" of a certificate; ".example.org" and "*" of a route. */
static size_t wild_octets(enum config_section_id section, struct slice title)
{
    if (section == CONFIG_SECTION_CERTIFICATE)
        return slice_starts_with(title, SLICE("*.")) ? 2 : 0;
    return slice_equal(title, SLICE("*")) || slice_starts_with(title, SLICE(".")) ? 1 : 0;
}

static bool take_title(struct reader *reader, const cfg_t *cfg)
{
    struct slice title = slice_of_string(cfg->title);
    switch (reader->section - config_sections) {
    case CONFIG_SECTION_DOMAIN: {
        struct config_domain *domain = reader->base;
        return (domain->name = take_name(reader, cfg, 0)) != NULL;
    }
    case CONFIG_SECTION_CERTIFICATE: {
        struct config_certificate *certificate = reader->base;
        certificate->name = take_name(reader, cfg, wild_octets(CONFIG_SECTION_CERTIFICATE, title));
        return certificate->name != NULL;
    }
    case CONFIG_SECTION_ROUTE: {
        struct config_route *route = reader->base;
        route->domain = take_name(reader, cfg, wild_octets(CONFIG_SECTION_ROUTE, title));
        return route->domain != NULL;
    }
    case CONFIG_SECTION_CLIENT: {
        struct config_client *client = reader->base;
        client->name = arena_copy_string(&reader->config->arena, title);
        return client->name != NULL;
    }
    case CONFIG_SECTION_LISTEN:
        take_service(reader, cfg, reader->base);
        return true;
    default:
        return true;
    }
}

static const struct config_section *find_section(const char *name)
{
    size_t i = CONFIG_SECTION_TOP + 1;
    while (i < CONFIG_SECTIONS && strcmp(config_sections[i].name, name) != 0)
        i++;
    assert(i < CONFIG_SECTIONS); /* the library opens no other */
    return &config_sections[i];
}

static bool start_item(struct reader *reader, const cfg_t *cfg)
{
    memset(reader->lines.of[reader->section - config_sections], 0, sizeof(reader->lines.of[0]));
    reader->base = add_item(reader, line_of(cfg));
    return reader->base && set_fallbacks(reader) && take_title(reader, cfg);
}

/* cfg_callback_t of OPTION_OPENING: the library has made a section. */
static int on_opening(cfg_t *cfg, cfg_opt_t *option, const char *value, void *result)
{
    (void)option;
    struct reader *reader = reader_of(cfg);
    if (reader->open) /* not the default: the configuration sets this internal option */
        return -1;
    reader->open = cfg;
    reader->section = find_section(cfg->name);
    reader->fatal_before = reader->mistakes->fatal;
    /* The library aborts if a default fails: on_value sees that we stopped. */
    if (reader->section->item_octets > 0 && !start_item(reader, cfg))
        stop(reader, line_of(cfg), "out of memory");
    *(const char **)result = value;
    return 0;
}

static void check_required(struct reader *reader, unsigned line)
{
    char name[64];
    for (size_t i = 0; i < reader->section->key_count; i++)
        if (reader->section->keys[i].required && !*given_line(reader, i))
            config_mistakes_add(
                reader->mistakes, CONFIG_MISTAKE, line, "%s is missing: write %s = ...",
                full_name(reader, &reader->section->keys[i], name), reader->section->keys[i].name);
}

static void check_lists(struct reader *reader)
{
    for (const cfg_opt_t *option = reader->open->opts + OPTIONS_OURS; option->name; option++)
        if ((option->flags & CFGF_MODIFIED) && option->nvalues == 0)
            config_mistakes_add(reader->mistakes, CONFIG_MISTAKE, line_of(reader->open),
                                "%s.%s is an empty list: write a value, or leave the key out",
                                reader->section->name, option->name);
}

static void complain_of(struct reader *reader, const struct config_accounts *accounts,
                        const struct config_text *given, const char *what)
{
    if (given->text)
        config_mistakes_add(reader->mistakes, CONFIG_MISTAKE, given->line,
                            "accounts.%s means nothing with source = %s: leave it out", what,
                            accounts->source == CONFIG_SOURCE_PAM ? "pam" : "file");
}

static void finish_accounts(struct reader *reader, struct config_accounts *accounts)
{
    if (accounts->source == CONFIG_SOURCE_PAM) {
        complain_of(reader, accounts, &accounts->file, "file");
        complain_of(reader, accounts, &accounts->mail, "mail");
        complain_of(reader, accounts, &accounts->user, "user");
        if (!accounts->mailbox.text)
            accounts->mailbox.text = "~/Maildir";
        if (strncmp(accounts->mailbox.text, "~/", 2) != 0)
            config_mistakes_add(reader->mistakes, CONFIG_MISTAKE, accounts->mailbox.line,
                                "accounts.mailbox = \"%.60s\": write a path below the home, like "
                                "~/Maildir",
                                accounts->mailbox.text);
        return;
    }
    complain_of(reader, accounts, &accounts->mailbox, "mailbox");
    if (!accounts->file.text)
        accounts->file.text = "/etc/staffetta/accounts";
    if (!accounts->mail.text)
        accounts->mail.text = "/var/lib/staffetta/mail";
    if (!accounts->user.text)
        accounts->user.text = "staffetta-mail";
}

/* cfg_validate_callback_t of every section: its closing brace was read. */
static int on_closing(cfg_t *cfg, cfg_opt_t *option)
{
    struct reader *reader = reader_of(cfg);
    (void)option;
    if (reader->stopped)
        return -1;
    check_required(reader, line_of(cfg));
    check_lists(reader);
    if (reader->section == &config_sections[CONFIG_SECTION_ACCOUNTS]
        && reader->mistakes->fatal == reader->fatal_before)
        finish_accounts(reader, reader->base);
    reader->section = &config_sections[CONFIG_SECTION_TOP];
    reader->base = reader->config;
    reader->open = NULL;
    return 0;
}

/* The edit distance of two words: letters to leave out, put in or replace. Words of more than 32
 * letters are far from any other. */
static size_t distance(const char *a, const char *b)
{
    size_t row[33];
    size_t b_length = strlen(b);
    if (strlen(a) > 32 || b_length > 32)
        return 32;
    for (size_t j = 0; j <= b_length; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b_length; j++) {
            size_t exchanged = diagonal + (a[i] != b[j]);
            size_t shortest = row[j] < row[j + 1] ? row[j] + 1 : row[j + 1] + 1;
            diagonal = row[j + 1];
            row[j + 1] = exchanged < shortest ? exchanged : shortest;
        }
    }
    return row[b_length];
}

/* The name that was probably meant, or NULL. */
static const char *nearest_name(const cfg_t *cfg, const char *name)
{
    const char *nearest = NULL;
    size_t least = strlen(name) < 8 ? strlen(name) / 2 + 1 : 4; /* less than this is near */
    for (const cfg_opt_t *option = cfg->opts + 1; option->name; option++) {
        size_t away = distance(name, option->name);
        if (away < least) {
            least = away;
            nearest = option->name;
        }
    }
    return nearest;
}

static const char *section_with_key(const char *key)
{
    for (size_t i = 0; i < CONFIG_SECTIONS; i++)
        if (config_section_find_key(&config_sections[i], key) < config_sections[i].key_count)
            return config_sections[i].name;
    return NULL;
}

static void stop_at_unknown_key(struct reader *reader, const cfg_t *cfg, const char *key)
{
    char text[200];
    const char *nearest = nearest_name(cfg, key);
    const char *section = section_with_key(key);
    if (section && *section)
        snprintf(text, sizeof(text), "%.60s does not belong here: write it in %s { }", key,
                 section);
    else if (section)
        snprintf(text, sizeof(text), "%.60s does not belong here: write it outside of %s { }", key,
                 cfg->name);
    else if (nearest)
        snprintf(text, sizeof(text), "unknown key %.60s: write %s?", key, nearest);
    else
        snprintf(text, sizeof(text),
                 "unknown key %.60s: write one of those in docs/configuration.md", key);
    stop(reader, line_of(cfg), text);
}

/* cfg_errfunc_t: the library stops after one of these. */
__attribute__((format(printf, 2, 0))) static void on_error(cfg_t *cfg, const char *format,
                                                           va_list arguments)
{
    static const char unknown[] = "no such option '";
    char text[160];
    struct reader *reader = reader_of(cfg);
    if (reader->stopped)
        return;
    if (vsnprintf(text, sizeof(text), format, arguments) < 0)
        text[0] = '\0';
    if (strncmp(text, unknown, sizeof(unknown) - 1) == 0) {
        char *key = text + sizeof(unknown) - 1;
        key[strcspn(key, "'")] = '\0';
        stop_at_unknown_key(reader, cfg, key);
        return;
    }
    char with_hint[240];
    snprintf(with_hint, sizeof(with_hint), "%s: write key = value, or section { key = value }",
             text);
    stop(reader, line_of(cfg), with_hint);
}

static void describe_keys(const struct config_section *section, cfg_opt_t *options)
{
    for (size_t i = 0; i < section->key_count; i++)
        options[i] = (cfg_opt_t){
            .name = section->keys[i].name,
            .type = CFGT_STR,
            .flags = CFGF_NODEFAULT | (config_key_is_list(&section->keys[i]) ? CFGF_LIST : 0),
            .parsecb = on_value,
        };
}

enum { SECTION_OPTIONS = CONFIG_KEYS_MAX + OPTIONS_OURS + 1 };

struct description {
    cfg_opt_t top[1 + CONFIG_KEYS_MAX + CONFIG_SECTIONS];
    cfg_opt_t sections[CONFIG_SECTIONS][SECTION_OPTIONS];
    char opening[4];
};

static void describe_section(struct description *description, size_t i, const cfg_opt_t *ours)
{
    const struct config_section *section = &config_sections[i];
    cfg_opt_t *options = description->sections[i];
    options[OPTION_READER] = *ours;
    options[OPTION_OPENING] = (cfg_opt_t){
        .name = " ",
        .type = CFGT_STR,
        .flags = CFGF_LIST,
        .def = {.parsed = description->opening},
        .parsecb = on_opening,
    };
    describe_keys(section, options + OPTIONS_OURS);
}

/* Tells libconfuse our table. The arrays end with the zeroes that calloc left there. */
static void describe(struct description *description, struct reader *reader)
{
    const struct config_section *top = &config_sections[CONFIG_SECTION_TOP];
    const cfg_opt_t ours = {.name = "", .type = CFGT_PTR, .simple_value = {.ptr = &reader->self}};
    memcpy(description->opening, "{x}", 4);
    description->top[OPTION_READER] = ours;
    describe_keys(top, description->top + 1);
    cfg_opt_t *next = description->top + 1 + top->key_count;
    for (size_t i = CONFIG_SECTION_TOP + 1; i < CONFIG_SECTIONS; i++) {
        describe_section(description, i, &ours);
        *next++ = (cfg_opt_t){
            .name = config_sections[i].name,
            .type = CFGT_SEC,
            .flags = CFGF_MULTI | (config_sections[i].titled ? CFGF_TITLE : 0),
            .subopts = description->sections[i],
            .validcb = on_closing,
        };
    }
}

static cfg_t *new_library_reader(struct reader *reader)
{
    struct description *description = calloc(1, sizeof(*description));
    if (!description)
        return NULL;
    describe(description, reader);
    cfg_t *cfg = cfg_init(description->top, CFGF_NONE);
    free(description);
    if (cfg)
        cfg_set_error_function(cfg, on_error);
    return cfg;
}

static void read_text(struct reader *reader, const char *text)
{
    cfg_t *cfg = new_library_reader(reader);
    if (!cfg) {
        stop(reader, 0, "out of memory");
        return;
    }
    if (cfg_parse_buf(cfg, text) != CFG_SUCCESS && !reader->stopped)
        stop(reader, line_of(reader->open ? reader->open : cfg),
             "not understood: write key = value, or section { key = value }");
    cfg_free(cfg);
}

static void set_all_fallbacks(struct reader *reader)
{
    for (size_t i = 0; i < CONFIG_SECTIONS && !reader->stopped; i++) {
        reader->section = &config_sections[i];
        if (reader->section->item_octets == 0 && !set_fallbacks(reader))
            stop(reader, 0, "out of memory");
    }
    reader->section = &config_sections[CONFIG_SECTION_TOP];
}

static void check_whole(struct reader *reader)
{
    if (reader->stopped) /* what is missing may stand after that */
        return;
    check_required(reader, 0);
    config_check_combinations(reader->config, &reader->lines, reader->mistakes);
}

static void read_all(struct reader *reader, struct slice text)
{
    char *copy = malloc(text.len + 1);
    if (!copy) {
        stop(reader, 0, "out of memory");
        return;
    }
    if (config_scan(text, copy, reader->mistakes)) {
        set_all_fallbacks(reader);
        read_text(reader, copy);
        check_whole(reader);
    }
    free(copy);
}

bool config_parse(struct slice text, struct config *config, struct config_mistakes *mistakes)
{
    size_t fatal_before = mistakes->fatal;
    struct reader reader = {.config = config,
                            .mistakes = mistakes,
                            .section = &config_sections[CONFIG_SECTION_TOP],
                            .base = config};
    reader.self = &reader;
    memset(config, 0, sizeof(*config));
    arena_init(&config->arena, ARENA_OCTETS_MAX);
    if (text.len > CONFIG_TEXT_OCTETS_MAX)
        stop(&reader, 0, "longer than 1 MiB: write less");
    else
        read_all(&reader, text);
    config_mistakes_sort(mistakes);
    return mistakes->fatal == fatal_before;
}

void config_clear(struct config *config)
{
    arena_clear(&config->arena);
    memset(config, 0, sizeof(*config));
}

bool config_networks_have(const struct config_networks *networks, const struct ip_address *address)
{
    for (size_t i = 0; i < networks->count; i++) {
        const struct config_network *network = &networks->items[i];
        struct ip_address of_it = ip_address_network(address, network->bits, network->bits);
        if (network->address.family == address->family
            && ip_address_equal(&of_it, &network->address))
            return true;
    }
    return false;
}

bool config_has_service(const struct config *config, enum config_service service)
{
    for (size_t i = 0; i < config->listen_count; i++)
        if (config->listens[i].service == service)
            return true;
    return false;
}

const struct config_domain *config_find_domain(const struct config *config, struct slice name)
{
    for (size_t i = 0; i < config->domain_count; i++)
        if (slice_equal_nocase(slice_of_string(config->domains[i].name), name))
            return &config->domains[i];
    return NULL;
}
