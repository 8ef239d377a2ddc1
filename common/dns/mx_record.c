/* RDATA of an MX record, RFC 1035 3.3.9; see dns_client.h. Pure. */
#include "common/dns/answer.h"
#include "common/dns/dns_client.h"

bool mx_record_parse(struct slice rdata, struct mx_record *record)
{
    size_t length = 0;
    if (rdata.len < 3)
        return false;
    record->preference = (uint16_t)(rdata.ptr[0] << 8 | rdata.ptr[1]);
    struct slice name = slice_from(rdata, 2);
    while (name.len > 0 && name.ptr[0] != 0) {
        size_t label = name.ptr[0];
        if (label > 63 || name.len <= label || length + label + 1 > DNS_NAME_MAX)
            return false;
        if (length > 0)
            record->exchange[length++] = '.';
        for (size_t i = 1; i <= label; i++)
            record->exchange[length++] = (char)ascii_lower(name.ptr[i]);
        name = slice_from(name, label + 1);
    }
    record->exchange[length] = '\0';
    return name.len == 1 && (length == 0 || dns_name_is_valid(slice_of(record->exchange, length)));
}
