/*
 * The bodies of Content-Type, Content-Disposition, Content-Transfer-Encoding and Content-Language
 * (RFC 2045 5 and 6, RFC 2183, RFC 2231, RFC 3282), folded or not. Results borrow from the input or
 * lie in the caller's arena. Linear; pure; any process.
 */
#ifndef COMMON_MIME_CONTENT_H
#define COMMON_MIME_CONTENT_H

#include "common/arena.h"
#include "common/text/cursor.h"

struct content_type {
    struct slice type;
    struct slice subtype;
    struct slice parameters; /* what follows, for content_parameters_parse */
};

/* False, *type untouched, where there is no type "/" subtype: then RFC 2045 5.2 decides. */
bool content_type_parse(struct slice body, struct content_type *type);

/* The word that begins Content-Disposition or is the value of Content-Transfer-Encoding; false if
 * there is none. */
bool content_word_parse(struct slice body, struct slice *word, struct slice *parameters);

/* The next language tag of a Content-Language list, separators and comments skipped. */
bool content_language_next(struct cursor *in, struct slice *tag);

struct content_parameter {
    struct slice name; /* as written; with a "*" at its end if the value is an RFC 2231 4 one */
    struct slice value;
};

/* More are left out: 100 parameters of one field are no mail. */
enum { CONTENT_PARAMETERS_LIMIT = 100 };

struct content_parameters {
    struct content_parameter *list;
    size_t count;
};

/* Quotes and comments removed; continuations (RFC 2231 3) joined under the plain name, as RFC 2231
 * 6 asks of IMAP servers. What is no parameter is left out. A value that should have been quoted
 * and is not reaches to its semicolon. False without memory. */
bool content_parameters_parse(struct slice text, struct arena *arena,
                              struct content_parameters *parameters);

/* The value of the first parameter of that name, in any case; else of the RFC 2231 4 form of it,
 * "name*", its %-encoding undone and its charset and language left out. False if there is neither,
 * or where the arena has no memory for the decoded octets. */
bool content_parameters_find(const struct content_parameters *parameters, struct slice name,
                             struct arena *arena, struct slice *value);

#endif
