/* Mending of transfer_mender.h. Pure; relay. */
#include "smtpd/relay/downgrade/transfer_mender.h"

enum {
    QUOTED_LINE_OCTETS = 76, /* RFC 2045 6.7 (5) */
    LINE_OCTETS = 998,       /* RFC 5322 2.1.1 */
    DIGIT_OCTETS = 3,        /* "=XX" */
};

static void append_quoted(uint8_t octet, char sign, struct buffer *text)
{
    static const char digits[] = "0123456789ABCDEF";
    buffer_append_octet(text, (uint8_t)sign);
    buffer_append_octet(text, (uint8_t)digits[octet >> 4]);
    buffer_append_octet(text, (uint8_t)digits[octet & 15]);
}

void transfer_mend_octets(struct slice octets, char sign, struct buffer *text)
{
    for (size_t i = 0; i < octets.len; i++)
        if (octets.ptr[i] > 0x7f)
            append_quoted(octets.ptr[i], sign, text);
        else
            buffer_append_octet(text, octets.ptr[i]);
}

/* Writes a break if the line would become too long; the "=" of a soft break needs room too. */
static void make_room(struct transfer_mender *mender, unsigned octets, struct buffer *text)
{
    static const struct {
        const char *octets;
        unsigned limit; /* of the preceding line */
    } breaks[] = {
        [MEND_QUOTED_PRINTABLE] = {"=\r\n", QUOTED_LINE_OCTETS - 1},
        [MEND_BASE64] = {"\r\n", LINE_OCTETS},
        [MEND_AROUND] = {"=\r\n", LINE_OCTETS - 1},
        [MEND_LINE] = {"\r\n ", LINE_OCTETS - 1},
    };
    if (mender->column + octets <= breaks[mender->kind].limit)
        return;
    buffer_append_string(text, breaks[mender->kind].octets);
    mender->column = 0;
    mender->behind_break = true;
}

static void put_quoted(struct transfer_mender *mender, uint8_t octet, struct buffer *text)
{
    make_room(mender, DIGIT_OCTETS, text);
    append_quoted(octet, '=', text);
    mender->column += DIGIT_OCTETS;
}

static void put_plain(struct transfer_mender *mender, uint8_t octet, struct buffer *text)
{
    buffer_append_octet(text, octet);
    mender->column++;
}

static void put_line_end(struct transfer_mender *mender, uint8_t octet, struct buffer *text)
{
    buffer_append_octet(text, octet);
    mender->column = 0;
    mender->behind_break = false;
}

/* Mends an octet when none is held. */
static void mend_octet(struct transfer_mender *mender, uint8_t octet, struct buffer *text)
{
    bool in_base64 = mender->kind == MEND_BASE64;
    if (octet == '\r' || octet == '\n') {
        put_line_end(mender, octet, text);
        return;
    }
    if (octet > 0x7f && !in_base64) {
        put_quoted(mender, octet, text);
        return;
    }
    /* White space at a line's end does not count (RFC 2045 6.7 (3)): before a break of ours it
     * would. */
    bool is_blank = octet == ' ' || octet == '\t';
    if (!is_blank || mender->kind != MEND_QUOTED_PRINTABLE || mender->column + 1 >= LINE_OCTETS)
        make_room(mender, 1, text);
    bool is_dash = octet == '-' && mender->column == 0 && mender->behind_break;
    if (is_dash && !in_base64)
        put_quoted(mender, octet, text);
    else
        put_plain(mender, is_dash || octet > 0x7f ? '?' : octet, text);
}

/* The "=" of an escape, of a soft line break, or one that should have been quoted itself. */
static void end_equal(struct transfer_mender *mender, uint8_t next, struct buffer *text)
{
    mender->held_equal = false;
    if (next > 0x7f) {
        put_quoted(mender, '=', text);
        return;
    }
    if (next != '\r' && next != '\n')
        make_room(mender, DIGIT_OCTETS, text);
    put_plain(mender, '=', text);
}

void transfer_mend(struct transfer_mender *mender, struct slice octets, struct buffer *text)
{
    for (size_t i = 0; i < octets.len; i++) {
        uint8_t octet = octets.ptr[i];
        if (mender->held_equal)
            end_equal(mender, octet, text);
        if (octet == '=' && mender->kind == MEND_QUOTED_PRINTABLE)
            mender->held_equal = true;
        else
            mend_octet(mender, octet, text);
    }
}

void transfer_mend_end(struct transfer_mender *mender, struct buffer *text)
{
    if (mender->held_equal)
        put_plain(mender, '=', text);
    mender->held_equal = false;
}
