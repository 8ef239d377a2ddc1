/* The mechanisms of sasl.h. Secrets lie in the struct and nowhere else. Pure. */
#include "common/login/sasl.h"

#include <assert.h>

#include <sodium.h>
#include <unistr.h>

static const char *const names[SASL_MECHANISMS] = {
    [SASL_PLAIN] = "PLAIN",
    [SASL_LOGIN] = "LOGIN",
    [SASL_SCRAM_SHA_256] = "SCRAM-SHA-256",
    [SASL_SCRAM_SHA_256_PLUS] = "SCRAM-SHA-256-PLUS",
    [SASL_OAUTHBEARER] = "OAUTHBEARER",
    [SASL_XOAUTH2] = "XOAUTH2",
    [SASL_EXTERNAL] = "EXTERNAL",
};

unsigned sasl_offer(unsigned means)
{
    unsigned offered = 1U << SASL_PLAIN | 1U << SASL_LOGIN;
    if (means & SASL_HAS_SCRAM)
        offered |= 1U << SASL_SCRAM_SHA_256;
    if ((means & SASL_HAS_SCRAM) && (means & SASL_HAS_TLS))
        offered |= 1U << SASL_SCRAM_SHA_256_PLUS;
    if (means & SASL_HAS_TOKENS)
        offered |= 1U << SASL_OAUTHBEARER | 1U << SASL_XOAUTH2;
    if (means & SASL_HAS_CERTIFICATE)
        offered |= 1U << SASL_EXTERNAL;
    return offered;
}

bool sasl_find_mechanism(struct slice name, unsigned offered, enum sasl_mechanism *mechanism)
{
    for (unsigned i = 0; i < SASL_MECHANISMS; i++) {
        if (!(offered & 1U << i) || !slice_equal_nocase(name, slice_of_string(names[i])))
            continue;
        *mechanism = (enum sasl_mechanism)i;
        return true;
    }
    return false;
}

void sasl_append_mechanisms(unsigned offered, const char *before, const char *after,
                            struct buffer *text)
{
    for (unsigned i = 0; i < SASL_MECHANISMS; i++)
        if (offered & 1U << i)
            buffer_append_format(text, "%s%s%s", before, names[i], after);
}

static bool is_name(struct slice text)
{
    return text.len > 0 && text.len <= SASL_NAME_LIMIT && slice_find_octet(text, 0) == text.len
           && !u8_check(text.ptr, text.len);
}

/* Any octets but NUL: a system account may have a password in another charset than UTF-8. */
static bool is_password(struct slice text)
{
    return text.len > 0 && text.len <= SASL_PASSWORD_LIMIT && slice_find_octet(text, 0) == text.len;
}

/* message = [authzid] UTF8NUL authcid UTF8NUL passwd    RFC 4616 2 */
static enum sasl_result take_plain(struct sasl *sasl, struct slice message)
{
    size_t first = slice_find_octet(message, 0);
    struct slice rest = slice_from(message, first + 1);
    size_t second = slice_find_octet(rest, 0);
    struct slice authorization_id = slice_range(message, 0, first);
    struct slice authentication_id = slice_range(rest, 0, second);
    struct slice password = slice_from(rest, second + 1);
    if ((authorization_id.len > 0 && !is_name(authorization_id)) || !is_name(authentication_id)
        || !is_password(password))
        return SASL_MALFORMED;
    sasl->authorization_id = authorization_id;
    sasl->authentication_id = authentication_id;
    sasl->password = password;
    return SASL_DONE;
}

/* LOGIN has no RFC (draft-murchison-sasl-login): a name, then a password, each asked for. */
static enum sasl_result take_login(struct sasl *sasl, struct slice message, struct slice *challenge)
{
    if (sasl->authentication_id.len > 0) {
        sasl->password = message;
        return is_password(message) ? SASL_DONE : SASL_MALFORMED;
    }
    if (!is_name(message))
        return SASL_MALFORMED;
    sasl->authentication_id = message;
    *challenge = SLICE("UGFzc3dvcmQ6"); /* "Password:" */
    return SASL_CONTINUE;
}

/* Decodes after what is kept already: LOGIN's name. */
static enum sasl_result take_response(struct sasl *sasl, struct slice text, struct slice *challenge)
{
    size_t used = sasl->authentication_id.len;
    uint8_t *octets = sasl->octets + used;
    size_t len;
    if (!base64_decode(text, octets, sizeof(sasl->octets) - used, &len))
        return SASL_MALFORMED;
    struct slice message = slice_of(octets, len);
    if (sasl->mechanism == SASL_PLAIN)
        return take_plain(sasl, message);
    if (sasl->mechanism == SASL_LOGIN)
        return take_login(sasl, message, challenge);
    if (sasl->mechanism == SASL_EXTERNAL && message.len > 0 && !is_name(message))
        return SASL_MALFORMED; /* authz-id, or nothing */
    sasl->message = message;
    sasl->messages++;
    return SASL_ASK;
}

enum sasl_result sasl_start(struct sasl *sasl, enum sasl_mechanism mechanism,
                            const struct slice *initial, struct slice *challenge)
{
    sasl_clear(sasl);
    sasl->mechanism = mechanism;
    *challenge = SLICE("");
    if (initial)
        return take_response(sasl, slice_equal(*initial, SLICE("=")) ? SLICE("") : *initial,
                             challenge);
    if (mechanism == SASL_LOGIN)
        *challenge = SLICE("VXNlcm5hbWU6"); /* "Username:" */
    return SASL_CONTINUE;
}

enum sasl_result sasl_respond(struct sasl *sasl, struct slice line, struct slice *challenge)
{
    assert(sasl->password.len == 0); /* not after SASL_DONE */
    *challenge = SLICE("");
    if (slice_equal(line, SLICE("*")))
        return SASL_CANCELLED;
    return take_response(sasl, line, challenge);
}

void sasl_clear(struct sasl *sasl)
{
    sodium_memzero(sasl->octets, sizeof(sasl->octets));
    *sasl = (struct sasl){.mechanism = SASL_PLAIN};
}
