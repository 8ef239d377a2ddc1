/*
 * Taking over a folder that another server had: Dovecot (1.0 to 2.4) or Courier, which have
 * UIDVALIDITY, UIDs and keywords in files beside the messages (foreign_uids.h, foreign_keywords.h).
 * In place, where a folder without a record of ours is first opened:
 *
 *     each file is renamed to bear its UID  >  that is flushed  >  the record is stored
 *       >  their list of UIDs is renamed to "....adopted"
 *
 * A crash between any two of these leaves a folder that is taken over again, to the same end.
 * Nothing else of theirs is touched. Once it is renamed their list is never believed again: what
 * has come since has UIDs that it does not know of.
 *
 * Called by the user's mailbox process. Blocking file I/O; a rename of 13 us for each message.
 */
#ifndef STORAGE_FOREIGN_ADOPT_H
#define STORAGE_FOREIGN_ADOPT_H

#include "storage/folder_record.h"
#include "storage/maildir.h"

#define ADOPT_DOVECOT_UIDS "dovecot-uidlist"
#define ADOPT_COURIER_UIDS "courierimapuiddb"

/* What there is to say of it, once. */
struct adoption {
    const char *from;              /* the list's name */
    size_t messages;               /* that have the UID which the list gave them */
    size_t others;                 /* that were not in it: they get new ones */
    size_t bad_lines;              /* of all files read */
    size_t first_bad_line;         /* of the list of UIDs; 0: all were good */
    bool has_uidvalidity_of_other; /* which therefore stays with that folder: a new one was given */
};

/* The folder has a list of another server, and gave no UID itself. */
bool adopt_is_waiting(int folder_fd);

/* Where folder_record_load() found none, or one that gave no UID. ERROR_NOT_FOUND: there is nothing
 * to take over; ERROR_PERMANENT: the list makes no sense, it is renamed to "....broken"; *record is
 * untouched. Else the record is on disk. `directory` is the folder's name on disk,
 * `now` seconds since 1970. */
struct adoption_request {
    int account_fd;
    const struct maildir *box;
    const char *directory;
    int64_t now;
};
bool adopt_folder(const struct adoption_request *request, struct folder_record *record,
                  struct adoption *adoption, struct error *error);

#endif
