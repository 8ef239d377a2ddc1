/*
 * The index entries of one kind for neighbouring UIDs, as one record: stored together they cost a
 * hundredth of one record each. Pure.
 */
#ifndef STORAGE_INDEX_BLOCK_H
#define STORAGE_INDEX_BLOCK_H

#include "common/buffer.h"

enum {
    INDEX_BLOCK_UIDS = 128,
    INDEX_BLOCK_OCTETS = 2 << 20, /* of texts; a text that does not fit is left out */
};

struct index_block {
    uint32_t count;
    struct index_block_entry {
        uint32_t uid; /* ascending */
        uint32_t end; /* end of its text, which begins at the end of the previous one */
    } entries[INDEX_BLOCK_UIDS];
    struct buffer texts;
};

void index_block_init(struct index_block *block);
void index_block_clear(struct index_block *block); /* may run twice */

/* Replaces the block's contents. False, with the block empty: the record is not a block of UIDs
 * from first_uid on, or there is no memory. */
bool index_block_parse(struct slice record, uint32_t first_uid, struct index_block *block);
void index_block_format(const struct index_block *block, struct buffer *record);

/* Borrowed until the block changes. */
bool index_block_find(const struct index_block *block, uint32_t uid, struct slice *text);

/* Replaces the text of a UID, which must belong to the block. Without memory or room the UID has no
 * text afterwards. */
void index_block_put(struct index_block *block, uint32_t uid, struct slice text);
void index_block_remove(struct index_block *block, uint32_t uid);

#endif
