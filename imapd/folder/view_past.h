/*
 * A view saved when its session hibernates (imapd/session/hibernation.h): which messages the client
 * knows, and up to which MODSEQ it knows their flags. Small for any number of messages: UIDs are
 * ranges, and flags are left out, since the folder knows by MODSEQ which have changed.
 *
 * The restored view reports what changed meanwhile like any other change: EXPUNGE for removed
 * messages, FETCH, EXISTS (RFC 9051 7.5.1). Pure, except view_past_restore(). imapd-mailbox.
 */
#ifndef IMAPD_FOLDER_VIEW_PAST_H
#define IMAPD_FOLDER_VIEW_PAST_H

#include "imapd/folder/view.h"

enum { VIEW_PAST_MESSAGES_MAX = 4 << 20 }; /* larger views are not saved: 32 MiB when restored */

/* An ascending set of numbers from 1 on, as encoded in the record; view_past.c decodes it. */
struct past_set {
    struct slice ranges;
    uint64_t size; /* how many numbers */
};

struct view_past {
    uint32_t uidvalidity;
    uint64_t told_modseq; /* changes to `uids` up to this MODSEQ are told, except `changed` */
    uint32_t last_uid;
    uint32_t letters; /* keywords that FLAGS has named */
    uint32_t told_recent;
    bool read_only;
    bool keywords_changed;
    struct past_set uids;
    struct past_set recent;  /* subset of `uids` */
    struct past_set changed; /* subset of `uids` with changes up to told_modseq not yet told */
    struct past_set saved;   /* "$" */
};

/* Appends the view, which must have a folder. If the buffer fails or the view is too large, the
 * session cannot hibernate. */
bool view_past_format(const struct view *view, struct buffer *text);

/* Parses the output of view_past_format(), borrowing from it. False, with the cursor anywhere: it
 * is malformed. */
bool view_past_parse(struct cursor *in, struct view_past *past);

/* Opens the view as it was, with later changes due to be reported. Takes over one use of the
 * folder; on failure the caller keeps it. ERROR_NOT_FOUND: the name now belongs to another
 * folder. */
bool view_past_restore(const struct view_past *past, struct view *view, struct folder *folder,
                       struct error *error);

/* A number as encoded in the record: seven bits per octet, lowest first. */
void past_append_number(struct buffer *text, uint64_t number);
bool past_take_number(struct cursor *in, uint64_t most, uint64_t *number);

#endif
