/* SCRAM; see scram.h. Pure. */
#include "common/login/scram.h"

#include <stdlib.h>

#include <sodium.h>
#include <stringprep.h>

#include "common/login/scram_internal.h"
#include "common/size.h"
#include "common/text/base64.h"
#include "common/text/cursor.h"
#include "common/text/sha1.h"

enum { BLOCK = 64, PREPARED_MAX = 4096 };

/* ---- hashes ---- */

struct digest_state {
    enum scram_hash hash;
    union {
        struct sha1 sha1;
        crypto_hash_sha256_state sha256;
    };
};

/* A key's two halves, hashed once: what HMAC begins with (RFC 2104 4). */
struct hmac {
    struct digest_state inner, outer;
};

static size_t octets_of(enum scram_hash hash)
{
    return hash == SCRAM_SHA_1 ? SHA1_OCTETS : crypto_hash_sha256_BYTES;
}

static void digest_init(struct digest_state *state, enum scram_hash hash)
{
    state->hash = hash;
    if (hash == SCRAM_SHA_1)
        sha1_init(&state->sha1);
    else
        crypto_hash_sha256_init(&state->sha256);
}

static void digest_update(struct digest_state *state, struct slice octets)
{
    if (state->hash == SCRAM_SHA_1)
        sha1_update(&state->sha1, octets);
    else if (octets.len > 0)
        crypto_hash_sha256_update(&state->sha256, octets.ptr, octets.len);
}

static void digest_final(struct digest_state *state, uint8_t *octets)
{
    if (state->hash == SCRAM_SHA_1)
        sha1_final(&state->sha1, octets);
    else
        crypto_hash_sha256_final(&state->sha256, octets);
}

static void hash_octets(enum scram_hash hash, struct slice octets, uint8_t *result)
{
    struct digest_state state;
    digest_init(&state, hash);
    digest_update(&state, octets);
    digest_final(&state, result);
}

static void begin_half(struct digest_state *state, enum scram_hash hash, const uint8_t *key,
                       uint8_t pad)
{
    uint8_t block[BLOCK];
    for (size_t i = 0; i < BLOCK; i++)
        block[i] = key[i] ^ pad;
    digest_init(state, hash);
    digest_update(state, slice_of(block, BLOCK));
    sodium_memzero(block, sizeof(block));
}

static void hmac_init(struct hmac *hmac, enum scram_hash hash, struct slice key)
{
    uint8_t block[BLOCK] = {0};
    if (key.len > BLOCK)
        hash_octets(hash, key, block);
    else if (key.len > 0)
        memcpy(block, key.ptr, key.len);
    begin_half(&hmac->inner, hash, block, 0x36);
    begin_half(&hmac->outer, hash, block, 0x5c);
    sodium_memzero(block, sizeof(block));
}

static void hmac_of(const struct hmac *hmac, struct slice first, struct slice second,
                    uint8_t *result)
{
    struct digest_state state = hmac->inner;
    digest_update(&state, first);
    digest_update(&state, second);
    digest_final(&state, result);
    state = hmac->outer;
    digest_update(&state, slice_of(result, octets_of(hmac->inner.hash)));
    digest_final(&state, result);
}

static void hmac_once(enum scram_hash hash, struct slice key, struct slice text, uint8_t *result)
{
    struct hmac hmac;
    hmac_init(&hmac, hash, key);
    hmac_of(&hmac, text, SLICE(""), result);
    sodium_memzero(&hmac, sizeof(hmac));
}

/* ---- keys ---- */

bool scram_prepare(struct slice text, struct buffer *prepared)
{
    char octets[PREPARED_MAX];
    if (text.len >= PREPARED_MAX || slice_find_octet(text, '\0') < text.len)
        return false;
    memcpy(octets, text.ptr, text.len);
    octets[text.len] = '\0';
    bool done = stringprep(octets, sizeof(octets), 0, stringprep_saslprep) == STRINGPREP_OK;
    if (done)
        buffer_append_string(prepared, octets);
    sodium_memzero(octets, sizeof(octets));
    return done && !prepared->failed;
}

