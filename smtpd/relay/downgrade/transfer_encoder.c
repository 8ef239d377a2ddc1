/* Quoted-printable and base64; see transfer_encoder.h. Pure; relay. */
#include "smtpd/relay/downgrade/transfer_encoder.h"

#include "common/text/base64.h"

enum {
    LINE_OCTETS = 76,              /* RFC 2045 6.7 (5), 6.8 */
    LINE_GROUPS = LINE_OCTETS / 4, /* base64 */
};

/* ---- quoted-printable ---- */

static void break_line(struct transfer_encoder *encoder, struct buffer *text)
{
    buffer_append(text, SLICE("\r\n"));
    encoder->column = 0;
    encoder->behind_break = false;
}

/* Writes a soft line break if the line would become too long; its "=" needs room too. */
static void make_room(struct transfer_encoder *encoder, unsigned octets, struct buffer *text)
{
    if (encoder->column + octets < LINE_OCTETS)
        return;
    buffer_append_octet(text, '=');
    break_line(encoder, text);
    encoder->behind_break = true;
}

static void put_quoted(struct transfer_encoder *encoder, uint8_t octet, struct buffer *text)
{
    static const char digits[] = "0123456789ABCDEF";
    make_room(encoder, 3, text);
    buffer_append_octet(text, '=');
    buffer_append_octet(text, (uint8_t)digits[octet >> 4]);
    buffer_append_octet(text, (uint8_t)digits[octet & 15]);
    encoder->column += 3;
}

static bool is_space(uint8_t octet)
{
    return octet == ' ' || octet == '\t';
}

/* A line after a soft line break must not look like a boundary. */
static void put_plain(struct transfer_encoder *encoder, uint8_t octet, struct buffer *text)
{
    make_room(encoder, 1, text);
    if (octet == '-' && encoder->column == 0 && encoder->behind_break) {
        put_quoted(encoder, octet, text);
        return;
    }
    buffer_append_octet(text, octet);
    encoder->column++;
}

/* The held octets are not a line end or a space before one. */
static void put_held(struct transfer_encoder *encoder, struct buffer *text)
{
    for (unsigned i = 0; i < encoder->held_count; i++) {
        uint8_t octet = encoder->held[i];
        if (is_space(octet))
            put_plain(encoder, octet, text);
        else
            put_quoted(encoder, octet, text);
    }
    encoder->held_count = 0;
}

/* RFC 2045 6.7 (3): a space at the end of a line is quoted. */
static void end_line(struct transfer_encoder *encoder, struct buffer *text)
{
    for (unsigned i = 0; i < encoder->held_count; i++)
        if (encoder->held[i] != '\r')
            put_quoted(encoder, encoder->held[i], text);
    encoder->held_count = 0;
    break_line(encoder, text);
}

static void quote_octet(struct transfer_encoder *encoder, uint8_t octet, struct buffer *text)
{
    bool after_cr = encoder->held_count > 0 && encoder->held[encoder->held_count - 1] == '\r';
    if (octet == '\n') {
        end_line(encoder, text);
        return;
    }
    if (octet == '\r' && !after_cr) {
        encoder->held[encoder->held_count++] = octet; /* after a space, or alone */
        return;
    }
    put_held(encoder, text);
    if (is_space(octet) || octet == '\r')
        encoder->held[encoder->held_count++] = octet;
    else if (octet > ' ' && octet < 0x7f && octet != '=')
        put_plain(encoder, octet, text);
    else
        put_quoted(encoder, octet, text);
}

/* ---- base64 ---- */

static void put_group(struct transfer_encoder *encoder, struct buffer *text)
{
    base64_encode(slice_of(encoder->held, encoder->held_count), text);
    encoder->held_count = 0;
    if (++encoder->column == LINE_GROUPS)
        break_line(encoder, text);
}

static void encode_octet(struct transfer_encoder *encoder, uint8_t octet, struct buffer *text)
{
    encoder->held[encoder->held_count++] = octet;
    if (encoder->held_count == sizeof(encoder->held))
        put_group(encoder, text);
}

/* ---- both ---- */

void transfer_encode(struct transfer_encoder *encoder, struct slice octets, struct buffer *text)
{
    for (size_t i = 0; i < octets.len; i++)
        if (encoder->encoding == TRANSFER_BASE64)
            encode_octet(encoder, octets.ptr[i], text);
        else
            quote_octet(encoder, octets.ptr[i], text);
}

void transfer_end(struct transfer_encoder *encoder, struct buffer *text)
{
    if (encoder->encoding == TRANSFER_BASE64) {
        if (encoder->held_count > 0)
            put_group(encoder, text);
        if (encoder->column > 0)
            break_line(encoder, text);
        return;
    }
    for (unsigned i = 0; i < encoder->held_count; i++)
        put_quoted(encoder, encoder->held[i], text);
    encoder->held_count = 0;
}
