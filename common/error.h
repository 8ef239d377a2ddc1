/*
 * How a failure travels: what can fail returns bool and fills a struct error. The kind decides the
 * answer to the peer, the text tells the administrator. The text grows on the way up
 * (error_prefix); only the layer that answers the peer logs it, once. Any process.
 */
#ifndef COMMON_ERROR_H
#define COMMON_ERROR_H

#include <stdbool.h>

enum error_kind {
    ERROR_NONE = 0,
    ERROR_TEMPORARY, /* 4yz: no space, no memory, a dead peer process; the same may succeed later */
    ERROR_PERMANENT, /* 5yz: will not succeed as asked */
    ERROR_PEER,      /* the other side broke the protocol: bad syntax, a hostile record */
    ERROR_NOT_FOUND, /* what was named does not exist */
    ERROR_EXISTS,    /* what was to be made exists */
};

struct error {
    enum error_kind kind;
    int code;       /* errno where a call failed, else 0 */
    char text[240]; /* for people, NUL-terminated, no newline; cut with "..." where too long */
};

/* Each of these returns false, so that a failing function can `return error_set(...)`.
 * A NULL error is allowed: the caller wants the verdict alone. */
bool error_set(struct error *error, enum error_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "<format>: <strerror(errno)>". ENOENT is ERROR_NOT_FOUND, EEXIST ERROR_EXISTS, and all else,
 * ENOSPC, EDQUOT, EIO, ENOMEM, EMFILE among it, ERROR_TEMPORARY. errno is kept. */
bool error_errno(struct error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Puts "<format>: " before the text that is there; kind and code stay. */
bool error_prefix(struct error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* "out of memory", ERROR_TEMPORARY, ENOMEM. */
bool error_memory(struct error *error);

/* The same calls, as macros: a compiler or an analyzer sees here that they return false. */
static inline bool error_false(bool ignored)
{
    (void)ignored;
    return false;
}
#define error_set(...) error_false((error_set)(__VA_ARGS__))
#define error_errno(...) error_false((error_errno)(__VA_ARGS__))
#define error_prefix(...) error_false((error_prefix)(__VA_ARGS__))
#define error_memory(error) error_false((error_memory)(error))

#endif
