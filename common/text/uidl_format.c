/* Making unique-ids as Dovecot did; see uidl_format.h. */
#include "common/text/uidl_format.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/text/cursor.h"

enum { WIDTH_MAX = 32 };

struct variable {
    uint64_t width; /* 0: as it comes */
    bool zeros;
    bool hexadecimal;
    uint8_t letter;
};

/* variable = [ [ "0" ] 1*DIGIT ] [ "X" ] letter, after the percent sign */
static bool take_variable(struct cursor *in, struct variable *variable)
{
    *variable = (struct variable){.zeros = cursor_skip(in, '0')};
    uint8_t octet;
    bool has_width = cursor_peek(in, &octet) && ascii_is_digit(octet);
    if (has_width && (!cursor_take_number(in, &variable->width) || variable->width > WIDTH_MAX))
        return false;
    variable->hexadecimal = cursor_skip(in, 'X');
    if (!cursor_peek(in, &variable->letter))
        return false;
    in->at++;
    bool is_plain = !variable->zeros && !has_width && !variable->hexadecimal;
    bool is_number = variable->letter == 'u' || variable->letter == 'v';
    return is_number || (is_plain && strchr("fg%", variable->letter));
}

bool uidl_format_is_valid(struct slice format)
{
    struct cursor in = cursor_of(format);
    struct variable variable;
    bool says_something = false;
    while (!cursor_at_end(&in)) {
        uint8_t octet = *in.at++;
        if (octet <= ' ' || octet >= 0x7f || (octet == '%' && !take_variable(&in, &variable)))
            return false;
        says_something = says_something || (octet == '%' && strchr("ufg", variable.letter));
    }
    return says_something; /* else all messages would have the same */
}

static void append_number(const struct variable *variable, uint32_t number, struct buffer *uidl)
{
    char digits[16];
    int length = variable->hexadecimal ? snprintf(digits, sizeof(digits), "%" PRIx32, number)
                                       : snprintf(digits, sizeof(digits), "%" PRIu32, number);
    for (uint64_t i = (uint64_t)length; i < variable->width; i++)
        buffer_append_octet(uidl, variable->zeros ? '0' : ' ');
    buffer_append_string(uidl, digits);
}

static void append_variable(const struct variable *variable, const struct uidl_facts *facts,
                            struct buffer *uidl)
{
    switch (variable->letter) {
    case 'u':
        append_number(variable, facts->uid, uidl);
        break;
    case 'v':
        append_number(variable, facts->uidvalidity, uidl);
        break;
    case 'f':
        buffer_append(uidl, facts->base);
        break;
    case 'g':
        buffer_append(uidl, facts->guid.len > 0 ? facts->guid : facts->base);
        break;
    default:
        buffer_append_octet(uidl, '%');
        break;
    }
}

void uidl_format_apply(struct slice format, const struct uidl_facts *facts, struct buffer *uidl)
{
    struct cursor in = cursor_of(format);
    struct variable variable;
    while (!cursor_at_end(&in)) {
        uint8_t octet = *in.at++;
        if (octet != '%')
            buffer_append_octet(uidl, octet);
        else if (take_variable(&in, &variable))
            append_variable(&variable, facts, uidl);
    }
}
