/*
 * uthash as this project uses it: an entry that found no memory is not in the table, and the
 * program goes on. After HASH_ADD_* the caller asks hash_table_holds(); false is an
 * ERROR_TEMPORARY. Include this instead of <uthash.h>. Any process.
 */
#ifndef COMMON_HASH_TABLE_H
#define COMMON_HASH_TABLE_H

#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION(keyptr, keylen, hashv) HASH_OAT(keyptr, keylen, hashv) /* clang's taste */
#include <uthash.h>

#include <stdbool.h>

/* Whether the last HASH_ADD of this entry succeeded. */
static inline bool hash_table_holds(const UT_hash_handle *handle)
{
    return handle->tbl != NULL;
}

#endif
