/* Declarations shared by folder.c and the folder_*.c files. */
#ifndef IMAPD_FOLDER_FOLDER_INTERNAL_H
#define IMAPD_FOLDER_FOLDER_INTERNAL_H

#include <sys/stat.h>

#include "imapd/folder/folder.h"

/* The times of new/ and cur/ at one moment. */
struct folder_times {
    struct stat status[2];
    bool sure[2]; /* any later change gets a different time */
};

/* A file without a UID. */
struct arrival {
    struct arrival *prev;
    struct arrival *next;
    enum maildir_place place;
    uint32_t uid; /* the UID it had before, for folder_recall.c; 0: unknown */
    char name[];
};

/* Logs an event with the folder's name. */
void folder_log(const struct folder *folder, const char *event, const struct error *error);

/* ---- folder.c ---- */

/* The folder if it is in memory, in use or not; else NULL. */
const struct folder *folder_find_open(const struct mailbox *mailbox, const char *directory);

/* Closes the directories of an unused folder; their times later tell whether they must be read
 * again. May run twice. */
void folder_shut(struct folder *folder);

/* Makes room for `count` messages in all. */
bool folder_reserve(struct folder *folder, size_t count, struct error *error);

/* Adds a message at the end; the caller keeps the UIDs in order. */
bool folder_append(struct folder *folder, const char *text, const struct maildir_name *name,
                   struct error *error);

/* To be called when the message's file is gone: notifies every view; the message leaves the array
 * at the end of the turn. */
void folder_let_go(struct folder *folder, struct message *message);

/* Moves a damaged file to the account's "staffetta-damaged", which no program reads as mail. The
 * caller then calls folder_let_go(). On failure the file stays. */
bool folder_set_aside(const struct folder *folder, const struct message *message,
                      struct error *error);

/* Records the file's new name; if flags differ, notifies all views except `teller`. */
bool folder_take_name(struct folder *folder, struct message *message, const char *text,
                      const struct maildir_name *name, const struct view *teller,
                      struct error *error);

/* Reopens the directory that this folder was first opened from. ERROR_NOT_FOUND also if the name
 * now belongs to another directory, and so to another folder. */
bool folder_open_same(struct folder *folder, struct maildir *box, struct error *error);

bool folder_add_arrival(struct folder *folder, enum maildir_place place, const char *name,
                        struct error *error);
void folder_remove_arrival(struct folder *folder, struct arrival *arrival);
void folder_forget_arrivals(struct folder *folder);

/* Raises the watermarks on disk, if needed, above the next UID and MODSEQ. */
bool folder_cover(struct folder *folder, struct error *error);

/* ---- folder_changes.c: MODSEQ ---- */

/* To be called when all messages are loaded: gives each its former MODSEQ, or a new one if it has
 * changed since. */
void folder_load_changes(struct folder *folder);

/* The same if every message already has its MODSEQ, from a log with this complete_since and count.
 * False: the log on disk is a different one, and nothing was done. */
bool folder_resume_changes(struct folder *folder, uint64_t complete_since, uint64_t count);

/* Makes sure that the next change can get a MODSEQ; to be called before the change, while it can
 * still be refused. */
bool folder_reserve_modseq(struct folder *folder, struct error *error);

/* A message was added or its flags changed; a message was removed. */
void folder_note_changed(struct folder *folder, struct message *message);
void folder_note_gone(struct folder *folder, uint32_t uid);

/* To be called when the folder is no longer used: writes pending changes, and shortens the file if
 * it is too long. */
void folder_rest_changes(struct folder *folder);

/* The same, and closes the file. folder_close_changes() before the folder's directory is closed;
 * folder_seal_changes() while it is open for the last time, just before its watermark is lowered to
 * modseq_next. */
void folder_close_changes(struct folder *folder);
void folder_seal_changes(struct folder *folder, int folder_fd);

/* Handler of `flush_changes`, at the end of the turn. */
void folder_flush_changes(struct deferred *deferred);

/* ---- folder_recall.c ---- */

/* Gives files that lost their UID in a crash their former UID, found in the index. Only before the
 * folder is used, since it changes the order of `messages`. */
void folder_recall(struct folder *folder);

/* ---- folder_follow.c ---- */

/* Reads the folder for the first time: record, messages that have a UID, arrivals. */
bool folder_load(struct folder *folder, struct error *error);

/* Reads the directories again unless their times are those of the last reading. */
bool folder_look_if_changed(struct folder *folder, struct error *error);

/* To be called before the watch ends: processes its pending events, so that all files are known,
 * and records the directories' times, which any later change alters. */
void folder_remember_times(struct folder *folder);

/* False: there may be a change that is not known here, or one could come without altering a time.
 */
bool folder_is_as_known(const struct folder *folder, struct folder_times *times);

/* The directories must be open. False: fstat() failed. */
bool folder_read_times(const struct folder *folder, struct folder_times *times,
                       struct error *error);

/* ---- folder_names.c: a folder's messages, saved for the next process ---- */

/* Loads the messages as the last process saved them, if the directories are as it left them; files
 * put into new/ since then become arrivals. `times` are the current ones. False: the directories
 * have to be read; nothing has changed. */
bool folder_load_names(struct folder *folder, const struct folder_times *times);

/* Saves the names of an unused folder, if that is due and all files are known. If names_due is
 * still set afterwards, something has just changed: to be tried again soon. */
void folder_keep_names(struct folder *folder);

/* The same before the process ends: waits for the times to settle, a few ms at most. */
void folder_finish_names(struct folder *folder);

extern const struct watched_handler folder_watched;

#endif
