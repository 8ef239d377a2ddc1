/* Modified UTF-7, the rules for names, and the matching of LIST patterns of mailbox_name.h. */
#include "imapd/mailbox_name.h"

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,"; /* "," for "/" */

static int base64_value(uint8_t octet)
{
    if (octet >= 'A' && octet <= 'Z')
        return octet - 'A';
    if (octet >= 'a' && octet <= 'z')
        return octet - 'a' + 26;
    if (ascii_is_digit(octet))
        return octet - '0' + 52;
    if (octet == '+')
        return 62;
    return octet == ',' ? 63 : -1;
}

static bool is_printable_ascii(uint32_t character)
{
    return character >= 0x20 && character <= 0x7e;
}

static bool is_surrogate(uint32_t character)
{
    return character >= 0xd800 && character <= 0xdfff;
}

/* C0, DEL, C1, and the line and paragraph separators: none belongs in a name (RFC 5198 2). */
static bool is_control(uint32_t character)
{
    return character < 0x20 || (character >= 0x7f && character <= 0x9f) || character == 0x2028
           || character == 0x2029;
}

static void append_utf8(struct buffer *text, uint32_t character)
{
    if (character < 0x80) {
        buffer_append_octet(text, (uint8_t)character);
        return;
    }
    if (character < 0x800) {
        buffer_append_octet(text, (uint8_t)(0xc0 | character >> 6));
    } else {
        if (character < 0x10000) {
            buffer_append_octet(text, (uint8_t)(0xe0 | character >> 12));
        } else {
            buffer_append_octet(text, (uint8_t)(0xf0 | character >> 18));
            buffer_append_octet(text, (uint8_t)(0x80 | (character >> 12 & 0x3f)));
        }
        buffer_append_octet(text, (uint8_t)(0x80 | (character >> 6 & 0x3f)));
    }
    buffer_append_octet(text, (uint8_t)(0x80 | (character & 0x3f)));
}

/* How many octets a UTF-8 character takes, by its first; 0 if none begins so (RFC 3629 4). */
static size_t utf8_length(uint8_t first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        return 2;
    if ((first & 0xf0) == 0xe0)
        return 3;
    return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

/* UTF8-1 / UTF8-2 / UTF8-3 / UTF8-4    RFC 3629 4 */
static bool parse_utf8(struct cursor *in, uint32_t *character)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    static const uint8_t first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    size_t length = cursor_at_end(in) ? 0 : utf8_length(*in->at);
    if (length == 0 || length > cursor_left(in))
        return false;
    uint32_t value = *in->at & first_bits[length];
    for (size_t i = 1; i < length; i++) {
        if ((in->at[i] & 0xc0) != 0x80)
            return false;
        value = value << 6 | (in->at[i] & 0x3fU);
    }
    if (value < smallest[length] || value > 0x10ffff || is_surrogate(value))
        return false;
    in->at += length;
    *character = value;
    return true;
}

/* The base64 of one shift: 16-bit units come out as soon as their bits are there. */
struct shift {
    uint32_t bits;
    unsigned count;
    uint32_t high; /* a high surrogate that waits for its other half, or 0 */
    bool any;
};

/* False if the unit may not stand here: printable ASCII stands for itself, and a surrogate alone is
 * no character. */
static bool take_unit(struct shift *shift, uint32_t unit, struct buffer *name)
{
    bool low = unit >= 0xdc00 && unit <= 0xdfff;
    shift->any = true;
    if (low != (shift->high != 0) || is_printable_ascii(unit))
        return false;
    if (is_surrogate(unit) && !low) {
        shift->high = unit;
        return true;
    }
    append_utf8(name, low ? 0x10000 + ((shift->high - 0xd800) << 10) + (unit - 0xdc00) : unit);
    shift->high = 0;
    return true;
}

/* What is behind "&": base64 of UTF-16 up to "-"; fewer than six bits are left over, all zero. */
static bool parse_shift(struct cursor *in, struct buffer *name)
{
    struct shift shift = {.any = false};
    while (!cursor_skip(in, '-')) {
        int value = cursor_at_end(in) ? -1 : base64_value(*in->at);
        if (value < 0)
            return false;
        in->at++;
        shift.bits = shift.bits << 6 | (uint32_t)value;
        shift.count += 6;
        if (shift.count < 16)
            continue;
        shift.count -= 16;
        if (!take_unit(&shift, shift.bits >> shift.count & 0xffff, name))
            return false;
    }
    uint32_t left_over = shift.bits & ((1U << shift.count) - 1);
    return shift.any && shift.high == 0 && shift.count < 6 && left_over == 0;
}

