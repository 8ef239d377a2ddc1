/* The SCRAM grammar rules shared by both sides; implemented in scram.c. Pure. */
#ifndef COMMON_LOGIN_SCRAM_INTERNAL_H
#define COMMON_LOGIN_SCRAM_INTERNAL_H

#include "common/text/cursor.h"

/* attr-val = ALPHA "=" value, up to the next comma; value is not empty */
bool scram_take_attribute(struct cursor *in, uint8_t name, struct slice *value);

/* extensions = attr-val *("," attr-val), each with its comma before it, up to the end: those that
 * may be skipped */
bool scram_skip_extensions(struct cursor *in);

/* nonce = "r=" c-nonce [s-nonce]: printable = %x21-2B / %x2D-7E */
bool scram_take_nonce(struct cursor *in, struct slice *nonce);

/* posit-number = %x31-39 *DIGIT */
bool scram_parse_iterations(struct slice text, uint32_t *iterations);

#endif
