/*
 * Takes over a folder of another server: Dovecot (1.0 to 2.4) or Courier, which keep UIDVALIDITY,
 * UIDs and keywords in files beside the messages (foreign_uids.h, foreign_keywords.h). In place,
 * when a folder without a record of ours is first opened:
 *
 *     each file is renamed to have its UID  >  that is flushed  >  the record is stored
 *       >  their list of UIDs is renamed to "....adopted"
 *
 * A crash between any two of these steps leaves a folder that is taken over again, with the same
 * result. No other file of theirs is changed. A renamed list is never used again, since it lacks
 * the UIDs given since.
 *
 * Called by the user's mailbox process. Blocking file I/O; a rename of 13 us for each message.
 */
#ifndef STORAGE_FOREIGN_ADOPT_H
#define STORAGE_FOREIGN_ADOPT_H

#include "storage/folder_record.h"
#include "storage/maildir.h"

#define ADOPT_DOVECOT_UIDS "dovecot-uidlist"
#define ADOPT_COURIER_UIDS "courierimapuiddb"

/* What is to be logged about it, once. */
struct adoption {
    const char *from;              /* the list's name */
    size_t messages;               /* messages that got their UID from the list */
    size_t others;                 /* messages that were not in the list: they get new UIDs */
    size_t bad_lines;              /* in all files read */
    size_t first_bad_line;         /* in the list of UIDs; 0: all were good */
    bool has_uidvalidity_of_other; /* another folder has that UIDVALIDITY: a new one was given */
};

/* Whether the folder has a list of another server, and has given no UID itself. */
bool adopt_is_waiting(int folder_fd);

/* To be called if folder_record_load() found no record, or one that has given no UID. With *record
 * untouched, ERROR_NOT_FOUND: there is nothing to take over; ERROR_PERMANENT: the list is
 * malformed, and was renamed to "....broken". On success the record is on disk. `directory` is the
 * folder's directory name, `now` seconds since 1970. */
struct adoption_request {
    int account_fd;
    const struct maildir *box;
    const char *directory;
    int64_t now;
};
bool adopt_folder(const struct adoption_request *request, struct folder_record *record,
                  struct adoption *adoption, struct error *error);

#endif
