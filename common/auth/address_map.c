/* Parsing and editing of address maps; see address_map.h. */
#include "common/auth/address_map.h"

#include "common/auth/canonical.h"
#include "common/text/cursor.h"

enum {
    ARENA_MAX = 256 << 20,
    LIST_MAX = ADDRESS_MAP_TARGETS_MAX * (CANONICAL_MAX * 2 + 4), /* the targets of an entry */
};

void address_map_init(struct address_map *map)
{
    map->entries = NULL;
    arena_init(&map->arena, ARENA_MAX);
}

void address_map_clear(struct address_map *map)
{
    HASH_CLEAR(hh, map->entries);
    arena_clear(&map->arena);
}

const struct address_map_entry *address_map_find(const struct address_map *map, struct slice left)
{
    struct address_map_entry *found = NULL;
    HASH_FIND(hh, map->entries, left.ptr, left.len, found);
    return found;
}

static bool is_showable(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return false;
    return text.len > 0 && text.len <= 100;
}

static bool no_address(struct slice written, struct error *error)
{
    return is_showable(written)
               ? error_set(error, ERROR_PERMANENT, "\"%.*s\" is no address", SLICE_PRINTF(written))
               : error_set(error, ERROR_PERMANENT, "an address is missing, too long or unreadable");
}

static bool canonicalise(struct slice written, struct canonical *address, struct error *error)
{
    if (slice_equal(written, SLICE("*")))
        return canonical_join(slice_of(NULL, 0), slice_of(NULL, 0), address);
    if (written.len > 0 && written.ptr[0] == '@')
        return canonical_parse_domain(slice_from(written, 1), address, error);
    if (canonical_find_at(written) == written.len)
        return canonical_parse_local_part(written, address, error);
    return canonical_parse(written, address, error);
}

bool address_map_address(struct slice written, struct arena *arena, struct slice *address,
                         struct error *error)
{
    struct canonical canonical;
    struct error reason = {0};
    *address = slice_of(NULL, 0);
    if (!canonicalise(written, &canonical, &reason))
        return reason.kind == ERROR_PEER ? no_address(written, error) : error_memory(error);
    *address = arena_copy(arena, canonical_text(&canonical));
    return address->ptr ? true : error_memory(error);
}

bool address_map_exact(struct slice written, struct arena *arena, struct slice *exact,
                       struct error *error)
{
    struct address address;
    struct buffer text = BUFFER_WITH_LIMIT(CANONICAL_MAX);
    *exact = slice_of(NULL, 0);
    if (!address_parse_mailbox(written, &address, NULL))
        return true;
    if (address_canonicalise(&address, &text, NULL))
        *exact = arena_copy(arena, buffer_slice(&text));
    buffer_clear(&text);
    return exact->ptr ? true : error_memory(error); /* it had a canonical form before */
}

/* An entry as it stands in the text. */
struct raw_entry {
    struct slice whole; /* with its continuation lines and their newlines */
    struct slice left;
    struct slice right; /* all after the ':', newlines among it */
    uint64_t line;
};

static struct slice peek_line(const struct cursor *in)
{
    struct slice rest = cursor_rest(in);
    return slice_range(rest, 0, slice_find_octet(rest, '\n'));
}

static void skip_line(struct cursor *in, uint64_t *line)
{
    in->at += peek_line(in).len;
    cursor_skip(in, '\n');
    (*line)++;
}

static bool is_blank_or_comment(struct slice line)
{
    struct slice text = slice_trim(line);
    return text.len == 0 || text.ptr[0] == '#';
}

static bool is_continuation(const struct cursor *in)
{
    uint8_t first;
    return cursor_peek(in, &first) && (first == ' ' || first == '\t')
           && !is_blank_or_comment(peek_line(in));
}