/* "superfluous shifts": "&U,BTFw-&ZeVnLIqe-" is not permitted (RFC 3501 5.1.3). */
static bool parse_utf7(struct slice wire, struct buffer *name)
{
    struct cursor in = cursor_of(wire);
    bool behind_shift = false;
    while (!cursor_at_end(&in)) {
        uint8_t octet = *in.at++;
        if (!is_printable_ascii(octet))
            return false;
        if (octet != '&') {
            buffer_append_octet(name, octet);
            behind_shift = false;
        } else if (cursor_skip(&in, '-')) {
            buffer_append_octet(name, '&');
            behind_shift = false;
        } else {
            if (behind_shift || !parse_shift(&in, name))
                return false;
            behind_shift = true;
        }
    }
    return true;
}

static bool is_acceptable(struct slice name, const char **problem)
{
    struct cursor in = cursor_of(name);
    uint32_t before = '/';
    uint32_t character = '/';
    while (!cursor_at_end(&in)) {
        *problem = "The mailbox name is not valid UTF-8";
        if (!parse_utf8(&in, &character))
            return false;
        *problem = "A mailbox name cannot contain control characters";
        if (is_control(character))
            return false;
        *problem = "A mailbox name cannot begin with \"/\" or contain \"//\"";
        if (character == '/' && before == '/')
            return false;
        before = character;
    }
    *problem = name.len ? "A mailbox name cannot end with \"/\"" : "The mailbox name is empty";
    return character != '/';
}

/* True also for "INBOX/x", whose first component it is. */
static bool begins_with_inbox(struct slice name)
{
    return slice_starts_with_nocase(name, SLICE("INBOX")) && (name.len == 5 || name.ptr[5] == '/');
}

bool mailbox_name_parse(struct slice wire, enum mailbox_name_form form, struct buffer *name,
                        const char **problem)
{
    size_t start = name->len;
    *problem = "The mailbox name is too long";
    if (wire.len > MAILBOX_NAME_MAX)
        return false;
    *problem = "The mailbox name is not valid modified UTF-7 (RFC 3501 5.1.3)";
    if (form == MAILBOX_NAME_UTF8)
        buffer_append(name, wire);
    else if (!parse_utf7(wire, name))
        return false;
    *problem = "Out of memory, try again later";
    if (name->failed)
        return false;
    struct slice parsed = slice_from(buffer_slice(name), start);
    if (!is_acceptable(parsed, problem))
        return false;
    *problem = "The mailbox name is too long";
    if (begins_with_inbox(parsed))
        memcpy(name->ptr + start, "INBOX", 5);
    return parsed.len <= MAILBOX_NAME_MAX;
}

static void append_base64_unit(struct shift *shift, uint32_t unit, struct buffer *wire)
{
    shift->bits = shift->bits << 16 | unit;
    shift->count += 16;
    while (shift->count >= 6) {
        shift->count -= 6;
        buffer_append_octet(wire, (uint8_t)base64_digits[shift->bits >> shift->count & 0x3f]);
    }
}

static void append_shifted(struct shift *shift, uint32_t character, struct buffer *wire)
{
    if (!shift->any)
        buffer_append_octet(wire, '&');
    shift->any = true;
    if (character < 0x10000) {
        append_base64_unit(shift, character, wire);
        return;
    }
    append_base64_unit(shift, 0xd800 + ((character - 0x10000) >> 10), wire);
    append_base64_unit(shift, 0xdc00 + ((character - 0x10000) & 0x3ff), wire);
}

static void end_shift(struct shift *shift, struct buffer *wire)
{
    if (!shift->any)
        return;
    if (shift->count)
        buffer_append_octet(wire, (uint8_t)base64_digits[shift->bits << (6 - shift->count) & 0x3f]);
    buffer_append_octet(wire, '-');
    *shift = (struct shift){.any = false};
}

static uint32_t next_character(struct cursor *in)
{
    enum { REPLACEMENT = 0xfffd };
    uint32_t character;
    if (parse_utf8(in, &character))
        return character;
    in->at++;
    return REPLACEMENT;
}

