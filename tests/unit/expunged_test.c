/* Promises of storage/expunged.h. */
#include "tests/unit/maildir_fixture.h"

#include "common/size.h"
#include "storage/email_id.h"
#include "storage/expunged.h"
#include "storage/maildir_scan.h"

enum { DAY = 24 * 3600 };

static const struct expunged_limits week = {7 * DAY, 0};

static void keep(struct account *account, struct expunged *expunged, const char *name, int64_t now)
{
    struct tombstone_batch batch = {.begun = 0};
    struct expunged_message message = {
        .box = &account->inbox, .place = MAILDIR_CUR, .name = name, .host = SLICE("h"), .now = now};
    assert_ok(account, expunged_keep(expunged, &account->inbox, &message, &batch, &account->error));
}

/* Without the part that is random: the seconds and what follows the key's unique part. */
static void list_kept(struct account *account, struct maildir_list *list)
{
    struct maildir box;
    assert_ok(account, maildir_open(account->fd, EXPUNGED_DIRECTORY, &box, &account->error));
    assert_ok(account, maildir_scan(&box, list, &account->error));
    maildir_close(&box);
}

static size_t count_kept(struct account *account)
{
    struct maildir_list list;
    maildir_list_init(&list);
    list_kept(account, &list);
    size_t count = list.count;
    maildir_list_clear(&list);
    return count;
}

