/*
 * Parses the bodies of Content-Type, Content-Disposition, Content-Transfer-Encoding and
 * Content-Language (RFC 2045 5 and 6, RFC 2183, RFC 2231, RFC 3282), folded or not. Results borrow
 * from the input or lie in the caller's arena. Linear; pure; any process.
 */
#ifndef COMMON_MIME_CONTENT_H
#define COMMON_MIME_CONTENT_H

#include "common/arena.h"
#include "common/text/cursor.h"

struct content_type {
    struct slice type;
    struct slice subtype;
    struct slice parameters; /* the rest, for content_parameters_parse */
};

/* False, with *type untouched, if there is no type "/" subtype: then RFC 2045 5.2 applies. */
bool content_type_parse(struct slice body, struct content_type *type);

/* Parses the first word of Content-Disposition, or the value of Content-Transfer-Encoding. False if
 * there is none. */
bool content_word_parse(struct slice body, struct slice *word, struct slice *parameters);

/* Takes the next language tag of a Content-Language list, skipping separators and comments. */
bool content_language_next(struct cursor *in, struct slice *tag);

struct content_parameter {
    struct slice name; /* as written; ends in "*" if the value is encoded by RFC 2231 4 */
    struct slice value;
};

/* Further parameters of a field are ignored: no genuine mail has so many. */
enum { CONTENT_PARAMETERS_LIMIT = 100 };

struct content_parameters {
    struct content_parameter *list;
    size_t count;
};

/* Removes quotes and comments; joins continuations (RFC 2231 3) under the plain name, as RFC 2231 6
 * asks of IMAP servers. Malformed parameters are skipped. A value that lacks its quotes extends to
 * the semicolon. False: no memory. */
bool content_parameters_parse(struct slice text, struct arena *arena,
                              struct content_parameters *parameters);

/* The value of the first parameter of that name, ignoring case; else of its RFC 2231 4 form,
 * "name*", %-decoded, without charset and language. False if there is neither, or if the arena has
 * no memory for the decoded octets. */
bool content_parameters_find(const struct content_parameters *parameters, struct slice name,
                             struct arena *arena, struct slice *value);

#endif
