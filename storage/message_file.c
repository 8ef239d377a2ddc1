/* Reading messages with CRLF, whatever line ends the file has; see message_file.h. */
#include "storage/message_file.h"

#include <time.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "storage/maildir_name.h"
#include "storage/tombstone.h"

enum { BLOCK_OCTETS = 65536 };

void message_file_close(struct message_file *file)
{
    fd_discard(&file->fd);
}

bool message_file_octets_from_name(const char *name, uint64_t *crlf_octets)
{
    struct maildir_name parsed;
    if (!maildir_name_parse(slice_of_string(name), &parsed) || parsed.crlf_octets == 0)
        return false;
    *crlf_octets = parsed.crlf_octets;
    return true;
}

static bool name_says_crlf(const char *name, uint64_t octets)
{
    struct maildir_name parsed;
    return maildir_name_parse(slice_of_string(name), &parsed) && parsed.octets == octets
           && parsed.crlf_octets == octets;
}

/* Reads all of it once: how long it is with CRLF, and marks from which reading can begin. */
static bool measure(struct message_file *file, struct error *error)
{
    uint8_t block[BLOCK_OCTETS];
    struct line_ends ends = LINE_ENDS_START;
    uint64_t stride = file->octets / MESSAGE_FILE_MARKS + 1, at = 0;
    file->mark_count = 0;
    for (;;) {
        uint64_t next_mark = file->mark_count * stride;
        if (at == next_mark && file->mark_count < MESSAGE_FILE_MARKS) {
            file->marks[file->mark_count++] =
                (struct message_mark){at, at + ends.bare_lf, ends.after_cr};
            next_mark += stride;
        }
        size_t size = sizeof(block), got;
        if (next_mark > at && next_mark - at < size)
            size = (size_t)(next_mark - at);
        if (!fd_pread_full(file->fd, block, size, at, &got, error))
            return false;
        if (got == 0)
            break;
        line_ends_count(&ends, slice_of(block, got));
        at += got;
    }
    file->octets = at;
    file->crlf_octets = at + ends.bare_lf;
    file->crlf = ends.bare_lf == 0;
    return true;
}

bool message_file_open(const struct maildir *box, enum maildir_place place, const char *name,
                       struct message_file *file, struct error *error)
{
    struct stat status;
    *file = MESSAGE_FILE_CLOSED;
    if (!maildir_open_file(box, place, name, &file->fd, &status, error))
        return false;
    if (!delivered_check_whole(name, &status, time(NULL), error)) {
        message_file_close(file);
        return false;
    }
    file->mtime = status.st_mtim;
    file->octets = file->crlf_octets = (uint64_t)status.st_size;
    file->crlf = name_says_crlf(name, file->octets);
    if (file->crlf || measure(file, error))
        return true;
    message_file_close(file);
    return error_prefix(error, "message %.100s", name);
}

bool message_file_take(int fd, bool crlf, struct message_file *file, struct error *error)
{
    struct stat status;
    *file = MESSAGE_FILE_CLOSED;
    file->fd = fd;
    bool known = fstat(fd, &status) == 0 || error_errno(error, "look at message");
    if (known) {
        file->mtime = status.st_mtim;
        file->octets = file->crlf_octets = (uint64_t)status.st_size;
        file->crlf = crlf;
    }
    if (known && (crlf || measure(file, error)))
        return true;
    message_file_close(file);
    return false;
}

/* ---- reading ---- */

/* Moves `at` to the last known position that is not after the offset. */
static void go_near(struct message_file *file, uint64_t offset)
{
    if (file->at.crlf_offset > offset)
        file->at = file->marks[0];
    for (size_t i = 0; i < file->mark_count; i++)
        if (file->marks[i].crlf_offset <= offset
            && file->marks[i].crlf_offset > file->at.crlf_offset)
            file->at = file->marks[i];
}

/* Converts on from `at` into out, at most size octets. */
static bool convert(struct message_file *file, uint8_t *out, size_t size, size_t *got,
                    struct error *error)
{
    uint8_t block[BLOCK_OCTETS];
    size_t wanted = size < sizeof(block) ? size : sizeof(block), in_block, used;
    struct line_ends ends = {0, file->at.after_cr};
    *got = 0;
    if (!fd_pread_full(file->fd, block, wanted, file->at.file_offset, &in_block, error))
        return false;
    *got = line_ends_to_crlf(&ends, slice_of(block, in_block), &used, out, size);
    file->at = (struct message_mark){file->at.file_offset + used, file->at.crlf_offset + *got,
                                     ends.after_cr};
    return true;
}

static bool skip_to(struct message_file *file, uint64_t offset, struct error *error)
{
    uint8_t ignored[BLOCK_OCTETS];
    size_t got;
    go_near(file, offset);
    while (file->at.crlf_offset < offset) {
        uint64_t left = offset - file->at.crlf_offset;
        size_t size = left < sizeof(ignored) ? (size_t)left : sizeof(ignored);
        if (!convert(file, ignored, size, &got, error))
            return false;
        if (got == 0)
            return true;
    }
    return true;
}

bool message_file_read(struct message_file *file, uint64_t offset, void *octets, size_t size,
                       size_t *got, struct error *error)
{
    *got = 0;
    if (file->crlf) { /* its end is known, and needs no call to be found */
        uint64_t left = offset < file->octets ? file->octets - offset : 0;
        return left == 0
               || fd_pread_full(file->fd, octets, left < size ? (size_t)left : size, offset, got,
                                error);
    }
    if (!skip_to(file, offset, error))
        return false;
    if (file->at.crlf_offset != offset)
        return true; /* after the end */
    while (*got < size) {
        size_t more;
        if (!convert(file, (uint8_t *)octets + *got, size - *got, &more, error))
            return false;
        if (more == 0)
            break;
        *got += more;
    }
    return true;
}