static void names_say_when_and_keep_what_matters(void **state)
{
    struct account *account = *state;
    struct expunged expunged = EXPUNGED_CLOSED;
    static const struct {
        const char *name;
        const char *begins;
        const char *ends;
        bool buried;
    } cases[] = {
        {"5.Q0123456789ABCR12.h,S=4,W=5,U=7.8:2,STab", "900.Q0123456789ABCR12E", ".h,S=4,W=5:2,S",
         true},
        {"6.A0123456789abcdef.h,S=4,W=4,U=7.9:2,FT", "900.C", ".h,S=4,W=4:2,F", false},
        {"7.M1P2.other:2,RS", "900.C", ".h:2,RS", false},
        {"eight", "900.C", ".h:2,", false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct maildir_list list;
        struct maildir_name before, after;
        char was[EMAIL_ID_SIZE], is[EMAIL_ID_SIZE];
        put_file(account->inbox.cur_fd, cases[i].name, "text");
        keep(account, &expunged, cases[i].name, 900);
        maildir_list_init(&list);
        list_kept(account, &list);
        assert_int_equal(list.count, 1);
        struct slice name = maildir_entry_name(&list.entries[0]);
        assert_true(slice_starts_with(name, slice_of_string(cases[i].begins)));
        assert_true(slice_ends_with(name, slice_of_string(cases[i].ends)));
        assert_true(maildir_name_parse(slice_of_string(cases[i].name), &before)
                    && maildir_name_parse(name, &after));
        email_id_format(&before, was);
        email_id_format(&after, is);
        assert_string_equal(is, was);
        assert_int_equal(unlinkat(expunged.box.cur_fd, list.entries[0].name, 0), 0);
        maildir_list_clear(&list);
    }
    assert_true(has_file(account->inbox.tmp_fd, "5.Q0123456789ABCR12.h.gone"));
    assert_false(has_file(account->inbox.tmp_fd, "6.A0123456789abcdef.h.gone"));
    expunged_close(&expunged);
}

/* The directory is no folder to anybody, and does not count. */
static void it_is_no_folder(void **state)
{
    struct account *account = *state;
    struct expunged expunged = EXPUNGED_CLOSED;
    struct folder_list list;
    struct quota_usage usage;
    put_file(account->inbox.cur_fd, "1.A1.h,S=4,W=4:2,", "text");
    keep(account, &expunged, "1.A1.h,S=4,W=4:2,", 900);
    folder_list_init(&list);
    assert_ok(account, folders_list(account->fd, &list, &account->error));
    assert_int_equal(list.count, 1);
    assert_ok(account, quota_recount(&account->inbox, &(struct quota_limits){1000, 0}, &usage,
                                     &account->error));
    assert_int_equal(usage.messages, 0);
    folder_list_clear(&list);
    expunged_close(&expunged);
}

static void a_directory_that_was_removed_is_made_again(void **state)
{
    struct account *account = *state;
    struct expunged expunged = EXPUNGED_CLOSED;
    put_file(account->inbox.cur_fd, "1.A1.h:2,", "text");
    put_file(account->inbox.cur_fd, "2.A2.h:2,", "text");
    keep(account, &expunged, "1.A1.h:2,", 900);
    assert_ok(account, maildir_remove_tree(account->fd, EXPUNGED_DIRECTORY, 4, &account->error));
    keep(account, &expunged, "2.A2.h:2,", 900);
    assert_int_equal(count_kept(account), 1);
    struct tombstone_batch batch = {.begun = 0};
    struct expunged_message gone = {&account->inbox, MAILDIR_CUR, "2.A2.h:2,", 0, SLICE("h"), 900};
    assert_fails(account, ERROR_NOT_FOUND,
                 expunged_keep(&expunged, &account->inbox, &gone, &batch, &account->error));
    expunged_close(&expunged);
}

static size_t sweep(struct account *account, struct expunged_limits limits, int64_t now)
{
    struct expunged_sweep sweep;
    const char *folder;
    assert_ok(account, expunged_sweep_begin(&sweep, account->fd, &limits, now, &account->error));
    while (expunged_sweep_step(&sweep, &account->inbox, &folder))
        ;
    expunged_sweep_clear(&sweep);
    return folders_exists(account->fd, EXPUNGED_DIRECTORY) ? count_kept(account) : 0;
}

static void the_old_goes_and_then_the_oldest(void **state)
{
    struct account *account = *state;
    struct expunged expunged = EXPUNGED_CLOSED;
    assert_false(expunged_sweep_is_due(account->fd, &week, 0));
    for (int i = 0; i < 5; i++) {
        char name[64];
        snprintf(name, sizeof(name), "%d.A%d.h,S=100,W=100:2,", i, i);
        put_file(account->inbox.cur_fd, name, "text");
        keep(account, &expunged, name, (i + 1) * DAY);
    }
    /* A time that cannot be is as none. */
    put_file(expunged.box.cur_fd, "9223372036854775808.X.h:2,", "text");
    assert_int_equal(sweep(account, week, DAY), 6);
    unlinkat(expunged.box.cur_fd, "9223372036854775808.X.h:2,", 0);
    expunged_close(&expunged);
    assert_int_equal(sweep(account, week, 8 * DAY - 1), 5);
    assert_int_equal(sweep(account, week, 8 * DAY), 4);
    assert_int_equal(sweep(account, (struct expunged_limits){7 * DAY, 250}, 8 * DAY), 2);
    assert_false(expunged_sweep_is_due(account->fd, &week, 9 * DAY - 1));
    assert_true(expunged_sweep_is_due(account->fd, &week, 9 * DAY));
    assert_int_equal(sweep(account, (struct expunged_limits){0, 0}, 8 * DAY), 0);
    assert_false(has_file(account->fd, EXPUNGED_DIRECTORY));
}

static void a_folder_comes_back_or_goes(void **state)
{
    struct account *account = *state;
    struct expunged expunged = EXPUNGED_CLOSED;
    struct maildir box;
    for (unsigned round = 0; round < 2; round++) {
        assert_ok(account, folders_create(account->fd, ".A", &account->error));
        assert_ok(account, maildir_open(account->fd, ".A", &box, &account->error));
        put_file(box.cur_fd, "1.Q0123456789ABCR1.h,S=4,W=4:2,", "text");
        maildir_close(&box);
        assert_ok(account, expunged_keep_folder(&expunged, &account->inbox, ".A", 100 * DAY,
                                                &account->error));
        assert_true(has_file(account->inbox.tmp_fd, "1.Q0123456789ABCR1.h.gone"));
        assert_false(has_file(account->fd, ".A"));
        if (round > 0)
            break;
        assert_ok(account, expunged_restore_folder(&account->inbox, EXPUNGED_DIRECTORY "/.A", ".B",
                                                   &account->error));
        assert_true(has_file(account->fd, ".B/cur/1.Q0123456789ABCR1.h,S=4,W=4:2,"));
        assert_false(has_file(account->fd, ".B/staffetta-deleted"));
    }
    sweep(account, week, 107 * DAY - 1);
    assert_true(has_file(account->fd, EXPUNGED_DIRECTORY "/.A"));
    sweep(account, week, 107 * DAY);
    assert_false(has_file(account->fd, EXPUNGED_DIRECTORY "/.A"));
    expunged_close(&expunged);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_say_when_and_keep_what_matters, account_open,
                                        account_close),
        cmocka_unit_test_setup_teardown(it_is_no_folder, account_open, account_close),
        cmocka_unit_test_setup_teardown(a_directory_that_was_removed_is_made_again, account_open,
                                        account_close),
        cmocka_unit_test_setup_teardown(the_old_goes_and_then_the_oldest, account_open,
                                        account_close),
        cmocka_unit_test_setup_teardown(a_folder_comes_back_or_goes, account_open, account_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
