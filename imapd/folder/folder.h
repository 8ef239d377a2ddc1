/*
 * A folder in memory, shared by all sessions of the user: its messages in the order of their UIDs,
 * with flags and keywords. The Maildir is authoritative; this struct follows it. Every change of a
 * message goes through here: the file is renamed or removed, and each view (imapd/folder/view.h) is
 * notified.
 *
 *      new/ --(gets a UID, renamed to cur/)--> messages <--(flags, removal)-- sessions
 *        \__ deliver                             ^ watch: what other programs did
 *
 * An unused folder stays in memory for a while: the most recent few as they are, others with their
 * directories closed, to be read again only if the directories' times have changed. imapd-mailbox.
 */
#ifndef IMAPD_FOLDER_FOLDER_H
#define IMAPD_FOLDER_FOLDER_H

#include <time.h>

#include "common/role/turn.h"
#include "imapd/folder/watch.h"
#include "storage/change_log.h"
#include "storage/folder_record.h"
#include "storage/maildir.h"
#include "storage/maildir_name.h"
#include "storage/names_file.h"

struct arrival;
struct mailbox;
struct view;
struct view_slot;

struct message {
    /* File name in cur/; NULL: removed, and the message leaves the array at the end of the turn.
     * Points into the folder's `names`, or is allocated on its own. */
    char *name;
    uint32_t uid;
    uint32_t flags;         /* enum maildir_flag, and unknown flag letters */
    uint32_t letters;       /* keywords, as in maildir_name */
    uint32_t internal_date; /* seconds since 1970, for message_source.c; 0: not read yet */
    uint64_t modseq;        /* RFC 7162 */
    bool recent;            /* no session has reported it as \Recent yet */
    bool met;               /* for folder_follow.c, while it reads the directories */
};

/* An observer of a folder that needs no view: it is notified when messages change. */
struct folder_watcher {
    struct folder_watcher *prev;
    struct folder_watcher *next;
    bool is_watching;
    /* Messages were added, removed or changed. May be called several times in a turn. */
    void (*on_change)(struct folder_watcher *watcher);
};

/* The slots of the last closed view, if its client had been told everything: the next view begins
 * with them. */
struct view_rest {
    struct view_slot *slots; /* NULL: none */
    size_t count;
    size_t capacity;
    uint32_t last_uid;
};

enum { FOLDER_MISSING_MAX = 16 };

struct folder {
    struct folder *prev;
    struct folder *next;
    struct mailbox *mailbox;           /* borrowed */
    char directory[MAILDIR_NAME_SIZE]; /* "." or ".A.B" */
    struct maildir box;                /* closed once the folder has been unused for long */
    struct folder_record record;
    struct message *messages; /* by UID; includes removed ones until the end of the turn */
    size_t count;
    size_t capacity;
    size_t gone;              /* removed ones in `messages` */
    struct names_block names; /* messages and their names as read from disk: folder_names.c */
    uint32_t uid_next;
    uint64_t modseq_next;
    struct view *views;
    struct view_rest rest; /* view.c's */
    struct folder_watcher *watchers;
    unsigned users; /* views, and commands that use the folder */
    bool deleted;   /* its directory was removed; another folder may have the name by now */
    /* The rest is private to folder.c and the files named. */
    struct watched watched;
    struct arrival *arrivals; /* files without a UID, oldest first */
    struct deferred in_next_turn;
    struct deferred at_turn_end;
    struct timespec times[2]; /* of new/ and cur/ when all their files were known; 0: unsure */
    ino_t inode;              /* of the directory */
    bool suspicious;          /* something is missing; only a full scan tells what */
    uint32_t missing[FOLDER_MISSING_MAX]; /* UIDs whose file is missing, perhaps renamed */
    unsigned missing_count;
    struct change_log changes;
    struct deferred flush_changes; /* at the end of the turn */
    uint32_t unseen_from;          /* every message with a lower UID has \Seen */
    bool names_due; /* folder_names.c: the file of storage/names_file.h is out of date */
    unsigned names_tries;
    uint32_t learn_from; /* learn.c: the first UID still to be processed; 0: none */
    bool index_swept;    /* message_cache.c: the index holds no removed message */
};

/* ---- opening ---- */

/* Opens the folder with this directory name, up to date except for messages that still need a UID:
 * see folder_step(). ERROR_NOT_FOUND: there is none. *folder is NULL on failure. Each successful
 * open needs a folder_close(). Unused folders may be freed here, so `directory` must not point into
 * one. */
bool folder_open(struct mailbox *mailbox, const char *directory, struct folder **folder,
                 struct error *error);
void folder_close(struct folder *folder);

/* Adds a use of an open folder, which needs its own folder_close(). */
static inline struct folder *folder_use(struct folder *folder)
{
    folder->users++;
    return folder;
}

/* The folder must stay in use while it is watched. folder_unwatch() may run twice. */
void folder_watch(struct folder *folder, struct folder_watcher *watcher);
void folder_unwatch(struct folder *folder, struct folder_watcher *watcher);

