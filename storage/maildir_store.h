/*
 * Changes to the messages of a folder: flags and UIDs, removal, APPEND, copy, move. Callers are the
 * user's mailbox and maildrop processes. Other programs may change the folder at the same time, so
 * each function may find that a file was renamed or removed: ERROR_NOT_FOUND; the caller then scans
 * the folder again. Blocking file I/O.
 */
#ifndef STORAGE_MAILDIR_STORE_H
#define STORAGE_MAILDIR_STORE_H

#include "storage/file_system.h"
#include "storage/line_ends.h"
#include "storage/maildir.h"
#include "storage/maildir_name.h"
#include "storage/message_file.h"
#include "storage/tombstone.h"

/* Unique numbers, counted up from a random one of 64 bits: one getrandom() for all that a command
 * needs. Begins zeroed. */
struct maildir_uniques {
    uint64_t next;
    bool begun;
};

/* "<letter><16 hexadecimal digits>" of the next number. */
bool maildir_make_unique(struct maildir_uniques *uniques, char letter,
                         char unique[MAILDIR_UNIQUE_MAX + 1], struct error *error);

/* Renames a message of new/ or cur/ into cur/ with this UID, flags and keywords. `wanted` is the
 * parsed name with the changes applied; `renamed` receives the new name. The key stays, unless
 * another program made one of more than MAILDIR_KEY_MAX octets, which leaves no room for flags:
 * then it is replaced by a short one, and the caller must take the key from `renamed`. Not flushed:
 * a rename lost in a power cut is done again (watermark and index remember the UIDs). */
bool maildir_change(const struct maildir *box, enum maildir_place place, const char *name,
                    const struct maildir_name *wanted, char renamed[MAILDIR_NAME_SIZE],
                    struct error *error);

/* Removes a message, after writing a tombstone if it needs one (storage/tombstone.h). */
bool maildir_remove(const struct maildir *inbox, const struct maildir *box,
                    enum maildir_place place, const char *name, int64_t now, struct error *error);

/* The same for one of several messages that a command removes. */
bool maildir_remove_one_of(const struct maildir *inbox, const struct maildir *box,
                           enum maildir_place place, const char *name, int64_t now,
                           struct tombstone_batch *batch, struct error *error);

/* Makes all removals since the last flush survive a power cut; to be called before a client is told
 * of them. */
bool maildir_flush_removed(const struct maildir *inbox, const struct maildir *box,
                           struct error *error);

/* The directories that maildir_flush_removed() flushes, for a caller that flushes them in parallel.
 * Borrowed. */
enum { MAILDIR_REMOVED_FDS = 3 };
void maildir_list_removed(const struct maildir *inbox, const struct maildir *box,
                          int fds[MAILDIR_REMOVED_FDS]);

/* What a command still has to flush before it answers OK. One fsync for one young file, one syncfs
 * for several, where syncfs can be trusted; then the directories. */
struct maildir_flush {
    const struct file_system *fs;      /* of the folders involved */
    int young_fd;                      /* the only young file so far; -1: none or several */
    unsigned young;                    /* number of young files (tombstone_is_young()) */
    struct tombstone_batch tombstones; /* of moved messages */
    struct maildir_uniques uniques;    /* for the names of new files in the folder */
};

#define MAILDIR_FLUSH_START(file_system)                                                           \
    (struct maildir_flush)                                                                         \
    {                                                                                              \
        .fs = (file_system), .young_fd = -1                                                        \
    }

/* When it returns true, everything put into `box` with this struct is on disk. `from` is the folder
 * that messages were moved out of, or NULL. Resets the struct, also on failure. */
bool maildir_flush_commit(struct maildir_flush *flush, const struct maildir *box,
                          const struct maildir *from, struct error *error);
void maildir_flush_discard(struct maildir_flush *flush); /* instead; may run twice */

/* For a caller that flushes in parallel: flushes several young files by syncfs, and lists the
 * descriptors that remain. Borrowed until maildir_flush_discard(), which the caller must call. */
enum { MAILDIR_FLUSH_FDS = 4 };
bool maildir_flush_list(const struct maildir_flush *flush, const struct maildir *box,
                        const struct maildir *from, int fds[MAILDIR_FLUSH_FDS], size_t *count,
                        struct error *error);

/* Source and destination of a copy or move. */
struct maildir_transfer {
    const struct maildir *inbox; /* of the account, for tombstones */
    const struct maildir *from;
    enum maildir_place place;
    const char *name;
    const struct maildir *to;
    const struct maildir_name *wanted; /* UID, flags and keywords in `to`; the rest is not used */
    struct slice host;
    int64_t now; /* becomes SAVEDATE */
};

/* Makes a copy under a name of its own in the cur/ of `to`: a hard link, or a copy of the octets if
 * the file system has no links. INTERNALDATE stays. To be flushed with `flush`; on failure there is
 * no copy. ERROR_TEMPORARY, also from a move: a power cut has cut the message short, and under
 * another name it would not be repaired. */
bool maildir_copy(const struct maildir_transfer *transfer, struct maildir_flush *flush,
                  char copied[MAILDIR_NAME_SIZE], struct error *error);

/* Moves by one rename, so that the message is always in exactly one folder. A young message leaves
 * a tombstone, as it loses the name by which a repeated delivery would find it. To be flushed. */
bool maildir_move(const struct maildir_transfer *transfer, struct maildir_flush *flush,
                  char moved[MAILDIR_NAME_SIZE], struct error *error);

/* ---- APPEND ---- */

/* A message that arrives in pieces: begin, write as often as needed, finish, commit. */
struct maildir_append {
    const struct maildir *box; /* borrowed */
    int fd;                    /* -1: no file is open */
    char temporary[MAILDIR_NAME_SIZE];
    char unique[MAILDIR_UNIQUE_MAX + 1];
    uint64_t octets;
    struct line_ends ends;
};

#define MAILDIR_APPEND_NONE                                                                        \
    (struct maildir_append)                                                                        \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

bool maildir_append_begin(struct maildir_append *append, const struct maildir *box,
                          struct error *error);
bool maildir_append_write(struct maildir_append *append, struct slice octets, struct error *error);

/* To be called after the last write: sets the file's INTERNALDATE (seconds since 1970). */
bool maildir_append_finish(struct maildir_append *append, int64_t internal_date,
                           struct error *error);

/* Opens the finished file for reading, before maildir_append_commit(). */
bool maildir_append_open(const struct maildir_append *append, struct message_file *file,
                         struct error *error);

/* Flushes and closes the finished file before maildir_append_commit(): for one of many. */
bool maildir_append_flush(struct maildir_append *append, struct error *error);

/* Renames the finished file into cur/; `appended` receives its name. Before a client is told that
 * it is stored, the caller flushes append->fd (now the caller's; -1: flushed already) and, after it
 * or at the same time, cur/. On failure nothing is left.
 *
 * After a power cut in between, the name may exist without its octets: maildir_append_was_cut(). */
struct maildir_append_as {
    const struct maildir_name *wanted; /* UID, flags, keywords */
    struct slice host;
    int64_t now;
};
bool maildir_append_commit(struct maildir_append *append, const struct maildir_append_as *as,
                           char appended[MAILDIR_NAME_SIZE], struct error *error);

void maildir_append_abort(struct maildir_append *append); /* may run twice */

/* Whether a file of cur/ from an APPEND of the last day is shorter than its name says: a power cut
 * came before it was flushed, and so before a client was told that it is stored. */
bool maildir_append_was_cut(const struct maildir *box, const char *text, int64_t now);

#endif
