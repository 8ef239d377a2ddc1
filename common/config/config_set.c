/*
 * Parses one value into its field as its key's row defines. No I/O; memory from the arena. Any
 * process.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/buffer.h"
#include "common/config/config_internal.h"
#include "common/config/config_value.h"
#include "common/login/imap_capability.h"
#include "common/size.h"

static bool set_text(char **field, struct slice value, struct arena *arena, struct error *error)
{
    *field = arena_copy_string(arena, value);
    return *field || error_memory(error);
}

static bool set_host(const char **field, struct slice value, struct arena *arena,
                     struct error *error)
{
    if (!config_is_host_name(value))
        return error_set(
            error, ERROR_PERMANENT,
            "write a host name like mail.example.org (an international one as A-label, "
            "xn--...)");
    char *copy = NULL;
    if (!set_text(&copy, value, arena, error))
        return false;
    for (char *at = copy; *at; at++)
        *at = (char)ascii_lower((uint8_t)*at);
    *field = copy;
    return true;
}

static bool set_located(struct config_text *field, struct slice value, unsigned line,
                        struct arena *arena, struct error *error)
{
    char *copy = NULL;
    if (value.len == 0)
        return error_set(error, ERROR_PERMANENT, "write something, or leave the key out");
    if (!set_text(&copy, value, arena, error))
        return false;
    *field = (struct config_text){.text = copy, .line = line};
    return true;
}

static bool set_path(struct config_text *field, struct slice value, unsigned line,
                     struct arena *arena, struct error *error)
{
    if (!slice_starts_with(value, SLICE("/")) || value.len >= 4096)
        return error_set(error, ERROR_PERMANENT, "write a path that begins with \"/\"");
    return set_located(field, value, line, arena, error);
}

static bool wrong_value(const struct config_key *key, struct error *error)
{
    char values[CONFIG_KEY_VALUES_SIZE];
    return error_set(error, ERROR_PERMANENT, "write %s", config_key_values(key, values));
}

/* Parses a number of any unit, or the word that replaces one. */
static bool parse_number(const struct config_key *key, struct slice value, uint64_t *number)
{
    if (key->words[0] && slice_equal(value, slice_of_string(key->words[0]))) {
        *number = key->word_value;
        return true;
    }
    uint64_t parsed = 0;
    bool good = key->kind == CONFIG_KIND_SIZE ? config_parse_size(value, &parsed)
                : key->kind == CONFIG_KIND_DURATION || key->kind == CONFIG_KIND_DURATIONS
                    ? config_parse_duration(value, &parsed)
                    : slice_parse_number(value, &parsed);
    if (!good || parsed < key->min || parsed > key->max)
        return false;
    *number = parsed;
    return true;
}

static bool set_number(const struct config_key *key, void *field, struct slice value,
                       struct error *error)
{
    uint64_t number = 0;
    if (!parse_number(key, value, &number))
        return wrong_value(key, error);
    switch (key->kind) {
    case CONFIG_KIND_PORT:
        *(uint16_t *)field = (uint16_t)number;
        return true;
    case CONFIG_KIND_COUNT:
        *(uint32_t *)field = (uint32_t)number;
        return true;
    default:
        *(uint64_t *)field = number;
        return true;
    }
}

static bool set_bool(const struct config_key *key, bool *field, struct slice value,
                     struct error *error)
{
    return config_parse_bool(value, field) || wrong_value(key, error);
}

static bool set_choice(const struct config_key *key, unsigned *field, struct slice value,
                       struct error *error)
{
    for (unsigned i = 0; i < CONFIG_WORDS_MAX && key->words[i]; i++)
        if (slice_equal(value, slice_of_string(key->words[i]))) {
            *field = i;
            return true;
        }
    return wrong_value(key, error);
}

void *config_grow(void *items, size_t count, size_t item_octets, struct arena *arena)
{
    if ((count & (count - 1)) != 0)
        return items;
    void *grown = arena_alloc_array(arena, count ? 2 * count : 1, item_octets);
    if (grown && count > 0)
        memcpy(grown, items, count * item_octets);
    return grown;
}

static bool add_address(const struct config_key *key, struct config_addresses *list,
                        struct slice value, struct arena *arena, struct error *error)
{
    struct ip_address address;
    if (!ip_address_parse(value, &address))
        return wrong_value(key, error);
    struct ip_address *items = config_grow(list->items, list->count, sizeof(address), arena);
    if (!items)
        return error_memory(error);
    items[list->count] = address;
    *list = (struct config_addresses){.items = items, .count = list->count + 1};
    return true;
}

