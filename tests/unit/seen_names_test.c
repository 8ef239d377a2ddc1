/* Promises of imapd/shared/seen_names.h. */
#include "tests/unit/test.h"

#include <time.h>

#include "imapd/shared/seen_names.h"

static struct slice name_of(unsigned number, char text[64])
{
    snprintf(text, 64, "Projects/A name of some length/%u", number);
    return slice_of_string(text);
}

static void test_a_set(void **state)
{
    struct seen_names seen;
    (void)state;
    seen_names_init(&seen);
    assert_false(seen_names_has(&seen, SLICE("a")));
    assert_null(seen_names_next(&seen, NULL));
    seen_names_add(&seen, SLICE("a"));
    seen_names_add(&seen, SLICE("a/b"));
    seen_names_add(&seen, SLICE("c"));
    seen_names_remove(&seen, SLICE("b"));
    seen_names_remove(&seen, SLICE("a/b"));
    assert_true(seen_names_has(&seen, SLICE("a")) && seen_names_has(&seen, SLICE("c")));
    assert_false(seen_names_has(&seen, SLICE("a/b")) || seen_names_has(&seen, SLICE("a/")));
    const struct seen_name *one = seen_names_next(&seen, NULL);
    assert_true(slice_equal(seen_name_text(one), SLICE("a")));
    one = seen_names_next(&seen, one);
    assert_true(slice_equal(seen_name_text(one), SLICE("c")));
    assert_null(seen_names_next(&seen, one));
    seen_names_clear(&seen);
    seen_names_clear(&seen);
    assert_false(seen_names_has(&seen, SLICE("a")) || seen_names_failed(&seen));
}

/* A mebibyte; what is removed makes room, but what did not fit is missing for good. */
static void test_it_is_bounded(void **state)
{
    struct seen_names seen;
    char text[64];
    (void)state;
    seen_names_init(&seen);
    for (unsigned i = 0; i < 20000; i++)
        seen_names_add(&seen, name_of(i, text));
    assert_false(seen_names_failed(&seen));
    for (unsigned i = 0; i < 20000; i++)
        seen_names_remove(&seen, name_of(i, text));
    for (unsigned i = 0; i < 40000; i++)
        seen_names_add(&seen, name_of(i, text));
    assert_true(seen_names_failed(&seen));
    seen_names_remove(&seen, name_of(0, text));
    assert_true(seen_names_failed(&seen));
    seen_names_clear(&seen);
    assert_false(seen_names_failed(&seen));
}

/* A mailbox with twenty thousand below it is renamed: the owner's process does nothing else
 * meanwhile. A list of lines took nine seconds. */
static void test_many_are_renamed_at_once(void **state)
{
    struct seen_names seen;
    char text[64], renamed[64];
    (void)state;
    seen_names_init(&seen);
    for (unsigned i = 0; i < 20000; i++)
        seen_names_add(&seen, name_of(i, text));
    clock_t begin = clock();
    for (unsigned i = 0; i < 20000; i++) {
        assert_true(seen_names_has(&seen, name_of(i, text)));
        assert_false(seen_names_has(&seen, name_of(i + 20000, renamed)));
        seen_names_remove(&seen, slice_of_string(text));
        seen_names_add(&seen, slice_of_string(renamed));
    }
    assert_true(clock() - begin < 2 * CLOCKS_PER_SEC);
    assert_false(seen_names_failed(&seen));
    seen_names_clear(&seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_set),
        cmocka_unit_test(test_it_is_bounded),
        cmocka_unit_test(test_many_are_renamed_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
