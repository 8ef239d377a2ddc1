/* The growing buffer of buffer.h. Allocates; any process. */
#include "common/buffer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/size.h"

enum { SMALLEST_ALLOCATION = 64 };

void buffer_init(struct buffer *buffer, size_t limit)
{
    *buffer = (struct buffer)BUFFER_WITH_LIMIT(limit);
}

void buffer_clear(struct buffer *buffer)
{
    free(buffer->ptr);
    buffer_init(buffer, buffer->limit);
}

void buffer_reset(struct buffer *buffer)
{
    buffer->len = 0;
    buffer->failed = false;
}

static bool fail(struct buffer *buffer)
{
    buffer->failed = true;
    return false;
}

bool buffer_reserve(struct buffer *buffer, size_t octets)
{
    size_t needed;
    if (buffer->failed || !size_add(buffer->len, octets, &needed) || needed > buffer->limit)
        return fail(buffer);
    if (needed <= buffer->capacity)
        return true;
    size_t capacity = buffer->capacity ? buffer->capacity : SMALLEST_ALLOCATION;
    while (capacity < needed)
        if (!size_mul(capacity, 2, &capacity))
            return fail(buffer);
    if (capacity > buffer->limit)
        capacity = buffer->limit;
    uint8_t *grown = realloc(buffer->ptr, capacity);
    if (!grown)
        return fail(buffer);
    buffer->ptr = grown;
    buffer->capacity = capacity;
    return true;
}

void buffer_commit(struct buffer *buffer, size_t octets)
{
    assert(octets <= buffer->capacity - buffer->len);
    buffer->len += octets;
}

void buffer_append(struct buffer *buffer, struct slice octets)
{
    if (octets.len == 0)
        return;
    /* Octets of the buffer itself are found again by their offset after it moved. */
    bool own = buffer->ptr && octets.ptr >= buffer->ptr && octets.ptr < buffer->ptr + buffer->len;
    size_t offset = own ? (size_t)(octets.ptr - buffer->ptr) : 0;
    if (!buffer_reserve(buffer, octets.len))
        return;
    memcpy(buffer->ptr + buffer->len, own ? buffer->ptr + offset : octets.ptr, octets.len);
    buffer->len += octets.len;
}

void buffer_append_octet(struct buffer *buffer, uint8_t octet)
{
    if (buffer_reserve(buffer, 1))
        buffer->ptr[buffer->len++] = octet;
}

void buffer_append_string(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, slice_of_string(text));
}

void buffer_append_number(struct buffer *buffer, uint64_t number)
{
    uint8_t digits[20];
    size_t start = sizeof(digits);
    do {
        digits[--start] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    buffer_append(buffer, slice_of(digits + start, sizeof(digits) - start));
}

void buffer_append_format(struct buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int needed = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    /* One octet more for the NUL that vsnprintf insists on; it is not part of the content. */
    if (needed >= 0 && buffer_reserve(buffer, (size_t)needed + 1)) {
        vsnprintf((char *)buffer->ptr + buffer->len, (size_t)needed + 1, format, again);
        buffer->len += (size_t)needed;
    } else {
        buffer->failed = true;
    }
    va_end(again);
}

void buffer_consume(struct buffer *buffer, size_t octets)
{
    assert(octets <= buffer->len);
    buffer->len -= octets;
    if (buffer->len > 0)
        memmove(buffer->ptr, buffer->ptr + octets, buffer->len);
}

void buffer_truncate(struct buffer *buffer, size_t len)
{
    assert(len <= buffer->len);
    buffer->len = len;
}
