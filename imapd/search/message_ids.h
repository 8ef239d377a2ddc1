/*
 * The message identifiers of Message-ID, References and In-Reply-To as THREAD compares them (RFC
 * 5256 3: "<"left"@"right">" without quotes, comments and white space). Linear; pure;
 * imapd-mailbox.
 */
#ifndef IMAPD_SEARCH_MESSAGE_IDS_H
#define IMAPD_SEARCH_MESSAGE_IDS_H

#include "common/buffer.h"
#include "common/text/cursor.h"

/* Appends each valid one of a field's body (at most `most`) as "left@right" and a LF. How many. */
size_t message_ids_append(struct slice body, size_t most, struct buffer *ids);

/* The next of what was appended; it may be empty. */
bool message_ids_next(struct cursor *in, struct slice *id);

#endif
