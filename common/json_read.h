/*
 * JSON as others write it (RFC 8259), read in place: a value is the octets that it stands in.
 * json_parse() looks at the whole text once, so that the others meet nothing malformed. Pure; no
 * allocation but by the caller's buffer.
 */
#ifndef COMMON_JSON_READ_H
#define COMMON_JSON_READ_H

#include "common/buffer.h"
#include "common/slice.h"

enum json_kind {
    JSON_OBJECT,
    JSON_ARRAY,
    JSON_STRING,
    JSON_NUMBER,
    JSON_WORD, /* true, false, null */
};

struct json_value {
    enum json_kind kind;
    struct slice text; /* borrowed: from the first octet to the last */
};

/* One value and nothing else, in UTF-8, nested 32 deep at most. False: it is none. */
bool json_parse(struct slice text, struct json_value *value);

/* The member of that name; false: there is none, or there are two, or the value is no object. */
bool json_member(const struct json_value *object, const char *name, struct json_value *member);

/* Walks an array: begin with *rest = its text. False: there are no more. */
bool json_next(struct slice *rest, struct json_value *element);

/* What a string says, without quotes and escapes, in UTF-8. False: no string, too long for the
 * buffer, or it has a NUL. */
bool json_text(const struct json_value *value, struct buffer *text);

/* Is it that string? Of one without escapes. */
bool json_is(const struct json_value *value, const char *text);

/* A number without its fraction. False: no number, or none below 2^53. */
bool json_integer(const struct json_value *value, int64_t *integer);

#endif
