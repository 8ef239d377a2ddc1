/*
 * A block of index_block.h. The record: the number of texts, UID and end of each, the texts;
 * numbers of 32 bits as the processor has them.
 */
#include "storage/index_block.h"

#include <string.h>

void index_block_init(struct index_block *block)
{
    block->count = 0;
    buffer_init(&block->texts, INDEX_BLOCK_OCTETS);
}

void index_block_clear(struct index_block *block)
{
    block->count = 0;
    buffer_clear(&block->texts);
}

/* --- the record --- */

static bool is_sound(const struct index_block *block, uint32_t first_uid, size_t octets)
{
    uint32_t uid = first_uid, end = 0;
    for (uint32_t i = 0; i < block->count; i++) {
        const struct index_block_entry *entry = &block->entries[i];
        if (entry->uid < uid || entry->uid - first_uid >= INDEX_BLOCK_UIDS || entry->end < end)
            return false;
        uid = entry->uid + 1;
        end = entry->end;
    }
    return end == octets;
}

bool index_block_parse(struct slice record, uint32_t first_uid, struct index_block *block)
{
    uint32_t count;
    block->count = 0;
    buffer_reset(&block->texts);
    if (record.len < sizeof(count))
        return false;
    memcpy(&count, record.ptr, sizeof(count));
    size_t table = (size_t)count * sizeof(block->entries[0]);
    if (count > INDEX_BLOCK_UIDS || record.len - sizeof(count) < table)
        return false;
    memcpy(block->entries, record.ptr + sizeof(count), table);
    struct slice texts = slice_from(record, sizeof(count) + table);
    block->count = count;
    buffer_append(&block->texts, texts);
    if (!block->texts.failed && is_sound(block, first_uid, texts.len))
        return true;
    block->count = 0;
    buffer_reset(&block->texts);
    return false;
}

void index_block_format(const struct index_block *block, struct buffer *record)
{
    buffer_append(record, slice_of(&block->count, sizeof(block->count)));
    buffer_append(record, slice_of(block->entries, block->count * sizeof(block->entries[0])));
    buffer_append(record, buffer_slice(&block->texts));
}

/* --- texts --- */

/* The first that is not below the UID. */
static uint32_t position(const struct index_block *block, uint32_t uid)
{
    uint32_t low = 0, high = block->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (block->entries[middle].uid < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint32_t begin_of(const struct index_block *block, uint32_t at)
{
    return at > 0 ? block->entries[at - 1].end : 0;
}

static bool has(const struct index_block *block, uint32_t at, uint32_t uid)
{
    return at < block->count && block->entries[at].uid == uid;
}

bool index_block_find(const struct index_block *block, uint32_t uid, struct slice *text)
{
    uint32_t at = position(block, uid);
    if (!has(block, at, uid))
        return false;
    *text = slice_range(buffer_slice(&block->texts), begin_of(block, at), block->entries[at].end);
    return true;
}

void index_block_remove(struct index_block *block, uint32_t uid)
{
    uint32_t at = position(block, uid);
    if (!has(block, at, uid))
        return;
    uint32_t begin = begin_of(block, at), end = block->entries[at].end;
    uint8_t *texts = block->texts.ptr;
    if (end > begin)
        memmove(texts + begin, texts + end, block->texts.len - end);
    buffer_truncate(&block->texts, block->texts.len - (end - begin));
    block->count--;
    for (uint32_t i = at; i < block->count; i++)
        block->entries[i] = (struct index_block_entry){block->entries[i + 1].uid,
                                                       block->entries[i + 1].end - (end - begin)};
}

void index_block_put(struct index_block *block, uint32_t uid, struct slice text)
{
    index_block_remove(block, uid);
    uint32_t at = position(block, uid), begin = begin_of(block, at);
    if (text.len > INDEX_BLOCK_OCTETS || !buffer_reserve(&block->texts, text.len)) {
        block->texts.failed = false; /* what is there stays good */
        return;
    }
    uint8_t *texts = block->texts.ptr;
    if (text.len > 0) {
        memmove(texts + begin + text.len, texts + begin, block->texts.len - begin);
        memcpy(texts + begin, text.ptr, text.len);
    }
    buffer_commit(&block->texts, text.len);
    for (uint32_t i = block->count; i > at; i--)
        block->entries[i] = (struct index_block_entry){
            block->entries[i - 1].uid, block->entries[i - 1].end + (uint32_t)text.len};
    block->entries[at] = (struct index_block_entry){uid, begin + (uint32_t)text.len};
    block->count++;
}
