/* Folding of addresses; see canonical.h. */
#include "common/auth/canonical.h"

#include <stdlib.h>

#include <unicase.h>
#include <uninorm.h>

static void append_folded(struct slice local_part, struct buffer *out)
{
    if (slice_is_ascii(local_part)) {
        for (size_t i = 0; i < local_part.len; i++)
            buffer_append_octet(out, ascii_lower(local_part.ptr[i]));
        return;
    }
    size_t len = 0;
    uint8_t *folded = u8_casefold(local_part.ptr, local_part.len, NULL, UNINORM_NFC, NULL, &len);
    if (folded)
        buffer_append(out, slice_of(folded, len));
    else
        out->failed = true;
    free(folded);
}

bool canonical_join(struct slice local_part, struct slice domain, struct canonical *result)
{
    if (local_part.len + 1 + domain.len > CANONICAL_MAX)
        return false;
    if (local_part.len > 0)
        memcpy(result->octets, local_part.ptr, local_part.len);
    result->octets[local_part.len] = '@';
    if (domain.len > 0)
        memcpy(result->octets + local_part.len + 1, domain.ptr, domain.len);
    result->local_len = (uint16_t)local_part.len;
    result->len = (uint16_t)(local_part.len + 1 + domain.len);
    return true;
}

static bool canonicalise(const struct address *address, struct canonical *result,
                         struct error *error)
{
    struct buffer plain = BUFFER_WITH_LIMIT(CANONICAL_MAX);
    struct buffer folded = BUFFER_WITH_LIMIT(CANONICAL_MAX);
    bool done = address_canonicalise(address, &plain, error);
    if (done) {
        struct slice text = buffer_slice(&plain);
        append_folded(canonical_local_part(text), &folded);
        done = (!folded.failed
                && canonical_join(buffer_slice(&folded), canonical_domain(text), result))
               || error_set(error, ERROR_TEMPORARY, "no room for an address");
    }
    buffer_clear(&plain);
    buffer_clear(&folded);
    return done;
}

bool canonical_parse(struct slice text, struct canonical *result, struct error *error)
{
    struct address address;
    if (!address_parse_mailbox(text, &address, error) || !canonicalise(&address, result, error))
        return false;
    /* Folded letters and A-labels may be longer than what they stand for. */
    return result->len <= text.len
           || address_parse_mailbox(canonical_text(result), &address, error);
}

bool canonical_parse_local_part(struct slice text, struct canonical *result, struct error *error)
{
    /* Any domain will do to make it a mailbox. */
    struct canonical mailbox;
    struct canonical parsed;
    if (text.len > ADDRESS_LOCAL_PART_LIMIT || !canonical_join(text, SLICE("a"), &mailbox))
        return error_set(error, ERROR_PEER, "local part longer than %d octets",
                         ADDRESS_LOCAL_PART_LIMIT);
    if (!canonical_parse(canonical_text(&mailbox), &parsed, error))
        return false;
    return canonical_join(slice_of(parsed.octets, parsed.local_len), slice_of(NULL, 0), result);
}

bool canonical_parse_domain(struct slice text, struct canonical *result, struct error *error)
{
    struct address address;
    struct buffer domain = BUFFER_WITH_LIMIT(ADDRESS_DOMAIN_LIMIT);
    bool done = address_parse_host(text, &address, error)
                && address_canonicalise_domain(&address, &domain, error);
    if (done)
        canonical_join(slice_of(NULL, 0), buffer_slice(&domain), result);
    buffer_clear(&domain);
    return done;
}
