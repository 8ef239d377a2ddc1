/* Records out of a packet, with the C library's reader; see answer.h. */
#include "common/dns/answer.h"

#include <arpa/nameser.h>
#include <resolv.h>
#include <string.h>

enum { WIRE_NAME_MAX = NS_MAXCDNAME, LABEL_MAX = 63 };

/* How many octets of RDATA stand before the name in it; -1: there is no name. */
static int name_offset(enum dns_type type)
{
    switch (type) {
    case DNS_MX:
        return 2;
    case DNS_PTR:
    case DNS_CNAME:
        return 0;
    default:
        return -1;
    }
}

static void append_record(struct buffer *out, struct slice before, struct slice name)
{
    uint16_t octets = (uint16_t)(before.len + name.len);
    buffer_append(out, slice_of(&octets, sizeof(octets)));
    buffer_append(out, before);
    buffer_append(out, name);
}

/* A name may refer to any place of the packet: it is written out. */
static bool append_rdata(const ns_msg *message, const ns_rr *record, enum dns_type type,
                         struct buffer *out)
{
    struct slice rdata = slice_of(ns_rr_rdata(*record), ns_rr_rdlen(*record));
    int offset = name_offset(type);
    uint8_t name[WIRE_NAME_MAX];
    if (offset < 0) {
        append_record(out, rdata, slice_of(NULL, 0));
        return true;
    }
    if (rdata.len <= (size_t)offset)
        return false;
    const uint8_t *at = rdata.ptr + offset;
    int used = ns_name_unpack(ns_msg_base(*message), ns_msg_end(*message), at, name, sizeof(name));
    if (used < 0 || (size_t)used != rdata.len - (size_t)offset)
        return false;
    size_t octets = 0;
    while (name[octets] != 0)
        octets += name[octets] + 1U;
    append_record(out, slice_range(rdata, 0, (size_t)offset), slice_of(name, octets + 1));
    return true;
}

static void note(struct dns_records *records, const ns_rr *record)
{
    if (ns_rr_ttl(*record) < records->ttl)
        records->ttl = ns_rr_ttl(*record);
}

static bool is_wanted(const ns_rr *record, enum dns_type type)
{
    return ns_rr_class(*record) == ns_c_in && (unsigned)ns_rr_type(*record) == (unsigned)type;
}

bool dns_answer_parse(struct slice packet, enum dns_type type, struct dns_records *records,
                      struct buffer *out)
{
    ns_msg message;
    ns_rr record;
    *records = (struct dns_records){.ttl = UINT32_MAX};
    if (ns_initparse(packet.ptr, (int)packet.len, &message) != 0)
        return false;
    for (int i = 0; i < ns_msg_count(message, ns_s_an); i++) {
        if (ns_parserr(&message, ns_s_an, i, &record) != 0)
            return false;
        note(records, &record);
        if (!is_wanted(&record, type) || records->count == DNS_RECORDS_MAX)
            continue;
        if (!append_rdata(&message, &record, type, out))
            return false;
        if (records->count++ == 0 && strlen(ns_rr_name(record)) <= DNS_NAME_MAX)
            memcpy(records->name, ns_rr_name(record), strlen(ns_rr_name(record)) + 1);
    }
    if (records->ttl == UINT32_MAX)
        records->ttl = 0;
    return !out->failed;
}

static bool is_label_octet(uint8_t octet)
{
    return ascii_is_alpha(octet) || ascii_is_digit(octet) || octet == '-' || octet == '_';
}

bool dns_name_is_valid(struct slice name)
{
    size_t label = 0;
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '.' ? label == 0 : !is_label_octet(name.ptr[i]) || label == LABEL_MAX)
            return false;
        label = name.ptr[i] == '.' ? 0 : label + 1;
    }
    return label > 0 && name.len <= DNS_NAME_MAX;
}
