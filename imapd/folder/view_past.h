/*
 * A view as it was when its session fell asleep (imapd/session/hibernation.h): which messages the
 * client knows, and up to which MODSEQ all of their flags. Small however many they are: UIDs are
 * ranges, and flags are not in it, since the folder knows by MODSEQ which have changed since.
 *
 * What has changed meanwhile is news of the view that is made of it, and told as any other: an
 * EXPUNGE for what is gone, FETCH, EXISTS (RFC 9051 7.5.1). Pure but for view_past_restore();
 * imapd-mailbox.
 */
#ifndef IMAPD_FOLDER_VIEW_PAST_H
#define IMAPD_FOLDER_VIEW_PAST_H

#include "imapd/folder/view.h"

enum { VIEW_PAST_MESSAGES_MAX = 4 << 20 }; /* a view of more is not kept so: 32 MiB when restored */

/* UIDs or other numbers from 1 on, in order, as it is in the record: view_past.c reads it. */
struct past_set {
    struct slice ranges;
    uint64_t size; /* of the numbers in it */
};

struct view_past {
    uint32_t uidvalidity;
    uint64_t told_modseq; /* what changed before is no news of a message in `uids` */
    uint32_t last_uid;
    uint32_t letters; /* keywords that FLAGS has named */
    uint32_t told_recent;
    bool read_only;
    bool keywords_changed;
    struct past_set uids;
    struct past_set recent;  /* the next two: of `uids` */
    struct past_set changed; /* before told_modseq, and not told */
    struct past_set saved;   /* "$" */
};

/* Appends the view, of which there is a folder. A buffer that failed, or a view that is too large:
 * its session cannot sleep. */
bool view_past_format(const struct view *view, struct buffer *text);

/* What view_past_format() has written, borrowed from there; false, the cursor anywhere, for
 * anything else. */
bool view_past_parse(struct cursor *in, struct view_past *past);

/* Opens the view as it was then, with what has changed as its news. Takes over one use of the
 * folder; on failure it stays the caller's. ERROR_NOT_FOUND: it is another folder now. */
bool view_past_restore(const struct view_past *past, struct view *view, struct folder *folder,
                       struct error *error);

/* Numbers as the record has them: seven bits an octet, the lowest first. */
void past_append_number(struct buffer *text, uint64_t number);
bool past_take_number(struct cursor *in, uint64_t most, uint64_t *number);

#endif