/* Gives UIDs to some of the arrived messages. False: none are left, or no UID can be given now
 * (disk full; logged). Clients see no message without a UID. Runs by itself turn after turn; a
 * caller that needs the full message count calls it until it returns false. */
bool folder_step(struct folder *folder);

/* Frees all unused folders, even if there are few. */
void folder_forget_unused(struct mailbox *mailbox);

/* To be called after a directory was removed (its messages are gone in every view) or renamed
 * (with all folders below it). */
void folder_on_deleted(struct mailbox *mailbox, const char *directory);
void folder_on_renamed(struct mailbox *mailbox, const char *from, const char *to);

/* Another process has reported that the folder has changed. */
void folder_on_changed(struct mailbox *mailbox, const char *directory);

/* The messages of unused folders are also written to disk, for the next process (folder_names.c):
 * to be called when the mailbox is opened and closed. folder_names_clear() may run twice. */
void folder_names_init(struct mailbox *mailbox);
void folder_names_clear(struct mailbox *mailbox);
/* Schedules that; called when a folder was closed or the last session has ended. */
void folder_names_arrange(struct mailbox *mailbox);

/* ---- looking ---- */

static inline uint32_t folder_message_count(const struct folder *folder)
{
    return (uint32_t)(folder->count - folder->gone);
}

/* The highest UID in the folder; 0: none. */
static inline uint32_t folder_last_uid(const struct folder *folder)
{
    return folder->count ? folder->messages[folder->count - 1].uid : 0;
}

/* HIGHESTMODSEQ (RFC 7162 3.1.2.1): no client was told a higher MODSEQ. */
static inline uint64_t folder_highest_modseq(const struct folder *folder)
{
    return folder->modseq_next - 1;
}

/* The position of the first message with this UID or a higher one. */
size_t folder_position(const struct folder *folder, uint32_t uid);

/* The message, or NULL if it was removed. Borrowed until a message is added to the folder, at the
 * latest until the end of the turn. */
struct message *folder_find(const struct folder *folder, uint32_t uid);

/* The first message without \Seen, or NULL. Each call starts where the last one stopped. */
const struct message *folder_first_unseen(struct folder *folder);

/* Reads the directories again, after a file was not found by its name. */
bool folder_look(struct folder *folder, struct error *error);

/* ---- removed messages (folder_changes.c) ---- */

/* Visits the UIDs of messages removed since this MODSEQ, each once, in no order. False: the log
 * does not go back that far; nothing was visited. */
typedef void folder_gone_visit(void *owner, uint32_t uid);
bool folder_visit_gone(struct folder *folder, uint64_t since_modseq, folder_gone_visit *visit,
                       void *owner);

/* ---- changes: every view is notified ---- */

/* The letter of a keyword; a new keyword is given one (on disk first). ERROR_PERMANENT: no letter
 * is left, or the keyword cannot be stored. */
bool folder_keyword(struct folder *folder, struct slice keyword, unsigned *letter,
                    struct error *error);

/* What is to be cleared, then set. */
struct message_change {
    uint32_t flags_off; /* enum maildir_flag */
    uint32_t flags_on;
    uint32_t letters_off;
    uint32_t letters_on;
};

/* Renames the file. `teller` (may be NULL) is the view whose session answers its client itself, and
 * so is not notified. ERROR_NOT_FOUND: another program has removed the message. */
bool folder_change(struct folder *folder, uint32_t uid, const struct message_change *change,
                   const struct view *teller, struct error *error);

/* Removes the file for good. ERROR_NOT_FOUND: it was gone already. */
bool folder_remove(struct folder *folder, struct message *message, struct error *error);

/* Removes a message on the user's behalf: keeps it for a while, if the configuration says so
 * (undo.h). */
bool folder_expunge(struct folder *folder, struct message *message, struct error *error);

/* Flushes all removals so far: a power cut brings no removed message back and loses none that was
 * kept. */
bool folder_flush_removed(struct folder *folder, struct error *error);

/* The directories that folder_flush_removed() flushes, borrowed, for a caller that flushes in
 * parallel. Returns their number. */
enum { FOLDER_REMOVED_FDS = 4 };
size_t folder_list_removed(const struct folder *folder, int fds[FOLDER_REMOVED_FDS]);

/* To be called after the message was moved to another folder: removes it from this one. */
void folder_moved_out(struct folder *folder, struct message *message);

/* The UID for the next message put into cur/; clients may see it at once, as the watermark covers
 * it. To be used with folder_add() in the same turn; an unused UID is skipped, which is
 * harmless. */
bool folder_next_uid(struct folder *folder, uint32_t *uid, struct error *error);

/* Adds the message that is now in cur/ under this name, with the UID from folder_next_uid(). */
bool folder_add(struct folder *folder, uint32_t uid, const char *name, struct error *error);

#endif
