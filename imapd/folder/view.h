/*
 * What one session knows of the folder it selected: which message has which sequence number, and
 * what the client has not been told yet. Numbers change only in view_sync(), which tells (RFC 3501
 * 7.4.1, RFC 9051 7.5.1). imapd-mailbox.
 */
#ifndef IMAPD_FOLDER_VIEW_H
#define IMAPD_FOLDER_VIEW_H

#include "imapd/folder/folder.h"
#include "imapd/syntax/sequence_set.h"
#include "imapd/syntax/writer.h"

enum view_mark {
    VIEW_RECENT = 1 << 0,  /* \Recent in this session */
    VIEW_CHANGED = 1 << 1, /* its flags changed: a FETCH is due */
    VIEW_GONE = 1 << 2,    /* an EXPUNGE is due */
};

/* What the client has enabled, and so is told otherwise than RFC 3501 asks for. */
enum view_manner {
    VIEW_TELLS_MODSEQ = 1 << 0,   /* FETCH says MODSEQ (CONDSTORE, RFC 7162 3.1) */
    VIEW_TELLS_VANISHED = 1 << 1, /* VANISHED for EXPUNGE, FETCH says UID (QRESYNC, 3.2) */
    VIEW_REV2 = 1 << 2, /* nothing is recent, FETCH says UID (IMAP4rev2, RFC 9051 A, E 12, 21) */
    VIEW_UTF8 = 1 << 3, /* names and quoted strings in UTF-8 (IMAP4rev2, and RFC 6855 3) */
    VIEW_NO_CHARSET = 1 << 4,    /* SEARCH names none any more (UTF8=ACCEPT, RFC 6855 3) */
    VIEW_HIDES_CHANGES = 1 << 5, /* no FETCH for flags that others changed (NOTIFY, RFC 5465 5.1) */
    VIEW_UID_ONLY = 1 << 6, /* UIDFETCH for FETCH, VANISHED for EXPUNGE (UIDONLY, RFC 9586 3) */
};

/* RFC 4314 4: "s", "t" and "w" are missing. */
enum view_fixed {
    VIEW_FIXED_SEEN = 1 << 0,
    VIEW_FIXED_DELETED = 1 << 1,
    VIEW_FIXED_OTHERS = 1 << 2,
};

struct view_slot {
    uint32_t uid;
    uint32_t marks;
};

struct view {
    struct view *prev; /* of the folder */
    struct view *next;
    struct folder *folder; /* NULL: no folder is selected */
    bool read_only;        /* EXAMINE */
    unsigned fixed; /* enum view_fixed: flags that this client may not change, as it was told */
    struct view_slot *slots; /* slots[n - 1] is message number n */
    size_t count;
    size_t capacity;
    uint32_t last_uid; /* all above are news */
    size_t recent;     /* slots with that mark; the same for the next two */
    size_t changed;
    size_t gone;
    size_t told_recent; /* what the client knows of it */
    /* "$", what a SEARCH saved (RFC 5182): UIDs in order; those that are gone may be among them. */
    struct sequence_range *saved;
    size_t saved_count;
    bool keywords_changed; /* FLAGS and PERMANENTFLAGS are due */
    /* The next two are the session's, and stay as they are when it leaves the folder. */
    unsigned manner; /* enum view_manner */
    /* There are news: a session that idles tells them, others at their next command. */
    void (*on_news)(struct view *view);
};

/* How much may be said now. */
enum view_extent {
    VIEW_KEEP_NUMBERS, /* during FETCH, STORE, SEARCH: no EXPUNGE */
    VIEW_ALL,
};

/* Takes over one use of the folder, which view_close() gives back; on failure it stays the
 * caller's. The messages that are there count as told. */
bool view_open(struct view *view, struct folder *folder, bool read_only, struct error *error);
void view_close(struct view *view); /* may run twice */

bool view_has_news(const struct view *view, enum view_extent extent);

/* Writes the FLAGS, FETCH, EXPUNGE (or VANISHED), EXISTS and RECENT responses for what has changed.
 * False: no memory for news; they wait for the next time. `with_uid`: FETCH says the UID too (RFC
 * 3501 6.4.8). */
bool view_sync(struct view *view, enum view_extent extent, bool with_uid, struct writer *writer,
               struct error *error);

/* "* OK [HIGHESTMODSEQ 715194045007]" (RFC 7162 3.1.2.1). */
void view_write_highest_modseq(const struct view *view, struct writer *writer);

/* FLAGS and PERMANENTFLAGS (RFC 3501 6.3.1, 7.2.6). */
void view_write_flag_lists(const struct view *view, struct writer *writer);

/* ---- messages ---- */

/* The slot's message, or NULL if it is gone; borrowed as from folder_find(). */
struct message *view_message(const struct view *view, size_t index);

/* The index of the slot with that UID or the first above; view->count: none. */
size_t view_position(const struct view *view, uint32_t uid);

/* Resolves a set that came with a command, with "$" in it. False, with set->full: no memory; else:
 * by numbers, and one is larger than the number of messages, which is BAD (RFC 3501 9, seq-number).
 */
bool view_resolve(const struct view *view, struct sequence_set *set, bool by_uid);

/* Leaves of a resolved set the `limit` messages with the highest UIDs, and answers the lowest of
 * those; 0: it had no more. */
uint32_t view_keep_highest(const struct view *view, struct sequence_set *set, bool by_uid,
                           size_t limit);

/* From now on "$" is these ranges of UIDs, in order, from malloc(); they are taken over. */
void view_take_saved(struct view *view, struct sequence_range *uids, size_t count);

/* Walks the slots of a resolved set, in order. It may rest while others have their turn, but not
 * across a view_sync(VIEW_ALL). */
struct view_walk {
    const struct sequence_set *set;
    bool by_uid;
    size_t range; /* that is being walked */
    size_t index; /* the next slot */
};
struct view_walk view_walk_begin(const struct sequence_set *set, bool by_uid);
bool view_walk_next(const struct view *view, struct view_walk *walk, size_t *index);
/* How many are to come. */
size_t view_walk_count(const struct view *view, struct view_walk walk);

/* "* 12 FETCH (", or "* 4827313 UIDFETCH (" for who knows UIDs alone; before it FLAGS, where that
 * is due: "the update from the FLAGS response MUST be remembered by the client" (RFC 9051 7.3.1),
 * and so it knows a keyword before a message has it. */
void view_begin_fetch(struct view *view, size_t index, struct writer *writer);

/* "* 12 FETCH (FLAGS (\Seen))", with the UID if asked for; nothing if the message is gone. What is
 * said so is no news any more. */
void view_write_flags(struct view *view, size_t index, bool with_uid, struct writer *writer);
/* "* 12 FETCH (MODSEQ (65402))": all that a client must hear of what it stored itself. */
void view_write_modseq(struct view *view, size_t index, bool with_uid, struct writer *writer);
/* Only the value "(65402)". */
void view_append_modseq(const struct message *message, struct buffer *text);
/* Only the value "(\Seen)"; not for a message that is gone. */
void view_append_flags(struct view *view, size_t index, const struct message *message,
                       struct buffer *text);

/* ---- for folder.c ---- */

void view_rest_clear(struct view_rest *rest); /* may run twice */

void view_on_changed(struct view *view, uint32_t uid);
void view_on_gone(struct view *view, uint32_t uid);
void view_on_arrived(struct view *view);
void view_on_keywords(struct view *view);

#endif
