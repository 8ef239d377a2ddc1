/* Counters for TLS reports; see tls_counts.h. */
#include "smtpd/queue/tls/tls_counts.h"

#include <stdlib.h>

struct tls_count {
    UT_hash_handle hh;
    uint64_t count;
    size_t octets;
    uint8_t key[]; /* as on disk */
};

void tls_counts_add(struct tls_counts *counts, uint32_t day, struct slice run)
{
    uint8_t octets[QUEUE_STORE_TLS_KEY_MAX];
    struct slice key = queue_store_tls_key(octets, day, run);
    struct tls_count *row;
    HASH_FIND(hh, counts->rows, key.ptr, key.len, row);
    if (!row) {
        row = tls_counts_is_full(counts) ? NULL : calloc(1, sizeof(*row) + key.len);
        if (!row) {
            counts->lost++;
            return;
        }
        row->octets = key.len;
        memcpy(row->key, key.ptr, key.len);
        HASH_ADD_KEYPTR(hh, counts->rows, row->key, row->octets, row);
        if (!hash_table_holds(&row->hh)) {
            free(row);
            counts->lost++;
            return;
        }
        counts->row_count++;
    }
    row->count++;
}

void tls_counts_clear(struct tls_counts *counts)
{
    struct tls_count *row, *next;
    HASH_ITER (hh, counts->rows, row, next) {
        HASH_DEL(counts->rows, row);
        free(row);
    }
    counts->row_count = 0;
}

bool tls_counts_write(struct tls_counts *counts, struct queue_store *store, struct error *error)
{
    if (!counts->rows)
        return true;
    if (!queue_store_begin(store, error))
        return false;
    for (const struct tls_count *row = counts->rows; row; row = row->hh.next)
        if (!queue_store_add_tls(store, slice_of(row->key, row->octets), row->count, error)) {
            queue_store_abort(store);
            return false;
        }
    if (!queue_store_commit(store, error))
        return false;
    tls_counts_clear(counts);
    return true;
}
