/*
 * One session's view of its selected folder: which message has which sequence number, and which
 * changes the client has not been told yet. Sequence numbers change only in view_sync(), which
 * writes the responses (RFC 3501 7.4.1, RFC 9051 7.5.1). imapd-mailbox.
 */
#ifndef IMAPD_FOLDER_VIEW_H
#define IMAPD_FOLDER_VIEW_H

#include "imapd/folder/folder.h"
#include "imapd/syntax/sequence_set.h"
#include "imapd/syntax/writer.h"

enum view_mark {
    VIEW_RECENT = 1 << 0,  /* \Recent in this session */
    VIEW_CHANGED = 1 << 1, /* flags have changed: a FETCH response is due */
    VIEW_GONE = 1 << 2,    /* the message was removed: an EXPUNGE response is due */
};

/* Extensions that the client has enabled and that change the responses of RFC 3501. */
enum view_manner {
    VIEW_TELLS_MODSEQ = 1 << 0,   /* FETCH includes MODSEQ (CONDSTORE, RFC 7162 3.1) */
    VIEW_TELLS_VANISHED = 1 << 1, /* VANISHED for EXPUNGE, FETCH includes UID (QRESYNC, 3.2) */
    VIEW_REV2 = 1 << 2,       /* no \Recent, FETCH includes UID (IMAP4rev2, RFC 9051 A, E 12, 21) */
    VIEW_UTF8 = 1 << 3,       /* names and quoted strings in UTF-8 (IMAP4rev2, and RFC 6855 3) */
    VIEW_NO_CHARSET = 1 << 4, /* SEARCH may not name a charset (UTF8=ACCEPT, RFC 6855 3) */
    VIEW_HIDES_CHANGES = 1 << 5, /* no FETCH for flags that others changed (NOTIFY, RFC 5465 5.1) */
    VIEW_UID_ONLY = 1 << 6, /* UIDFETCH for FETCH, VANISHED for EXPUNGE (UIDONLY, RFC 9586 3) */
};

/* Flags that the client may not change, as it lacks the right "s", "t" or "w" (RFC 4314 4). */
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
    struct view *prev; /* in folder->views */
    struct view *next;
    struct folder *folder;   /* NULL: no folder is selected */
    bool read_only;          /* EXAMINE */
    unsigned fixed;          /* enum view_fixed, as PERMANENTFLAGS last told the client */
    struct view_slot *slots; /* slots[n - 1] is message number n */
    size_t count;
    size_t capacity;
    uint32_t last_uid;  /* messages with a higher UID have not been told yet */
    size_t recent;      /* slots marked VIEW_RECENT */
    size_t changed;     /* slots marked VIEW_CHANGED */
    size_t gone;        /* slots marked VIEW_GONE */
    size_t told_recent; /* the number in the last RECENT response */
    /* "$", the saved SEARCH result (RFC 5182): ascending UIDs, perhaps of removed messages too. */
    struct sequence_range *saved;
    size_t saved_count;
    bool keywords_changed; /* FLAGS and PERMANENTFLAGS are due */
    /* The next two belong to the session and survive view_close(). */
    unsigned manner; /* enum view_manner */
    /* Called on every change: an idling session reports it now, others at their next command. */
    void (*on_news)(struct view *view);
};

/* Which changes may be reported now. */
enum view_extent {
    VIEW_KEEP_NUMBERS, /* during FETCH, STORE, SEARCH: no EXPUNGE */
    VIEW_ALL,
};

/* Takes over one use of the folder, which view_close() releases; on failure the caller keeps it.
 * The messages in the folder now count as told. */
bool view_open(struct view *view, struct folder *folder, bool read_only, struct error *error);
void view_close(struct view *view); /* may run twice */

bool view_has_news(const struct view *view, enum view_extent extent);

/* Writes the FLAGS, FETCH, EXPUNGE (or VANISHED), EXISTS and RECENT responses for what has changed.
 * False: no memory for new messages, which the next call reports. `with_uid`: FETCH includes the
 * UID (RFC 3501 6.4.8). */
bool view_sync(struct view *view, enum view_extent extent, bool with_uid, struct writer *writer,
               struct error *error);

/* "* OK [HIGHESTMODSEQ 715194045007]" (RFC 7162 3.1.2.1). */
void view_write_highest_modseq(const struct view *view, struct writer *writer);

/* FLAGS and PERMANENTFLAGS (RFC 3501 6.3.1, 7.2.6). */
void view_write_flag_lists(const struct view *view, struct writer *writer);

/* ---- messages ---- */

/* The slot's message, or NULL if it was removed; borrowed as from folder_find(). */
struct message *view_message(const struct view *view, size_t index);

/* The index of the first slot with this UID or a higher one; view->count: none. */
size_t view_position(const struct view *view, uint32_t uid);

/* Resolves a command's sequence set, including "$". False with set->full: no memory. False without:
 * a sequence number exceeds the number of messages, which is BAD (RFC 3501 9, seq-number). */
bool view_resolve(const struct view *view, struct sequence_set *set, bool by_uid);

/* Cuts a resolved set to the `limit` messages with the highest UIDs. Returns the lowest UID kept;
 * 0: the set had no more than `limit`. */
uint32_t view_keep_highest(const struct view *view, struct sequence_set *set, bool by_uid,
                           size_t limit);

/* Replaces "$" by these ranges of ascending UIDs, from malloc(); takes ownership. */
void view_take_saved(struct view *view, struct sequence_range *uids, size_t count);

/* Walks the slots of a resolved set, in order. A walk may continue in a later turn, but not after a
 * view_sync(VIEW_ALL). */
struct view_walk {
    const struct sequence_set *set;
    bool by_uid;
    size_t range; /* the current range of the set */
    size_t index; /* the next slot */
};
struct view_walk view_walk_begin(const struct sequence_set *set, bool by_uid);
bool view_walk_next(const struct view *view, struct view_walk *walk, size_t *index);
/* The number of slots still to come. */
size_t view_walk_count(const struct view *view, struct view_walk walk);

/* "* 12 FETCH (", or with UIDONLY "* 4827313 UIDFETCH (". A FLAGS response that is due goes first,
 * so that the client knows a keyword before a message has it: "the update from the FLAGS response
 * MUST be remembered by the client" (RFC 9051 7.3.1). */
void view_begin_fetch(struct view *view, size_t index, struct writer *writer);

/* "* 12 FETCH (FLAGS (\Seen))", with the UID if asked for; nothing if the message was removed.
 * Clears the slot's VIEW_CHANGED. */
void view_write_flags(struct view *view, size_t index, bool with_uid, struct writer *writer);
/* "* 12 FETCH (MODSEQ (65402))": all that a client must be told after its own STORE. */
void view_write_modseq(struct view *view, size_t index, bool with_uid, struct writer *writer);
/* Only the value "(65402)". */
void view_append_modseq(const struct message *message, struct buffer *text);
/* Only the value "(\Seen)"; not for a removed message. Clears the slot's VIEW_CHANGED. */
void view_append_flags(struct view *view, size_t index, const struct message *message,
                       struct buffer *text);

/* ---- for folder.c ---- */

void view_rest_clear(struct view_rest *rest); /* may run twice */

void view_on_changed(struct view *view, uint32_t uid);
void view_on_gone(struct view *view, uint32_t uid);
void view_on_arrived(struct view *view);
void view_on_keywords(struct view *view);

#endif