/* Hi(), RFC 5802 2.2: PBKDF2 with one block. */
static void salt_password(enum scram_hash hash, struct slice password, struct slice salt,
                          uint32_t iterations, uint8_t *salted)
{
    struct hmac hmac;
    uint8_t round[SCRAM_OCTETS_MAX];
    const size_t octets = octets_of(hash);
    hmac_init(&hmac, hash, password);
    hmac_of(&hmac, salt, slice_of("\0\0\0\1", 4), round);
    memcpy(salted, round, octets);
    for (uint32_t i = 1; i < iterations; i++) {
        hmac_of(&hmac, slice_of(round, octets), SLICE(""), round);
        for (size_t j = 0; j < octets; j++)
            salted[j] ^= round[j];
    }
    sodium_memzero(&hmac, sizeof(hmac));
    sodium_memzero(round, sizeof(round));
}

void scram_derive(enum scram_hash hash, struct slice password, struct slice salt,
                  uint32_t iterations, struct scram_keys *keys)
{
    uint8_t salted[SCRAM_OCTETS_MAX];
    const struct slice key = slice_of(salted, octets_of(hash));
    salt_password(hash, password, salt, iterations, salted);
    hmac_once(hash, key, SLICE("Client Key"), keys->client);
    hash_octets(hash, slice_of(keys->client, key.len), keys->stored);
    hmac_once(hash, key, SLICE("Server Key"), keys->server);
    sodium_memzero(salted, sizeof(salted));
}

void scram_prove(enum scram_hash hash, const struct scram_keys *keys, struct slice auth_message,
                 uint8_t proof[SCRAM_OCTETS_MAX], uint8_t signature[SCRAM_OCTETS_MAX])
{
    const size_t octets = octets_of(hash);
    hmac_once(hash, slice_of(keys->stored, octets), auth_message, proof);
    for (size_t i = 0; i < octets; i++)
        proof[i] ^= keys->client[i];
    hmac_once(hash, slice_of(keys->server, octets), auth_message, signature);
}

/* ---- grammar ---- */

bool scram_take_attribute(struct cursor *in, uint8_t name, struct slice *value)
{
    struct cursor start = *in;
    uint8_t octet;
    if (cursor_skip(in, name) && cursor_skip(in, '=')) {
        struct cursor from = *in;
        while (cursor_peek(in, &octet) && octet != ',' && octet != '\0')
            in->at++;
        *value = cursor_since(in, &from);
        if (value->len > 0)
            return true;
    }
    *in = start;
    return false;
}

bool scram_skip_extensions(struct cursor *in)
{
    struct slice value;
    uint8_t name;
    while (cursor_skip(in, ',')) {
        if (!cursor_peek(in, &name) || !((name | 0x20) >= 'a' && (name | 0x20) <= 'z')
            || name == 'm' || !scram_take_attribute(in, name, &value))
            return false;
    }
    return cursor_at_end(in);
}

bool scram_take_nonce(struct cursor *in, struct slice *nonce)
{
    if (!scram_take_attribute(in, 'r', nonce))
        return false;
    for (size_t i = 0; i < nonce->len; i++)
        if (nonce->ptr[i] < 0x21 || nonce->ptr[i] > 0x7e)
            return false;
    return true;
}

bool scram_parse_iterations(struct slice text, uint32_t *iterations)
{
    uint64_t number;
    if (text.len == 0 || text.ptr[0] == '0' || !slice_parse_number(text, &number)
        || number > UINT32_MAX)
        return false;
    *iterations = (uint32_t)number;
    return true;
}

static bool take_iterations(struct cursor *in, uint32_t *iterations)
{
    struct slice value;
    return scram_take_attribute(in, 'i', &value) && scram_parse_iterations(value, iterations);
}

