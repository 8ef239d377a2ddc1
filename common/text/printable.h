/* What may be shown of a text that anybody may have written. Pure; any process. */
#ifndef COMMON_TEXT_PRINTABLE_H
#define COMMON_TEXT_PRINTABLE_H

#include "common/buffer.h"

/* Octets of the one character in UTF-8 (RFC 3629 4) that the text begins with, which no terminal
 * obeys (U+0080 to U+009F are controls too); 0: there is none. text: not empty. */
size_t printable_character(struct slice text);

/* Appends the text with '?' for each octet that belongs to none. */
void printable_append(struct slice text, struct buffer *out);

#endif
