/* The file of change_log.h. */
#include "storage/change_log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "storage/text_file.h"

#define NEW_FILE CHANGE_LOG_FILE ".new"

#define GONE (UINT32_C(1) << 31) /* instead of flags */

enum { FILE_OCTETS_MAX = 1 << 28 };

struct header {
    char magic[20];
    uint32_t uidvalidity;
    uint64_t complete_since;
    uint64_t sealed_watermark; /* 0: not sealed */
    uint64_t sealed_count;
    uint8_t boot[CHANGE_LOG_BOOT_OCTETS];
};

struct record {
    uint32_t uid;
    uint32_t flags; /* GONE, or the flags of the file name */
    uint32_t letters;
    uint32_t reserved;
    uint64_t modseq;
};

static const char magic[20] = CHANGE_LOG_FILE " 1";

void change_log_init(struct change_log *log, uint32_t uidvalidity,
                     const uint8_t boot[CHANGE_LOG_BOOT_OCTETS])
{
    *log = (struct change_log){.uidvalidity = uidvalidity, .fd = -1};
    memcpy(log->boot, boot, sizeof(log->boot));
    buffer_init(&log->pending, FILE_OCTETS_MAX);
}

void change_log_close(struct change_log *log)
{
    fd_discard(&log->fd);
    buffer_clear(&log->pending);
}

static struct header make_header(const struct change_log *log, uint64_t sealed_watermark)
{
    struct header header = {.uidvalidity = log->uidvalidity,
                            .complete_since = log->complete_since,
                            .sealed_watermark = sealed_watermark,
                            .sealed_count = log->count};
    memcpy(header.magic, magic, sizeof(magic));
    memcpy(header.boot, log->boot, sizeof(log->boot));
    return header;
}

/* ---- reading ---- */

static bool is_of_this_boot(const struct change_log *log, const struct header *header)
{
    static const uint8_t unknown[CHANGE_LOG_BOOT_OCTETS];
    return memcmp(log->boot, header->boot, sizeof(log->boot)) == 0
           && memcmp(log->boot, unknown, sizeof(log->boot)) != 0;
}

static bool is_sealed(const struct header *header, uint64_t count,
                      const struct change_log_trust *trust)
{
    return header->sealed_watermark == trust->modseq_watermark && header->sealed_count == count;
}

static bool check_header(const struct change_log *log, const struct header *header, uint64_t count,
                         const struct change_log_trust *trust, struct error *error)
{
    if (memcmp(header->magic, magic, sizeof(magic)) != 0)
        return error_set(error, ERROR_PERMANENT, "it does not begin as it should");
    if (header->uidvalidity != log->uidvalidity)
        return error_set(error, ERROR_PERMANENT, "it belongs to UIDVALIDITY %u",
                         header->uidvalidity);
    if (!log->trusted && !is_of_this_boot(log, header) && !is_sealed(header, count, trust))
        return error_set(error, ERROR_PERMANENT, "the host went down before it was complete");
    return true;
}

static struct record record_at(struct slice records, size_t index)
{
    struct record record;
    memcpy(&record, records.ptr + index * sizeof(record), sizeof(record));
    return record;
}

static bool check_records(struct slice records, const struct change_log_trust *trust,
                          struct error *error)
{
    for (size_t i = 0; i < records.len / sizeof(struct record); i++) {
        struct record record = record_at(records, i);
        if (record.uid == 0 || record.uid >= trust->uid_watermark || record.modseq == 0
            || record.modseq >= trust->modseq_watermark || record.reserved != 0)
            return error_set(error, ERROR_PERMANENT, "record %zu makes no sense", i + 1);
    }
    return true;
}

static void tell_records(struct slice records, change_visit *visit, void *owner)
{
    for (size_t i = 0; i < records.len / sizeof(struct record); i++) {
        struct record record = record_at(records, i);
        bool gone = record.flags == GONE;
        const struct change change = {.uid = record.uid,
                                      .gone = gone,
                                      .flags = gone ? 0 : record.flags,
                                      .letters = record.letters,
                                      .modseq = record.modseq};
        visit(owner, &change);
    }
}

/* A kill may have cut the last record short; no client was told of that change. */
bool change_log_load(struct change_log *log, int folder_fd, const struct change_log_trust *trust,
                     change_visit *visit, void *owner, struct error *error)
{
    struct header header;
    struct buffer file = BUFFER_WITH_LIMIT(FILE_OCTETS_MAX);
    bool loaded = text_file_load(folder_fd, CHANGE_LOG_FILE, &file, error);
    if (loaded && file.len < sizeof(header))
        loaded = error_set(error, ERROR_PERMANENT, "it is cut off");
    if (loaded) {
        memcpy(&header, file.ptr, sizeof(header));
        uint64_t count = (file.len - sizeof(header)) / sizeof(struct record);
        struct slice records = slice_range(buffer_slice(&file), sizeof(header),
                                           sizeof(header) + count * sizeof(struct record));
        loaded =
            check_header(log, &header, count, trust, error) && check_records(records, trust, error);
        if (loaded) {
            log->complete_since = header.complete_since;
            log->count = count;
            log->trusted = true;
            tell_records(records, visit, owner);
        }
    }
    buffer_clear(&file);
    return loaded || error_prefix(error, CHANGE_LOG_FILE);
}

