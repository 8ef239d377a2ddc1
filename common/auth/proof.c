/* The table of proofs; see proof.h. Sets of four: a proof can be any entry of its set. */
#include "common/auth/proof.h"

#include <stdlib.h>

#include <sodium.h>

enum { SETS = 1024, WAYS = 4, DIGEST_OCTETS = 32 };

struct proof {
    uint8_t digest[DIGEST_OCTETS];
    uint64_t expires_ms; /* 0: nothing here */
};

struct proofs {
    uint8_t key[crypto_generichash_KEYBYTES];
    uint64_t lifetime_ms;
    struct proof sets[SETS][WAYS];
};

struct proofs *proofs_new(uint64_t lifetime_ms, struct error *error)
{
    struct proofs *proofs = calloc(1, sizeof(*proofs));
    if (!proofs) {
        error_memory(error);
        return NULL;
    }
    randombytes_buf(proofs->key, sizeof(proofs->key));
    proofs->lifetime_ms = lifetime_ms;
    return proofs;
}

void proofs_free(struct proofs *proofs)
{
    if (proofs)
        sodium_memzero(proofs, sizeof(*proofs));
    free(proofs);
}

/* The length goes in first: no two claims are the same octets. */
static void hash_part(crypto_generichash_state *state, struct slice part)
{
    uint64_t len = part.len;
    crypto_generichash_update(state, (const uint8_t *)&len, sizeof(len));
    crypto_generichash_update(state, part.ptr, part.len);
}

static void digest_claim(const struct proofs *proofs, const struct proof_claim *claim,
                         uint8_t digest[DIGEST_OCTETS])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, proofs->key, sizeof(proofs->key), DIGEST_OCTETS);
    hash_part(&state, claim->account);
    hash_part(&state, claim->password);
    hash_part(&state, claim->verifier);
    crypto_generichash_final(&state, digest, DIGEST_OCTETS);
    sodium_memzero(&state, sizeof(state)); /* its block holds the password's last octets */
}

static size_t set_of(const uint8_t digest[DIGEST_OCTETS])
{
    return (size_t)(digest[0] | digest[1] << 8) % SETS;
}

void proofs_remember(struct proofs *proofs, const struct proof_claim *claim, uint64_t now_ms)
{
    uint8_t digest[DIGEST_OCTETS];
    digest_claim(proofs, claim, digest);
    struct proof *set = proofs->sets[set_of(digest)];
    struct proof *chosen = &set[0];
    for (size_t way = 0; way < WAYS; way++) {
        if (sodium_memcmp(set[way].digest, digest, DIGEST_OCTETS) == 0) {
            chosen = &set[way];
            break;
        }
        if (set[way].expires_ms < chosen->expires_ms)
            chosen = &set[way];
    }
    memcpy(chosen->digest, digest, DIGEST_OCTETS);
    chosen->expires_ms = now_ms + proofs->lifetime_ms;
}

bool proofs_hold(const struct proofs *proofs, const struct proof_claim *claim, uint64_t now_ms)
{
    uint8_t digest[DIGEST_OCTETS];
    digest_claim(proofs, claim, digest);
    const struct proof *set = proofs->sets[set_of(digest)];
    for (size_t way = 0; way < WAYS; way++)
        if (set[way].expires_ms > now_ms
            && sodium_memcmp(set[way].digest, digest, DIGEST_OCTETS) == 0)
            return true;
    return false;
}
