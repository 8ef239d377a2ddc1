/*
 * A text file that maps addresses to addresses, the grammar of alias files and of the sender map:
 *
 *     # comment
 *     sales:            bob, carol@other.example
 *     team@demo.test:   alice,
 *         bob
 *     *:                alice
 *
 * Left of the first ':' stands one address, right of it one or more with commas between; a line
 * that begins with a blank goes on with the one before. A comment is a line of its own. An address
 * is `local-part@domain`, a local part alone, `@domain` or `*` (anything); which of them make sense
 * where is the caller's affair. Local parts with odd characters are written "in quotes".
 *
 * Parsing is pure but for memory. Any process.
 */
#ifndef COMMON_AUTH_ADDRESS_MAP_H
#define COMMON_AUTH_ADDRESS_MAP_H

#include "common/arena.h"
#include "common/buffer.h"
#include "common/error.h"
#include "common/hash_table.h"

enum { ADDRESS_MAP_TARGETS_MAX = 1000 }; /* of one entry */

/* An address in its canonical spelling (canonical.h), one text for every form: `bob@demo.test`;
 * `bob@` for a local part alone; `@demo.test` for `@domain`; `@` for `*`. */
struct address_map_target {
    struct slice address; /* borrowed from the map */
    struct slice exact;   /* of a whole address: with the letters of its local part as they were
                             written, which are its host's affair (RFC 5321 2.4); else empty */
    struct address_map_target *next;
};

struct address_map_entry {
    struct slice left;                  /* as above; borrowed from the map */
    struct address_map_target *targets; /* at least one, in the file's order, none twice */
    uint64_t line;                      /* of the file, from 1 */
    UT_hash_handle hh;
};

struct address_map {
    struct address_map_entry *entries; /* a uthash table in the file's order, by `left` */
    struct arena arena;
};

/* Reads into an empty map, which stays empty on failure. ERROR_PERMANENT names the line. */
void address_map_init(struct address_map *map);
bool address_map_parse(struct address_map *map, struct slice text, struct error *error);
void address_map_clear(struct address_map *map); /* may run twice */

/* NULL if there is none. `left` is canonical, spelled as above. */
const struct address_map_entry *address_map_find(const struct address_map *map, struct slice left);

/* One address as a person writes it into its canonical spelling, in memory of the arena.
 * ERROR_PERMANENT if it is none, ERROR_TEMPORARY where there is no memory. */
bool address_map_address(struct slice written, struct arena *arena, struct slice *address,
                         struct error *error);

/* The `exact` of an address that address_map_address() takes. Fails as address_map_address()
 * does. */
bool address_map_exact(struct slice written, struct arena *arena, struct slice *exact,
                       struct error *error);

/* Edits of a file's text: everything else in it stays as it is. Addresses are as a person writes
 * them. The result is a text that parses. */

/* Adds targets, making the entry if there is none. ERROR_EXISTS if all of them are there. */
bool address_map_text_add(struct slice old, struct slice left, const struct slice *targets,
                          size_t count, struct buffer *text, struct error *error);

/* Removes targets, and the entry with the last of them; with count 0 the whole entry.
 * ERROR_NOT_FOUND names what is not there. */
bool address_map_text_remove(struct slice old, struct slice left, const struct slice *targets,
                             size_t count, struct buffer *text, struct error *error);

#endif