/* False: it is cut off, or cannot be read. */
static bool read_header(int fd, struct header *header, uint64_t *count)
{
    struct stat status;
    size_t got;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)
        || (uint64_t)status.st_size < sizeof(*header)
        || !fd_read_full(fd, header, sizeof(*header), &got, NULL) || got != sizeof(*header))
        return false;
    *count = ((uint64_t)status.st_size - sizeof(*header)) / sizeof(struct record);
    return true;
}

bool change_log_resume(struct change_log *log, int folder_fd, const struct change_log_trust *trust,
                       uint64_t complete_since, uint64_t count)
{
    struct header header;
    uint64_t found;
    int fd = openat(folder_fd, CHANGE_LOG_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool resumed = fd >= 0 && read_header(fd, &header, &found) && found == count
                   && header.complete_since == complete_since
                   && check_header(log, &header, found, trust, NULL);
    fd_discard(&fd);
    if (!resumed)
        return false;
    log->complete_since = complete_since;
    log->count = count;
    log->trusted = true;
    return true;
}

/* ---- writing ---- */

static bool fail(struct change_log *log, int folder_fd, struct error *error)
{
    log->failed = true;
    fd_discard(&log->fd);
    buffer_clear(&log->pending);
    unlinkat(folder_fd, NEW_FILE, 0);
    unlinkat(folder_fd, CHANGE_LOG_FILE, 0);
    return error_prefix(error, CHANGE_LOG_FILE);
}

static bool write_header(const struct change_log *log, uint64_t sealed_watermark,
                         struct error *error)
{
    const struct header header = make_header(log, sealed_watermark);
    return fd_pwrite_all(log->fd, slice_of(&header, sizeof(header)), 0, error);
}

/* Opens the file for writing and breaks the seal. */
static bool open_file(struct change_log *log, int folder_fd, struct error *error)
{
    enum { FLAGS = O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC };
    if (log->fd >= 0)
        return true;
    if (log->renewing)
        log->fd = openat(folder_fd, NEW_FILE, FLAGS | O_CREAT | O_TRUNC, 0600);
    else
        log->fd = openat(folder_fd, CHANGE_LOG_FILE, FLAGS);
    if (log->fd < 0)
        return error_errno(error, "open");
    return write_header(log, 0, error);
}

/* Writes at a computed offset: a record that a kill cut short is overwritten. */
static bool write_pending(struct change_log *log, int folder_fd, struct error *error)
{
    uint64_t at = sizeof(struct header) + log->count * sizeof(struct record);
    if (log->pending.failed)
        return error_memory(error);
    if (!open_file(log, folder_fd, error)
        || !fd_pwrite_all(log->fd, buffer_slice(&log->pending), at, error))
        return false;
    log->count += log->pending.len / sizeof(struct record);
    buffer_reset(&log->pending);
    return true;
}

void change_log_renew(struct change_log *log, uint64_t complete_since)
{
    change_log_close(log);
    log->complete_since = complete_since;
    log->count = 0;
    log->renewing = true;
    log->failed = log->trusted = false;
}

void change_log_put(struct change_log *log, const struct change *change)
{
    const struct record record = {.uid = change->uid,
                                  .flags = change->gone ? GONE : change->flags,
                                  .letters = change->letters,
                                  .modseq = change->modseq};
    if (!log->failed)
        buffer_append(&log->pending, slice_of(&record, sizeof(record)));
}

bool change_log_flush(struct change_log *log, int folder_fd, struct error *error)
{
    if (log->failed || (log->pending.len == 0 && !log->pending.failed))
        return true;
    if (!write_pending(log, folder_fd, error))
        return fail(log, folder_fd, error);
    if (log->renewing && renameat(folder_fd, NEW_FILE, folder_fd, CHANGE_LOG_FILE) != 0) {
        error_errno(error, "rename");
        return fail(log, folder_fd, error);
    }
    log->renewing = false;
    log->trusted = true;
    return true;
}

bool change_log_seal(struct change_log *log, int folder_fd, uint64_t modseq_watermark,
                     struct error *error)
{
    if (log->failed || log->renewing)
        return true;
    return (open_file(log, folder_fd, error) && write_header(log, modseq_watermark, error))
           || fail(log, folder_fd, error);
}
