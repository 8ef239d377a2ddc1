/* What a POP3 client sends before it logs in: cut into lines at any place the same lines come out,
 * and each is parsed. The first octet says where the input is split. */
#include <stdlib.h>

#include "pop3d/line.h"
#include "pop3d/login_command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIMIT = 64 };

/* A digest of all that was read, in order. */
static uint64_t mix(uint64_t sum, uint64_t value)
{
    return (sum ^ value) * 1099511628211U;
}

static uint64_t take_line(uint64_t sum, struct slice line)
{
    struct pop3_login_command command;
    const char *wrong;
    if (line.len + 2 > LIMIT || slice_find_octet(line, '\n') < line.len
        || slice_find_octet(line, '\r') < line.len)
        abort();
    bool valid = pop3_login_command_parse(line, &command, &wrong);
    if (!valid && !wrong)
        abort();
    for (size_t i = 0; i < line.len; i++)
        sum = mix(sum, line.ptr[i]);
    return mix(sum, valid ? command.verb : 99);
}

static uint64_t read_in_parts(struct slice octets, size_t split)
{
    struct pop3_line_reader reader = {.skipping = false};
    uint64_t sum = 14695981039346656037U;
    size_t consumed = 0;
    for (size_t end = split; consumed <= octets.len; end = octets.len) {
        struct cursor input = cursor_of(slice_range(octets, consumed, end));
        const uint8_t *start = input.at;
        struct slice line;
        enum pop3_line_result result;
        while ((result = pop3_line_read(&reader, &input, LIMIT, &line)) != POP3_LINE_MORE)
            sum = result == POP3_LINE_READY ? take_line(sum, line) : mix(sum, result + 1000U);
        consumed += (size_t)(input.at - start);
        if (end == octets.len)
            return sum;
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice octets = slice_of(data + 1, size - 1);
    size_t split = octets.len > 0 ? data[0] % octets.len : 0;
    if (read_in_parts(octets, octets.len) != read_in_parts(octets, split))
        abort();
    return 0;
}
