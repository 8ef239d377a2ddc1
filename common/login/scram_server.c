/* The server's side of SCRAM; see scram_server.h. Pure. */
#include "common/login/scram_server.h"

#include <sodium.h>

#include "common/login/scram_internal.h"
#include "common/size.h"
#include "common/text/base64.h"

enum { OCTETS = crypto_hash_sha256_BYTES, NAME_MAX_OCTETS = 1024 };

/* ---- verifiers ---- */

static struct slice take_part(struct slice *rest)
{
    struct slice part = slice_range(*rest, 0, slice_find_octet(*rest, ','));
    *rest = slice_from(*rest, part.len + 1);
    return part;
}

static bool take_exactly(struct slice *rest, uint8_t *octets, size_t size)
{
    size_t length;
    return base64_decode(take_part(rest), octets, size, &length) && length == size;
}

bool scram_verifier_parse(struct slice text, struct scram_verifier *verifier)
{
    struct scram_verifier found = {.iterations = 0};
    struct slice rest = text;
    if (text.len > SCRAM_VERIFIER_MAX
        || !scram_parse_iterations(take_part(&rest), &found.iterations)
        || found.iterations < SCRAM_ITERATIONS_LEAST || found.iterations > SCRAM_ITERATIONS_MOST
        || !base64_decode(take_part(&rest), found.salt, sizeof(found.salt), &found.salt_octets)
        || found.salt_octets == 0 || !take_exactly(&rest, found.stored, OCTETS)
        || !take_exactly(&rest, found.server, OCTETS)
        || !take_exactly(&rest, found.tie, SCRAM_TIE_OCTETS) || rest.len > 0
        || text.ptr[text.len - 1] == ',')
        return false;
    *verifier = found;
    return true;
}

static void compute_tie(struct slice hash, uint8_t tie[SCRAM_TIE_OCTETS])
{
    uint8_t digest[OCTETS];
    struct slice bare = slice_from(hash, slice_starts_with(hash, SLICE("!")) ? 1 : 0);
    crypto_hash_sha256(digest, bare.ptr, bare.len);
    memcpy(tie, digest, SCRAM_TIE_OCTETS);
}

bool scram_verifier_belongs(const struct scram_verifier *verifier, struct slice hash)
{
    uint8_t tie[SCRAM_TIE_OCTETS];
    compute_tie(hash, tie);
    return memcmp(tie, verifier->tie, sizeof(tie)) == 0;
}

static void append_part(const uint8_t *octets, size_t length, struct buffer *text)
{
    buffer_append_octet(text, ',');
    base64_encode(slice_of(octets, length), text);
}

bool scram_verifier_make(struct slice password, struct slice hash, struct buffer *text)
{
    struct buffer prepared = BUFFER_WITH_LIMIT(4096);
    struct scram_keys keys;
    uint8_t salt[SCRAM_MADE_SALT];
    uint8_t tie[SCRAM_TIE_OCTETS];
    bool made =
        buffer_reserve(&prepared, 4096) && scram_prepare(password, &prepared) && prepared.len > 0;
    if (made) {
        randombytes_buf(salt, sizeof(salt));
        compute_tie(hash, tie);
        scram_derive(SCRAM_SHA_256, buffer_slice(&prepared), slice_of(salt, sizeof(salt)),
                     SCRAM_MADE_ITERATIONS, &keys);
        buffer_append_number(text, SCRAM_MADE_ITERATIONS);
        append_part(salt, sizeof(salt), text);
        append_part(keys.stored, OCTETS, text);
        append_part(keys.server, OCTETS, text);
        append_part(tie, sizeof(tie), text);
        sodium_memzero(&keys, sizeof(keys));
    }
    if (prepared.ptr)
        sodium_memzero(prepared.ptr, prepared.capacity);
    buffer_clear(&prepared);
    return made && !text->failed;
}

void scram_verifier_pretend(const uint8_t key[32], struct slice name,
                            struct scram_verifier *verifier)
{
    static const uint8_t purpose[] = "staffetta: the salt of a name without SCRAM";
    crypto_generichash_state state;
    *verifier = (struct scram_verifier){.iterations = SCRAM_MADE_ITERATIONS,
                                        .salt_octets = SCRAM_MADE_SALT};
    crypto_generichash_init(&state, key, 32, SCRAM_MADE_SALT);
    crypto_generichash_update(&state, purpose, sizeof(purpose));
    crypto_generichash_update(&state, name.ptr, name.len);
    crypto_generichash_final(&state, verifier->salt, SCRAM_MADE_SALT);
    /* No proof leads to a random StoredKey. */
    randombytes_buf(verifier->stored, sizeof(verifier->stored));
    randombytes_buf(verifier->server, sizeof(verifier->server));
}