/* The position of an octet that stands outside of quotes, or text.len. */
static size_t find_unquoted(struct slice text, uint8_t wanted)
{
    bool quoted = false;
    size_t i = 0;
    for (; i < text.len && (quoted || text.ptr[i] != wanted); i++) {
        if (text.ptr[i] == '"')
            quoted = !quoted;
        else if (quoted && text.ptr[i] == '\\' && i + 1 < text.len)
            i++;
    }
    return i < text.len ? i : text.len;
}

/* The next entry of the text; false with error->kind ERROR_NONE at its end. */
static bool take_entry(struct cursor *in, uint64_t *line, struct raw_entry *entry,
                       struct error *error)
{
    error->kind = ERROR_NONE;
    while (!cursor_at_end(in) && is_blank_or_comment(peek_line(in)))
        skip_line(in, line);
    if (cursor_at_end(in))
        return false;
    if (is_continuation(in))
        return error_set(error, ERROR_PERMANENT,
                         "line %llu begins with a blank but there is nothing it goes on with",
                         (unsigned long long)*line);
    struct cursor start = *in;
    struct slice first = peek_line(in);
    size_t colon = find_unquoted(first, ':');
    if (colon == first.len)
        return error_set(error, ERROR_PERMANENT, "line %llu: write ADDRESS: ADDRESS, ...",
                         (unsigned long long)*line);
    entry->line = *line;
    do
        skip_line(in, line);
    while (is_continuation(in));
    entry->whole = cursor_since(in, &start);
    entry->left = slice_trim(slice_range(first, 0, colon));
    entry->right = slice_from(entry->whole, colon + 1);
    return true;
}

