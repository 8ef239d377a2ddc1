/*
 * Whether a message is what a SEARCH asks for (RFC 3501 6.4.4): the cheap keys from the view, the
 * others from the message. imapd-mailbox.
 */
#ifndef IMAPD_SEARCH_H
#define IMAPD_SEARCH_H

#include "imapd/message_source.h"
#include "imapd/search_key.h"
#include "imapd/view.h"

/* Makes the keys ready: sets resolved, texts from the program's charset to folded UTF-8 in the
 * arena, keys in an order that asks the cheap ones first. False: no memory (*problem NULL), or
 * *problem, for a BAD: a number that no message has. */
bool search_prepare(struct search_program *program, const struct view *view, struct arena *arena,
                    const char **problem);

/* False: the charset is not known, which is NO [BADCHARSET] (RFC 3501 6.4.4). */
bool search_charset_is_known(struct slice charset);

/* *matches for the message at that index of the view. ERROR_NOT_FOUND: it is gone. The source is
 * turned to it. */
bool search_matches(const struct search_key *key, const struct view *view, size_t index,
                    struct message_source *source, bool *matches, struct error *error);

#endif