/* ---- grammar ---- */

/* cb-name = 1*(ALPHA / DIGIT / "." / "-") */
static bool is_binding_name(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!ascii_is_alpha(text.ptr[i]) && !ascii_is_digit(text.ptr[i]) && text.ptr[i] != '.'
            && text.ptr[i] != '-')
            return false;
    return text.len > 0;
}

/* gs2-cbind-flag = ("p=" cb-name) / "n" / "y" */
static bool take_flag(struct cursor *in, struct scram_client_first *first)
{
    first->flag = 'p';
    if (scram_take_attribute(in, 'p', &first->binding))
        return is_binding_name(first->binding);
    first->flag = cursor_skip(in, 'n') ? 'n' : 'y';
    return first->flag == 'n' || cursor_skip(in, 'y');
}

/* gs2-header = gs2-cbind-flag "," [ "a=" saslname ] "," */
static bool take_header(struct cursor *in, struct scram_client_first *first)
{
    struct cursor start = *in;
    if (!take_flag(in, first) || !cursor_skip(in, ','))
        return false;
    scram_take_attribute(in, 'a', &first->act_as);
    if (!cursor_skip(in, ','))
        return false;
    first->header = cursor_since(in, &start);
    return true;
}

bool scram_client_first_parse(struct slice text, struct scram_client_first *first)
{
    struct cursor in = cursor_of(text);
    struct scram_client_first found = {.flag = 'n'};
    if (text.len > SCRAM_MESSAGE_MAX || !take_header(&in, &found))
        return false;
    found.bare = cursor_rest(&in);
    if (!scram_take_attribute(&in, 'n', &found.name) || !cursor_skip(&in, ',')
        || !scram_take_nonce(&in, &found.nonce) || !scram_skip_extensions(&in))
        return false;
    *first = found;
    return true;
}

/* saslname = 1*(value-safe-char / "=2C" / "=3D") */
bool scram_name_decode(struct slice saslname, struct buffer *name)
{
    struct buffer plain = BUFFER_WITH_LIMIT(NAME_MAX_OCTETS);
    bool valid = saslname.len > 0;
    for (size_t i = 0; valid && i < saslname.len; i++) {
        struct slice escape = slice_range(saslname, i, i + 3);
        if (saslname.ptr[i] != '=') {
            buffer_append_octet(&plain, saslname.ptr[i]);
            continue;
        }
        valid = slice_equal(escape, SLICE("=2C")) || slice_equal(escape, SLICE("=3D"));
        if (valid)
            buffer_append_octet(&plain, escape.ptr[1] == '2' ? ',' : '=');
        i += 2;
    }
    valid = valid && !plain.failed && scram_prepare(buffer_slice(&plain), name);
    buffer_clear(&plain);
    return valid;
}

/* client-final-message = channel-binding "," nonce ["," extensions] "," "p=" base64 */
bool scram_client_final_parse(struct slice text, struct scram_client_final *final)
{
    size_t end = text.len;
    while (end > 0 && text.ptr[end - 1] != ',')
        end--;
    if (text.len > SCRAM_MESSAGE_MAX || end == 0)
        return false;
    struct cursor in = cursor_of(slice_range(text, 0, end - 1));
    struct cursor last = cursor_of(slice_from(text, end));
    struct slice channel, proof;
    size_t octets;
    struct scram_client_final found = {.without_proof = cursor_rest(&in)};
    if (!scram_take_attribute(&in, 'c', &channel)
        || !base64_decode(channel, found.channel, sizeof(found.channel), &found.channel_octets)
        || !cursor_skip(&in, ',') || !scram_take_nonce(&in, &found.nonce)
        || !scram_skip_extensions(&in) || !scram_take_attribute(&last, 'p', &proof)
        || !cursor_at_end(&last) || !base64_decode(proof, found.proof, OCTETS, &octets)
        || octets != OCTETS)
        return false;
    *final = found;
    return true;
}

/* ---- the server ---- */

static struct slice chosen_binding(const struct scram_client_first *first,
                                   const struct scram_bindings *bindings)
{
    if (slice_equal(first->binding, SLICE("tls-exporter")))
        return bindings->exporter;
    if (slice_equal(first->binding, SLICE("tls-server-end-point")))
        return bindings->end_point;
    return slice_of(NULL, 0);
}

