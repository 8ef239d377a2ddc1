/* An address map (aliases, sender map): every edit of a file that parses gives one that parses. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "common/auth/address_map.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t count);

static bool parse(struct slice text, struct address_map *map)
{
    struct error error = {0};
    address_map_init(map);
    bool parsed = address_map_parse(map, text, &error);
    assert(parsed || (error.kind != ERROR_NONE && !map->entries));
    return parsed;
}

static const struct address_map_target *find_target(const struct address_map *map,
                                                    struct slice left, struct slice address)
{
    const struct address_map_entry *entry = address_map_find(map, left);
    const struct address_map_target *target = entry ? entry->targets : NULL;
    while (target && !slice_equal(target->address, address))
        target = target->next;
    return target;
}

/* An address of the map as a person would write it. */
static struct slice as_written(struct slice address)
{
    if (address.len == 1)
        return SLICE("*");
    return address.ptr[address.len - 1] == '@' ? slice_range(address, 0, address.len - 1) : address;
}

static void check_edits(struct slice old, const struct address_map_entry *entry)
{
    struct buffer text = BUFFER_WITH_LIMIT(1 << 20);
    struct error error;
    struct address_map map;
    struct slice left = as_written(entry->left);
    struct slice added = SLICE("new@target.example");
    if (address_map_text_add(old, left, &added, 1, &text, &error)) {
        assert(parse(buffer_slice(&text), &map));
        assert(find_target(&map, entry->left, added));
        address_map_clear(&map);
    } else {
        assert(error.kind == ERROR_EXISTS || left.ptr[0] == '#');
    }
    buffer_reset(&text);
    struct slice removed = as_written(entry->targets->address);
    bool done = left.ptr[0] != '#';
    assert(address_map_text_remove(old, left, &removed, 1, &text, &error) == done);
    if (done) {
        assert(parse(buffer_slice(&text), &map));
        assert(!find_target(&map, entry->left, entry->targets->address));
        address_map_clear(&map);
    }
    buffer_clear(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t count)
{
    struct slice text = slice_of(octets, count);
    struct address_map map;
    if (count > 10000 || !parse(text, &map))
        return 0;
    unsigned checked = 0;
    for (const struct address_map_entry *entry = map.entries; entry && checked < 3;
         entry = entry->hh.next, checked++) {
        assert(entry->targets && address_map_find(&map, entry->left) == entry);
        check_edits(text, entry);
    }
    address_map_clear(&map);
    return 0;
}
