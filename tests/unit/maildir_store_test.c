/* Promises of storage/maildir_store.h and storage/file_system.h. */
#include "tests/unit/maildir_fixture.h"

#include <errno.h>

#include "common/size.h"
#include "storage/folders.h"
#include "storage/maildir_store.h"

#define DELIVERED "5.Q1R1.h,S=3,W=3"

/* Instead of the library's. */
static bool fsync_fails;
int fsync(int fd)
{
    errno = EIO;
    return fsync_fails ? -1 : fdatasync(fd);
}

static struct maildir_name parse(const char *text)
{
    struct maildir_name name;
    assert_true(maildir_name_parse(slice_of_string(text), &name));
    return name;
}

static void flags_and_uids_are_renames(void **state)
{
    struct account *account = *state;
    const struct maildir *inbox = &account->inbox;
    char renamed[MAILDIR_NAME_SIZE];
    put_file(inbox->new_fd, DELIVERED, "a\r\n");
    struct maildir_name name = parse(DELIVERED);
    name.uidvalidity = 7;
    name.uid = 8;
    assert_ok(account,
              maildir_change(inbox, MAILDIR_NEW, DELIVERED, &name, renamed, &account->error));
    assert_string_equal(renamed, DELIVERED ",U=7.8:2,");
    assert_true(has_file(inbox->cur_fd, renamed) && !has_file(inbox->new_fd, DELIVERED));
    name = parse(renamed);
    name.flags = MAILDIR_SEEN;
    name.keywords = 1;
    char again[MAILDIR_NAME_SIZE];
    assert_ok(account, maildir_change(inbox, MAILDIR_CUR, renamed, &name, again, &account->error));
    assert_string_equal(again, DELIVERED ",U=7.8:2,Sa");
    assert_fails(account, ERROR_NOT_FOUND,
                 maildir_change(inbox, MAILDIR_CUR, renamed, &name, again, &account->error));
}

static void long_keys_are_replaced(void **state)
{
    struct account *account = *state;
    const struct maildir *inbox = &account->inbox;
    char foreign[MAILDIR_NAME_SIZE], renamed[MAILDIR_NAME_SIZE];
    memset(foreign, 'k', sizeof(foreign));
    memcpy(foreign, "1234.", 5);
    foreign[MAILDIR_NAME_MAX] = '\0';
    put_file(inbox->new_fd, foreign, "a\r\n");
    struct maildir_name name = parse(foreign);
    name.uidvalidity = 7;
    name.uid = 8;
    name.flags = MAILDIR_SEEN;
    assert_ok(account,
              maildir_change(inbox, MAILDIR_NEW, foreign, &name, renamed, &account->error));
    struct maildir_name now = parse(renamed);
    assert_in_range(now.key.len, 1, MAILDIR_KEY_MAX);
    assert_int_equal(now.seconds, 1234);
    assert_int_equal(now.uid, 8);
    assert_int_equal(now.flags, MAILDIR_SEEN);
    assert_content(inbox->cur_fd, renamed, "a\r\n");
}

static void appended_messages_are_whole(void **state)
{
    struct account *account = *state;
    const struct maildir *inbox = &account->inbox;
    struct maildir_append append = MAILDIR_APPEND_NONE;
    struct maildir_name wanted = {
        .uidvalidity = 7, .uid = 9, .flags = MAILDIR_DRAFT, .keywords = 2};
    const struct maildir_append_as as = {&wanted, SLICE("mx"), 1700000000};
    struct file_system fs;
    char name[MAILDIR_NAME_SIZE];
    struct stat status;
    assert_ok(account, file_system_probe(inbox->fd, &fs, &account->error));
    struct maildir_flush flush = MAILDIR_FLUSH_START(&fs);

    assert_ok(account, maildir_append_begin(&append, inbox, &account->error));
    assert_ok(account, maildir_append_write(&append, SLICE("a\r"), &account->error));
    assert_ok(account, maildir_append_write(&append, SLICE("\nb\n"), &account->error));
    assert_int_equal(count_messages(inbox), 0);
    assert_ok(account, maildir_append_finish(&append, 1000000000, &account->error));
    assert_int_equal(count_messages(inbox), 0);
    assert_ok(account, maildir_append_commit(&append, &as, name, &account->error));
    assert_ok(account, maildir_flush_commit(&flush, inbox, NULL, &account->error));
    struct maildir_name parsed = parse(name);
    assert_true(slice_starts_with(parsed.key, SLICE("1700000000.A"))
                && slice_ends_with(parsed.key, SLICE(".mx,S=5,W=6")));
    assert_true(parsed.uid == 9 && parsed.flags == MAILDIR_DRAFT && parsed.keywords == 2);
    assert_content(inbox->cur_fd, name, "a\r\nb\n");
    assert_int_equal(fstatat(inbox->cur_fd, name, &status, 0), 0);
    assert_int_equal(status.st_mtim.tv_sec, 1000000000);

    assert_ok(account, maildir_append_begin(&append, inbox, &account->error));
    assert_ok(account, maildir_append_write(&append, SLICE("half"), &account->error));
    maildir_append_abort(&append);
    maildir_append_abort(&append);
    maildir_sweep(inbox, time(NULL) + 40 * 3600);
    assert_int_equal(count_messages(inbox), 1);
}

