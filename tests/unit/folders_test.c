/* Promises of storage/folder_name.h, folders.h, subscriptions.h and uidvalidity.h. */
#include "tests/unit/maildir_fixture.h"

#include "common/size.h"
#include "storage/folder_name.h"
#include "storage/folder_record.h"
#include "storage/folders.h"
#include "storage/subscriptions.h"
#include "storage/uidvalidity.h"

/* ---- names ---- */

static const struct {
    const char *name;
    const char *directory;
} pairs[] = {
    {"INBOX", "."},
    {"Sent", ".Sent"},
    {"Archive/2026", ".Archive.2026"},
    {"Entwürfe/v1.2", ".Entw&APw-rfe.v1&AC4-2"},
    {"INBOX/x", ".INBOX.x"},
    {"AT&T", ".AT&-T"},
    {"..", ".&AC4ALg-"},
    {"a b", ".a b"},
};

static void names_are_exact_both_ways(void **state)
{
    (void)state;
    struct buffer name = BUFFER_WITH_LIMIT(1000);
    char directory[MAILDIR_NAME_SIZE];
    for (size_t i = 0; i < ARRAY_LENGTH(pairs); i++) {
        buffer_reset(&name);
        assert_true(folder_name_to_directory(slice_of_string(pairs[i].name), directory, NULL));
        assert_string_equal(directory, pairs[i].directory);
        assert_true(folder_name_from_directory(pairs[i].directory, &name));
        assert_slice_is(buffer_slice(&name), pairs[i].name);
    }
    assert_true(folder_name_to_directory(SLICE("inBox/x"), directory, NULL));
    assert_string_equal(directory, ".INBOX.x");
    assert_true(folder_name_to_directory(SLICE("inbox"), directory, NULL));
    assert_string_equal(directory, ".");
    buffer_clear(&name);
}

static void impossible_names_are_refused(void **state)
{
    (void)state;
    static const char *const bad_names[] = {"", "/", "a//b", "/a", "a/", "a\nb", "a\x7f", "\xff"};
    static const char *const bad_directories[] = {
        "..",     "a",   ".a..b",   ".INBOX",    ".inbox.x", ".AT&T",
        ".&AGE-", ".a.", ".&AC8-x", ".\xc3\xbc", "",
    };
    char directory[MAILDIR_NAME_SIZE];
    struct buffer name = BUFFER_WITH_LIMIT(1000);
    for (size_t i = 0; i < ARRAY_LENGTH(bad_names); i++) {
        struct error error;
        assert_false(folder_name_to_directory(slice_of_string(bad_names[i]), directory, &error));
        assert_int_equal(error.kind, ERROR_PERMANENT);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(bad_directories); i++)
        assert_false(folder_name_from_directory(bad_directories[i], &name));
    char longest[MAILDIR_NAME_SIZE];
    memset(longest, 'x', sizeof(longest));
    assert_true(folder_name_to_directory(slice_of(longest, MAILDIR_NAME_MAX - 1), directory, NULL));
    assert_false(folder_name_to_directory(slice_of(longest, MAILDIR_NAME_MAX), directory, NULL));
    buffer_clear(&name);
}

/* ---- folders ---- */

static void assert_folders(struct account *account, const char *expected)
{
    struct folder_list list;
    char text[1000] = "";
    folder_list_init(&list);
    assert_ok(account, folders_list(account->fd, &list, &account->error));
    for (size_t i = 0; i < list.count; i++) {
        const char *name = list.entries[i].name ? list.entries[i].name : "?";
        size_t used = strlen(text);
        snprintf(text + used, sizeof(text) - used, "%s%s", i ? " " : "", name);
    }
    assert_string_equal(text, expected);
    folder_list_clear(&list);
}

static void create(struct account *account, const char *directory)
{
    assert_ok(account, folders_create(account->fd, directory, &account->error));
}

