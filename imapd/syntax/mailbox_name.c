/* Rules for names, and matching of LIST patterns; see mailbox_name.h. */
#include "imapd/syntax/mailbox_name.h"

#include <unistr.h>

#include "common/text/modified_utf7.h"

/* C0, DEL, C1, and the line and paragraph separators: none belongs in a name (RFC 5198 2). */
static bool is_control(ucs4_t character)
{
    return character < 0x20 || (character >= 0x7f && character <= 0x9f) || character == 0x2028
           || character == 0x2029;
}

static bool is_acceptable(struct slice name, const char **problem)
{
    ucs4_t before = '/';
    ucs4_t character = '/';
    while (name.len > 0) {
        int octets = u8_mbtoucr(&character, name.ptr, name.len);
        *problem = "The mailbox name is not valid UTF-8";
        if (octets <= 0)
            return false;
        *problem = "A mailbox name cannot contain control characters";
        if (is_control(character))
            return false;
        *problem = "A mailbox name cannot begin with \"/\" or contain \"//\"";
        if (character == '/' && before == '/')
            return false;
        before = character;
        name = slice_from(name, (size_t)octets);
    }
    *problem = "A mailbox name cannot be empty or end with \"/\"";
    return character != '/';
}

/* Also true for "INBOX/x", where it is the first component. */
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
    else if (!modified_utf7_decode(wire, name))
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

bool mailbox_name_format(struct slice name, enum mailbox_name_form form, struct buffer *wire)
{
    if (form == MAILBOX_NAME_UTF7)
        return modified_utf7_encode(name, wire);
    buffer_append(wire, name);
    return u8_check(name.ptr, name.len) == NULL;
}

bool mailbox_name_is_inbox(struct slice name)
{
    return slice_equal(name, SLICE("INBOX"));
}

static void set_bit(uint64_t set[MAILBOX_PATTERN_WORDS], size_t position)
{
    set[position / 64] |= (uint64_t)1 << position % 64;
}

/* A run of wildcards becomes one "*" if it contains a "*", else one "%": so an octet, never another
 * wildcard, follows a wildcard. */
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
 * match nothing, so a state before one is also a state after it. */
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
