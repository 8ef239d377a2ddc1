/*
 * The base subject of a message (RFC 5256 2.1): its subject without "Re:", "[list]", "(fwd)" and
 * their like, by which SORT and THREAD compare. Linear; pure; imapd-mailbox.
 */
#ifndef IMAPD_SEARCH_BASE_SUBJECT_H
#define IMAPD_SEARCH_BASE_SUBJECT_H

#include "common/buffer.h"

/* Step 1: appends the field's body as UTF-8, each run of white space a single space. */
void base_subject_decode(struct slice body, struct buffer *text);

/* Steps 2 to 6, of such a text: the part of it that is the base, perhaps empty. *is_reply: a mark
 * of a reply or forward was taken away (RFC 5256 3, REFERENCES, step 5). */
struct slice base_subject_find(struct slice text, bool *is_reply);

#endif