static void folders_come_and_go(void **state)
{
    struct account *account = *state;
    int64_t now = time(NULL);
    assert_folders(account, "INBOX");
    create(account, ".Sent");
    create(account, ".A.B");
    create(account, ".Entw&APw-rfe");
    create(account, ".no&name");
    assert_int_equal(mkdirat(account->fd, ".git", 0700), 0);
    put_file(account->fd, ".file", "");
    assert_folders(account, "INBOX A/B Entwürfe Sent ?");
    assert_fails(account, ERROR_EXISTS, folders_create(account->fd, ".Sent", &account->error));
    assert_fails(account, ERROR_EXISTS, folders_create(account->fd, ".", &account->error));
    create(account, ".git"); /* there, but not yet a folder */
    assert_ok(account, folders_delete(&account->inbox, ".git", now, &account->error));
    assert_fails(account, ERROR_NOT_FOUND,
                 folders_delete(&account->inbox, ".git", now, &account->error));
    assert_fails(account, ERROR_PERMANENT,
                 folders_delete(&account->inbox, ".", now, &account->error));
    assert_folders(account, "INBOX A/B Entwürfe Sent ?");
}

static void deleting_buries_young_mail(void **state)
{
    struct account *account = *state;
    struct maildir box;
    int64_t now = time(NULL);
    create(account, ".Old");
    create(account, ".Old.er");
    assert_ok(account, maildir_open(account->fd, ".Old", &box, &account->error));
    put_file(box.new_fd, "1.Q1R1.h,S=0,W=0", "");
    put_file(box.cur_fd, "2.Q2R1.h,S=0,W=0:2,S", "");
    put_file(box.cur_fd, "3.A3.h:2,S", "");
    assert_ok(account, folders_delete(&account->inbox, ".Old", now, &account->error));
    assert_true(has_file(account->inbox.tmp_fd, "1.Q1R1.h.gone")
                && has_file(account->inbox.tmp_fd, "2.Q2R1.h.gone"));
    assert_false(has_file(account->inbox.tmp_fd, "3.A3.h.gone"));
    assert_folders(account, "INBOX Old/er");
    assert_fails(account, ERROR_NOT_FOUND,
                 maildir_is_still(account->fd, ".Old", &box, &account->error));
    maildir_close(&box);
}

static void renaming_takes_all_below(void **state)
{
    struct account *account = *state;
    create(account, ".A");
    create(account, ".A.B");
    create(account, ".A.B.C");
    create(account, ".AB");
    assert_ok(account, folders_rename(account->fd, ".A", ".X.Y", &account->error));
    assert_folders(account, "INBOX AB X/Y X/Y/B X/Y/B/C");
    assert_fails(account, ERROR_NOT_FOUND,
                 folders_rename(account->fd, ".A", ".Z", &account->error));
    assert_fails(account, ERROR_EXISTS,
                 folders_rename(account->fd, ".X.Y", ".AB", &account->error));
    assert_fails(account, ERROR_PERMANENT,
                 folders_rename(account->fd, ".X.Y", ".X.Y.Z", &account->error));
    assert_fails(account, ERROR_PERMANENT, folders_rename(account->fd, ".", ".Z", &account->error));
    create(account, ".Z.B.C"); /* only a name below it is taken */
    assert_fails(account, ERROR_EXISTS, folders_rename(account->fd, ".X.Y", ".Z", &account->error));
    /* a folder that exists by what is below it alone */
    assert_ok(account, folders_rename(account->fd, ".X", ".W", &account->error));
    assert_folders(account, "INBOX AB W/Y W/Y/B W/Y/B/C Z/B/C");
    char longest[MAILDIR_NAME_SIZE];
    memset(longest, 'x', sizeof(longest));
    longest[0] = '.';
    longest[MAILDIR_NAME_MAX] = '\0';
    assert_fails(account, ERROR_PERMANENT,
                 folders_rename(account->fd, ".W", longest, &account->error));
}

static void what_cannot_be_renamed_leaves_others_alone(void **state)
{
    struct account *account = *state;
    struct folder_list list;
    create(account, ".A");
    create(account, ".B.other"); /* there is no ".B" above it */
    folder_list_init(&list);
    assert_ok(account, folders_list(account->fd, &list, &account->error));
    assert_ok(account,
              folder_list_add(&list, ".A.gone", SLICE("A/gone"), &account->error)); /* since */
    assert_fails(account, ERROR_NOT_FOUND,
                 folders_rename_listed(account->fd, &list, ".A", ".B", &account->error));
    folder_list_clear(&list);
    assert_folders(account, "INBOX A B/other");
}

/* ---- subscriptions ---- */