bool scram_server_first_parse(struct slice text, struct scram_server_first *first)
{
    struct cursor in = cursor_of(text);
    struct slice salt;
    struct scram_server_first found = {.iterations = 0};
    if (text.len > SCRAM_MESSAGE_MAX || !scram_take_nonce(&in, &found.nonce)
        || !cursor_skip(&in, ',') || !scram_take_attribute(&in, 's', &salt)
        || !base64_decode(salt, found.salt, sizeof(found.salt), &found.salt_octets)
        || !cursor_skip(&in, ',') || !take_iterations(&in, &found.iterations)
        || !scram_skip_extensions(&in))
        return false;
    *first = found;
    return true;
}

bool scram_server_final_parse(struct slice text, struct scram_server_final *final)
{
    struct cursor in = cursor_of(text);
    struct slice verifier;
    struct scram_server_final found = {.signature_octets = 0};
    if (text.len > SCRAM_MESSAGE_MAX)
        return false;
    if (!scram_take_attribute(&in, 'e', &found.refusal)
        && (!scram_take_attribute(&in, 'v', &verifier)
            || !base64_decode(verifier, found.signature, sizeof(found.signature),
                              &found.signature_octets)))
        return false;
    if (!scram_skip_extensions(&in))
        return false;
    *final = found;
    return true;
}

/* ---- the client ---- */

static struct slice nonce_of(const struct scram_client *client)
{
    return slice_from(buffer_slice(&client->first_bare), client->nonce_at);
}

/* gs2-header = gs2-cbind-flag "," [ authzid ] "," */
static void begin_channel(const struct scram_binding *binding, struct buffer *channel)
{
    if (binding->type)
        buffer_append_format(channel, "p=%s,,", binding->type);
    else
        buffer_append(channel, binding->octets.len > 0 ? SLICE("y,,") : SLICE("n,,"));
}

/* saslname: no "," and "=" as they are */
static void append_name(struct slice name, struct buffer *out)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == ',')
            buffer_append(out, SLICE("=2C"));
        else if (name.ptr[i] == '=')
            buffer_append(out, SLICE("=3D"));
        else
            buffer_append_octet(out, name.ptr[i]);
    }
}

static bool append_user(struct slice user, struct buffer *out)
{
    struct buffer prepared = BUFFER_WITH_LIMIT(PREPARED_MAX);
    bool done = scram_prepare(user, &prepared);
    if (done)
        append_name(buffer_slice(&prepared), out);
    buffer_clear(&prepared);
    return done;
}

bool scram_client_first(struct scram_client *client, const struct scram_binding *binding,
                        struct slice user, struct slice nonce, struct buffer *out,
                        struct error *error)
{
    buffer_init(&client->channel, SCRAM_MESSAGE_MAX);
    buffer_init(&client->first_bare, SCRAM_MESSAGE_MAX);
    begin_channel(binding, &client->channel);
    buffer_append(out, buffer_slice(&client->channel));
    if (binding->type)
        buffer_append(&client->channel, binding->octets);
    buffer_append(&client->first_bare, SLICE("n="));
    if (!append_user(user, &client->first_bare))
        return error_set(error, ERROR_PERMANENT, "the name has characters that SCRAM cannot say");
    buffer_append(&client->first_bare, SLICE(",r="));
    client->nonce_at = client->first_bare.len;
    buffer_append(&client->first_bare, nonce);
    buffer_append(out, buffer_slice(&client->first_bare));
    return (!client->channel.failed && !client->first_bare.failed && !out->failed)
           || error_memory(error);
}

