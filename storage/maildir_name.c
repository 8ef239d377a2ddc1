/* Parsing and formatting Maildir file names; see maildir_name.h. Pure; any process. */
#include "storage/maildir_name.h"

#include <assert.h>

#include "common/text/cursor.h"

enum { LETTERS = 26 };

/* In 30 000 years. A larger number is not a time, and could overflow. */
#define SECONDS_MAX ((UINT64_C(1) << 40) - 1)

/* ---- parsing ---- */

static bool is_upper(uint8_t octet)
{
    return octet >= 'A' && octet <= 'Z';
}

static bool is_lower(uint8_t octet)
{
    return octet >= 'a' && octet <= 'z';
}

static bool can_name_a_message(struct slice text)
{
    return text.len > 0 && text.len <= MAILDIR_NAME_MAX && text.ptr[0] != '.'
           && slice_find_octet(text, '/') == text.len && slice_find_octet(text, '\0') == text.len;
}

/* A number from 1 to 2^32-1 as we write it: a leading zero makes it somebody else's. */
static bool take_nz_number(struct cursor *in, uint32_t *number)
{
    struct cursor start = *in;
    uint64_t value;
    uint8_t first;
    if (cursor_peek(in, &first) && first != '0' && cursor_take_number(in, &value)
        && value <= UINT32_MAX) {
        *number = (uint32_t)value;
        return true;
    }
    *in = start;
    return false;
}

/* uid-field = "U=" nz-number "." nz-number, and nothing after it */
static bool parse_uid_field(struct slice field, uint32_t *uidvalidity, uint32_t *uid)
{
    struct cursor in = cursor_of(field);
    return cursor_skip(&in, 'U') && cursor_skip(&in, '=') && take_nz_number(&in, uidvalidity)
           && cursor_skip(&in, '.') && take_nz_number(&in, uid) && cursor_at_end(&in);
}

static size_t find_last_comma(struct slice text)
{
    size_t at = text.len;
    while (at > 0)
        if (text.ptr[--at] == ',')
            return at;
    return text.len;
}

/* Takes our UID field off the end of the base name; what is left is the key. Should there be
 * several (nobody writes that), the last one counts and none stays, so that a key never looks as
 * if it bore a UID. */
static struct slice cut_uid_fields(struct slice base, struct maildir_name *name)
{
    for (;;) {
        uint32_t uidvalidity, uid;
        size_t comma = find_last_comma(base);
        if (comma == 0 || comma == base.len
            || !parse_uid_field(slice_from(base, comma + 1), &uidvalidity, &uid))
            return base;
        if (name->uid == 0) {
            name->uidvalidity = uidvalidity;
            name->uid = uid;
        }
        base = slice_range(base, 0, comma);
    }
}

struct size_field {
    uint64_t octets;
    unsigned seen;
};

static void parse_size_field(struct slice field, uint8_t letter, struct size_field *size)
{
    if (field.len < 2 || field.ptr[0] != letter || field.ptr[1] != '=')
        return;
    size->seen++;
    uint64_t octets;
    if (slice_parse_number(slice_from(field, 2), &octets))
        size->octets = octets;
}

/* Reads S= and W=. One that is malformed or stands there twice is as if it were absent: whoever
 * needs the size asks the file. */
static void parse_sizes(struct slice key, struct maildir_name *name)
{
    struct size_field on_disk = {0, 0}, with_crlf = {0, 0};
    struct slice rest = slice_from(key, slice_find_octet(key, ',') + 1);
    while (rest.len > 0) {
        size_t comma = slice_find_octet(rest, ',');
        struct slice field = slice_range(rest, 0, comma);
        parse_size_field(field, 'S', &on_disk);
        parse_size_field(field, 'W', &with_crlf);
        rest = slice_from(rest, comma + 1);
    }
    name->octets = on_disk.seen == 1 ? on_disk.octets : 0;
    name->crlf_octets = with_crlf.seen == 1 ? with_crlf.octets : 0;
}

static void parse_seconds(struct slice unique, struct maildir_name *name)
{
    struct cursor in = cursor_of(unique);
    uint64_t seconds;
    if (cursor_take_number(&in, &seconds) && cursor_skip(&in, '.') && seconds <= SECONDS_MAX)
        name->seconds = seconds;
}

