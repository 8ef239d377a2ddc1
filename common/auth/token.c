/* Submission tokens; see token.h. Keyed BLAKE2b by libsodium. */
#include "common/auth/token.h"

#include <sodium.h>

_Static_assert(sizeof(struct token) == 16 + TOKEN_MAC_OCTETS, "no gaps: it is sent as it lies");

/* The account comes last and takes what is left, so no two inputs are the same octets. The word
 * before keeps the hash apart from any other use of the key. */
static void compute_mac(const struct token *token, const struct token_key *key,
                        struct slice account, uint8_t mac[TOKEN_MAC_OCTETS])
{
    static const uint8_t purpose[16] = "submission token";
    crypto_generichash_state state;
    crypto_generichash_init(&state, key->octets, sizeof(key->octets), TOKEN_MAC_OCTETS);
    crypto_generichash_update(&state, purpose, sizeof(purpose));
    crypto_generichash_update(&state, (const uint8_t *)&token->session, sizeof(token->session));
    crypto_generichash_update(&state, (const uint8_t *)&token->expires_ms,
                              sizeof(token->expires_ms));
    crypto_generichash_update(&state, account.ptr, account.len);
    crypto_generichash_final(&state, mac, TOKEN_MAC_OCTETS);
}

void token_issue(struct token *token, const struct token_key *key, uint64_t session,
                 struct slice account, uint64_t expires_ms)
{
    *token = (struct token){.session = session, .expires_ms = expires_ms};
    compute_mac(token, key, account, token->mac);
}

bool token_verify(const struct token *token, const struct token_key *key, uint64_t session,
                  struct slice account, uint64_t now_ms)
{
    uint8_t mac[TOKEN_MAC_OCTETS];
    compute_mac(token, key, account, mac);
    return sodium_memcmp(mac, token->mac, TOKEN_MAC_OCTETS) == 0 && token->session == session
           && now_ms < token->expires_ms;
}