void mailbox_name_format(struct slice name, enum mailbox_name_form form, struct buffer *wire)
{
    struct cursor in = cursor_of(name);
    struct shift shift = {.any = false};
    while (!cursor_at_end(&in)) {
        uint32_t character = next_character(&in);
        if (form == MAILBOX_NAME_UTF8) {
            append_utf8(wire, character);
            continue;
        }
        if (!is_printable_ascii(character)) {
            append_shifted(&shift, character, wire);
            continue;
        }
        end_shift(&shift, wire);
        buffer_append_octet(wire, (uint8_t)character);
        if (character == '&')
            buffer_append_octet(wire, '-');
    }
    end_shift(&shift, wire);
}

bool mailbox_name_is_inbox(struct slice name)
{
    return slice_equal(name, SLICE("INBOX"));
}

bool mailbox_name_is_below_inbox(struct slice name)
{
    return slice_starts_with(name, SLICE("INBOX/"));
}

static void set_bit(uint64_t set[MAILBOX_PATTERN_WORDS], size_t position)
{
    set[position / 64] |= (uint64_t)1 << position % 64;
}

/* A run of wildcards with a "*" in it is one "*", without it one "%": then a wildcard that matches
 * nothing leads to an octet, never to the next wildcard. */
static bool add_octet(struct mailbox_pattern *pattern, uint8_t octet)
{
    size_t last = pattern->length - 1;
    bool behind_star = pattern->length && pattern->star[last / 64] >> last % 64 & 1;
    bool behind_percent = pattern->length && pattern->percent[last / 64] >> last % 64 & 1;
    if ((behind_star && (octet == '*' || octet == '%')) || (behind_percent && octet == '%'))
        return true;
    if (behind_percent && octet == '*') {
        pattern->percent[last / 64] &= ~((uint64_t)1 << last % 64);
        set_bit(pattern->star, last);
        return true;
    }
    if (pattern->length == MAILBOX_PATTERN_MAX)
        return false;
    if (octet == '*')
        set_bit(pattern->star, pattern->length);
    else if (octet == '%')
        set_bit(pattern->percent, pattern->length);
    else
        set_bit(pattern->octets[octet], pattern->length);
    pattern->length++;
    return true;
}

bool mailbox_pattern_init(struct mailbox_pattern *pattern, struct slice reference,
                          struct slice mailbox)
{
    memset(pattern, 0, sizeof(*pattern));
    for (size_t i = 0; i < reference.len; i++) {
        if (!add_octet(pattern, reference.ptr[i]))
            return false;
    }
    for (size_t i = 0; i < mailbox.len; i++) {
        if (!add_octet(pattern, mailbox.ptr[i]))
            return false;
    }
    return true;
}

/* Bit i of `at`: the first i octets of the pattern match what was read of the name. A wildcard may
 * match nothing, so whoever stands before one stands behind it too. */
static void step_over_wildcards(const struct mailbox_pattern *pattern,
                                uint64_t at[MAILBOX_PATTERN_WORDS])
{
    uint64_t carry = 0;
    for (size_t i = 0; i < MAILBOX_PATTERN_WORDS; i++) {
        uint64_t wild = at[i] & (pattern->star[i] | pattern->percent[i]);
        at[i] |= wild << 1 | carry;
        carry = wild >> 63;
    }
}

static void read_octet(const struct mailbox_pattern *pattern, uint64_t at[MAILBOX_PATTERN_WORDS],
                       uint8_t octet, uint8_t same)
{
    uint64_t carry = 0;
    for (size_t i = 0; i < MAILBOX_PATTERN_WORDS; i++) {
        uint64_t next = at[i] & (pattern->octets[octet][i] | pattern->octets[same][i]);
        uint64_t stay = at[i] & (pattern->star[i] | (octet == '/' ? 0 : pattern->percent[i]));
        at[i] = next << 1 | carry | stay;
        carry = next >> 63;
    }
    step_over_wildcards(pattern, at);
}

bool mailbox_pattern_matches(const struct mailbox_pattern *pattern, struct slice wire_name)
{
    uint64_t at[MAILBOX_PATTERN_WORDS] = {1};
    size_t any_case = begins_with_inbox(wire_name) ? 5 : 0;
    step_over_wildcards(pattern, at);
    for (size_t i = 0; i < wire_name.len; i++) {
        uint8_t octet = wire_name.ptr[i];
        read_octet(pattern, at, octet, i < any_case ? ascii_lower(octet) : octet);
    }
    return at[pattern->length / 64] >> pattern->length % 64 & 1;
}
