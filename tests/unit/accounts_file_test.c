/* Promises of common/auth/accounts_file.h: what a line may say, what an edit leaves alone. */
#include "tests/unit/test.h"

#include <stdlib.h>
#include <time.h>

#include "common/auth/accounts_file.h"
#include "common/login/scram_server.h"
#include "common/role/master_protocol.h"
#include "common/size.h"

#define HASH                                                                                       \
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$8x3hZ0n5cG4UqfVxg7Wl2VYpmXlmy1p2"

static bool parse(struct accounts *accounts, const char *text, struct error *error)
{
    struct buffer octets = BUFFER_WITH_LIMIT(64 << 20);
    buffer_append_string(&octets, text);
    accounts_init(accounts);
    bool parsed = accounts_parse(accounts, &octets, error);
    buffer_clear(&octets);
    return parsed;
}

static void lines_parse(void **state)
{
    (void)state;
    struct accounts accounts;
    struct error error;
    assert_true(parse(&accounts,
                      "# staff\n"
                      "Alice@Demo.test:" HASH ":quota=1G:delete-after-retrieval=yes:keep-days=30\n"
                      "\n"
                      "bob@demo.test:!:x-room=12 b:delete-after-retrieval=no:quota=none\n"
                      "carol@b\303\274cher.test:!" HASH,
                      &error));
    const struct account *alice = accounts_find(&accounts, SLICE("alice@demo.test"));
    assert_non_null(alice);
    assert_slice_is(alice->verifier, HASH);
    assert_int_equal(alice->quota_octets, 1 << 30);
    assert_int_equal(alice->retrieved, RETRIEVED_REMOVED + 30);
    assert_int_equal(alice->line, 2);
    const struct account *bob = accounts_find(&accounts, SLICE("bob@demo.test"));
    assert_int_equal(bob->retrieved, RETRIEVED_KEPT);
    assert_true(bob->quota_octets == ACCOUNT_QUOTA_NONE);
    assert_non_null(accounts_find(&accounts, SLICE("carol@xn--bcher-kva.test")));
    assert_null(accounts_find(&accounts, SLICE("dave@demo.test")));
    accounts_clear(&accounts);
    accounts_clear(&accounts);
}

static void mistakes_name_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *error;
    } cases[] = {
        {"alice@demo.test", "line 1: no password"},
        {"#\nalice:" HASH, "line 2: \"alice\" is no address"},
        {"alice@demo.test:plain", "line 1: no password"},
        {"alice@demo.test:" HASH "\nAlice@demo.test:!", "line 2: alice@demo.test stands in line 1"},
        {"a@demo.test:!:quta=1G", "\"quta\" is no setting"},
        {"a@demo.test:!:quota", "\"quota\" is no setting"},
        {"a@demo.test:!:x-note", "\"x-note\" is no setting"},
        {"a@demo.test:!:", "\"\" is no setting"},
        {"a@demo.test:!:quota=1G:quota=2G", "quota= stands twice"},
        {"a@demo.test:!:quota=1X", "quota= wants a size"},
        {"a@demo.test:!:delete-after-retrieval=yes:keep-days=0", "keep-days= wants a number"},
        {"a@demo.test:!:scram-sha-256=4096,AAAA", "scram-sha-256= wants what"},
        {"a@demo.test:!:scram-sha-256=", "scram-sha-256= wants what"},
        {"a@demo.test:!:keep-days=3", "keep-days= wants a number"},
        {"a@demo.test:!:delete-after-retrieval=maybe", "wants yes or no"},
        {"a@demo.test:!\r\n", "line 1: a control character"},
        {"a+b@demo.test:!", "line 1: an account is a full address"},
        {"../../etc@demo.test:!", "line 1:"},
        {"a/b@demo.test:!", "line 1: an account is a full address"},
        {"\"a b\"@demo.test:!", "line 1: an account is a full address"},
        {"a@[127.0.0.1]:!", "line 1:"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct accounts accounts;
        struct error error = {0};
        assert_false(parse(&accounts, cases[i].text, &error));
        if (!strstr(error.text, cases[i].error))
            fail_msg("\"%s\" instead of \"%s\"", error.text, cases[i].error);
        assert_null(accounts.by_address);
    }
}

static void quotas(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool valid;
        uint64_t octets;
    } cases[] = {
        {"1", true, 1},
        {"10K", true, 10240},
        {"5M", true, 5 << 20},
        {"5m", false, 0},
        {"2T", true, UINT64_C(2) << 40},
        {"none", true, ACCOUNT_QUOTA_NONE},
        {"0", false, 0},
        {"", false, 0},
        {"G", false, 0},
        {"-1", false, 0},
        {"1GB", false, 0},
        {"99999999999T", false, 0},
        {"18446744073709551615", false, 0},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        uint64_t octets = 0;
        assert_int_equal(account_quota_parse(slice_of_string(cases[i].text), &octets),
                         cases[i].valid);
        assert_true(octets == cases[i].octets);
    }
}

