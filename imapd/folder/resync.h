/*
 * What a client that was away is told (RFC 7162 3.2.5, 3.2.6): which of the messages that it knows
 * have gone since. imapd-mailbox.
 */
#ifndef IMAPD_FOLDER_RESYNC_H
#define IMAPD_FOLDER_RESYNC_H

#include "imapd/folder/view.h"

/* Writes "* VANISHED (EARLIER) 41,43:116": of the UIDs in `known` (resolved; NULL: all) those
 * that have gone since that MODSEQ, or where that is not known any more, all that are not there;
 * nothing where there are none. The arena is for the set. */
bool resync_write_vanished(const struct view *view, const struct sequence_set *known,
                           uint64_t since_modseq, struct arena *arena, struct writer *writer,
                           struct error *error);

#endif
