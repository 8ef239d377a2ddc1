/*
 * QRESYNC (RFC 7162 3.2.5, 3.2.6): tells a reconnecting client which of its messages were removed
 * since. imapd-mailbox.
 */
#ifndef IMAPD_FOLDER_RESYNC_H
#define IMAPD_FOLDER_RESYNC_H

#include "imapd/folder/view.h"

/* Writes "* VANISHED (EARLIER) 41,43:116": the UIDs in `known` (resolved; NULL: all) removed since
 * this MODSEQ, or if the log does not go back that far, all UIDs that do not exist; nothing if
 * there are none. The arena holds the set. */
bool resync_write_vanished(const struct view *view, const struct sequence_set *known,
                           uint64_t since_modseq, struct arena *arena, struct writer *writer,
                           struct error *error);

#endif
