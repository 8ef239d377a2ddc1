/* The record of RFC 8460 3; see tls_record.h. Pure. */
#include "smtpd/tls_report/tls_record.h"

#include "common/dns/answer.h"
#include "common/dns/dns_client.h"
#include "common/text/address.h"
#include "common/text/cursor.h"

enum { TXT_MAX = 4096, ADDRESS_MAX = 512 };

/* ---- octets ---- */

static bool is_printable(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f)
            return false;
    return text.len > 0;
}

/* Up to the separator, which is taken too. */
static struct slice take_part(struct slice *rest, uint8_t separator)
{
    size_t end = slice_find_octet(*rest, separator);
    struct slice part = slice_trim(slice_range(*rest, 0, end));
    *rest = slice_from(*rest, end + 1);
    return part;
}

/* ---- the record ---- */

/* tlsrpt-rua = "rua=" tlsrpt-uri *(*WSP "," *WSP tlsrpt-uri) */
static bool take_uris(struct slice value, struct buffer *uris)
{
    while (value.len > 0) {
        struct slice uri = take_part(&value, ',');
        if (!is_printable(uri))
            return false;
        if (uris->len > 0)
            buffer_append_octet(uris, '\n');
        buffer_append(uris, uri);
    }
    return uris->len > 0 && !uris->failed;
}

/* tlsrpt-record = tlsrpt-version 1*(field-delim tlsrpt-field) [field-delim]; unknown fields are
 * extensions. */
static bool parse_fields(struct slice fields, struct buffer *uris)
{
    bool found = false;
    buffer_reset(uris);
    while (fields.len > 0) {
        struct slice field = take_part(&fields, ';');
        if (!slice_starts_with(field, SLICE("rua=")))
            continue;
        if (found || !take_uris(slice_from(field, 4), uris))
            return false;
        found = true;
    }
    return found;
}

bool tls_record_find_uris(struct slice rdata, struct buffer *uris)
{
    struct buffer fields = BUFFER_WITH_LIMIT(TXT_MAX);
    bool found = dns_find_versioned_txt(rdata, SLICE("v=TLSRPTv1"), &fields);
    found = found && parse_fields(buffer_slice(&fields), uris);
    buffer_clear(&fields);
    return found;
}

/* ---- mailto ---- */

static int hex_digit(uint8_t octet)
{
    if (octet >= '0' && octet <= '9')
        return octet - '0';
    octet = ascii_lower(octet);
    return octet >= 'a' && octet <= 'f' ? octet - 'a' + 10 : -1;
}

static bool decode(struct slice text, struct buffer *out)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '%') {
            buffer_append_octet(out, text.ptr[i]);
            continue;
        }
        int high = i + 2 < text.len ? hex_digit(text.ptr[i + 1]) : -1;
        int low = i + 2 < text.len ? hex_digit(text.ptr[i + 2]) : -1;
        if (high < 0 || low < 0)
            return false;
        buffer_append_octet(out, (uint8_t)(high * 16 + low));
        i += 2;
    }
    return !out->failed;
}

bool tls_record_mailbox(struct slice uri, struct buffer *address)
{
    struct address parsed;
    struct error error;
    struct buffer decoded = BUFFER_WITH_LIMIT(ADDRESS_MAX);
    if (!slice_starts_with_nocase(uri, SLICE("mailto:")))
        return false;
    struct slice to = slice_from(uri, 7);
    to = slice_range(to, 0, slice_find_octet(to, '?'));
    bool good = decode(to, &decoded) && is_printable(buffer_slice(&decoded))
                && address_parse_mailbox(buffer_slice(&decoded), &parsed, &error);
    if (good)
        buffer_append(address, buffer_slice(&decoded));
    buffer_clear(&decoded);
    return good && !address->failed;
}
