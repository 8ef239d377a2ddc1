/*
 * A folder in memory, shared by all sessions of the user: its messages in the order of their UIDs,
 * with flags and keywords. The Maildir is the record; this follows it. Every change of a message
 * goes through here: the file is renamed or removed, and each view (imapd/folder/view.h) is told.
 *
 *      new/ --(gets a UID, renamed to cur/)--> messages <--(flags, removal)-- sessions
 *        \__ deliver                             ^ watch: what other programs did
 *
 * A folder that nobody uses any more is kept for a while: the last few as they are, others with
 * their directories closed, to be read again only if the directories' times have changed.
 * imapd-mailbox.
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
    /* In cur/; NULL: gone, it leaves the array at the end of the turn. Its memory is the folder's
     * names, or its own. */
    char *name;
    uint32_t uid;
    uint32_t flags;         /* enum maildir_flag, and letters without a meaning */
    uint32_t letters;       /* keywords, as in maildir_name */
    uint32_t internal_date; /* seconds since 1970, for message_source.c; 0: not looked at yet */
    uint64_t modseq;        /* RFC 7162 */
    bool recent;            /* no session was told of it as \Recent yet */
    bool met;               /* for folder.c */
};

/* Is told that the folder's messages have changed, but has no view of them. */
struct folder_watcher {
    struct folder_watcher *prev;
    struct folder_watcher *next;
    bool is_watching;
    /* Messages came, went or changed. May be called several times in a turn. */
    void (*on_change)(struct folder_watcher *watcher);
};

/* The slots of the view that was closed last, with nothing untold: the next one begins with them.
 */
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
    struct maildir box;                /* closed once nobody has used the folder for long */
    struct folder_record record;
    struct message *messages; /* by UID; those that are gone among them */
    size_t count;
    size_t capacity;
    size_t gone;
    struct names_block names; /* messages and their names, as they were read: folder_names.c */
    uint32_t uid_next;
    uint64_t modseq_next;
    struct view *views;
    struct view_rest rest; /* view.c's */
    struct folder_watcher *watchers;
    unsigned users; /* views, and commands that work on it */
    bool deleted;   /* its directory is no more; another folder may have the name by now */
    /* The rest is folder.c's. */
    struct watched watched;
    struct arrival *arrivals; /* no UID yet, oldest first */
    struct deferred in_next_turn;
    struct deferred at_turn_end;
    struct timespec times[2]; /* of new/ and cur/, when all in them was known; 0: unsure */
    ino_t inode;              /* of the directory */
    bool suspicious;          /* something went; only a look at all of it tells what */
    uint32_t missing[FOLDER_MISSING_MAX]; /* UIDs of which a file went, perhaps to a new name */
    unsigned missing_count;
    struct change_log changes;
    struct deferred flush_changes; /* at the end of the turn */
    uint32_t unseen_from;          /* none with a lower UID lacks \Seen */
    bool names_due; /* the file of storage/names_file.h does not say what is known here */
    unsigned names_tries;
    uint32_t learn_from; /* learn.c: the first UID that it has to look at; 0: none */
    bool index_swept;    /* message_cache.c: the index knows of no message that is gone */
};

/* ---- opening ---- */

/* The folder with that name on disk, up to date but for messages that still need a UID: see
 * folder_step(). ERROR_NOT_FOUND: there is none. *folder is NULL on failure. Each successful open
 * needs a folder_close(). Unused folders may be freed here, so `directory` must not point into one.
 */
bool folder_open(struct mailbox *mailbox, const char *directory, struct folder **folder,
                 struct error *error);
void folder_close(struct folder *folder);

/* One more use of an open folder; it needs a folder_close() of its own. */
static inline struct folder *folder_use(struct folder *folder)
{
    folder->users++;
    return folder;
}

/* The folder must stay in use as long as it is watched. folder_unwatch() may run twice. */
void folder_watch(struct folder *folder, struct folder_watcher *watcher);
void folder_unwatch(struct folder *folder, struct folder_watcher *watcher);

/* Gives UIDs to some of the messages that have arrived. False: none are left, or none can be given
 * now (disk full; logged). Clients see no message without a UID. Happens by itself turn after turn,
 * but whoever is to tell a client how many messages there are first calls it until it says false.
 */
bool folder_step(struct folder *folder);

/* Forgets the folders that nobody uses now, not only when they are too many. */
void folder_forget_unused(struct mailbox *mailbox);