struct transfer_case {
    const char *name; /* in INBOX's cur/ */
    int64_t age;
    bool young;
    const char *sizes; /* of the new key */
};

static const struct transfer_case transfers[] = {
    {DELIVERED ",U=1.1:2,S", 0, true, ",S=3,W=3"},
    {DELIVERED ",U=1.1:2,S", 48 * 3600, false, ",S=3,W=3"},
    {"6.M1P1.h:2,", 0, false, ",S=3,W=4"},         /* measured */
    {"6.M1P1.h,S=9,W=9:2,", 0, false, ",S=3,W=4"}, /* the name lied */
};

static void open_drafts(struct account *account, struct maildir *box)
{
    if (!folders_exists(account->fd, ".Drafts"))
        assert_ok(account, folders_create(account->fd, ".Drafts", &account->error));
    assert_ok(account, maildir_open(account->fd, ".Drafts", box, &account->error));
}

static const char *content_of(const struct transfer_case *is)
{
    return is->name[0] == '5' ? "a\r\n" : "ab\n";
}

static void check_transferred(const struct maildir *box, const struct transfer_case *is,
                              const char *name, int64_t now)
{
    char seconds[32];
    struct maildir_name parsed = parse(name);
    struct stat status;
    snprintf(seconds, sizeof(seconds), "%lld.C", (long long)now);
    assert_true(slice_starts_with(parsed.key, slice_of_string(seconds))
                && slice_ends_with(parsed.key, slice_of_string(is->sizes)));
    assert_true(parsed.uid == 20 && parsed.flags == MAILDIR_FLAGGED);
    assert_content(box->cur_fd, name, content_of(is));
    assert_int_equal(fstatat(box->cur_fd, name, &status, 0), 0);
    assert_int_equal(status.st_mtim.tv_sec, now - is->age);
}

static void copies_and_moves_have_names_of_their_own(void **state)
{
    struct account *account = *state;
    const struct maildir *inbox = &account->inbox;
    struct maildir drafts;
    struct maildir_name wanted = {.uidvalidity = 2, .uid = 20, .flags = MAILDIR_FLAGGED};
    open_drafts(account, &drafts);
    static const struct file_system systems[] = {{.name = "ext4", .syncfs = true},
                                                 {.name = "unknown"}};
    for (size_t i = 0; i < 2 * ARRAY_LENGTH(transfers); i++) {
        const struct transfer_case *is = &transfers[i / 2];
        struct maildir_flush flush = MAILDIR_FLUSH_START(&systems[i % 2]);
        int64_t now = time(NULL);
        struct maildir_transfer transfer = {inbox,   inbox,   MAILDIR_CUR, is->name,
                                            &drafts, &wanted, SLICE("m"),  now};
        char copied[MAILDIR_NAME_SIZE], moved[MAILDIR_NAME_SIZE];
        const struct timespec times[2] = {{now, 0}, {now - is->age, 0}};
        put_file(inbox->cur_fd, is->name, content_of(is));
        assert_int_equal(utimensat(inbox->cur_fd, is->name, times, 0), 0);
        assert_ok(account, maildir_copy(&transfer, &flush, copied, &account->error));
        check_transferred(&drafts, is, copied, now);
        assert_int_equal(flush.young, is->young);
        assert_ok(account, maildir_copy(&transfer, &flush, copied, &account->error));
        assert_ok(account, maildir_flush_commit(&flush, &drafts, NULL, &account->error));
        assert_int_equal(flush.young_fd, -1);
        assert_false(has_file(inbox->tmp_fd, "5.Q1R1.h.gone"));
        assert_ok(account, maildir_move(&transfer, &flush, moved, &account->error));
        assert_ok(account, maildir_flush_commit(&flush, &drafts, inbox, &account->error));
        check_transferred(&drafts, is, moved, now);
        assert_int_equal(has_file(inbox->tmp_fd, "5.Q1R1.h.gone"), is->young);
        unlinkat(inbox->tmp_fd, "5.Q1R1.h.gone", 0);
        assert_false(has_file(inbox->cur_fd, is->name));
        assert_int_equal(count_messages(&drafts), 3 * (i + 1));
        assert_fails(account, ERROR_NOT_FOUND,
                     maildir_move(&transfer, &flush, moved, &account->error));
    }
    maildir_close(&drafts);
}

