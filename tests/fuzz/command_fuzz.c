/* imapd/syntax/command.h: the events are the same in one piece as in pieces of the size that the
 * first octet gives, and memory stays within the limits. */
#include <stdlib.h>

#include "imapd/syntax/command.h"

enum { TEXT_LIMIT = 200, SKIP_LIMIT = 1000, LOG_LIMIT = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool answer_literal(struct command_reader *reader)
{
    if (slice_starts_with(command_text(reader), SLICE("NO")))
        return command_refuse_literal(reader);
    if (slice_starts_with(command_text(reader), SLICE("ST"))) {
        command_stream_literal(reader);
        return true;
    }
    return command_accept_literal(reader) || command_refuse_literal(reader);
}

static bool feed(struct command_reader *reader, struct cursor in, struct buffer *log)
{
    struct slice octets;
    for (;;) {
        enum command_event event = command_read(reader, &in, &octets);
        if (reader->text.len > TEXT_LIMIT)
            abort();
        if (event == COMMAND_MORE)
            return true;
        if (event == COMMAND_OCTETS) {
            buffer_append(log, octets);
            continue;
        }
        buffer_append_octet(log, (uint8_t)event);
        buffer_append(log, command_text(reader));
        if (event == COMMAND_CLOSE || (event == COMMAND_LITERAL && !answer_literal(reader)))
            return false;
        if (event == COMMAND_READY && slice_equal(command_text(reader), SLICE("ID")))
            command_expect_line(reader);
    }
}

static void read_in_pieces(struct slice input, size_t piece, struct buffer *log)
{
    struct command_reader reader;
    bool open = true;
    command_reader_init(
        &reader, (struct command_limits){TEXT_LIMIT / 2, TEXT_LIMIT / 2, TEXT_LIMIT, SKIP_LIMIT});
    for (size_t at = 0; open && at < input.len; at += piece)
        open = feed(&reader, cursor_of(slice_range(input, at, at + piece)), log);
    command_reader_clear(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct slice input = slice_of(data + 1, size - 1);
    struct buffer whole = BUFFER_WITH_LIMIT(LOG_LIMIT);
    struct buffer split = BUFFER_WITH_LIMIT(LOG_LIMIT);
    read_in_pieces(input, input.len, &whole);
    read_in_pieces(input, (size_t)(data[0] % 16) + 1, &split);
    if (!slice_equal(buffer_slice(&whole), buffer_slice(&split)))
        abort();
    buffer_clear(&whole);
    buffer_clear(&split);
    return 0;
}
