/* Results of connections; see tls_session.h. Pure; relay and queue. */
#include "smtpd/tls_report/tls_session.h"

#include "common/size.h"

const char *tls_policy_type_name(enum tls_policy_type type)
{
    static const char *const names[] = {[TLS_POLICY_NONE] = "no-policy-found",
                                        [TLS_POLICY_STS] = "sts",
                                        [TLS_POLICY_TLSA] = "tlsa"};
    return names[type];
}

const char *tls_result_name(enum tls_result result)
{
    static const char *const names[] = {
        [TLS_RESULT_SUCCESS] = "success",
        [TLS_RESULT_STARTTLS_NOT_SUPPORTED] = "starttls-not-supported",
        [TLS_RESULT_CERTIFICATE_HOST_MISMATCH] = "certificate-host-mismatch",
        [TLS_RESULT_CERTIFICATE_EXPIRED] = "certificate-expired",
        [TLS_RESULT_CERTIFICATE_NOT_TRUSTED] = "certificate-not-trusted",
        [TLS_RESULT_VALIDATION_FAILURE] = "validation-failure",
        [TLS_RESULT_DNSSEC_INVALID] = "dnssec-invalid",
        [TLS_RESULT_STS_POLICY_FETCH_ERROR] = "sts-policy-fetch-error",
        [TLS_RESULT_STS_POLICY_INVALID] = "sts-policy-invalid",
        [TLS_RESULT_STS_WEBPKI_INVALID] = "sts-webpki-invalid",
        [TLS_RESULT_TLSA_INVALID] = "tlsa-invalid",
    };
    return names[result];
}

static void put_text(struct buffer *run, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t octet = text.ptr[i];
        buffer_append_octet(run, octet == '\n' || (octet >= ' ' && octet < 0x7f) ? octet : '?');
    }
    buffer_append_octet(run, 0);
}

void tls_session_append(const struct tls_session *session, struct buffer *run)
{
    put_text(run, session->domain);
    buffer_append_octet(run, (uint8_t)session->type);
    put_text(run, session->policy);
    put_text(run, session->patterns);
    buffer_append_octet(run, (uint8_t)session->result);
    put_text(run, session->mx);
    put_text(run, session->ip);
    put_text(run, session->sender);
    put_text(run, session->reason);
}

static bool take_text(struct slice *rest, struct slice *text)
{
    size_t end = slice_find_octet(*rest, 0);
    if (end == rest->len)
        return false;
    *text = slice_range(*rest, 0, end);
    *rest = slice_from(*rest, end + 1);
    return true;
}

static bool take_number(struct slice *rest, unsigned below, unsigned *number)
{
    if (rest->len == 0 || rest->ptr[0] == 0 || rest->ptr[0] >= below)
        return false;
    *number = rest->ptr[0];
    *rest = slice_from(*rest, 1);
    return true;
}

bool tls_session_parse(struct slice run, struct tls_session *session)
{
    unsigned type, result;
    struct tls_session parsed;
    if (run.len > TLS_SESSION_MAX || !take_text(&run, &parsed.domain) || parsed.domain.len == 0
        || !take_number(&run, TLS_POLICY_TYPES, &type) || !take_text(&run, &parsed.policy)
        || !take_text(&run, &parsed.patterns) || !take_number(&run, TLS_RESULTS, &result)
        || !take_text(&run, &parsed.mx) || !take_text(&run, &parsed.ip)
        || !take_text(&run, &parsed.sender) || !take_text(&run, &parsed.reason) || run.len > 0)
        return false;
    parsed.type = type;
    parsed.result = result;
    *session = parsed;
    return true;
}

/* The words are OpenSSL's (X509_verify_cert_error_string(3)). */
enum tls_result tls_result_of_words(struct slice words)
{
    static const struct {
        struct slice part;
        enum tls_result result;
    } parts[] = {
        {SLICE("no matching DANE TLSA"), TLS_RESULT_TLSA_INVALID},
        {SLICE("has expired"), TLS_RESULT_CERTIFICATE_EXPIRED},
        {SLICE("not yet valid"), TLS_RESULT_CERTIFICATE_EXPIRED},
        {SLICE("ostname mismatch"), TLS_RESULT_CERTIFICATE_HOST_MISMATCH},
        {SLICE("self-signed"), TLS_RESULT_CERTIFICATE_NOT_TRUSTED},
        {SLICE("self signed"), TLS_RESULT_CERTIFICATE_NOT_TRUSTED},
        {SLICE("issuer certificate"), TLS_RESULT_CERTIFICATE_NOT_TRUSTED},
        {SLICE("first certificate"), TLS_RESULT_CERTIFICATE_NOT_TRUSTED},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(parts); i++)
        if (slice_find(words, parts[i].part) < words.len)
            return parts[i].result;
    return TLS_RESULT_VALIDATION_FAILURE;
}
