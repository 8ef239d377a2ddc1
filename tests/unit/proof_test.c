/* Promises of common/auth/proof.h and token.h: nothing can be borrowed, everything ends. */
#include "tests/unit/test.h"

#include <sodium.h>

#include "common/auth/proof.h"
#include "common/auth/token.h"

static const struct proof_claim alice = {
    .account = {(const uint8_t *)"alice", 5},
    .password = {(const uint8_t *)"secret", 6},
    .verifier = {(const uint8_t *)"hash1", 5},
};

static void a_proof_is_of_all_three(void **state)
{
    (void)state;
    struct error error;
    struct proofs *proofs = proofs_new(60000, &error);
    assert_non_null(proofs);
    assert_false(proofs_hold(proofs, &alice, 0));
    proofs_remember(proofs, &alice, 0);
    assert_true(proofs_hold(proofs, &alice, 59999));
    struct proof_claim other = alice;
    other.account = SLICE("bob");
    assert_false(proofs_hold(proofs, &other, 1));
    other = alice;
    other.password = SLICE("secre");
    assert_false(proofs_hold(proofs, &other, 1));
    other = alice;
    other.verifier = SLICE("hash2"); /* the password was changed */
    assert_false(proofs_hold(proofs, &other, 1));
    other = (struct proof_claim){SLICE("alices"), SLICE("ecret"), SLICE("hash1")};
    assert_false(proofs_hold(proofs, &other, 1)); /* same octets, cut elsewhere */
    proofs_free(proofs);
    proofs_free(NULL);
}

static void a_proof_ends(void **state)
{
    (void)state;
    struct error error;
    struct proofs *proofs = proofs_new(60000, &error);
    assert_non_null(proofs);
    proofs_remember(proofs, &alice, 1000);
    assert_false(proofs_hold(proofs, &alice, 61000));
    proofs_remember(proofs, &alice, 61000);
    assert_true(proofs_hold(proofs, &alice, 61001));
    proofs_free(proofs);
    struct proofs *none = proofs_new(0, &error);
    assert_non_null(none);
    proofs_remember(none, &alice, 1);
    assert_false(proofs_hold(none, &alice, 1));
    proofs_free(none);
}

/* Bounded: many others may push one out, but the latest is always there. */
static void many_proofs(void **state)
{
    (void)state;
    struct error error;
    struct proofs *proofs = proofs_new(60000, &error);
    assert_non_null(proofs);
    for (uint64_t i = 0; i < 20000; i++) {
        struct proof_claim claim = alice;
        claim.account = slice_of(&i, sizeof(i));
        proofs_remember(proofs, &claim, i);
        assert_true(proofs_hold(proofs, &claim, i));
    }
    proofs_free(proofs);
}

static void a_token_is_bound(void **state)
{
    (void)state;
    struct token_key key;
    struct token_key other_key;
    randombytes_buf(&key, sizeof(key));
    randombytes_buf(&other_key, sizeof(other_key));
    struct token token;
    struct slice account = SLICE("alice@demo.test");
    token_issue(&token, &key, 7, account, 1000);
    assert_true(token_verify(&token, &key, 7, account, 999));
    assert_false(token_verify(&token, &key, 7, account, 1000)); /* expired */
    assert_false(token_verify(&token, &key, 8, account, 0));    /* another session */
    assert_false(token_verify(&token, &key, 7, SLICE("bob@demo.test"), 0));
    assert_false(token_verify(&token, &other_key, 7, account, 0));
    struct token forged = token;
    forged.expires_ms = UINT64_MAX;
    assert_false(token_verify(&forged, &key, 7, account, 0));
    forged = token;
    forged.session = 8;
    assert_false(token_verify(&forged, &key, 8, account, 0));
    forged = token;
    forged.mac[31] ^= 1;
    assert_false(token_verify(&forged, &key, 7, account, 0));
    forged = (struct token){.session = 7, .expires_ms = 1000};
    assert_false(token_verify(&forged, &key, 7, account, 0));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_proof_is_of_all_three),
        cmocka_unit_test(a_proof_ends),
        cmocka_unit_test(many_proofs),
        cmocka_unit_test(a_token_is_bound),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
