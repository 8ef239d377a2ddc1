/* Promises of storage/quota.h. */
#include "tests/unit/maildir_fixture.h"

#include "common/size.h"
#include "storage/folders.h"
#include "storage/quota.h"

static const struct {
    const char *text;
    bool valid;
    struct quota_limits limits;
    struct quota_usage usage;
} files[] = {
    {"1000000S,5000C\n812304 214\n4096 1\n-812 -1\n", true, {1000000, 5000}, {815588, 214}},
    {"5000C\n0 0\n", true, {0, 5000}, {0, 0}},
    {"10S\n     5            1\n", true, {10, 0}, {5, 1}}, /* Courier pads */
    {"10S\n5 1 \n", true, {10, 0}, {5, 1}},
    {"\n5 1\n", true, {0, 0}, {5, 1}},
    {"10S,7N\n", true, {10, 0}, {0, 0}},
    {"10S\n-5 -1\n", true, {10, 0}, {0, 0}}, /* lines were lost */
    {"", false, {0, 0}, {0, 0}},
    {"10S", false, {0, 0}, {0, 0}},
    {"S\n", false, {0, 0}, {0, 0}},
    {"10\n", false, {0, 0}, {0, 0}},
    {"10S,\n", false, {0, 0}, {0, 0}},
    {"10S\n5\n", false, {0, 0}, {0, 0}},
    {"10S\n5 1", false, {0, 0}, {0, 0}},
    {"10S\n5 x\n", false, {0, 0}, {0, 0}},
    {"10S\n\n", false, {0, 0}, {0, 0}},
    {"10S\n9223372036854775808 1\n", false, {0, 0}, {0, 0}},
    {"10S\n9223372036854775807 1\n1 1\n", false, {0, 0}, {0, 0}},
};

static void files_are_parsed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(files); i++) {
        struct quota_limits limits;
        struct quota_usage usage;
        assert_int_equal(quota_parse(slice_of_string(files[i].text), &limits, &usage),
                         files[i].valid);
        if (!files[i].valid)
            continue;
        assert_int_equal(limits.octets, files[i].limits.octets);
        assert_int_equal(limits.messages, files[i].limits.messages);
        assert_int_equal(usage.octets, files[i].usage.octets);
        assert_int_equal(usage.messages, files[i].usage.messages);
    }
}

static void room_is_exact(void **state)
{
    (void)state;
    static const struct {
        struct quota_limits limits;
        struct quota_usage usage;
        uint64_t octets;
        bool room;
    } cases[] = {
        {{0, 0}, {1 << 30, 1 << 30}, UINT64_MAX, true},
        {{100, 0}, {90, 5}, 10, true},
        {{100, 0}, {90, 5}, 11, false},
        {{100, 0}, {100, 5}, 0, false},
        {{100, 0}, {90, 5}, UINT64_MAX, false},
        {{0, 5}, {90, 4}, 1000, true},
        {{0, 5}, {90, 5}, 0, false},
        {{100, 5}, {200, 1}, 0, false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        assert_int_equal(quota_has_room(&cases[i].limits, &cases[i].usage, cases[i].octets),
                         cases[i].room);
}

static void assert_usage(struct account *account, const struct quota_limits *limits, int64_t octets,
                         int64_t messages)
{
    struct quota_usage usage;
    assert_ok(account, quota_load(&account->inbox, limits, &usage, &account->error));
    assert_int_equal(usage.octets, octets);
    assert_int_equal(usage.messages, messages);
}

static void changes_add_up_and_files_are_counted(void **state)
{
    struct account *account = *state;
    const struct maildir *inbox = &account->inbox;
    const struct quota_limits limits = {1000, 10}, other = {2000, 0};
    assert_ok(account, quota_add(inbox, 5, 1, &account->error)); /* no file, no quota */
    assert_false(has_file(account->fd, "maildirsize"));
    put_file(inbox->new_fd, "1.a.h,S=100,W=100", "");
    put_file(inbox->cur_fd, "2.b.h:2,S", "four"); /* measured */
    assert_ok(account, folders_create(account->fd, ".A", &account->error));
    struct maildir box;
    assert_ok(account, maildir_open(account->fd, ".A", &box, &account->error));
    put_file(box.cur_fd, "3.c.h,S=50:2,", "");
    maildir_close(&box);
    assert_usage(account, &limits, 154, 3);
    assert_content(account->fd, "maildirsize", "1000S,10C\n154 3\n");
    assert_ok(account, quota_add(inbox, 700, 1, &account->error));
    assert_ok(account, quota_add(inbox, -4, -1, &account->error));
    assert_content(account->fd, "maildirsize", "1000S,10C\n154 3\n700 1\n-4 -1\n");
    assert_usage(account, &limits, 850, 3);
    assert_usage(account, &other, 154, 3); /* another quota: counted anew */
    assert_content(account->fd, "maildirsize", "2000S\n154 3\n");
    put_file(account->fd, "maildirsize", "2000S\nnonsense\n");
    assert_usage(account, &other, 154, 3);
    for (unsigned i = 0; i < 1200; i++)
        assert_ok(account, quota_add(inbox, 10, 1, &account->error));
    assert_usage(account, &other, 154, 3); /* too long */
}

static void a_full_account_is_counted_once_more(void **state)
{
    struct account *account = *state;
    const struct maildir *inbox = &account->inbox;
    const struct quota_limits limits = {1000, 0};
    struct quota_usage usage;
    bool fits;
    int64_t now = time(NULL);
    put_file(account->fd, "maildirsize", "1000S\n990 7\n");
    assert_ok(account, quota_check(inbox, &limits, now, 20, &usage, &fits, &account->error));
    assert_false(fits);
    assert_ok(account, quota_check(inbox, &limits, now, 10, &usage, &fits, &account->error));
    assert_true(fits);
    assert_ok(account, quota_check(inbox, &limits, now + QUOTA_STALE_SECONDS + 1, 20, &usage, &fits,
                                   &account->error));
    assert_true(fits);
    assert_int_equal(usage.octets, 0);
}

static void a_size_that_cannot_be_is_measured(void **state)
{
    struct account *account = *state;
    const char *name = "1.a.h,S=9223372036854775808,W=9223372036854775808:2,";
    put_file(account->inbox.cur_fd, name, "four");
    assert_int_equal(quota_octets_of(&account->inbox, MAILDIR_CUR, name), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_parsed),
        cmocka_unit_test(room_is_exact),
        cmocka_unit_test_setup_teardown(changes_add_up_and_files_are_counted, account_open,
                                        account_close),
        cmocka_unit_test_setup_teardown(a_full_account_is_counted_once_more, account_open,
                                        account_close),
        cmocka_unit_test_setup_teardown(a_size_that_cannot_be_is_measured, account_open,
                                        account_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
