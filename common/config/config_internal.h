/*
 * The table of all keys, for the parser and for the test that compares docs/configuration.md with
 * it. Included by nothing else.
 */
#ifndef COMMON_CONFIG_CONFIG_INTERNAL_H
#define COMMON_CONFIG_CONFIG_INTERNAL_H

#include "common/config/config.h"

/* How a value is written, and the type of the field that takes it. */
enum config_kind {
    CONFIG_KIND_HOST,         /* const char *: a host name, made lower case */
    CONFIG_KIND_TEXT,         /* struct config_text */
    CONFIG_KIND_PATH,         /* struct config_text: absolute */
    CONFIG_KIND_SIZE,         /* uint64_t, octets */
    CONFIG_KIND_DURATION,     /* uint64_t, ms */
    CONFIG_KIND_COUNT,        /* uint32_t */
    CONFIG_KIND_PORT,         /* uint16_t */
    CONFIG_KIND_BOOL,         /* bool */
    CONFIG_KIND_CHOICE,       /* an enum whose values are the positions in `words` */
    CONFIG_KIND_ADDRESSES,    /* struct config_addresses: a list */
    CONFIG_KIND_DURATIONS,    /* struct config_durations: a list */
    CONFIG_KIND_NETWORKS,     /* struct config_networks: a list */
    CONFIG_KIND_CAPABILITIES, /* uint64_t, of imap_capability.h: a list */
};

enum { CONFIG_TEXT_OCTETS_MAX = 1 << 20, CONFIG_WORDS_MAX = 5, CONFIG_KEYS_MAX = 32 };

struct config_key {
    const char *name;
    enum config_kind kind;
    size_t offset;        /* of the field, in the struct that the section fills */
    const char *fallback; /* the default, written like a value; list items separated by ", " */
    bool required;
    uint64_t min, max; /* range of a number, inclusive */
    /* The words of a choice, or the one word that a number may have for `word_value`;
     * NULL-terminated. */
    const char *words[CONFIG_WORDS_MAX];
    uint64_t word_value;
};

struct config_section {
    const char *name; /* "" for keys outside of all sections */
    const struct config_key *keys;
    size_t key_count;
    bool titled;
    /* A section that may be repeated fills a new element of an array in struct config; item_octets
     * is 0 for the others, which fill struct config itself. Each element records its line. */
    size_t item_octets;
    size_t items_offset;
    size_t count_offset;
    size_t line_offset;
};

enum config_section_id {
    CONFIG_SECTION_TOP,
    CONFIG_SECTION_DOMAIN,
    CONFIG_SECTION_ACCOUNTS,
    CONFIG_SECTION_CERTIFICATE,
    CONFIG_SECTION_LISTEN,
    CONFIG_SECTION_LIMITS,
    CONFIG_SECTION_TIMEOUTS,
    CONFIG_SECTION_QUEUE,
    CONFIG_SECTION_RELAY,
    CONFIG_SECTION_ROUTE,
    CONFIG_SECTION_CLIENT,
    CONFIG_SECTION_RESOLVER,
    CONFIG_SECTION_THROTTLE,
    CONFIG_SECTION_SMTP,
    CONFIG_SECTION_SUBMISSION,
    CONFIG_SECTION_IMAP,
    CONFIG_SECTION_CLIENT_CERTIFICATES,
    CONFIG_SECTION_UNDO,
    CONFIG_SECTION_OAUTH,
    CONFIG_SECTION_POP3,
    CONFIG_SECTION_PROCESSES,
    CONFIG_SECTION_LOG,
    CONFIG_SECTIONS,
};

extern const struct config_section config_sections[CONFIG_SECTIONS];

/* The line where each key was given; 0: not given. For a section that may be repeated: in its
 * newest element. */
struct config_lines {
    unsigned of[CONFIG_SECTIONS][CONFIG_KEYS_MAX];
};

/* The position of a key in its section's table, or key_count. */
size_t config_section_find_key(const struct config_section *section, const char *name);

enum { CONFIG_KEY_VALUES_SIZE = 128 };

/* Describes the values of a key: "a size from 1K to 2G". For messages and for the documentation's
 * second column. Returns `text`. */
const char *config_key_values(const struct config_key *key, char text[CONFIG_KEY_VALUES_SIZE]);

/* Sets one value in its field of `base`; texts are copied into the arena. A value of a list is
 * appended. False, with a hint on valid values in *error, if the value is wrong. */
bool config_key_set(const struct config_key *key, void *base, const char *value, unsigned line,
                    struct arena *arena, struct error *error);

/* Sets the field to its default; a list without one becomes empty. */
bool config_key_set_fallback(const struct config_key *key, void *base, struct arena *arena,
                             struct error *error);

bool config_key_is_list(const struct config_key *key);

/* Makes room for one item after the `count` items of an array that is only grown by this function:
 * its capacity is the next power of two. NULL: no memory. */
void *config_grow(void *items, size_t count, size_t item_octets, struct arena *arena);

/* Empties a list, before its first value. */
void config_key_reset(const struct config_key *key, void *base);

/* Copies the text and a NUL to `copy`, text.len + 1 octets, with comments replaced by spaces.
 * False, with one mistake added, if libconfuse would read it differently than a person. */
bool config_scan(struct slice text, char *copy, struct config_mistakes *mistakes);

/* Checks what no single value shows: impossible combinations and missing keys. */
void config_check_combinations(const struct config *config, const struct config_lines *lines,
                               struct config_mistakes *mistakes);
/* The part for `relay` and `route`, in config_relay.c. */
void config_check_relay(const struct config *config, unsigned networks_line,
                        struct config_mistakes *mistakes);

#endif
