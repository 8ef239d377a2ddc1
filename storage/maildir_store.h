/*
 * Changing messages of a folder: flags and UIDs, removing, appending, copying, moving. Callers are
 * the user's mailbox and maildrop processes; other programs may do the same at the same time, so
 * any of these can find that the file is no longer what it was: ERROR_NOT_FOUND, and the caller
 * scans the folder again. Blocking file I/O.
 */
#ifndef STORAGE_MAILDIR_STORE_H
#define STORAGE_MAILDIR_STORE_H

#include "storage/file_system.h"
#include "storage/line_ends.h"
#include "storage/maildir.h"
#include "storage/maildir_name.h"
#include "storage/message_file.h"
#include "storage/tombstone.h"

/* Numbers that nobody else has: counted from a random one of 64 bits, so that the kernel is asked
 * once for the many that a command wants. Begins zeroed. */
struct maildir_uniques {
    uint64_t next;
    bool begun;
};

/* "<letter><16 hexadecimal digits>" of the next. */
bool maildir_make_unique(struct maildir_uniques *uniques, char letter,
                         char unique[MAILDIR_UNIQUE_MAX + 1], struct error *error);

/* Renames a message of new/ or cur/ into cur/ with this UID, flags and keywords. `wanted` is its
 * parsed name with the changes made to it; renamed is the text of the new name. The key stays, save
 * where another program made one of more than MAILDIR_KEY_MAX octets, which leaves no room for
 * flags: it gets a short one, and the caller must take the key from `renamed`. Not flushed: a
 * rename that a power cut undoes is done again (UIDs are remembered by watermark and index). */
bool maildir_change(const struct maildir *box, enum maildir_place place, const char *name,
                    const struct maildir_name *wanted, char renamed[MAILDIR_NAME_SIZE],
                    struct error *error);

/* Removes a message, after a tombstone where it needs one. */
bool maildir_remove(const struct maildir *inbox, const struct maildir *box,
                    enum maildir_place place, const char *name, int64_t now, struct error *error);

/* The same for one of the many that a command removes. */
bool maildir_remove_one_of(const struct maildir *inbox, const struct maildir *box,
                           enum maildir_place place, const char *name, int64_t now,
                           struct tombstone_batch *batch, struct error *error);

/* What was removed from the folder since the last flush stays removed, whatever comes: to be called
 * before anybody is told so. */
bool maildir_flush_removed(const struct maildir *inbox, const struct maildir *box,
                           struct error *error);

/* For a caller that flushes them side by side: the directories of that. Borrowed. */
enum { MAILDIR_REMOVED_FDS = 3 };
void maildir_list_removed(const struct maildir *inbox, const struct maildir *box,
                          int fds[MAILDIR_REMOVED_FDS]);

/* What a command that answers OK only when its messages are on disk has still to flush. One fsync
 * for one young file, one syncfs for many, where syncfs can be trusted; then the directories. */
struct maildir_flush {
    const struct file_system *fs; /* of the folders involved */
    int young_fd;                 /* the only young file so far; -1: none or several */
    unsigned young;
    struct tombstone_batch tombstones; /* of messages that were moved */
    struct maildir_uniques uniques;    /* of those that were put into the folder */
};

#define MAILDIR_FLUSH_START(file_system)                                                           \
    (struct maildir_flush)                                                                         \
    {                                                                                              \
        .fs = (file_system), .young_fd = -1                                                        \
    }

/* Everything put into `box` with this struct is on disk when it returns true. `from` is the folder
 * that messages were moved out of, or NULL. Resets the struct, also on failure. */
bool maildir_flush_commit(struct maildir_flush *flush, const struct maildir *box,
                          const struct maildir *from, struct error *error);
void maildir_flush_discard(struct maildir_flush *flush); /* instead; may run twice */

/* For a caller that flushes side by side: flushes what cannot be so, many young files, and tells
 * what is left. Borrowed until maildir_flush_discard(), which the caller owes. */
enum { MAILDIR_FLUSH_FDS = 4 };
bool maildir_flush_list(const struct maildir_flush *flush, const struct maildir *box,
                        const struct maildir *from, int fds[MAILDIR_FLUSH_FDS], size_t *count,
                        struct error *error);

/* Where a message comes from, where it goes. */
struct maildir_transfer {
    const struct maildir *inbox; /* of the account, for tombstones */
    const struct maildir *from;
    enum maildir_place place;
    const char *name;
    const struct maildir *to;
    const struct maildir_name *wanted; /* UID, flags and keywords there; the rest is not used */
    struct slice host;
    int64_t now; /* becomes SAVEDATE */
};

/* A copy with a name of its own, in to's cur/: a hard link, or a copy of the octets where the file
 * system has none. INTERNALDATE stays. To be flushed with `flush`; on failure there is no copy.
 * ERROR_TEMPORARY, as of a move, of a message that a power cut has cut short: under another name
 * nobody would mend it. */
bool maildir_copy(const struct maildir_transfer *transfer, struct maildir_flush *flush,
                  char copied[MAILDIR_NAME_SIZE], struct error *error);

/* One rename, so that it is never in both folders nor in neither; a young message leaves a
 * tombstone, since it loses the name by which a repeated delivery would find it. To be flushed. */
bool maildir_move(const struct maildir_transfer *transfer, struct maildir_flush *flush,
                  char moved[MAILDIR_NAME_SIZE], struct error *error);

/* ---- APPEND ---- */

/* A message that comes in pieces: begin, write as often as needed, commit. */
struct maildir_append {
    const struct maildir *box; /* borrowed */
    int fd;                    /* -1: nothing under way */
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

/* All has come: gives the file this INTERNALDATE (seconds since 1970). */
bool maildir_append_finish(struct maildir_append *append, int64_t internal_date,
                           struct error *error);

/* The finished file, for reading, as long as it is not yet put into cur/. */
bool maildir_append_open(const struct maildir_append *append, struct message_file *file,
                         struct error *error);

/* Flushes and closes the finished file, before it is put into cur/: for one of many. */
bool maildir_append_flush(struct maildir_append *append, struct error *error);

/* Puts the finished file into cur/; *appended is its name. Nobody may be told that it is stored
 * before what is still open of it and then, or at the same time, cur/ are flushed: append->fd, the
 * caller's from now on, or -1. On failure nothing is left.
 *
 * After a power cut in between the name can be there without its octets: maildir_append_was_cut().
 */
struct maildir_append_as {
    const struct maildir_name *wanted; /* UID, flags, keywords */
    struct slice host;
    int64_t now;
};
bool maildir_append_commit(struct maildir_append *append, const struct maildir_append_as *as,
                           char appended[MAILDIR_NAME_SIZE], struct error *error);

void maildir_append_abort(struct maildir_append *append); /* may run twice */

/* A file of cur/ that is shorter than its name says, of an APPEND of the last day: a power cut came
 * before it was flushed, and so before anybody was told that it is stored. */
bool maildir_append_was_cut(const struct maildir *box, const char *text, int64_t now);

#endif
