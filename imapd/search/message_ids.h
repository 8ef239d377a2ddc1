/*
 * The message identifiers of Message-ID, References and In-Reply-To as THREAD compares them (RFC
 * 5256 3: "<"left"@"right">" without quotes, comments and white space). Linear; pure;
 * imapd-mailbox.
 */
#ifndef IMAPD_SEARCH_MESSAGE_IDS_H
#define IMAPD_SEARCH_MESSAGE_IDS_H

#include "common/buffer.h"
#include "common/text/cursor.h"

/* Appends the valid identifiers of a field's body (at most `most`), each as "left@right" and a LF.
 * Returns their number. */
size_t message_ids_append(struct slice body, size_t most, struct buffer *ids);

/* Reads the next appended identifier, which may be empty. */
bool message_ids_next(struct cursor *in, struct slice *id);

#endif
