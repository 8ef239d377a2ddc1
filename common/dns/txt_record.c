/* RDATA of TXT records (RFC 1035 3.3.14); see dns_client.h. */
#include "common/dns/dns_client.h"

bool dns_append_txt(struct slice rdata, struct buffer *text)
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
