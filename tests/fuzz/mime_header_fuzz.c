/* Header fields of any octets: each is unfolded, filtered, and read as addresses, as a Content-Type
 * and as a section. */
#include <stdlib.h>

#include "common/mime/content.h"
#include "common/mime/header.h"
#include "common/mime/header_address.h"
#include "common/mime/section.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void read_addresses(struct slice body)
{
    struct header_address_reader reader;
    struct header_address address;
    bool in_group = false;
    header_address_reader_init(&reader, body);
    while (header_address_next(&reader, &address)) {
        must(address.kind != HEADER_ADDRESS_GROUP || !in_group);
        must(address.kind != HEADER_ADDRESS_GROUP_END || in_group);
        if (address.kind != HEADER_ADDRESS_MAILBOX)
            in_group = address.kind == HEADER_ADDRESS_GROUP;
        else
            must(address.malformed || (address.local_part.len > 0 && address.domain.len > 0));
    }
    must(!in_group && !header_address_reader_failed(&reader));
    header_address_reader_clear(&reader);
}

static void read_content(struct slice body)
{
    struct content_type type;
    struct content_parameters parameters;
    struct slice value;
    struct arena arena;
    arena_init(&arena, 64 + 64 * body.len + sizeof(struct content_parameter) * 128);
    if (content_type_parse(body, &type))
        body = type.parameters;
    must(content_parameters_parse(body, &arena, &parameters));
    must(parameters.count <= CONTENT_PARAMETERS_LIMIT);
    content_parameters_find(&parameters, SLICE("boundary"), &arena, &value);
    arena_clear(&arena);
}

static void read_section(struct slice body)
{
    struct cursor in = cursor_of(slice_trim(body));
    struct section section;
    struct cursor start = in;
    if (!section_parse(&in, &section))
        must(in.at == start.at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice header = slice_of(data, size);
    struct cursor in = cursor_of(header);
    struct header_field field;
    struct buffer text = BUFFER_WITH_LIMIT(3 * size + 2);
    size_t octets = 0;
    while (header_next(&in, &field)) {
        octets += field.whole.len;
        read_addresses(field.body);
        read_content(field.body);
        read_section(field.body);
        buffer_reset(&text);
        header_unfold(field.body, &text);
        must(slice_find_octet(buffer_slice(&text), '\n') == text.len);
    }
    must(octets == (size_t)(in.at - data) || size == 0);
    buffer_reset(&text);
    section_filter_fields(header, NULL, 0, false, &text);
    must(!text.failed);
    buffer_clear(&text);
    return 0;
}
