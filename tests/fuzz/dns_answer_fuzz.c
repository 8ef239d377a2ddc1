/* The first octet is the type asked for, the rest a name server's packet. */
#include "common/dns/answer.h"
#include "common/dns/dns_client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dns_records records;
    struct buffer out = BUFFER_WITH_LIMIT(200000);
    if (size > 0
        && dns_answer_parse(slice_of(data + 1, size - 1), (enum dns_type)data[0], &records, &out)) {
        struct slice rest = buffer_slice(&out), rdata;
        struct mx_record mx;
        while (dns_result_next(&rest, &rdata))
            (void)mx_record_parse(rdata, &mx);
        dns_name_is_valid(slice_of_string(records.name));
    }
    buffer_clear(&out);
    return 0;
}
