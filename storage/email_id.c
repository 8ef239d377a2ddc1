/* The identifiers of email_id.h. */
#include "storage/email_id.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "common/text/cursor.h"

enum { RANDOM_DIGITS = 16, QUEUE_ID_OCTETS = 13 };

static bool skip_digits(struct cursor *in, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t digit;
        if (!cursor_peek(in, &digit) || !(ascii_is_digit(digit) || (digit >= 'a' && digit <= 'f')))
            return false;
        cursor_skip(in, digit);
    }
    return true;
}

/* "C" or "L", 16HEXDIG */
static bool skip_random(struct cursor *in)
{
    return (cursor_skip(in, 'C') || cursor_skip(in, 'L')) && skip_digits(in, RANDOM_DIGITS);
}

/* "Q" queue-id "R" number, which expunged.h keeps; a queue id may have an "R", too */
static bool skip_delivered(struct cursor *in)
{
    uint64_t number;
    if (!cursor_skip(in, 'Q') || cursor_left(in) < QUEUE_ID_OCTETS)
        return false;
    in->at += QUEUE_ID_OCTETS;
    return cursor_skip(in, 'R') && cursor_take_number(in, &number);
}

/* The digits, where the name has them. */
static bool find_inherited(struct slice unique, struct slice *digits)
{
    struct cursor in = cursor_of(unique);
    uint64_t seconds;
    if (!cursor_take_number(&in, &seconds) || !cursor_skip(&in, '.')
        || !(skip_random(&in) || skip_delivered(&in)) || !cursor_skip(&in, 'E'))
        return false;
    struct cursor start = in;
    if (!skip_digits(&in, EMAIL_ID_DIGITS))
        return false;
    *digits = cursor_since(&in, &start);
    return cursor_skip(&in, '.');
}

void email_id_format(const struct maildir_name *name, char id[EMAIL_ID_SIZE])
{
    uint8_t hash[crypto_generichash_BYTES];
    struct slice digits;
    id[0] = 'M';
    if (find_inherited(name->unique, &digits)) {
        memcpy(id + 1, digits.ptr, digits.len);
        id[1 + digits.len] = '\0';
        return;
    }
    crypto_generichash(hash, sizeof(hash), name->unique.ptr, name->unique.len, NULL, 0);
    sodium_bin2hex(id + 1, EMAIL_ID_DIGITS + 1, hash, EMAIL_ID_DIGITS / 2);
}

void email_id_append(const struct maildir_name *name, char unique[MAILDIR_UNIQUE_MAX + 1])
{
    char id[EMAIL_ID_SIZE];
    size_t length = strlen(unique);
    email_id_format(name, id);
    snprintf(unique + length, MAILDIR_UNIQUE_MAX + 1 - length, "E%s", id + 1);
}
