/*
 * A message assembled from pieces: octets in memory and ranges of files, in order. Nothing is
 * copied before it is written. Blocking file I/O.
 */
#ifndef STORAGE_PIECES_H
#define STORAGE_PIECES_H

#include "common/error.h"
#include "common/slice.h"

struct piece {
    struct slice octets; /* the octets, if fd is -1; borrowed */
    int fd;              /* else a file with the range below; borrowed */
    uint64_t offset;
    uint64_t length;
};

static inline struct piece piece_of(struct slice octets)
{
    return (struct piece){octets, -1, 0, octets.len};
}

static inline struct piece piece_of_file(int fd, uint64_t offset, uint64_t length)
{
    return (struct piece){{NULL, 0}, fd, offset, length};
}

uint64_t pieces_octets(const struct piece *pieces, size_t count);

/* Writes the pieces at the file's position. ERROR_PERMANENT: a file is shorter than its piece. */
bool pieces_write(int fd, const struct piece *pieces, size_t count, struct error *error);

/* Whether the file consists of exactly these octets. */
bool pieces_equal_file(int fd, const struct piece *pieces, size_t count, bool *equal,
                       struct error *error);

/* Counts each LF without a preceding CR, also across pieces: the difference of W= and S=. */
bool pieces_count_bare_lf(const struct piece *pieces, size_t count, uint64_t *bare,
                          struct error *error);

#endif
