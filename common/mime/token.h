/*
 * The smallest words of mail header fields: white space and comments, atoms, quoted strings, tokens
 * (RFC 5322 3.2 with the obsolete forms of 4.1, RFC 2045 5.1, RFC 6532 3.1 for octets above 127).
 * Input may be folded or unfolded: CR and LF are white space here. What is opened and never closed,
 * a comment or a quoted string, reaches to the end of the input, so that no octet is ever read
 * again for it. Pure; any process.
 */
#ifndef COMMON_MIME_TOKEN_H
#define COMMON_MIME_TOKEN_H

#include "common/buffer.h"
#include "common/text/cursor.h"

enum token_class {
    TOKEN_SPACE = 1,      /* SP, HTAB, CR, LF */
    TOKEN_ATEXT = 2,      /* atext, RFC 5322 3.2.3, and any octet above 127 */
    TOKEN_MIME = 4,       /* token, RFC 2045 5.1, and any octet above 127 */
    TOKEN_FIELD_NAME = 8, /* ftext, RFC 5322 3.6.8 */
    TOKEN_ATTRIBUTE = 16, /* attribute-char, RFC 2231 7 */
    TOKEN_DTEXT = 32,     /* dtext, RFC 5322 3.4.1, and any octet above 127 */
};
extern const uint8_t token_classes[256];

static inline bool token_is(uint8_t octet, enum token_class class)
{
    return (token_classes[octet] & class) != 0;
}

/* Steps over white space alone. */
void token_skip_space(struct cursor *in);

/* Steps over [CFWS]: white space and comments. */
void token_skip_cfws(struct cursor *in);

/* One comment, if the cursor stands at its "(": its text without the outer parentheses and the
 * backslashes of quoted pairs is appended to *text, which may be NULL. */
bool token_take_comment(struct cursor *in, struct buffer *text);

/* One quoted string, if the cursor is at its opening quote. Appends its text without quotes,
 * backslashes of quoted pairs and line ends of folds to *text, which may be NULL. */
bool token_take_quoted(struct cursor *in, struct buffer *text);

/* The longest run of at least one octet of the class. */
bool token_take(struct cursor *in, enum token_class class, struct slice *run);

/* 0 to 15, or -1 for what is no hexadecimal digit; small letters count too. */
int token_hex_value(uint8_t octet);

/* Without white space (line ends too) at both ends. */
struct slice token_trim(struct slice text);
struct slice token_trim_end(struct slice text); /* at the end alone */

/* Appends the trimmed text, each run of white space in it a single space. Failure is the buffer's.
 */
void token_append_words(struct slice text, struct buffer *words);

#endif
