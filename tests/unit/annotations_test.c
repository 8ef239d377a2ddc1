/* Promises of storage/annotations.h. */
#include "tests/unit/maildir_fixture.h"

#include "common/size.h"
#include "storage/annotations.h"
#include "storage/folders.h"

enum { LIMIT = 1000 };

#define HEAD "staffetta-metadata 1\n"

static const char whole[] = HEAD "/private/comment 4\nl\n\n2\n/shared/vendor/x/y 0\n\nend\n";

static const char *const malformed[] = {
    "",
    HEAD,
    "staffetta-metadata 2\nend\n",
    HEAD "/private/comment 4\nabcd\n",
    HEAD "/private/comment 4\nabcdend\n",
    HEAD "/private/comment 9\nabcd\nend\n",
    HEAD "/private/comment 3\nabcd\nend\n",
    HEAD "/private/comment\nabcd\nend\n",
    HEAD "/private/comment x\nabcd\nend\n",
    HEAD "/private/comment 18446744073709551615\nabcd\nend\n",
    HEAD "private 1\na\nend\n",
    HEAD " 1\na\nend\n",
    HEAD "end\nend\n",
};

static void a_file_is_read_as_it_is_written(void **state)
{
    (void)state;
    struct annotations annotations;
    struct buffer text = BUFFER_WITH_LIMIT(LIMIT);
    struct slice value;
    annotations_init(&annotations, LIMIT);
    assert_true(annotations_parse(&annotations, slice_of_string(whole), NULL));
    assert_int_equal(annotations_count(&annotations), 2);
    assert_true(annotations_find(&annotations, SLICE("/private/comment"), &value));
    assert_slice_is(value, "l\n\n2");
    assert_true(annotations_find(&annotations, SLICE("/shared/vendor/x/y"), &value));
    assert_int_equal(value.len, 0);
    assert_non_null(value.ptr);
    assert_false(annotations_find(&annotations, SLICE("/private"), &value));
    annotations_format(&annotations, &text);
    assert_slice_is(buffer_slice(&text), whole);
    buffer_clear(&text);
    annotations_clear(&annotations);
    annotations_clear(&annotations);
}

/* RFC 5464 3.3: /private is of each, whatever octets its name has; /shared of all. */
static void each_account_sees_its_own(void **state)
{
    (void)state;
    static const struct slice bob = SLICE("bob@x.example"), odd = SLICE("o/d d@x.example");
    struct annotations all, seen;
    struct slice value;
    annotations_init(&all, LIMIT);
    assert_true(annotations_set(&all, SLICE("/private/a"), SLICE("owner's")));
    assert_true(annotations_set(&all, SLICE("/shared/a"), SLICE("all's")));
    const struct slice accounts[] = {bob, odd};
    for (size_t i = 0; i < ARRAY_LENGTH(accounts); i++) {
        struct buffer kept = BUFFER_WITH_LIMIT(LIMIT);
        annotations_append_kept(accounts[i], SLICE("/private/a/b"), &kept);
        assert_true(annotations_set(&all, buffer_slice(&kept), accounts[i]));
        buffer_reset(&kept);
        annotations_append_kept(accounts[i], SLICE("/shared/a"), &kept);
        assert_slice_is(buffer_slice(&kept), "/shared/a");
        buffer_clear(&kept);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(accounts); i++) {
        annotations_init(&seen, LIMIT);
        assert_true(annotations_see(&all, accounts[i], &seen));
        assert_int_equal(annotations_count(&seen), 2);
        assert_true(annotations_find(&seen, SLICE("/private/a/b"), &value));
        assert_true(slice_equal(value, accounts[i]));
        assert_false(annotations_find(&seen, SLICE("/private/a"), &value));
        assert_true(annotations_find(&seen, SLICE("/shared/a"), &value));
        assert_int_equal(annotations_count_of(&all, accounts[i]), 1);
        annotations_clear(&seen);
    }
    assert_int_equal(annotations_count_of(&all, SLICE("")), 2);
    assert_int_equal(annotations_count_of(&all, SLICE("bob@x")), 0);
    annotations_clear(&all);
}

static bool is_bobs(struct slice account, const void *context)
{
    (void)context;
    return slice_equal(account, SLICE("bob@x.example"));
}

static void what_is_private_to_others_can_be_dropped(void **state)
{
    (void)state;
    struct annotations all;
    annotations_init(&all, LIMIT);
    static const struct slice entries[] = {SLICE("/private/a"),
                                           SLICE("/shared/a"),
                                           SLICE("/private:bob@x.example/a"),
                                           SLICE("/private:%62ob@x.example/b"),
                                           SLICE("/private:bob@x.example%/a"),
                                           SLICE("/private:o%2fd@x.example/a"),
                                           SLICE("/private:o%2fd@x.example/b")};
    for (size_t i = 0; i < ARRAY_LENGTH(entries); i++)
        assert_true(annotations_set(&all, entries[i], entries[i]));
    assert_true(annotations_drop(&all, is_bobs, NULL));
    assert_int_equal(annotations_count(&all), 4);
    struct slice rest = buffer_slice(&all.text);
    struct annotation one;
    for (size_t i = 0; annotations_next(&rest, &one); i++)
        assert_true(slice_equal(one.entry, entries[i]) && slice_equal(one.value, entries[i]));
    assert_false(annotations_drop(&all, is_bobs, NULL));
    annotations_clear(&all);
}