/* info = ":2," *letter extra. Another kind of info (":1," is marked experimental) says nothing. */
static void parse_info(struct slice info, struct maildir_name *name)
{
    if (!slice_starts_with(info, SLICE(":2,")))
        return;
    struct cursor in = cursor_of(slice_from(info, 3));
    uint8_t octet;
    while (cursor_peek(&in, &octet) && (is_upper(octet) || is_lower(octet))) {
        if (is_upper(octet))
            name->flags |= UINT32_C(1) << (octet - 'A');
        else
            name->keywords |= UINT32_C(1) << (octet - 'a');
        in.at++;
    }
    name->extra = cursor_rest(&in);
}

bool maildir_name_parse(struct slice text, struct maildir_name *name)
{
    if (!can_name_a_message(text))
        return false;
    /* A colon in front ends nothing: the key must not be empty. */
    size_t colon = 1 + slice_find_octet(slice_from(text, 1), ':');
    struct maildir_name parsed = {.extra = {NULL, 0}};
    parsed.key = cut_uid_fields(slice_range(text, 0, colon), &parsed);
    size_t comma = slice_find_octet(parsed.key, ',');
    parsed.unique = comma > 0 ? slice_range(parsed.key, 0, comma) : parsed.key;
    parse_seconds(parsed.unique, &parsed);
    parse_sizes(parsed.key, &parsed);
    parse_info(slice_from(text, colon), &parsed);
    *name = parsed;
    return true;
}

/* ---- formatting ---- */

/* Text that grows in the caller's array; `full` sticks. */
struct writer {
    char *text; /* MAILDIR_NAME_SIZE octets */
    size_t len;
    bool full;
};

static void put(struct writer *out, struct slice octets)
{
    if (octets.len > MAILDIR_NAME_MAX - out->len)
        out->full = true;
    if (out->full || octets.len == 0)
        return;
    memcpy(out->text + out->len, octets.ptr, octets.len);
    out->len += octets.len;
}

static void put_octet(struct writer *out, uint8_t octet)
{
    put(out, slice_of(&octet, 1));
}

static void put_number(struct writer *out, uint64_t number)
{
    uint8_t digits[20];
    size_t start = sizeof(digits);
    do {
        digits[--start] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    put(out, slice_of(digits + start, sizeof(digits) - start));
}

static void put_letters(struct writer *out, uint32_t bits, uint8_t first)
{
    for (unsigned i = 0; i < LETTERS; i++)
        if (bits & UINT32_C(1) << i)
            put_octet(out, (uint8_t)(first + i));
}

static bool finish(struct writer *out)
{
    out->text[out->len] = '\0';
    return !out->full;
}

static void put_base(struct writer *out, const struct maildir_name *name)
{
    put(out, name->key);
    if (name->uid == 0)
        return;
    put(out, SLICE(",U="));
    put_number(out, name->uidvalidity);
    put_octet(out, '.');
    put_number(out, name->uid);
}

bool maildir_name_format(const struct maildir_name *name, char text[MAILDIR_NAME_SIZE])
{
    struct writer out = {text, 0, false};
    put_base(&out, name);
    put(&out, SLICE(":2,"));
    put_letters(&out, name->flags, 'A');
    put_letters(&out, name->keywords, 'a');
    put(&out, name->extra);
    return finish(&out);
}

bool maildir_name_format_new(const struct maildir_name *name, char text[MAILDIR_NAME_SIZE])
{
    struct writer out = {text, 0, false};
    put_base(&out, name);
    return finish(&out);
}

static void put_host(struct writer *out, struct slice host)
{
    for (size_t i = 0; i < host.len && i < MAILDIR_HOST_MAX; i++) {
        uint8_t octet = host.ptr[i];
        bool plain = ascii_is_alpha(octet) || ascii_is_digit(octet) || octet == '.' || octet == '-';
        put_octet(out, plain ? octet : '_');
    }
}

static void put_unique(struct writer *out, const struct maildir_key *key)
{
    assert(key->unique.len > 0 && key->unique.len <= MAILDIR_UNIQUE_MAX);
    put_number(out, key->seconds);
    put_octet(out, '.');
    put(out, key->unique);
    put_octet(out, '.');
    put_host(out, key->host);
}

void maildir_key_format_unique(const struct maildir_key *key, char text[MAILDIR_NAME_SIZE])
{
    struct writer out = {text, 0, false};
    put_unique(&out, key);
    finish(&out);
}

void maildir_key_format(const struct maildir_key *key, char text[MAILDIR_NAME_SIZE])
{
    struct writer out = {text, 0, false};
    put_unique(&out, key);
    put(&out, SLICE(",S="));
    put_number(&out, key->octets);
    put(&out, SLICE(",W="));
    put_number(&out, key->crlf_octets);
    finish(&out);
}
