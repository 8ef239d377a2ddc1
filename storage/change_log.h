/*
 * When each message of a folder last changed, and which have gone (MODSEQ, RFC 7162): what file
 * names cannot hold, in "staffetta-changes" beside them: a header, and one record of 24 octets for
 * each change; the last one of a message counts.
 *
 * Derived: whatever is wrong with the file, it is begun anew, and every message counts as changed
 * just now. It is never flushed. After a kill all of it is there; after a power cut it is believed
 * only if it was sealed and the folder record, which is flushed, says that nothing came after the
 * seal (struct change_log_trust).
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
    uint32_t flags; /* of one that is there, as in maildir_name */
    uint32_t letters;
    uint64_t modseq;
};

struct change_log {
    uint32_t uidvalidity;
    uint8_t boot[CHANGE_LOG_BOOT_OCTETS]; /* which start of the host this is; zeroes: not known */
    uint64_t complete_since;              /* all that have gone with a higher modseq are in it */
    uint64_t count;                       /* records in the file */
    int fd;                               /* -1: closed */
    bool renewing;         /* what is put goes into a file that is to replace the old one */
    bool trusted;          /* the file is what we have read or written ourselves */
    bool failed;           /* nothing more is put: sticky until it is renewed */
    struct buffer pending; /* records that are not in the file yet */
};

/* What the folder record knows. */
struct change_log_trust {
    uint64_t modseq_watermark;
    uint64_t uid_watermark;
};

void change_log_init(struct change_log *log, uint32_t uidvalidity,
                     const uint8_t boot[CHANGE_LOG_BOOT_OCTETS]);
/* Closes the file, which is opened again when it is wanted; what is pending is lost. May run twice.
 */
void change_log_close(struct change_log *log);

/* Tells all records in the order in which they came. ERROR_NOT_FOUND: there is no such file;
 * ERROR_PERMANENT: it is damaged, of another UIDVALIDITY, or not to be believed; then nothing was
 * told. Either means change_log_renew(). */
typedef void change_visit(void *owner, const struct change *change);
bool change_log_load(struct change_log *log, int folder_fd, const struct change_log_trust *trust,
                     change_visit *visit, void *owner, struct error *error);

/* Instead of loading: what the records say is known from elsewhere, of a file with that beginning
 * and so many of them. False: it is not that file, or not to be believed; nothing has happened. */
bool change_log_resume(struct change_log *log, int folder_fd, const struct change_log_trust *trust,
                       uint64_t complete_since, uint64_t count);

/* The next flush writes a file that replaces the one that is there, with what is put until then;
 * without anything put, none. */
void change_log_renew(struct change_log *log, uint64_t complete_since);

/* Goes into the file with the next flush. Failure is the flush's. */
void change_log_put(struct change_log *log, const struct change *change);

/* Writes what is pending. On failure the file is removed: half a history would be believed. */
bool change_log_flush(struct change_log *log, int folder_fd, struct error *error);

/* After a flush: nothing will come after it before the folder record's modseq_watermark, which is
 * this number now, is raised. */
bool change_log_seal(struct change_log *log, int folder_fd, uint64_t modseq_watermark,
                     struct error *error);

#endif
