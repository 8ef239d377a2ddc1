/* RDATA of TXT records; see dns_client.h. */
#include "common/dns/dns_client.h"
#include "common/text/cursor.h"

enum { TXT_MAX = 4096 };

/* One or more strings, each after its length (RFC 1035 3.3.14), as one text. False: malformed, or
 * the buffer failed. */
static bool append_text(struct slice rdata, struct buffer *text)
{
    while (rdata.len > 0) {
        size_t octets = rdata.ptr[0];
        if (rdata.len <= octets)
            return false;
        buffer_append(text, slice_range(rdata, 1, 1 + octets));
        rdata = slice_from(rdata, 1 + octets);
    }
    return !text->failed;
}

/* field-delim = *WSP ";" *WSP */
static bool skip_delimiter(struct cursor *in)
{
    while (cursor_skip(in, ' ') || cursor_skip(in, '\t'))
        ;
    return cursor_skip(in, ';');
}

static bool has_version(struct slice text, struct slice version)
{
    struct cursor in = cursor_of(slice_from(text, version.len));
    return slice_starts_with(text, version) && skip_delimiter(&in);
}

bool dns_find_versioned_txt(struct slice rdata, struct slice version, struct buffer *fields)
{
    struct slice record;
    unsigned found = 0;
    struct buffer text = BUFFER_WITH_LIMIT(TXT_MAX);
    while (dns_result_next(&rdata, &record)) {
        buffer_reset(&text);
        if (!append_text(record, &text) || !has_version(buffer_slice(&text), version))
            continue;
        if (found++ == 0)
            buffer_append(fields, slice_from(buffer_slice(&text), version.len));
    }
    buffer_clear(&text);
    return found == 1 && !fields->failed;
}
