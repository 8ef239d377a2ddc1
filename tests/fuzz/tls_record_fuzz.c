/* The RDATA of TXT records, and URIs: what is taken is lines of printable ASCII, an address is one;
 * then a run of a connection's result, which is taken again as it was. */
#include "smtpd/tls_report/tls_record.h"

#include <stdlib.h>

#include "common/text/address.h"
#include "smtpd/tls_report/tls_session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_address(struct slice address)
{
    struct address parsed;
    struct error error;
    if (!address_parse_mailbox(address, &parsed, &error))
        abort();
    for (size_t i = 0; i < address.len; i++)
        if (address.ptr[i] <= ' ' || address.ptr[i] >= 0x7f)
            abort();
}

static void check_uris(struct slice uris)
{
    for (size_t i = 0; i < uris.len; i++)
        if (uris.ptr[i] != '\n' && (uris.ptr[i] <= ' ' || uris.ptr[i] >= 0x7f))
            abort();
}

static void check_run(struct slice input)
{
    struct tls_session session, again;
    struct buffer run = BUFFER_WITH_LIMIT(TLS_SESSION_MAX);
    if (!tls_session_parse(input, &session))
        return;
    tls_session_append(&session, &run);
    if (run.failed || run.len != input.len || !tls_session_parse(buffer_slice(&run), &again)
        || again.type != session.type || again.result != session.result)
        abort();
    buffer_clear(&run);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of(data, size);
    struct buffer uris = BUFFER_WITH_LIMIT(TLS_RECORD_URIS_MAX), address = BUFFER_WITH_LIMIT(512);
    if (tls_record_find_uris(input, &uris))
        check_uris(buffer_slice(&uris));
    if (tls_record_mailbox(input, &address))
        check_address(buffer_slice(&address));
    check_run(input);
    buffer_clear(&uris);
    buffer_clear(&address);
    return 0;
}
