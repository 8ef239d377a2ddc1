/* Filling a struct error. No I/O, no allocation; any process. */
#include "common/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 3, 0))) static void format_text(char *text, size_t size,
                                                              const char *format, va_list arguments)
{
    int needed = vsnprintf(text, size, format, arguments);
    if (needed < 0)
        text[0] = '\0';
    else if ((size_t)needed >= size)
        memcpy(text + size - 4, "...", 4);
}

bool(error_set)(struct error *error, enum error_kind kind, const char *format, ...)
{
    if (!error)
        return false;
    error->kind = kind;
    error->code = 0;
    va_list arguments;
    va_start(arguments, format);
    format_text(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
    return false;
}

static enum error_kind kind_of_errno(int code)
{
    switch (code) {
    case ENOENT:
        return ERROR_NOT_FOUND;
    case EEXIST:
        return ERROR_EXISTS;
    default:
        return ERROR_TEMPORARY;
    }
}

bool(error_errno)(struct error *error, const char *format, ...)
{
    int code = errno;
    if (!error)
        return false;
    error->kind = kind_of_errno(code);
    error->code = code;
    char what[sizeof(error->text)];
    va_list arguments;
    va_start(arguments, format);
    format_text(what, sizeof(what), format, arguments);
    va_end(arguments);
    const char *why = strerrordesc_np(code);
    error_set(error, error->kind, "%.180s: %s", what, why ? why : "unknown error");
    error->code = code;
    errno = code;
    return false;
}

bool(error_prefix)(struct error *error, const char *format, ...)
{
    if (!error)
        return false;
    char before[sizeof(error->text)];
    char after[sizeof(error->text)];
    va_list arguments;
    va_start(arguments, format);
    format_text(before, sizeof(before), format, arguments);
    va_end(arguments);
    memcpy(after, error->text, sizeof(after));
    int code = error->code;
    error_set(error, error->kind, "%.120s: %s", before, after);
    error->code = code;
    return false;
}

bool(error_memory)(struct error *error)
{
    errno = ENOMEM;
    return error_errno(error, "allocate");
}