static void malformed_text_is_refused(void **state)
{
    (void)state;
    struct annotations annotations;
    annotations_init(&annotations, LIMIT);
    assert_true(annotations_set(&annotations, SLICE("/shared/a"), SLICE("1")));
    for (size_t i = 0; i < ARRAY_LENGTH(malformed); i++) {
        struct error error;
        assert_false(annotations_parse(&annotations, slice_of_string(malformed[i]), &error));
        assert_int_equal(error.kind, ERROR_PERMANENT);
        assert_int_equal(annotations_count(&annotations), 1);
    }
    annotations_clear(&annotations);
}

static void values_are_set_replaced_and_removed(void **state)
{
    (void)state;
    struct annotations annotations;
    struct slice value;
    annotations_init(&annotations, 60);
    assert_true(annotations_set(&annotations, SLICE("/shared/a"), SLICE("1")));
    assert_true(annotations_set(&annotations, SLICE("/shared/b"), SLICE("x\0y")));
    assert_true(annotations_set(&annotations, SLICE("/shared/a"), SLICE("22")));
    assert_true(annotations_find(&annotations, SLICE("/shared/a"), &value));
    assert_slice_is(value, "22");
    assert_true(annotations_find(&annotations, SLICE("/shared/b"), &value));
    assert_true(slice_equal(value, SLICE("x\0y")));
    assert_false(annotations_set(&annotations, SLICE("/shared/c"),
                                 SLICE("123456789012345678901234567890"))); /* past the limit */
    assert_int_equal(annotations_count(&annotations), 2);
    assert_true(annotations_set(&annotations, SLICE("/shared/b"), slice_of(NULL, 0)));
    assert_false(annotations_find(&annotations, SLICE("/shared/b"), &value));
    assert_int_equal(annotations_count(&annotations), 1);
    annotations_clear(&annotations);
}

static void files_are_durable_and_damage_stands_aside(void **state)
{
    struct account *account = *state;
    struct annotations annotations;
    uint64_t octets;
    int fd = account->inbox.fd;
    annotations_init(&annotations, LIMIT);
    assert_ok(account, annotations_load(fd, ANNOTATIONS_FILE, &annotations, &account->error));
    assert_int_equal(annotations_count(&annotations), 0);
    assert_true(annotations_set(&annotations, SLICE("/shared/a"), SLICE("1")));
    assert_ok(account, annotations_store(fd, ANNOTATIONS_FILE, &annotations, &account->error));
    assert_content(fd, ANNOTATIONS_FILE, HEAD "/shared/a 1\n1\nend\n");
    assert_ok(account, annotations_measure(fd, &octets, &account->error));
    assert_int_equal(octets, sizeof(HEAD "/shared/a 1\n1\nend\n") - 1);
    assert_true(annotations_set(&annotations, SLICE("/shared/a"), slice_of(NULL, 0)));
    assert_ok(account, annotations_load(fd, ANNOTATIONS_FILE, &annotations, &account->error));
    assert_int_equal(annotations_count(&annotations), 1);

    put_file(fd, ANNOTATIONS_FILE, "garbage");
    assert_fails(account, ERROR_PERMANENT,
                 annotations_load(fd, ANNOTATIONS_FILE, &annotations, &account->error));
    assert_ok(account, annotations_load(fd, ANNOTATIONS_FILE, &annotations, &account->error));
    assert_int_equal(annotations_count(&annotations), 0);
    assert_true(has_file(fd, ANNOTATIONS_FILE ".broken"));

    assert_true(annotations_set(&annotations, SLICE("/shared/a"), SLICE("1")));
    assert_ok(account, annotations_store(fd, ANNOTATIONS_FILE, &annotations, &account->error));
    assert_true(annotations_set(&annotations, SLICE("/shared/a"), slice_of(NULL, 0)));
    for (int i = 0; i < 2; i++) { /* none is no file, which may be gone already */
        assert_ok(account, annotations_store(fd, ANNOTATIONS_FILE, &annotations, &account->error));
        assert_false(has_file(fd, ANNOTATIONS_FILE));
    }
    annotations_clear(&annotations);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_as_it_is_written),
        cmocka_unit_test(each_account_sees_its_own),
        cmocka_unit_test(what_is_private_to_others_can_be_dropped),
        cmocka_unit_test(malformed_text_is_refused),
        cmocka_unit_test(values_are_set_replaced_and_removed),
        cmocka_unit_test_setup_teardown(files_are_durable_and_damage_stands_aside, account_open,
                                        account_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