/* Beside another hash than the one it was made with it is the old password's. */
static void scram_belongs_to_its_hash(void **state)
{
    (void)state;
    struct buffer scram = BUFFER_WITH_LIMIT(SCRAM_VERIFIER_MAX);
    struct buffer text = BUFFER_WITH_LIMIT(10000);
    struct accounts accounts;
    struct error error;
    assert_true(scram_verifier_make(SLICE("secret"), SLICE(HASH), &scram));
    buffer_append_format(&text, "a@demo.test:" HASH ":quota=1G:scram-sha-256=%.*s\n",
                         SLICE_PRINTF(buffer_slice(&scram)));
    buffer_append_format(&text, "b@demo.test:!" HASH ":scram-sha-256=%.*s\n",
                         SLICE_PRINTF(buffer_slice(&scram)));
    buffer_append_format(&text, "c@demo.test:" HASH "A:scram-sha-256=%.*s\n",
                         SLICE_PRINTF(buffer_slice(&scram)));
    accounts_init(&accounts);
    assert_true(accounts_parse(&accounts, &text, &error));
    assert_true(
        slice_equal(accounts_find(&accounts, SLICE("a@demo.test"))->scram, buffer_slice(&scram)));
    assert_true(
        slice_equal(accounts_find(&accounts, SLICE("b@demo.test"))->scram, buffer_slice(&scram)));
    assert_int_equal(accounts_find(&accounts, SLICE("c@demo.test"))->scram.len, 0);
    accounts_clear(&accounts);
    buffer_clear(&scram);
    buffer_clear(&text);
}

static void edits_leave_the_rest_alone(void **state)
{
    (void)state;
    static const char before[] = "# one\nalice@demo.test:!:quota=1G:x-a=b\n\nbob@demo.test:!";
    struct slice old = slice_of_string(before);
    struct buffer text = BUFFER_WITH_LIMIT(10000);
    struct error error;

    assert_true(
        accounts_text_add(old, SLICE("carol@demo.test"), SLICE(HASH), SLICE("2G"), &text, &error));
    assert_slice_is(buffer_slice(&text),
                    "# one\nalice@demo.test:!:quota=1G:x-a=b\n\nbob@demo.test:!\n"
                    "carol@demo.test:" HASH ":quota=2G\n");
    buffer_reset(&text);
    assert_true(
        accounts_text_set_verifier(old, SLICE("ALICE@demo.test"), SLICE(HASH), &text, &error));
    assert_slice_is(buffer_slice(&text),
                    "# one\nalice@demo.test:" HASH ":quota=1G:x-a=b\n\nbob@demo.test:!");
    buffer_reset(&text);
    assert_true(
        accounts_text_set_verifier(old, SLICE("bob@demo.test"), SLICE(HASH), &text, &error));
    assert_slice_is(buffer_slice(&text),
                    "# one\nalice@demo.test:!:quota=1G:x-a=b\n\nbob@demo.test:" HASH "\n");
    buffer_reset(&text);
    assert_true(accounts_text_remove(old, SLICE("alice@demo.test"), &text, &error));
    assert_slice_is(buffer_slice(&text), "# one\n\nbob@demo.test:!");
    buffer_clear(&text);
}

static void edits_are_refused(void **state)
{
    (void)state;
    struct slice old = SLICE("alice@demo.test:!\n");
    struct buffer text = BUFFER_WITH_LIMIT(10000);
    struct error error;
    assert_false(
        accounts_text_add(old, SLICE("Alice@demo.test"), SLICE("!"), SLICE(""), &text, &error));
    assert_int_equal(error.kind, ERROR_EXISTS);
    assert_false(
        accounts_text_add(old, SLICE("b@demo.test"), SLICE("!"), SLICE("1:x"), &text, &error));
    assert_false(accounts_text_add(old, SLICE("b@demo.test:!\nc@demo.test"), SLICE("!"), SLICE(""),
                                   &text, &error));
    assert_false(
        accounts_text_add(old, SLICE("#b@demo.test"), SLICE("!"), SLICE(""), &text, &error));
    assert_false(
        accounts_text_set_verifier(old, SLICE("bob@demo.test"), SLICE("!"), &text, &error));
    assert_int_equal(error.kind, ERROR_NOT_FOUND);
    assert_false(accounts_text_remove(old, SLICE("bob@demo.test"), &text, &error));
    assert_int_equal(text.len, 0);
    buffer_clear(&text);
}

/* Not a promise about time, which a busy machine breaks; the figure is for the reader. */
static void a_hundred_thousand_accounts(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    struct buffer text = BUFFER_WITH_LIMIT(64 << 20);
    struct buffer scram = BUFFER_WITH_LIMIT(SCRAM_VERIFIER_MAX);
    assert_true(scram_verifier_make(SLICE("secret"), SLICE(HASH), &scram));
    for (int i = 0; i < COUNT; i++)
        buffer_append_format(&text, "user%d@demo.test:" HASH ":quota=1G:scram-sha-256=%.*s\n", i,
                             SLICE_PRINTF(buffer_slice(&scram)));
    buffer_clear(&scram);
    struct accounts accounts;
    struct error error;
    accounts_init(&accounts);
    clock_t start = clock();
    assert_true(accounts_parse(&accounts, &text, &error));
    clock_t parsed = clock();
    for (int i = 0; i < COUNT; i++) {
        char name[40];
        snprintf(name, sizeof(name), "user%d@demo.test", i);
        assert_non_null(accounts_find(&accounts, slice_of_string(name)));
    }
    clock_t found = clock();
    print_message("parse %ld ms, %d lookups %ld ms\n", (parsed - start) / (CLOCKS_PER_SEC / 1000),
                  COUNT, (found - parsed) / (CLOCKS_PER_SEC / 1000));
    accounts_clear(&accounts);
    buffer_clear(&text);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_parse),
        cmocka_unit_test(mistakes_name_their_line),
        cmocka_unit_test(scram_belongs_to_its_hash),
        cmocka_unit_test(quotas),
        cmocka_unit_test(edits_leave_the_rest_alone),
        cmocka_unit_test(edits_are_refused),
        cmocka_unit_test(a_hundred_thousand_accounts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
