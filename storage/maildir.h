/*
 * One folder of an account, open: a directory with new/, cur/ and tmp/ in it. INBOX is the
 * account's own directory, every other folder a directory ".A.B" in it (Maildir++). Everything
 * below goes through these descriptors: the processes that use them are chrooted and confined.
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

/* Opens the folder with that name on disk ("." or ".A.B") in the account's directory. new/, cur/
 * and tmp/ are made where they are missing. ERROR_NOT_FOUND: there is no such folder. On failure
 * *box is closed. */
bool maildir_open(int account_fd, const char *folder, struct maildir *box, struct error *error);

/* The account's directory itself, as the process got it. Duplicates the descriptor. */
static inline bool maildir_open_inbox(int account_fd, struct maildir *inbox, struct error *error)
{
    return maildir_open(account_fd, MAILDIR_INBOX, inbox, error);
}

void maildir_close(struct maildir *box); /* may run twice, and on MAILDIR_CLOSED */

static inline int maildir_place_fd(const struct maildir *box, enum maildir_place place)
{
    return place == MAILDIR_NEW ? box->new_fd : box->cur_fd;
}

/* The folder is still to be found under its name: what was renamed into it meanwhile is not lost
 * with a folder that somebody deleted or renamed. False with kind ERROR_NOT_FOUND: it is not. */
bool maildir_is_still(int account_fd, const char *folder, const struct maildir *box,
                      struct error *error);

/* A regular file of the folder, for reading; its status besides. A FIFO, device or link of that
 * name is ERROR_PERMANENT, a file that is no more ERROR_NOT_FOUND. */
bool maildir_open_file(const struct maildir *box, enum maildir_place place, const char *name,
                       int *fd, struct stat *status, struct error *error);

/* Removes from tmp/ what crashed writers left: files not touched for 36 hours, tombstones
 * (tombstone.h) of more than seven days, and half-deleted folders (folders.h). What cannot be
 * removed is left for the next time. `now` in seconds since 1970. */
void maildir_sweep(const struct maildir *box, int64_t now);

/* Removes the directory `name` in `dir_fd` and all below it, at most `depth` levels deep. */
bool maildir_remove_tree(int dir_fd, const char *name, unsigned depth, struct error *error);

#endif