/* The directory was removed, and its messages are gone for everyone; or it was renamed, with all
 * folders below it. */
void folder_on_deleted(struct mailbox *mailbox, const char *directory);
void folder_on_renamed(struct mailbox *mailbox, const char *from, const char *to);

/* Another process says that the folder has changed. */
void folder_on_changed(struct mailbox *mailbox, const char *directory);

/* What is known of unused folders also goes to disk, for the next process (folder_names.c): to be
 * called as the mailbox is opened and closed. folder_names_clear() may run twice. */
void folder_names_init(struct mailbox *mailbox);
void folder_names_clear(struct mailbox *mailbox);
/* A folder was closed, or the last session has ended: sets the time when that is to happen. */
void folder_names_arrange(struct mailbox *mailbox);

/* ---- looking ---- */

static inline uint32_t folder_message_count(const struct folder *folder)
{
    return (uint32_t)(folder->count - folder->gone);
}

/* The highest UID that there is, 0: none. */
static inline uint32_t folder_last_uid(const struct folder *folder)
{
    return folder->count ? folder->messages[folder->count - 1].uid : 0;
}

/* HIGHESTMODSEQ (RFC 7162 3.1.2.1): nothing that a client was told has a higher one. */
static inline uint64_t folder_highest_modseq(const struct folder *folder)
{
    return folder->modseq_next - 1;
}

/* The position of the first message with that UID or a higher one. */
size_t folder_position(const struct folder *folder, uint32_t uid);

/* The message, or NULL: it is gone. Borrowed until the folder's next message comes, and until the
 * end of the turn. */
struct message *folder_find(const struct folder *folder, uint32_t uid);

/* The first message without \Seen, or NULL. Those that one call has passed the next does not look
 * at again. */
const struct message *folder_first_unseen(struct folder *folder);

/* Reads the directories again, since a file was not where it should be. */
bool folder_look(struct folder *folder, struct error *error);

/* ---- what has gone (folder_changes.c) ---- */

/* Tells the UIDs of messages that have gone since then, each once, in no order. False: that is not
 * known any more, of messages that went so long ago; nothing was told. */
typedef void folder_gone_visit(void *owner, uint32_t uid);
bool folder_visit_gone(struct folder *folder, uint64_t since_modseq, folder_gone_visit *visit,
                       void *owner);

/* ---- changing: every view is told ---- */

/* The letter of that keyword; one that the folder does not know yet is given one (on disk first).
 * ERROR_PERMANENT: there is no letter left, or it is no keyword that can be kept. */
bool folder_keyword(struct folder *folder, struct slice keyword, unsigned *letter,
                    struct error *error);

/* Off first, then on. */
struct message_change {
    uint32_t flags_off; /* enum maildir_flag */
    uint32_t flags_on;
    uint32_t letters_off;
    uint32_t letters_on;
};

/* Renames the file. `teller`, which may be NULL, is the view whose session tells its client itself.
 * ERROR_NOT_FOUND: another program has removed the message. */
bool folder_change(struct folder *folder, uint32_t uid, const struct message_change *change,
                   const struct view *teller, struct error *error);

/* Removes the file for good. ERROR_NOT_FOUND: it was gone. */
bool folder_remove(struct folder *folder, struct message *message, struct error *error);

/* The same of a message that the user is done with: it is kept, if the configuration says so
 * (undo.h). */
bool folder_expunge(struct folder *folder, struct message *message, struct error *error);

/* A power cut brings nothing back that was removed so far, and loses none that was kept. */
bool folder_flush_removed(struct folder *folder, struct error *error);

/* The same of a caller that flushes side by side: the directories, borrowed; so many of them. */
enum { FOLDER_REMOVED_FDS = 4 };
size_t folder_list_removed(const struct folder *folder, int fds[FOLDER_REMOVED_FDS]);

/* The message is in another folder now: it is gone here. */
void folder_moved_out(struct folder *folder, struct message *message);

/* The UID for the next message that is put into cur/, which may be shown from now on. To be used,
 * with folder_add(), before anybody else has a turn; one that is not used is lost, no more. */
bool folder_next_uid(struct folder *folder, uint32_t *uid, struct error *error);

/* The message with that UID, from folder_next_uid(), now is in cur/ under that name. */
bool folder_add(struct folder *folder, uint32_t uid, const char *name, struct error *error);

#endif