static bool parse_network(struct slice value, struct config_network *network)
{
    size_t slash = slice_find_octet(value, '/');
    struct ip_address address;
    uint64_t bits;
    if (!ip_address_parse(slice_range(value, 0, slash), &address))
        return false;
    unsigned most = address.family == IP_V4 ? 32 : 128;
    if (slash == value.len)
        bits = most;
    else if (!slice_parse_number(slice_from(value, slash + 1), &bits) || bits > most)
        return false;
    network->bits = (unsigned)bits;
    network->address = ip_address_network(&address, network->bits, network->bits);
    return ip_address_equal(&address, &network->address);
}

static bool add_network(const struct config_key *key, struct config_networks *list,
                        struct slice value, struct arena *arena, struct error *error)
{
    struct config_network network;
    if (!parse_network(value, &network))
        return wrong_value(key, error);
    struct config_network *items = config_grow(list->items, list->count, sizeof(network), arena);
    if (!items)
        return error_memory(error);
    items[list->count] = network;
    *list = (struct config_networks){.items = items, .count = list->count + 1};
    return true;
}

static bool add_duration(const struct config_key *key, struct config_durations *list,
                         struct slice value, struct arena *arena, struct error *error)
{
    uint64_t ms = 0;
    if (!parse_number(key, value, &ms))
        return wrong_value(key, error);
    uint64_t *items = config_grow(list->items_ms, list->count, sizeof(ms), arena);
    if (!items)
        return error_memory(error);
    items[list->count] = ms;
    *list = (struct config_durations){.items_ms = items, .count = list->count + 1};
    return true;
}

static bool add_capability(uint64_t *set, struct slice value, struct error *error)
{
    uint64_t bit = imap_capability_find(value);
    if (!bit)
        return error_set(error, ERROR_PERMANENT,
                         "there is no capability %.*s here that could be left out: write one that "
                         "CAPABILITY tells, like CONDSTORE",
                         (int)(value.len < 100 ? value.len : 100), (const char *)value.ptr);
    *set |= bit;
    return true;
}

static bool set_field(const struct config_key *key, void *field, struct slice text, unsigned line,
                      struct arena *arena, struct error *error)
{
    switch (key->kind) {
    case CONFIG_KIND_HOST:
        return set_host(field, text, arena, error);
    case CONFIG_KIND_TEXT:
        return set_located(field, text, line, arena, error);
    case CONFIG_KIND_PATH:
        return set_path(field, text, line, arena, error);
    case CONFIG_KIND_SIZE:
    case CONFIG_KIND_DURATION:
    case CONFIG_KIND_COUNT:
    case CONFIG_KIND_PORT:
        return set_number(key, field, text, error);
    case CONFIG_KIND_BOOL:
        return set_bool(key, field, text, error);
    case CONFIG_KIND_CHOICE:
        return set_choice(key, field, text, error);
    case CONFIG_KIND_ADDRESSES:
        return add_address(key, field, text, arena, error);
    case CONFIG_KIND_DURATIONS:
        return add_duration(key, field, text, arena, error);
    case CONFIG_KIND_NETWORKS:
        return add_network(key, field, text, arena, error);
    case CONFIG_KIND_CAPABILITIES:
        return add_capability(field, text, error);
    }
    return wrong_value(key, error);
}

/* Nobody looks for the default where something else was meant. */
static void forget_default(const struct config_key *key, void *field, unsigned line)
{
    if (key->kind == CONFIG_KIND_PATH)
        *(struct config_text *)field = (struct config_text){.line = line};
    else if (key->kind == CONFIG_KIND_PORT)
        *(uint16_t *)field = 0;
}

bool config_key_set(const struct config_key *key, void *base, const char *value, unsigned line,
                    struct arena *arena, struct error *error)
{
    void *field = (uint8_t *)base + key->offset;
    if (set_field(key, field, slice_of_string(value), line, arena, error))
        return true;
    forget_default(key, field, line);
    return false;
}

void config_key_reset(const struct config_key *key, void *base)
{
    void *field = (uint8_t *)base + key->offset;
    if (key->kind == CONFIG_KIND_ADDRESSES)
        *(struct config_addresses *)field = (struct config_addresses){0};
    else if (key->kind == CONFIG_KIND_DURATIONS)
        *(struct config_durations *)field = (struct config_durations){0};
    else if (key->kind == CONFIG_KIND_NETWORKS)
        *(struct config_networks *)field = (struct config_networks){0};
    else if (key->kind == CONFIG_KIND_CAPABILITIES)
        *(uint64_t *)field = 0;
}

