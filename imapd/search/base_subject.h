/*
 * The base subject of a message (RFC 5256 2.1), which SORT and THREAD compare: the subject without
 * "Re:", "[list]", "(fwd)" and the like. Linear; pure; imapd-mailbox.
 */
#ifndef IMAPD_SEARCH_BASE_SUBJECT_H
#define IMAPD_SEARCH_BASE_SUBJECT_H

#include "common/buffer.h"

/* Step 1: appends the field's body as UTF-8, each run of white space a single space. */
void base_subject_decode(struct slice body, struct buffer *text);

/* Steps 2 to 6: the part of such a text that is the base subject, perhaps empty. *is_reply: a reply
 * or forward mark was removed (RFC 5256 3, REFERENCES, step 5). */
struct slice base_subject_find(struct slice text, bool *is_reply);

#endif
