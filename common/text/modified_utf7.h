/*
 * Mailbox names in modified UTF-7 (RFC 3501 5.1.3): on the wire to clients that did not enable
 * UTF-8, and on disk, where every Maildir++ program writes them so. Pure but for the buffer that
 * takes the result; any process.
 *
 * Both directions are exact inverses: only the one canonical form of a name is decoded, so two
 * texts never mean one mailbox.
 */
#ifndef COMMON_TEXT_MODIFIED_UTF7_H
#define COMMON_TEXT_MODIFIED_UTF7_H

#include "common/buffer.h"

/* Appends the name in modified UTF-7. False, with part of it appended, if it is no valid UTF-8 or
 * contains NUL. Look at out->failed besides. */
bool modified_utf7_encode(struct slice utf8, struct buffer *out);

/* Appends the name in UTF-8. False, with part of it appended, if the text is not canonical modified
 * UTF-7: octets outside of printable ASCII, an unknown or unended shift, a lone surrogate, a NUL,
 * bits left over, base64 where the octet stands for itself, or two shifts that should be one. Look
 * at out->failed besides. */
bool modified_utf7_decode(struct slice text, struct buffer *out);

/* The same pair where one printable octet more must be shifted, because it separates levels. */
bool modified_utf7_encode_without(struct slice utf8, uint8_t shifted, struct buffer *out);
bool modified_utf7_decode_without(struct slice text, uint8_t shifted, struct buffer *out);

#endif