static struct slice trim_space(struct slice text)
{
    while (text.len > 0 && (text.ptr[0] == '\n' || text.ptr[0] == ' ' || text.ptr[0] == '\t'))
        text = slice_from(text, 1);
    while (text.len > 0
           && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == ' '
               || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* Takes the next target of an entry's right side, leaving the rest. False at its end. */
static bool take_target(struct slice *right, bool *more, struct slice *target)
{
    if (!*more)
        return false;
    size_t comma = find_unquoted(*right, ',');
    *more = comma < right->len;
    *target = trim_space(slice_range(*right, 0, comma));
    *right = slice_from(*right, comma + 1);
    return true;
}

static bool has_target(const struct address_map_entry *entry, struct slice address)
{
    for (const struct address_map_target *at = entry->targets; at; at = at->next)
        if (slice_equal(at->address, address))
            return true;
    return false;
}

static bool parse_address(struct address_map *map, struct slice written, uint64_t line,
                          struct slice *address, struct error *error)
{
    return address_map_address(written, &map->arena, address, error)
           || error_prefix(error, "line %llu", (unsigned long long)line);
}

static bool parse_targets(struct address_map *map, struct address_map_entry *entry,
                          const struct raw_entry *raw, struct error *error)
{
    struct address_map_target **end = &entry->targets;
    struct slice right = raw->right;
    struct slice written;
    bool more = true;
    size_t count = 0;
    while (take_target(&right, &more, &written)) {
        struct slice address;
        if (++count > ADDRESS_MAP_TARGETS_MAX)
            return error_set(error, ERROR_PERMANENT, "line %llu: more than %d addresses",
                             (unsigned long long)raw->line, ADDRESS_MAP_TARGETS_MAX);
        if (!parse_address(map, written, raw->line, &address, error))
            return false;
        if (has_target(entry, address))
            continue;
        *end = arena_alloc(&map->arena, sizeof(**end));
        if (!*end)
            return error_memory(error);
        (*end)->address = address;
        if (!address_map_exact(written, &map->arena, &(*end)->exact, error))
            return false;
        end = &(*end)->next;
    }
    return true;
}

static bool parse_entry(struct address_map *map, const struct raw_entry *raw, struct error *error)
{
    struct address_map_entry *entry = arena_alloc(&map->arena, sizeof(*entry));
    if (!entry)
        return error_memory(error);
    entry->line = raw->line;
    if (!parse_address(map, raw->left, raw->line, &entry->left, error))
        return false;
    const struct address_map_entry *first = address_map_find(map, entry->left);
    if (first)
        return error_set(error, ERROR_PERMANENT,
                         "line %llu: %.*s stands in line %llu already; write one entry of them",
                         (unsigned long long)raw->line, SLICE_PRINTF(raw->left),
                         (unsigned long long)first->line);
    if (!parse_targets(map, entry, raw, error))
        return false;
    HASH_ADD_KEYPTR(hh, map->entries, entry->left.ptr, entry->left.len, entry);
    return hash_table_holds(&entry->hh) ? true : error_memory(error);
}

bool address_map_parse(struct address_map *map, struct slice text, struct error *error)
{
    struct error reason = {0};
    struct cursor in = cursor_of(text);
    struct raw_entry raw;
    uint64_t line = 1;
    bool parsed = true;
    while (parsed && take_entry(&in, &line, &raw, &reason))
        parsed = parse_entry(map, &raw, &reason);
    if (reason.kind == ERROR_NONE)
        return true;
    address_map_clear(map);
    if (error)
        *error = reason;
    return false;
}

/* Finds the entry of `left` in a text that parses. */
static bool find_raw(struct slice text, struct slice left, struct raw_entry *found)
{
    struct error end;
    struct cursor in = cursor_of(text);
    uint64_t line = 1;
    struct arena arena;
    arena_init(&arena, 4096);
    bool is_it = false;
    while (!is_it && take_entry(&in, &line, found, &end)) {
        arena_reset(&arena);
        struct slice address;
        is_it =
            address_map_address(found->left, &arena, &address, NULL) && slice_equal(address, left);
    }
    arena_clear(&arena);
    return is_it;
}

static bool check_left(struct slice left, struct arena *arena, struct slice *key,
                       struct error *error)
{
    if (left.len > 0 && left.ptr[0] == '#')
        return error_set(error, ERROR_PERMANENT,
                         "a line that begins with # is a comment; write the local part in quotes");
    return address_map_address(left, arena, key, error);
}

static void append_entry(struct buffer *text, struct slice left, struct slice targets)
{
    if (text->len > 0 && text->ptr[text->len - 1] != '\n')
        buffer_append_octet(text, '\n');
    buffer_append(text, left);
    buffer_append(text, SLICE(": "));
    buffer_append(text, targets);
    buffer_append_octet(text, '\n');
}

/* The text before an entry, and after it. */
static struct slice before(struct slice old, const struct raw_entry *raw)
{
    return slice_range(old, 0, (size_t)(raw->whole.ptr - old.ptr));
}

static struct slice behind(struct slice old, const struct raw_entry *raw)
{
    return slice_from(old, (size_t)(raw->whole.ptr - old.ptr) + raw->whole.len);
}

/* Appends those of the targets that the entry (NULL: none) does not have yet. */
static bool append_missing(const struct address_map_entry *entry, const struct slice *targets,
                           size_t count, struct buffer *list, struct error *error)
{
    struct address_map_entry seen = {.targets = entry ? entry->targets : NULL};
    struct arena arena;
    arena_init(&arena, 1 << 20);
    bool valid = true;
    for (size_t i = 0; valid && i < count; i++) {
        struct address_map_target *target = arena_alloc(&arena, sizeof(*target));
        valid = target ? address_map_address(targets[i], &arena, &target->address, error)
                       : error_memory(error);
        if (!valid || has_target(&seen, target->address))
            continue;
        target->next = seen.targets;
        seen.targets = target;
        buffer_append(list, list->len > 0 ? SLICE(", ") : SLICE(""));
        buffer_append(list, targets[i]);
    }
    arena_clear(&arena);
    return valid;
}

bool address_map_text_add(struct slice old, struct slice left, const struct slice *targets,
                          size_t count, struct buffer *text, struct error *error)
{
    bool added = false;
    struct buffer list = BUFFER_WITH_LIMIT(LIST_MAX);
    struct slice key;
    struct address_map map;
    address_map_init(&map);
    if (!address_map_parse(&map, old, error) || !check_left(left, &map.arena, &key, error))
        goto done;
    const struct address_map_entry *entry = address_map_find(&map, key);
    if (!append_missing(entry, targets, count, &list, error))
        goto done;
    if (list.len == 0) {
        error_set(error, ERROR_EXISTS, "%.*s has these targets already", SLICE_PRINTF(left));
        goto done;
    }
    struct raw_entry raw;
    if (entry && find_raw(old, key, &raw)) {
        buffer_append(text, before(old, &raw));
        buffer_append(text, trim_space(raw.whole));
        buffer_append(text, SLICE(", "));
        buffer_append(text, buffer_slice(&list));
        buffer_append_octet(text, '\n');
        buffer_append(text, behind(old, &raw));
    } else {
        buffer_append(text, old);
        append_entry(text, left, buffer_slice(&list));
    }
    added = !list.failed || error_memory(error);
done:
    buffer_clear(&list);
    address_map_clear(&map);
    return added;
}

static bool is_among(struct slice address, const struct slice *targets, size_t count)
{
    struct arena arena;
    arena_init(&arena, 4096);
    bool found = false;
    for (size_t i = 0; !found && i < count; i++) {
        struct slice target;
        arena_reset(&arena);
        found =
            address_map_address(targets[i], &arena, &target, NULL) && slice_equal(target, address);
    }
    arena_clear(&arena);
    return found;
}

/* The entry's targets, as written, but for those that are to go. */
static void append_kept(const struct raw_entry *raw, const struct slice *targets, size_t count,
                        struct buffer *list)
{
    struct slice right = raw->right;
    struct slice written;
    bool more = true;
    struct arena arena;
    arena_init(&arena, 4096);
    while (take_target(&right, &more, &written)) {
        struct slice address;
        arena_reset(&arena);
        if (address_map_address(written, &arena, &address, NULL)
            && is_among(address, targets, count))
            continue;
        buffer_append(list, list->len > 0 ? SLICE(", ") : SLICE(""));
        buffer_append(list, written);
    }
    arena_clear(&arena);
}

static bool has_all(const struct address_map_entry *entry, const struct slice *targets,
                    size_t count, struct arena *arena, struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        struct slice address;
        if (!address_map_address(targets[i], arena, &address, error))
            return false;
        if (!has_target(entry, address))
            return error_set(error, ERROR_NOT_FOUND, "%.*s has no target %.*s",
                             SLICE_PRINTF(entry->left), SLICE_PRINTF(address));
    }
    return true;
}

bool address_map_text_remove(struct slice old, struct slice left, const struct slice *targets,
                             size_t count, struct buffer *text, struct error *error)
{
    bool removed = false;
    struct buffer list = BUFFER_WITH_LIMIT(LIST_MAX);
    struct slice key;
    struct raw_entry raw;
    struct address_map map;
    address_map_init(&map);
    if (!address_map_parse(&map, old, error) || !check_left(left, &map.arena, &key, error))
        goto done;
    const struct address_map_entry *entry = address_map_find(&map, key);
    if (!entry || !find_raw(old, key, &raw)) {
        error_set(error, ERROR_NOT_FOUND, "there is no %.*s", SLICE_PRINTF(left));
        goto done;
    }
    if (!has_all(entry, targets, count, &map.arena, error))
        goto done;
    if (count > 0)
        append_kept(&raw, targets, count, &list);
    buffer_append(text, before(old, &raw));
    if (list.len > 0)
        append_entry(text, raw.left, buffer_slice(&list));
    buffer_append(text, behind(old, &raw));
    removed = !list.failed || error_memory(error);
done:
    buffer_clear(&list);
    address_map_clear(&map);
    return removed;
}
