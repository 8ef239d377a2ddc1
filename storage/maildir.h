/*
 * One open folder of an account: a directory with new/, cur/ and tmp/. INBOX is the account's own
 * directory, every other folder a directory ".A.B" in it (Maildir++). All access goes through these
 * descriptors: the processes that use them are chrooted and confined.
 *
 * Symbolic links are never followed: one placed by one user's process must not lead another
 * process (deliver serves many accounts of a uid) out of the account.
 */
#ifndef STORAGE_MAILDIR_H
#define STORAGE_MAILDIR_H

#include <stdint.h>
#include <sys/stat.h>

#include "common/error.h"

#define MAILDIR_INBOX "." /* the name of INBOX's directory, where a folder's name is asked for */

enum maildir_place { MAILDIR_NEW, MAILDIR_CUR };

struct maildir {
    int fd; /* the folder's directory; -1: not open */
    int new_fd;
    int cur_fd;
    int tmp_fd;
};

#define MAILDIR_CLOSED                                                                             \
    (struct maildir)                                                                               \
    {                                                                                              \
        -1, -1, -1, -1                                                                             \
    }

/* Opens the folder with this directory name ("." or ".A.B") in the account's directory. Makes new/,
 * cur/ and tmp/ if missing. ERROR_NOT_FOUND: there is no such folder. On failure *box is closed. */
bool maildir_open(int account_fd, const char *folder, struct maildir *box, struct error *error);

/* Opens the account's directory itself. Duplicates the descriptor. */
static inline bool maildir_open_inbox(int account_fd, struct maildir *inbox, struct error *error)
{
    return maildir_open(account_fd, MAILDIR_INBOX, inbox, error);
}

void maildir_close(struct maildir *box); /* may run twice, and on MAILDIR_CLOSED */

static inline int maildir_place_fd(const struct maildir *box, enum maildir_place place)
{
    return place == MAILDIR_NEW ? box->new_fd : box->cur_fd;
}

/* Whether the folder still has its name, so that a file just renamed into it was not lost with a
 * folder deleted or renamed meanwhile. False with ERROR_NOT_FOUND: it has not. */
bool maildir_is_still(int account_fd, const char *folder, const struct maildir *box,
                      struct error *error);

/* Opens a regular file of the folder for reading, and gets its status. ERROR_PERMANENT: it is a
 * FIFO, device or link; ERROR_NOT_FOUND: it does not exist. */
bool maildir_open_file(const struct maildir *box, enum maildir_place place, const char *name,
                       int *fd, struct stat *status, struct error *error);

/* Removes leftovers of crashed writers from tmp/: files not touched for 36 hours, tombstones
 * (tombstone.h) older than seven days, and half-deleted folders (folders.h). What cannot be removed
 * is left for the next time. `now` in seconds since 1970. */
void maildir_sweep(const struct maildir *box, int64_t now);

/* Removes the directory `name` in `dir_fd` and all below it, at most `depth` levels deep. */
bool maildir_remove_tree(int dir_fd, const char *name, unsigned depth, struct error *error);

#endif