static void assert_subscribed(struct account *account, const char *expected)
{
    struct subscriptions loaded;
    subscriptions_init(&loaded);
    bool is_there = subscriptions_load(account->fd, &loaded, &account->error);
    assert_true(is_there || account->error.kind == ERROR_NOT_FOUND);
    assert_slice_is(buffer_slice(&loaded.text), expected);
    subscriptions_clear(&loaded);
}

static void subscriptions_are_kept_in_order(void **state)
{
    struct account *account = *state;
    struct subscriptions list;
    subscriptions_init(&list);
    assert_subscribed(account, "");
    assert_ok(account, subscriptions_add(&list, SLICE("b"), &account->error));
    assert_ok(account, subscriptions_add(&list, SLICE("d/e"), &account->error));
    assert_ok(account, subscriptions_add(&list, SLICE("a"), &account->error));
    assert_ok(account, subscriptions_add(&list, SLICE("c"), &account->error));
    assert_ok(account, subscriptions_add(&list, SLICE("b"), &account->error));
    assert_fails(account, ERROR_PERMANENT,
                 subscriptions_add(&list, SLICE("x\ny"), &account->error));
    assert_fails(account, ERROR_PERMANENT, subscriptions_add(&list, SLICE(""), &account->error));
    assert_true(subscriptions_has(&list, SLICE("c")) && !subscriptions_has(&list, SLICE("d")));
    assert_ok(account, subscriptions_store(account->fd, &list, &account->error));
    assert_subscribed(account, "a\nb\nc\nd/e\n");
    assert_true(subscriptions_remove(&list, SLICE("b")));
    assert_true(subscriptions_remove(&list, SLICE("d/e")));
    assert_false(subscriptions_remove(&list, SLICE("b")));
    assert_ok(account, subscriptions_store(account->fd, &list, &account->error));
    assert_subscribed(account, "a\nc\n");
    subscriptions_clear(&list);
    put_file(account->fd, "staffetta-subscriptions", "z\n\nb\x01\na\nz\nlast"); /* by hand */
    assert_subscribed(account, "a\nlast\nz\n");
}

/* ---- UIDVALIDITY ---- */

static uint32_t next(struct account *account, int64_t now)
{
    uint32_t number = 0;
    assert_ok(account, uidvalidity_next(account->fd, now, &number, &account->error));
    return number;
}

static void uidvalidity_never_comes_twice(void **state)
{
    struct account *account = *state;
    struct folder_record record;
    assert_int_equal(next(account, 1700000000), 1700000000);
    assert_int_equal(next(account, 1700000000), 1700000001);
    assert_int_equal(next(account, 1600000000), 1700000002); /* a clock set back */
    assert_int_equal(next(account, 1700000100), 1700000100);
    create(account, ".A");
    struct maildir box;
    assert_ok(account, maildir_open(account->fd, ".A", &box, &account->error));
    assert_ok(account, folder_record_renew(box.fd, 1700000200, &record, &account->error));
    maildir_close(&box);
    unlinkat(account->fd, "staffetta-uidvalidity", 0); /* lost: the records tell */
    assert_int_equal(next(account, 1700000150), 1700000201);
    put_file(account->fd, "staffetta-uidvalidity", "");
    assert_int_equal(next(account, 1700000150), 1700000201);
    put_file(account->fd, "staffetta-uidvalidity", "staffetta-uidvalidity 1\nlast 4294967295\n");
    uint32_t number;
    assert_fails(account, ERROR_PERMANENT,
                 uidvalidity_next(account->fd, 1700000150, &number, &account->error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_exact_both_ways),
        cmocka_unit_test(impossible_names_are_refused),
        cmocka_unit_test_setup_teardown(folders_come_and_go, account_open, account_close),
        cmocka_unit_test_setup_teardown(deleting_buries_young_mail, account_open, account_close),
        cmocka_unit_test_setup_teardown(renaming_takes_all_below, account_open, account_close),
        cmocka_unit_test_setup_teardown(what_cannot_be_renamed_leaves_others_alone, account_open,
                                        account_close),
        cmocka_unit_test_setup_teardown(subscriptions_are_kept_in_order, account_open,
                                        account_close),
        cmocka_unit_test_setup_teardown(uidvalidity_never_comes_twice, account_open, account_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
