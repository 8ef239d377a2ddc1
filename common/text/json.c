/* JSON; see json.h. Pure; any process. */
#include "common/text/json.h"

#include <unistr.h>

static bool is_escaped(uint8_t octet, bool utf8)
{
    return octet < ' ' || octet == '"' || octet == '\\' || octet == 0x7f || (octet > 0x7f && !utf8);
}

void json_string(struct buffer *out, struct slice text)
{
    bool utf8 = text.len == 0 || u8_check(text.ptr, text.len) == NULL;
    buffer_append(out, SLICE("\""));
    for (size_t i = 0; i < text.len; i++) {
        if (is_escaped(text.ptr[i], utf8))
            buffer_append_format(out, "\\u%04x", text.ptr[i]);
        else
            buffer_append_octet(out, text.ptr[i]);
    }
    buffer_append(out, SLICE("\""));
}

void json_field(struct buffer *out, const char *name, struct slice value)
{
    buffer_append_format(out, ",\"%s\":", name);
    json_string(out, value);
}
