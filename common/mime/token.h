/*
 * The lexical tokens of mail header fields: white space and comments, atoms, quoted strings, tokens
 * (RFC 5322 3.2 with the obsolete forms of 4.1, RFC 2045 5.1, RFC 6532 3.1 for octets above 127).
 * Input may be folded or unfolded: CR and LF are white space here. An unclosed comment or quoted
 * string extends to the end of the input, so that no octet is read twice. Pure; any process.
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

/* Skips white space only. */
void token_skip_space(struct cursor *in);

/* Skips [CFWS]: white space and comments. */
void token_skip_cfws(struct cursor *in);

/* Takes one comment, if the cursor is at its "(". Appends its text without the outer parentheses
 * and the backslashes of quoted pairs to *text, which may be NULL. */
bool token_take_comment(struct cursor *in, struct buffer *text);

/* Takes one quoted string, if the cursor is at its opening quote. Appends its text without quotes,
 * backslashes of quoted pairs and line ends of folds to *text, which may be NULL. */
bool token_take_quoted(struct cursor *in, struct buffer *text);

/* Takes the longest run of at least one octet of the class. */
bool token_take(struct cursor *in, enum token_class class, struct slice *run);

/* 0 to 15, or -1 if it is not a hexadecimal digit of either case. */
int token_hex_value(uint8_t octet);

/* Trims white space, including line ends, at both ends. */
struct slice token_trim(struct slice text);
struct slice token_trim_end(struct slice text); /* at the end only */

/* Appends the trimmed text with each run of white space as a single space. Failure is recorded in
 * the buffer.
 */
void token_append_words(struct slice text, struct buffer *words);

#endif
