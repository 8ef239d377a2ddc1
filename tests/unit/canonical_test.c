/* Promises of common/auth/canonical.h: one spelling for one mailbox. */
#include "tests/unit/test.h"

#include "common/auth/canonical.h"
#include "common/size.h"

static void one_spelling_for_one_mailbox(void **state)
{
    (void)state;
    static const struct {
        const char *written;
        const char *canonical; /* NULL: no address */
    } cases[] = {
        {"alice@demo.test", "alice@demo.test"},
        {"ALICE@Demo.TEST", "alice@demo.test"},
        {"\"Alice\"@demo.test", "alice@demo.test"},   /* RFC 5321 4.1.2 */
        {"\"al\\ice\"@demo.test", "alice@demo.test"}, /* quoted-pair */
        {"\"John Doe\"@demo.test", "\"john doe\"@demo.test"},
        {"J\303\226RG@demo.test", "j\303\266rg@demo.test"},  /* U+00D6 */
        {"JO\314\210RG@demo.test", "j\303\266rg@demo.test"}, /* O + U+0308 */
        {"a@b\303\274cher.test", "a@xn--bcher-kva.test"},
        {"a@XN--Bcher-KVA.test", "a@xn--bcher-kva.test"},
        {"a@[127.0.0.1]", "a@[127.0.0.1]"},
        {"a@b@c", NULL},
        {"alice", NULL},
        {"@demo.test", NULL},
        {"alice@", NULL},
        {"al ice@demo.test", NULL},
        {"alice@demo.test\r\n", NULL},
        {"a@b..c", NULL},
        {"a@\377.test", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct canonical result;
        bool parsed = canonical_parse(slice_of_string(cases[i].written), &result, NULL);
        assert_int_equal(parsed, cases[i].canonical != NULL);
        if (parsed)
            assert_slice_is(canonical_text(&result), cases[i].canonical);
    }
}

static void parts_alone(void **state)
{
    (void)state;
    struct canonical result;
    struct error error;
    assert_true(canonical_parse_local_part(SLICE("Sales"), &result, &error));
    assert_slice_is(canonical_text(&result), "sales@");
    assert_false(canonical_parse_local_part(SLICE("a@b"), &result, &error));
    assert_false(canonical_parse_local_part(SLICE(""), &result, &error));
    assert_true(canonical_parse_domain(SLICE("Demo.Test"), &result, &error));
    assert_slice_is(canonical_text(&result), "@demo.test");
    assert_slice_is(canonical_domain(canonical_text(&result)), "demo.test");
    assert_slice_is(canonical_local_part(SLICE("\"a@b\"@c")), "\"a@b\"");
    assert_slice_is(canonical_domain(SLICE("alice")), "");
    assert_false(canonical_parse_domain(SLICE("*"), &result, &error));
    assert_int_equal(error.kind, ERROR_PEER);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_spelling_for_one_mailbox),
        cmocka_unit_test(parts_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
