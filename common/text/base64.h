/*
 * Base64 of RFC 4648 section 4, strict: what decodes is exactly what base64_encode() writes, so one
 * value has one text. No line breaks, no missing or superfluous padding, no bits left over (MIME's
 * forgiving kind is a matter of common/mime). Pure; any process.
 */
#ifndef COMMON_TEXT_BASE64_H
#define COMMON_TEXT_BASE64_H

#include "common/buffer.h"

/* Octets of the text of so many octets: BASE64_LENGTH(3) is 4. For sizes of ours. */
#define BASE64_LENGTH(octets) (((octets) + 2) / 3 * 4)

/* Appends the text. Failure is the buffer's. */
void base64_encode(struct slice octets, struct buffer *text);

/* Writes the octets and how many they are. False, with *len untouched and `octets` unspecified, if
 * the text is not base64 or its value longer than `size`. The empty text is a value of no octets.
 * The text may hold a secret: it is not copied anywhere but to `octets`. */
bool base64_decode(struct slice text, uint8_t *octets, size_t size, size_t *len);

#endif