bool config_key_set_fallback(const struct config_key *key, void *base, struct arena *arena,
                             struct error *error)
{
    config_key_reset(key, base);
    struct slice rest = slice_of_string(key->fallback);
    while (rest.len > 0) {
        char part[64];
        size_t end = config_key_is_list(key) ? slice_find_octet(rest, ',') : rest.len;
        snprintf(part, sizeof(part), "%.*s", SLICE_PRINTF(slice_trim(slice_range(rest, 0, end))));
        if (!config_key_set(key, base, part, 0, arena, error))
            return false;
        rest = slice_from(rest, end + 1);
    }
    return true;
}

bool config_key_is_list(const struct config_key *key)
{
    return key->kind == CONFIG_KIND_ADDRESSES || key->kind == CONFIG_KIND_DURATIONS
           || key->kind == CONFIG_KIND_NETWORKS || key->kind == CONFIG_KIND_CAPABILITIES;
}

static void format_range(const struct config_key *key, const char *what,
                         char text[CONFIG_KEY_VALUES_SIZE])
{
    char min[CONFIG_VALUE_TEXT_SIZE];
    char max[CONFIG_VALUE_TEXT_SIZE];
    if (key->kind == CONFIG_KIND_SIZE) {
        config_format_size(key->min, min);
        config_format_size(key->max, max);
    } else if (key->kind == CONFIG_KIND_DURATION || key->kind == CONFIG_KIND_DURATIONS) {
        config_format_duration(key->min, min);
        config_format_duration(key->max, max);
    } else {
        snprintf(min, sizeof(min), "%" PRIu64, key->min);
        snprintf(max, sizeof(max), "%" PRIu64, key->max);
    }
    snprintf(text, CONFIG_KEY_VALUES_SIZE, "%s from %s to %s%s%s", what, min, max,
             key->words[0] ? ", or " : "", key->words[0] ? key->words[0] : "");
}

static void format_choice(const struct config_key *key, char text[CONFIG_KEY_VALUES_SIZE])
{
    struct buffer words = BUFFER_WITH_LIMIT(CONFIG_KEY_VALUES_SIZE);
    for (unsigned i = 0; i < CONFIG_WORDS_MAX && key->words[i]; i++) {
        bool is_last = i + 1 == CONFIG_WORDS_MAX || !key->words[i + 1];
        buffer_append_format(&words, "%s%s", i == 0 ? "" : is_last ? " or " : ", ", key->words[i]);
    }
    snprintf(text, CONFIG_KEY_VALUES_SIZE, "%.*s", SLICE_PRINTF(buffer_slice(&words)));
    buffer_clear(&words);
}

const char *config_key_values(const struct config_key *key, char text[CONFIG_KEY_VALUES_SIZE])
{
    static const char *const names[] = {
        [CONFIG_KIND_HOST] = "a host name",
        [CONFIG_KIND_TEXT] = "a text",
        [CONFIG_KIND_PATH] = "an absolute path",
        [CONFIG_KIND_SIZE] = "a size",
        [CONFIG_KIND_DURATION] = "a duration",
        [CONFIG_KIND_COUNT] = "a number",
        [CONFIG_KIND_PORT] = "a number",
        [CONFIG_KIND_ADDRESSES] = "a list of IP addresses",
        [CONFIG_KIND_DURATIONS] = "a list of durations, each",
        [CONFIG_KIND_NETWORKS] = "a list of networks like 192.0.2.0/24",
        [CONFIG_KIND_CAPABILITIES] = "a list of IMAP capabilities",
    };
    switch (key->kind) {
    case CONFIG_KIND_BOOL:
        snprintf(text, CONFIG_KEY_VALUES_SIZE, "yes or no");
        return text;
    case CONFIG_KIND_CHOICE:
        format_choice(key, text);
        return text;
    case CONFIG_KIND_HOST:
    case CONFIG_KIND_TEXT:
    case CONFIG_KIND_PATH:
    case CONFIG_KIND_ADDRESSES:
    case CONFIG_KIND_NETWORKS:
    case CONFIG_KIND_CAPABILITIES:
        snprintf(text, CONFIG_KEY_VALUES_SIZE, "%s", names[key->kind]);
        return text;
    default:
        format_range(key, names[key->kind], text);
        return text;
    }
}
