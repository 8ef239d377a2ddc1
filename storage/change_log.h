/*
 * The MODSEQ of each message in a folder and the removed messages (RFC 7162), which file names
 * cannot hold, in the file "staffetta-changes": a header, then one record of 24 octets per change;
 * the last record of a message counts.
 *
 * Derived data: if anything is wrong with the file, a new one is begun, and every message counts as
 * changed just now. The file is never flushed. After a kill it is complete; after a power cut it is
 * trusted only if it was sealed and the folder record, which is flushed, says that nothing came
 * after the seal (struct change_log_trust).
 *
 * One writer: the user's mailbox process. Blocking file I/O.
 */
#ifndef STORAGE_CHANGE_LOG_H
#define STORAGE_CHANGE_LOG_H

#include "common/buffer.h"
#include "common/error.h"

#define CHANGE_LOG_FILE "staffetta-changes"

enum { CHANGE_LOG_BOOT_OCTETS = 40 };

struct change {
    uint32_t uid;
    bool gone;
    uint32_t flags;   /* as in maildir_name; 0 if gone */
    uint32_t letters; /* keywords, as in maildir_name */
    uint64_t modseq;
};

struct change_log {
    uint32_t uidvalidity;
    uint8_t boot[CHANGE_LOG_BOOT_OCTETS]; /* identifies this boot of the host; zeroes: unknown */
    uint64_t complete_since;              /* every removal with a higher MODSEQ is in the log */
    uint64_t count;                       /* records in the file */
    int fd;                               /* -1: closed */
    bool renewing;         /* the next flush writes a file that replaces the old one */
    bool trusted;          /* this process has read or written the file */
    bool failed;           /* records are no longer accepted, until change_log_renew() */
    struct buffer pending; /* records not in the file yet */
};

/* Watermarks of the folder record, by which the file is checked. */
struct change_log_trust {
    uint64_t modseq_watermark;
    uint64_t uid_watermark;
};

void change_log_init(struct change_log *log, uint32_t uidvalidity,
                     const uint8_t boot[CHANGE_LOG_BOOT_OCTETS]);
/* Closes the file, which is reopened when needed; pending records are lost. May run twice. */
void change_log_close(struct change_log *log);

/* Visits all records in the order in which they were written. ERROR_NOT_FOUND: there is no file;
 * ERROR_PERMANENT: it is damaged, of another UIDVALIDITY, or not to be trusted; then no record was
 * visited. After either the caller calls change_log_renew(). */
typedef void change_visit(void *owner, const struct change *change);
bool change_log_load(struct change_log *log, int folder_fd, const struct change_log_trust *trust,
                     change_visit *visit, void *owner, struct error *error);

/* Instead of change_log_load(), when the caller already knows the records of the file with this
 * complete_since and count. False: it is another file or not to be trusted; nothing has changed. */
bool change_log_resume(struct change_log *log, int folder_fd, const struct change_log_trust *trust,
                       uint64_t complete_since, uint64_t count);

/* The next flush writes a new file, with the records put until then, in place of the old one; if no
 * record was put, it writes none. */
void change_log_renew(struct change_log *log, uint64_t complete_since);

/* Adds a record; the next flush writes it, and reports a failure of this call too. */
void change_log_put(struct change_log *log, const struct change *change);

/* Writes the pending records. On failure the file is removed, since a partial history would be
 * trusted. */
bool change_log_flush(struct change_log *log, int folder_fd, struct error *error);

/* To be called after a flush. Marks the file as complete: the caller writes no more records before
 * it raises the folder record's modseq_watermark above this one. */
bool change_log_seal(struct change_log *log, int folder_fd, uint64_t modseq_watermark,
                     struct error *error);

#endif