static bool check_first(const struct scram_client *client, struct slice text,
                        struct scram_server_first *first, struct error *error)
{
    if (!scram_server_first_parse(text, first))
        return error_set(error, ERROR_PEER, "the server's first SCRAM message is malformed");
    /* RFC 5802 5.1: or it could be an answer to somebody else. */
    if (!slice_starts_with(first->nonce, nonce_of(client))
        || first->nonce.len == nonce_of(client).len)
        return error_set(error, ERROR_PEER, "the server does not repeat our SCRAM nonce");
    if (first->iterations < SCRAM_ITERATIONS_LEAST || first->iterations > SCRAM_ITERATIONS_MOST)
        return error_set(error, ERROR_PEER,
                         "the server wants %u iterations of SCRAM: fewer than %d are not safe, "
                         "more than %d too many",
                         first->iterations, SCRAM_ITERATIONS_LEAST, SCRAM_ITERATIONS_MOST);
    return true;
}

/* client-final-message-without-proof */
static void append_final(const struct scram_client *client, struct slice nonce, struct buffer *out)
{
    buffer_append(out, SLICE("c="));
    base64_encode(buffer_slice(&client->channel), out);
    buffer_append(out, SLICE(",r="));
    buffer_append(out, nonce);
}

static void prove(struct scram_client *client, const struct scram_server_first *first,
                  struct slice prepared, struct slice auth_message, struct buffer *out)
{
    struct scram_keys keys;
    uint8_t proof[SCRAM_OCTETS_MAX];
    scram_derive(client->hash, prepared, slice_of(first->salt, first->salt_octets),
                 first->iterations, &keys);
    scram_prove(client->hash, &keys, auth_message, proof, client->signature);
    client->proved = true;
    buffer_append(out, SLICE(",p="));
    base64_encode(slice_of(proof, octets_of(client->hash)), out);
    sodium_memzero(&keys, sizeof(keys));
}

bool scram_client_final(struct scram_client *client, struct slice password,
                        struct slice server_first, struct buffer *out, struct error *error)
{
    struct scram_server_first first;
    struct buffer prepared = BUFFER_WITH_LIMIT(PREPARED_MAX);
    struct buffer message = BUFFER_WITH_LIMIT(4 * SCRAM_MESSAGE_MAX);
    bool done = check_first(client, server_first, &first, error);
    buffer_reserve(&prepared, PREPARED_MAX); /* growth would leave copies in memory */
    if (done && !scram_prepare(password, &prepared))
        done =
            error_set(error, ERROR_PERMANENT, "the password has characters that SCRAM cannot say");
    if (done) {
        append_final(client, first.nonce, out);
        buffer_append(&message, buffer_slice(&client->first_bare));
        buffer_append(&message, SLICE(","));
        buffer_append(&message, server_first);
        buffer_append(&message, SLICE(","));
        append_final(client, first.nonce, &message);
        done = (!message.failed && !out->failed) || error_memory(error);
    }
    if (done)
        prove(client, &first, buffer_slice(&prepared), buffer_slice(&message), out);
    if (prepared.ptr)
        sodium_memzero(prepared.ptr, prepared.capacity);
    buffer_clear(&prepared);
    buffer_clear(&message);
    return done && (!out->failed || error_memory(error));
}

bool scram_client_verify(const struct scram_client *client, struct slice server_final,
                         struct error *error)
{
    struct scram_server_final final;
    const size_t octets = octets_of(client->hash);
    if (!client->proved || !scram_server_final_parse(server_final, &final))
        return error_set(error, ERROR_PEER, "the server's last SCRAM message is malformed");
    if (final.refusal.len > 0)
        return error_set(error, ERROR_PEER, "the server refused our proof: %.*s",
                         SLICE_PRINTF(slice_range(final.refusal, 0, 100)));
    if (final.signature_octets != octets
        || sodium_memcmp(final.signature, client->signature, octets) != 0)
        return error_set(error, ERROR_PEER,
                         "the server does not prove that it knows the password: it may be another "
                         "one");
    return true;
}

void scram_client_clear(struct scram_client *client)
{
    buffer_clear(&client->channel);
    buffer_clear(&client->first_bare);
    sodium_memzero(client, sizeof(*client));
}
