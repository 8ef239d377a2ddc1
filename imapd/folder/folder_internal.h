/* What folder.c and folder_follow.c share. */
#ifndef IMAPD_FOLDER_FOLDER_INTERNAL_H
#define IMAPD_FOLDER_FOLDER_INTERNAL_H

#include <sys/stat.h>

#include "imapd/folder/folder.h"

/* new/ and cur/, as they are at a moment. */
struct folder_times {
    struct stat status[2];
    bool sure[2]; /* whatever changes from then on gets another time */
};

/* A file that has no UID yet. */
struct arrival {
    struct arrival *prev;
    struct arrival *next;
    enum maildir_place place;
    uint32_t uid; /* that it had, for folder_recall.c; 0: none that is known */
    char name[];
};

/* An event of the log with the folder's name. */
void folder_log(const struct folder *folder, const char *event, const struct error *error);

/* ---- folder.c ---- */

/* The folder if it is in memory, used or not; else NULL. */
const struct folder *folder_find_open(const struct mailbox *mailbox, const char *directory);

/* Closes the directories of a folder that nobody uses; their times will tell whether it must be
 * read again. May run twice. */
void folder_shut(struct folder *folder);

/* Room for so many messages in all. */
bool folder_reserve(struct folder *folder, size_t count, struct error *error);

/* Adds a message after the last one; the caller sees to the order of UIDs. */
bool folder_append(struct folder *folder, const char *text, const struct maildir_name *name,
                   struct error *error);

/* Its file is gone: every view is told, and it leaves the array at the end of the turn. */
void folder_let_go(struct folder *folder, struct message *message);

/* Moves the damaged file to the account's "staffetta-damaged", where nobody takes it for mail. The
 * caller then calls folder_let_go(). On failure the file stays. */
bool folder_set_aside(const struct folder *folder, const struct message *message,
                      struct error *error);

/* The file is called so now; views other than `teller` are told if that means other flags. */
bool folder_take_name(struct folder *folder, struct message *message, const char *text,
                      const struct maildir_name *name, const struct view *teller,
                      struct error *error);

/* Opens the directory that this folder was opened from first. If its name by now belongs to another
 * directory, that is another folder: ERROR_NOT_FOUND. */
bool folder_open_same(struct folder *folder, struct maildir *box, struct error *error);

bool folder_add_arrival(struct folder *folder, enum maildir_place place, const char *name,
                        struct error *error);
void folder_remove_arrival(struct folder *folder, struct arrival *arrival);
void folder_forget_arrivals(struct folder *folder);

/* Raises the watermarks on disk, where needed, above the UID and MODSEQ that are given next. */
bool folder_cover(struct folder *folder, struct error *error);

/* ---- folder_changes.c: MODSEQ ---- */

/* Once all messages are there: gives each the MODSEQ that it had, or where it has changed since, a
 * new one. */
void folder_load_changes(struct folder *folder);

/* The same where every message already has its MODSEQ, from a log with so many records. False: the
 * log on disk is another one, and nothing was done. */
bool folder_resume_changes(struct folder *folder, uint64_t complete_since, uint64_t count);

/* Makes sure that the next change can be given a MODSEQ: to be called before a change that may
 * still be refused. */
bool folder_reserve_modseq(struct folder *folder, struct error *error);

/* This message came, or its flags changed; that one went. */
void folder_note_changed(struct folder *folder, struct message *message);
void folder_note_gone(struct folder *folder, uint32_t uid);

/* Nobody uses the folder any more: writes what was noted, and shortens the file if it is too long.
 */
void folder_rest_changes(struct folder *folder);

/* The same, and closes the file. The first before the folder's directory is closed;
 * `seal` while it is open for the last time, its watermark about to be lowered to modseq_next. */
void folder_close_changes(struct folder *folder);
void folder_seal_changes(struct folder *folder, int folder_fd);

/* The turn's end of `flush_changes`. */
void folder_flush_changes(struct deferred *deferred);

/* ---- folder_recall.c ---- */

/* Gives files that lost their UID in a crash the one they had, by the index. Before anybody uses
 * the folder: the messages, in the order of UIDs, are so no more. */
void folder_recall(struct folder *folder);

/* ---- folder_follow.c ---- */

/* The first reading: record, messages that have a UID, arrivals. */
bool folder_load(struct folder *folder, struct error *error);

/* Reads the directories again unless their times are those of the last reading. */
bool folder_look_if_changed(struct folder *folder, struct error *error);

/* Before the watch ends: takes in what it has to report, so that all in the directories is known,
 * and remembers their times, which will differ when they next change. */
void folder_remember_times(struct folder *folder);

/* False: a change may have come that is not known here, or could come without another time. */
bool folder_is_as_known(const struct folder *folder, struct folder_times *times);

/* The directories are open. False: they cannot be looked at. */
bool folder_read_times(const struct folder *folder, struct folder_times *times,
                       struct error *error);

/* ---- folder_names.c: what a process knew of a folder, for the next one ---- */

/* The messages as the last process knew them, if the directories are as it left them, and what has
 * been put into new/ since, as arrivals. `times` are from now. False: they have to be read; nothing
 * has happened. */
bool folder_load_names(struct folder *folder, const struct folder_times *times);

/* Nobody uses the folder. Keeps its names, if that is due and all in the directories is known; what
 * is due still when it returns is to be tried again soon: something has changed just now. */
void folder_keep_names(struct folder *folder);

/* The same before the process ends, when it waits for that, a few ms at the most. */
void folder_finish_names(struct folder *folder);

extern const struct watched_handler folder_watched;

#endif
