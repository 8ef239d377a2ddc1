/* Lines and dots of DATA; see data_encoder.h. Pure; relay. */
#include "smtpd/relay/data_encoder.h"

void data_encoder_init(struct data_encoder *encoder, data_emit *emit, void *owner)
{
    *encoder = (struct data_encoder){.emit = emit, .owner = owner};
}

static void emit(struct data_encoder *encoder, struct slice octets)
{
    if (octets.len > 0)
        encoder->emit(encoder->owner, octets);
}

/* The length of the run that can be passed on unchanged: up to the end, a dot that begins a line, a
 * lone CR or LF, or a CR that is the last octet. */
static size_t plain_run(struct slice octets, bool within_line)
{
    size_t at = 0;
    while (at < octets.len) {
        if (!within_line && octets.ptr[at] == '.')
            return at;
        struct slice rest = slice_from(octets, at);
        size_t lf = slice_find_octet(rest, '\n');
        size_t cr = slice_find_octet(slice_range(rest, 0, lf), '\r');
        if (cr < lf && (cr + 1 != lf || lf == rest.len))
            return at + cr;
        if (lf == rest.len)
            return octets.len;
        if (cr == lf)
            return at + lf;
        at += lf + 1;
        within_line = false;
    }
    return at;
}

static void end_line(struct data_encoder *encoder)
{
    emit(encoder, SLICE("\r\n"));
    encoder->within_line = false;
}

/* Writes the octet at which a plain run ended. */
static void write_special(struct data_encoder *encoder, uint8_t octet)
{
    if (octet == '\r') {
        encoder->after_cr = true;
    } else if (octet == '\n') {
        end_line(encoder);
    } else {
        emit(encoder, SLICE(".."));
        encoder->within_line = true;
    }
}

void data_encoder_write(struct data_encoder *encoder, struct slice octets)
{
    while (octets.len > 0) {
        if (encoder->after_cr) {
            encoder->after_cr = false;
            end_line(encoder);
            octets = slice_from(octets, octets.ptr[0] == '\n');
            continue;
        }
        size_t run = plain_run(octets, encoder->within_line);
        if (run > 0) {
            emit(encoder, slice_range(octets, 0, run));
            encoder->within_line = octets.ptr[run - 1] != '\n';
        }
        if (run < octets.len)
            write_special(encoder, octets.ptr[run]);
        octets = slice_from(octets, run + 1);
    }
}

void data_encoder_end(struct data_encoder *encoder)
{
    if (encoder->after_cr || encoder->within_line)
        end_line(encoder);
    encoder->after_cr = false;
    emit(encoder, SLICE(".\r\n"));
}
