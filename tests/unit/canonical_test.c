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

/* The canonical form has to be an address too: it is what is listed, and what an account is named
 * by. */
static void not_longer_than_an_address(void **state)
{
    (void)state;
    static const struct {
        size_t letters; /* U+0149, two octets each, which fold to three */
        size_t filler;  /* octets of "a." before a domain of 12 octets, of which A-labels make 19 */
        bool parsed;
    } cases[] = {{21, 100, true}, {22, 100, false}, {1, 232, true}, {1, 234, false}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer text = BUFFER_WITH_LIMIT(1 << 10);
        for (size_t n = 0; n < cases[i].letters; n++)
            buffer_append_string(&text, "\305\211");
        buffer_append_string(&text, "@");
        for (size_t n = 0; n < cases[i].filler / 2; n++)
            buffer_append_string(&text, "a.");
        buffer_append_string(&text, "b\303\274cher.test");
        struct canonical once;
        struct canonical twice;
        struct error error = {0};
        bool parsed = canonical_parse(buffer_slice(&text), &once, &error);
        assert_int_equal(parsed, cases[i].parsed);
        assert_int_equal(error.kind, parsed ? ERROR_NONE : ERROR_PEER);
        if (parsed) {
            assert_true(canonical_parse(canonical_text(&once), &twice, &error));
            assert_true(slice_equal(canonical_text(&once), canonical_text(&twice)));
        }
        buffer_clear(&text);
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
        cmocka_unit_test(not_longer_than_an_address),
        cmocka_unit_test(parts_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
