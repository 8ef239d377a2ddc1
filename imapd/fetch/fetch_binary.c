/* The two passes of fetch_binary.h. */
#include "imapd/fetch/fetch_binary.h"

#include "common/mime/content.h"
#include "common/net/stream.h"

enum { PIECE_OCTETS = 65536, PIECES_A_SLICE = 16, LONGEST_LINE = 998 /* RFC 2045 2.7 */ };

static struct slice encoding_of(const struct mime_part *part)
{
    const struct mime_field *field = mime_part_field(part, MIME_CONTENT_TRANSFER_ENCODING);
    struct slice word, rest;
    if (part->kind != MIME_LEAF || !field || !content_word_parse(field->body, &word, &rest))
        return SLICE("7bit");
    return word;
}

bool fetch_binary_can_decode(const struct mime_part *root, const struct section *section)
{
    const struct mime_part *part = section_part(root, section);
    return !part || decode_encoding_is_known(encoding_of(part));
}

static void begin_pass(struct fetch_binary *binary)
{
    decode_init(&binary->decode, binary->encoding);
    binary->read = 0;
    binary->octets = 0;
}

bool fetch_binary_begin(struct fetch_binary *binary, struct message_source *source,
                        const struct fetch_item *item)
{
    struct mime_span run = {.offset = 0, .octets = source->file.crlf_octets};
    const struct mime_part *part = NULL;
    if (item->section.depth > 0) {
        part = section_part(source->root, &item->section);
        if (!part || !section_resolve(source->root, &item->section, &run))
            return false;
    }
    *binary = (struct fetch_binary){
        .begun = true,
        .encoding = part ? decode_encoding_find(encoding_of(part)) : DECODE_IDENTITY,
        .run = run,
        .first = item->partial ? item->offset : 0,
        .end = item->partial ? item->offset + item->octets : UINT64_MAX,
        .piece = BUFFER_WITH_LIMIT(2 * PIECE_OCTETS),
    };
    begin_pass(binary);
    return true;
}

void fetch_binary_clear(struct fetch_binary *binary)
{
    buffer_clear(&binary->piece);
    binary->begun = false;
}

static void look_at_octet(struct data_domain *domain, uint8_t octet)
{
    bool ends_line = octet == '\n' && domain->last == '\r';
    domain->has_high |= octet > 127;
    domain->is_binary |= octet == 0 || (domain->last == '\r') != (octet == '\n');
    domain->in_line += octet != '\r' && octet != '\n';
    domain->is_binary |= domain->in_line > LONGEST_LINE;
    if (ends_line) {
        domain->lines++;
        domain->in_line = 0;
    }
    domain->last = octet;
}

static void look_at(struct data_domain *domain, struct slice octets)
{
    for (size_t i = 0; i < octets.len; i++)
        look_at_octet(domain, octets.ptr[i]);
}

struct slice fetch_binary_domain(const struct fetch_binary *binary)
{
    const struct data_domain *domain = &binary->domain;
    if (domain->is_binary || domain->last == '\r')
        return SLICE("binary");
    return domain->has_high ? SLICE("8bit") : SLICE("7bit");
}

/* Decodes the next piece; *wanted, borrowed from the buffer, is what of it is wanted. */
static bool decode_piece(struct fetch_binary *binary, struct message_source *source,
                         struct slice *wanted, struct error *error)
{
    struct buffer encoded = BUFFER_WITH_LIMIT(PIECE_OCTETS);
    uint64_t left = binary->run.octets - binary->read;
    size_t octets = left < PIECE_OCTETS ? (size_t)left : PIECE_OCTETS;
    buffer_reset(&binary->piece);
    bool read =
        message_source_append(source, binary->run.offset + binary->read, octets, &encoded, error);
    if (read)
        decode_feed(&binary->decode, buffer_slice(&encoded), &binary->piece);
    buffer_clear(&encoded);
    if (!read)
        return false;
    binary->read += octets;
    if (binary->read == binary->run.octets)
        decode_finish(&binary->decode, &binary->piece);
    if (binary->piece.failed)
        return error_memory(error);
    uint64_t before = binary->octets;
    binary->octets += binary->piece.len;
    uint64_t from = binary->first > before ? binary->first - before : 0;
    uint64_t to = binary->end > before ? binary->end - before : 0;
    size_t len = binary->piece.len;
    *wanted = slice_range(buffer_slice(&binary->piece), from < len ? (size_t)from : len,
                          to < len ? (size_t)to : len);
    return true;
}

enum source_result fetch_binary_measure(struct fetch_binary *binary, struct message_source *source,
                                        struct error *error)
{
    struct slice wanted;
    for (int i = 0; i < PIECES_A_SLICE && !binary->measured; i++) {
        if (binary->read == binary->run.octets) {
            binary->measured = true;
            break;
        }
        if (!decode_piece(binary, source, &wanted, error))
            return SOURCE_FAILED;
        binary->has_nul |= slice_find_octet(wanted, 0) < wanted.len;
        if (binary->looks)
            look_at(&binary->domain, buffer_slice(&binary->piece));
    }
    return binary->measured ? SOURCE_DONE : SOURCE_MORE;
}

/* "a partial fetch beyond the end: an empty string" (RFC 3501 6.4.5), here too. */
static void announce(struct fetch_binary *binary, struct writer *writer)
{
    uint64_t end = binary->end < binary->octets ? binary->end : binary->octets;
    buffer_append_string(&writer->text, binary->has_nul ? "~{" : "{");
    buffer_append_number(&writer->text, end > binary->first ? end - binary->first : 0);
    buffer_append(&writer->text, SLICE("}\r\n"));
}

enum source_result fetch_binary_write(struct fetch_binary *binary, struct message_source *source,
                                      uint64_t *position, struct writer *writer,
                                      struct error *error)
{
    struct slice wanted;
    if (*position == 0) {
        announce(binary, writer);
        begin_pass(binary);
    }
    *position = 1; /* the literal was begun */
    for (int i = 0; i < PIECES_A_SLICE; i++) {
        if (binary->read == binary->run.octets || binary->octets >= binary->end)
            return SOURCE_DONE;
        if (!decode_piece(binary, source, &wanted, error))
            return SOURCE_FAILED;
        buffer_append(&writer->text, wanted);
        if (binary->read == binary->run.octets)
            return SOURCE_DONE;
        writer_flush(writer);
        if (stream_output_full(writer->stream))
            return SOURCE_MORE;
    }
    return SOURCE_MORE;
}
