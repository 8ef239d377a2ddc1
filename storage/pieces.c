/* Writing, comparing and measuring messages made of pieces; see pieces.h. */
#include "storage/pieces.h"

#include <errno.h>
#include <limits.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "storage/line_ends.h"

enum { BLOCK_OCTETS = 65536, VECTORS = 64 };

uint64_t pieces_octets(const struct piece *pieces, size_t count)
{
    uint64_t octets = 0;
    for (size_t i = 0; i < count; i++)
        octets += pieces[i].length;
    return octets;
}

static bool cut_short(struct error *error)
{
    return error_set(error, ERROR_PERMANENT, "body file is shorter than announced");
}

/* ---- writing ---- */

/* As many pieces in memory as one writev(2) takes; *done counts them. */
static bool write_memory(int fd, const struct piece *pieces, size_t count, size_t *done,
                         struct error *error)
{
    struct iovec vectors[VECTORS];
    size_t used = 0;
    ssize_t total = 0;
    while (used < count && used < VECTORS && pieces[used].fd < 0) {
        vectors[used] = (struct iovec){.iov_base = (void *)(uintptr_t)pieces[used].octets.ptr,
                                       .iov_len = pieces[used].octets.len};
        total += (ssize_t)pieces[used++].octets.len;
    }
    *done = used;
    ssize_t written = writev(fd, vectors, (int)used);
    if (written == total)
        return true;
    if (written < 0 && errno != EINTR)
        return error_errno(error, "write");
    /* A short write: the rest piece by piece, where an error like ENOSPC shows itself. */
    size_t skip = written > 0 ? (size_t)written : 0;
    for (size_t i = 0; i < used; i++) {
        size_t past = skip < pieces[i].octets.len ? skip : pieces[i].octets.len;
        if (!fd_write_all(fd, slice_from(pieces[i].octets, past), error))
            return false;
        skip -= past;
    }
    return true;
}

static bool copy_through_memory(int fd, struct piece piece, struct error *error)
{
    uint8_t block[BLOCK_OCTETS];
    while (piece.length > 0) {
        size_t wanted = piece.length < sizeof(block) ? (size_t)piece.length : sizeof(block);
        size_t got;
        if (!fd_pread_full(piece.fd, block, wanted, piece.offset, &got, error))
            return false;
        if (got == 0)
            return cut_short(error);
        if (!fd_write_all(fd, slice_of(block, got), error))
            return false;
        piece.offset += got;
        piece.length -= got;
    }
    return true;
}

/* copy_file_range(2) shares extents where the file system can, and copies in the kernel else; not
 * between file systems of two kinds. */
static bool write_file(int fd, struct piece piece, struct error *error)
{
    while (piece.length > 0) {
        off64_t offset = (off64_t)piece.offset;
        size_t wanted = piece.length < SSIZE_MAX ? (size_t)piece.length : SSIZE_MAX;
        ssize_t copied = copy_file_range(piece.fd, &offset, fd, NULL, wanted, 0);
        if (copied < 0 && errno == EINTR)
            continue;
        if (copied < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO || errno == EFBIG))
            return error_errno(error, "copy body");
        /* Not between these two, or 0 from a file system that claims to have copied nothing: the
         * plain way tells whether the file is really too short. */
        if (copied <= 0)
            return copy_through_memory(fd, piece, error);
        piece.offset += (uint64_t)copied;
        piece.length -= (uint64_t)copied;
    }
    return true;
}

bool pieces_write(int fd, const struct piece *pieces, size_t count, struct error *error)
{
    for (size_t i = 0; i < count;) {
        size_t done = 1;
        bool written = pieces[i].fd < 0 ? write_memory(fd, pieces + i, count - i, &done, error)
                                        : write_file(fd, pieces[i], error);
        if (!written)
            return false;
        i += done;
    }
    return true;
}

/* ---- reading back ---- */

/* Calls visit for all octets in order, in blocks; ends early, with true, once visit says false. */
static bool for_each_block(const struct piece *pieces, size_t count,
                           bool (*visit)(void *owner, struct slice block), void *owner,
                           struct error *error)
{
    uint8_t block[BLOCK_OCTETS];
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].fd < 0) {
            if (!visit(owner, pieces[i].octets))
                return true;
            continue;
        }
        for (uint64_t at = 0; at < pieces[i].length;) {
            uint64_t left = pieces[i].length - at;
            size_t wanted = left < sizeof(block) ? (size_t)left : sizeof(block), got;
            if (!fd_pread_full(pieces[i].fd, block, wanted, pieces[i].offset + at, &got, error))
                return false;
            if (got == 0)
                return cut_short(error);
            if (!visit(owner, slice_of(block, got)))
                return true;
            at += got;
        }
    }
    return true;
}

struct comparison {
    int fd;
    uint64_t offset;
    bool equal;
    bool failed;
    struct error *error;
};

static bool compare_block(void *owner, struct slice block)
{
    struct comparison *comparison = owner;
    uint8_t octets[BLOCK_OCTETS];
    while (block.len > 0) {
        size_t wanted = block.len < sizeof(octets) ? block.len : sizeof(octets), got;
        if (!fd_pread_full(comparison->fd, octets, wanted, comparison->offset, &got,
                           comparison->error)) {
            comparison->failed = true;
            return false;
        }
        comparison->equal = slice_equal(slice_of(octets, got), slice_range(block, 0, wanted));
        if (!comparison->equal)
            return false;
        comparison->offset += got;
        block = slice_from(block, got);
    }
    return true;
}

bool pieces_equal_file(int fd, const struct piece *pieces, size_t count, bool *equal,
                       struct error *error)
{
    struct comparison comparison = {fd, 0, true, false, error};
    uint8_t more;
    size_t got = 0;
    *equal = false;
    if (!for_each_block(pieces, count, compare_block, &comparison, error) || comparison.failed)
        return false;
    if (!comparison.equal)
        return true;
    if (!fd_pread_full(fd, &more, 1, comparison.offset, &got, error))
        return false;
    *equal = got == 0;
    return true;
}

static bool count_block(void *owner, struct slice block)
{
    line_ends_count(owner, block);
    return true;
}

bool pieces_count_bare_lf(const struct piece *pieces, size_t count, uint64_t *bare,
                          struct error *error)
{
    struct line_ends ends = LINE_ENDS_START;
    if (!for_each_block(pieces, count, count_block, &ends, error))
        return false;
    *bare = ends.bare_lf;
    return true;
}