/* RFC 5802 6 */
static enum scram_judgement judge_flag(const struct scram_client_first *first, bool plus,
                                       const struct scram_bindings *bindings)
{
    bool offered = bindings->exporter.len > 0 || bindings->end_point.len > 0;
    if (plus != (first->flag == 'p'))
        return SCRAM_MALFORMED;
    if (first->flag == 'y')
        return offered ? SCRAM_UNBOUND : SCRAM_RIGHT;
    if (first->flag == 'p' && chosen_binding(first, bindings).len == 0)
        return SCRAM_UNBOUND;
    return SCRAM_RIGHT;
}

enum scram_judgement scram_server_first(struct scram_server *server,
                                        const struct scram_client_first *first, bool plus,
                                        const struct scram_bindings *bindings, struct slice nonce,
                                        struct buffer *out)
{
    const struct scram_verifier *verifier = &server->verifier;
    enum scram_judgement judgement = judge_flag(first, plus, bindings);
    if (judgement != SCRAM_RIGHT)
        return judgement;
    buffer_init(&server->channel, SCRAM_MESSAGE_MAX + SCRAM_BINDING_MAX);
    buffer_append(&server->channel, first->header);
    buffer_append(&server->channel, chosen_binding(first, bindings));
    buffer_init(&server->transcript, (size_t)4 * SCRAM_MESSAGE_MAX);
    buffer_append(&server->transcript, first->bare);
    buffer_append(&server->transcript, SLICE(",r="));
    size_t from = server->transcript.len - 2;
    server->nonce_at = server->transcript.len;
    server->nonce_octets = first->nonce.len + nonce.len;
    buffer_append(&server->transcript, first->nonce);
    buffer_append(&server->transcript, nonce);
    buffer_append(&server->transcript, SLICE(",s="));
    base64_encode(slice_of(verifier->salt, verifier->salt_octets), &server->transcript);
    buffer_append(&server->transcript, SLICE(",i="));
    buffer_append_number(&server->transcript, verifier->iterations);
    buffer_append(out, slice_from(buffer_slice(&server->transcript), from));
    bool failed = server->channel.failed || server->transcript.failed || out->failed;
    return failed ? SCRAM_MALFORMED : SCRAM_RIGHT;
}

/* ClientKey := ClientProof XOR ClientSignature; H(ClientKey) = StoredKey    RFC 5802 3 */
static bool check_proof(struct scram_server *server, const struct scram_client_final *final,
                        struct buffer *out)
{
    struct scram_keys keys = {.client = {0}};
    uint8_t key[SCRAM_OCTETS_MAX];
    uint8_t signature[SCRAM_OCTETS_MAX];
    uint8_t digest[OCTETS];
    memcpy(keys.stored, server->verifier.stored, OCTETS);
    memcpy(keys.server, server->verifier.server, OCTETS);
    /* With a ClientKey of zeros the proof is the ClientSignature itself. */
    scram_prove(SCRAM_SHA_256, &keys, buffer_slice(&server->transcript), key, signature);
    for (size_t i = 0; i < OCTETS; i++)
        key[i] ^= final->proof[i];
    crypto_hash_sha256(digest, key, OCTETS);
    bool right = sodium_memcmp(digest, server->verifier.stored, OCTETS) == 0;
    if (right) {
        buffer_append(out, SLICE("v="));
        base64_encode(slice_of(signature, OCTETS), out);
    }
    sodium_memzero(&keys, sizeof(keys));
    sodium_memzero(key, sizeof(key));
    return right;
}

enum scram_judgement scram_server_final(struct scram_server *server, struct slice text,
                                        struct buffer *out)
{
    struct scram_client_final final;
    if (!scram_client_final_parse(text, &final))
        return SCRAM_MALFORMED;
    struct slice nonce = slice_range(buffer_slice(&server->transcript), server->nonce_at,
                                     server->nonce_at + server->nonce_octets);
    if (!slice_equal(final.nonce, nonce))
        return SCRAM_WRONG;
    if (!slice_equal(slice_of(final.channel, final.channel_octets), buffer_slice(&server->channel)))
        return SCRAM_UNBOUND;
    buffer_append(&server->transcript, SLICE(","));
    buffer_append(&server->transcript, final.without_proof);
    if (server->transcript.failed)
        return SCRAM_MALFORMED;
    return check_proof(server, &final, out) ? SCRAM_RIGHT : SCRAM_WRONG;
}

void scram_server_clear(struct scram_server *server)
{
    buffer_clear(&server->channel);
    buffer_clear(&server->transcript);
    sodium_memzero(server, sizeof(*server));
}