/* "restore the destination mailbox to its state before the COPY attempt" (RFC 9051 6.4.7) */
static void a_copy_that_cannot_be_flushed_is_none(void **state)
{
    struct account *account = *state;
    const struct maildir *inbox = &account->inbox;
    const struct file_system system = {.name = "unknown"};
    struct maildir drafts;
    struct maildir_name wanted = {.uidvalidity = 2, .uid = 20};
    struct maildir_flush flush = MAILDIR_FLUSH_START(&system);
    struct maildir_transfer transfer = {inbox,   inbox,   MAILDIR_CUR, DELIVERED ":2,",
                                        &drafts, &wanted, SLICE("m"),  time(NULL)};
    char copied[MAILDIR_NAME_SIZE];
    open_drafts(account, &drafts);
    put_file(inbox->cur_fd, transfer.name, "a\r\n");
    fsync_fails = true;
    assert_fails(account, ERROR_TEMPORARY,
                 maildir_copy(&transfer, &flush, copied, &account->error));
    fsync_fails = false;
    assert_int_equal(count_messages(&drafts), 0);
    assert_true(has_file(inbox->cur_fd, transfer.name));
    maildir_flush_discard(&flush);
    maildir_close(&drafts);
}

/* Under another name nobody would mend it: queue looks for the one it was delivered under. */
static void what_a_crash_cut_short_stays_where_it_is(void **state)
{
    struct account *account = *state;
    const struct maildir *inbox = &account->inbox;
    static const struct file_system system = {.name = "ext4", .syncfs = true};
    static const char name[] = "5.Q1R1.h,S=9,W=9,U=1.1:2,S";
    struct maildir drafts;
    struct maildir_name wanted = {.uidvalidity = 2, .uid = 20};
    struct maildir_flush flush = MAILDIR_FLUSH_START(&system);
    char named[MAILDIR_NAME_SIZE];
    open_drafts(account, &drafts);
    struct maildir_transfer transfer = {inbox,   inbox,   MAILDIR_CUR, name,
                                        &drafts, &wanted, SLICE("m"),  time(NULL)};
    put_file(inbox->cur_fd, name, "");
    assert_fails(account, ERROR_TEMPORARY, maildir_copy(&transfer, &flush, named, &account->error));
    assert_fails(account, ERROR_TEMPORARY, maildir_move(&transfer, &flush, named, &account->error));
    assert_true(has_file(inbox->cur_fd, name));
    assert_false(has_file(inbox->tmp_fd, "5.Q1R1.h.gone"));
    assert_int_equal(count_messages(&drafts), 0);
    put_file(inbox->cur_fd, name, "123456789");
    assert_ok(account, maildir_move(&transfer, &flush, named, &account->error));
    maildir_flush_discard(&flush);
    maildir_close(&drafts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(flags_and_uids_are_renames, account_open, account_close),
        cmocka_unit_test_setup_teardown(long_keys_are_replaced, account_open, account_close),
        cmocka_unit_test_setup_teardown(appended_messages_are_whole, account_open, account_close),
        cmocka_unit_test_setup_teardown(copies_and_moves_have_names_of_their_own, account_open,
                                        account_close),
        cmocka_unit_test_setup_teardown(a_copy_that_cannot_be_flushed_is_none, account_open,
                                        account_close),
        cmocka_unit_test_setup_teardown(what_a_crash_cut_short_stays_where_it_is, account_open,
                                        account_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
