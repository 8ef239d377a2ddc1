/*
 * What the index has of one kind of messages whose UIDs lie side by side, as one record: put and
 * read together they cost a hundredth of a record each. Pure.
 */
#ifndef STORAGE_INDEX_BLOCK_H
#define STORAGE_INDEX_BLOCK_H

#include "common/buffer.h"

enum {
    INDEX_BLOCK_UIDS = 128,
    INDEX_BLOCK_OCTETS = 2 << 20, /* of texts; what does not fit is left out: it is read again */
};

struct index_block {
    uint32_t count;
    struct index_block_entry {
        uint32_t uid; /* ascending */
        uint32_t end; /* of its text, which begins where the one before ends */
    } entries[INDEX_BLOCK_UIDS];
    struct buffer texts;
};

void index_block_init(struct index_block *block);
void index_block_clear(struct index_block *block); /* may run twice */

/* Replaces what the block held. False: the record is no block of UIDs from first_uid on, or there
 * is no memory; then it is empty. */
bool index_block_parse(struct slice record, uint32_t first_uid, struct index_block *block);
void index_block_format(const struct index_block *block, struct buffer *record);

/* Borrowed until the block changes. */
bool index_block_find(const struct index_block *block, uint32_t uid, struct slice *text);

/* Replaces the text that was there. The UID is one of the block's. Without memory or room nothing
 * is there of it. */
void index_block_put(struct index_block *block, uint32_t uid, struct slice text);
void index_block_remove(struct index_block *block, uint32_t uid);

#endif
