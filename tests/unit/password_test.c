/* Promises of common/auth/password.h. The verifiers were made by the argon2 command, not by us. */
#include "tests/unit/test.h"

#include <sodium.h>

#include "common/auth/password.h"
#include "common/size.h"

#define ONE_LANE "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$"
#define STAFFETTA ONE_LANE "BwqrmXH52/AWBpGJy+joJzxVPMf2UIYGEKGLA9uiblM"
#define FOUR_LANES                                                                                 \
    "$argon2id$v=19$m=8192,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$1pXwJiLz3gw/Bc7qlQC9RfmK8TZiY/Nw"

static void kinds(void **state)
{
    (void)state;
    static const struct {
        const char *verifier;
        enum password_kind kind;
    } cases[] = {
        {STAFFETTA, PASSWORD_ARGON2ID},
        {FOUR_LANES, PASSWORD_ARGON2ID},
        {"!", PASSWORD_LOCKED},
        {"!" STAFFETTA, PASSWORD_LOCKED},
        {"", PASSWORD_MALFORMED},
        {"*", PASSWORD_MALFORMED},
        {"!!", PASSWORD_MALFORMED},
        {"secret", PASSWORD_MALFORMED},
        {"$6$salt$hash", PASSWORD_MALFORMED},
        {ONE_LANE, PASSWORD_MALFORMED},
        {STAFFETTA "=", PASSWORD_MALFORMED},
        {STAFFETTA STAFFETTA, PASSWORD_MALFORMED},
        {"$argon2i$v=19$m=8192,t=3,p=1$c29tZXNhbHRzb21lc2FsdA$LIBUaK8/Uj06tyWME+ybpglkYulJANBa",
         PASSWORD_MALFORMED},
        {"$ARGON2ID$v=19$m=8192,t=3,p=1$c29tZXNhbHRzb21lc2FsdA$LIBUaK8/Uj06tyWME+ybpglkYulJANB",
         PASSWORD_MALFORMED},
        {"$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$BwqrmXH52/AWBpGJy+joJzxVPMf2U",
         PASSWORD_MALFORMED}, /* 4 GiB */
        {"$argon2id$v=19$m=19456,t=1000,p=1$c29tZXNhbHRzb21lc2FsdA$BwqrmXH52/AWBpGJy+joJzxVPMf2",
         PASSWORD_MALFORMED},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        assert_int_equal(password_kind(slice_of_string(cases[i].verifier)), cases[i].kind);
}

static bool verifies(struct slice password, const char *verifier)
{
    bool right = true;
    struct error error;
    assert_true(password_verify(password, slice_of_string(verifier), &right, &error));
    return right;
}

static void verifiers_of_others(void **state)
{
    (void)state;
    assert_true(verifies(SLICE("staffetta"), STAFFETTA));
    assert_true(verifies(SLICE("staffetta"), FOUR_LANES));
    assert_false(verifies(SLICE("Staffetta"), STAFFETTA));
    assert_false(verifies(SLICE("staffetta\0"), STAFFETTA));
    assert_false(verifies(SLICE("staffetta"), "!" STAFFETTA));
    assert_false(verifies(SLICE(""), STAFFETTA));
    bool right = true;
    struct error error;
    assert_false(password_verify(SLICE("x"), SLICE("x"), &right, &error));
    assert_int_equal(error.kind, ERROR_PERMANENT);
    assert_false(right);
}

static void hashing(void **state)
{
    (void)state;
    char verifier[PASSWORD_VERIFIER_MAX + 1];
    char again[PASSWORD_VERIFIER_MAX + 1];
    struct error error;
    assert_true(password_hash(SLICE("correct horse"), verifier, &error));
    assert_true(password_hash(SLICE("correct horse"), again, &error));
    assert_int_equal(password_kind(slice_of_string(verifier)), PASSWORD_ARGON2ID);
    assert_string_not_equal(verifier, again);
    assert_true(verifies(SLICE("correct horse"), verifier));
    assert_false(verifies(SLICE("correct  horse"), verifier));

    uint8_t longest[PASSWORD_MAX + 1];
    memset(longest, 'x', sizeof(longest));
    assert_true(password_hash(slice_of(longest, PASSWORD_MAX), verifier, &error));
    assert_true(verifies(slice_of(longest, PASSWORD_MAX), verifier));
    assert_false(password_hash(slice_of(longest, PASSWORD_MAX + 1), verifier, &error));
    assert_false(verifies(slice_of(longest, PASSWORD_MAX + 1), verifier));
    assert_false(password_hash(SLICE(""), verifier, &error));
}

/* RFC 4013 3, and what is not text at all. */
static void spelling_does_not_matter(void **state)
{
    (void)state;
    static const struct {
        const char *stored;
        const char *typed;
        bool right;
    } cases[] = {
        {"caf\303\251", "cafe\314\201", true}, /* composed, decomposed */
        {"a b", "a\302\240b", true},           /* no-break space */
        {"IX", "I\302\255X", true},            /* soft hyphen */
        {"IX", "\342\205\250", true},          /* ROMAN NUMERAL NINE */
        {"caf\303\251", "cafe", false},
        {"\377\376x", "\377\376x", true}, /* not UTF-8: as it came */
        {"\377\376x", "\377\376y", false},
        {"\302\255", "\302\255", true}, /* nothing would be left */
        {"a\tb", "a\tb", true},         /* prohibited: as it came */
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        char verifier[PASSWORD_VERIFIER_MAX + 1];
        struct error error;
        assert_true(password_hash(slice_of_string(cases[i].stored), verifier, &error));
        assert_int_equal(verifies(slice_of_string(cases[i].typed), verifier), cases[i].right);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds),
        cmocka_unit_test(verifiers_of_others),
        cmocka_unit_test(hashing),
        cmocka_unit_test(spelling_does_not_matter),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
