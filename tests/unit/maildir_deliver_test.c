/* Promises of storage/maildir_deliver.h: a message is there once, whatever was tried before. */
#include "tests/unit/maildir_fixture.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "storage/folders.h"
#include "storage/maildir_deliver.h"
#include "storage/maildir_store.h"
#include "storage/tombstone.h"

#define UNIQUE "1700000000.Q4KQ2R1.mx.example"
#define IN_NEW UNIQUE ",S=17,W=17"

static const struct piece pieces[] = {
    {{(const uint8_t *)"To: a\r\n\r\n", 9}, -1, 0, 9},
    {{(const uint8_t *)"hello\r\n\r", 8}, -1, 0, 8},
};

static struct maildir_delivery make_delivery(void)
{
    return (struct maildir_delivery){
        .arrival = 1700000000,
        .queue_id = "4KQ2",
        .recipient = 1,
        .host = SLICE("mx.example"),
        .pieces = pieces,
        .piece_count = 2,
    };
}

struct place {
    struct account *account;
    struct maildir_find find;
    struct maildir_target target;
};

static void place_init(struct place *place, struct account *account)
{
    place->account = account;
    maildir_find_init(&place->find, account->fd);
    place->target =
        (struct maildir_target){&account->inbox, &account->inbox, MAILDIR_INBOX, &place->find};
}

static void a_delivery_is_in_new(void **state)
{
    struct account *account = *state;
    struct maildir_delivery delivery = make_delivery();
    struct place place;
    place_init(&place, account);
    put_file(account->inbox.tmp_fd, UNIQUE, "a longer half of a try that was cut short");
    assert_ok(account, maildir_deliver(&place.target, &delivery, &account->error));
    assert_content(account->inbox.new_fd, IN_NEW, "To: a\r\n\r\nhello\r\n\r");
    assert_false(has_file(account->inbox.tmp_fd, UNIQUE));
    delivery.flush = true;
    delivery.recipient = 2;
    assert_ok(account, maildir_deliver(&place.target, &delivery, &account->error));
    assert_true(has_file(account->inbox.new_fd, "1700000000.Q4KQ2R2.mx.example,S=17,W=17"));
    maildir_find_clear(&place.find);
}

static void bare_line_feeds_are_counted(void **state)
{
    struct account *account = *state;
    struct maildir_delivery delivery = make_delivery();
    const struct piece bare[] = {{{(const uint8_t *)"a\nb\n", 4}, -1, 0, 4}};
    struct place place;
    place_init(&place, account);
    delivery.pieces = bare;
    delivery.piece_count = 1;
    assert_ok(account, maildir_deliver(&place.target, &delivery, &account->error));
    assert_true(has_file(account->inbox.new_fd, UNIQUE ",S=4,W=6"));
}

/* Where an earlier try's message is now, and what a second try makes of it. */
static void again(struct place *place, enum maildir_delivered expected)
{
    struct account *account = place->account;
    struct maildir_delivery delivery = make_delivery();
    enum maildir_delivered outcome;
    assert_ok(account, maildir_deliver_again(&place->target, &delivery, &outcome, &account->error));
    assert_int_equal(outcome, expected);
}

static void nothing_is_found_at_first(void **state)
{
    struct account *account = *state;
    struct maildir_delivery delivery = make_delivery();
    enum maildir_delivered outcome;
    struct place place;
    place_init(&place, account);
    put_file(account->inbox.new_fd, "1700000000.Q4KQ2R11.mx.example,S=17,W=17", "another");
    assert_fails(account, ERROR_NOT_FOUND,
                 maildir_deliver_again(&place.target, &delivery, &outcome, &account->error));
    /* delivered by this process after it looked: known without another look */
    assert_ok(account, maildir_deliver(&place.target, &delivery, &account->error));
    again(&place, MAILDIR_FOUND);
    assert_int_equal(count_messages(&account->inbox), 2);
    maildir_find_clear(&place.find);
}

static void it_is_found_wherever_it_went(void **state)
{
    struct account *account = *state;
    struct maildir_delivery delivery = make_delivery();
    struct maildir box;
    struct place place;
    place_init(&place, account);
    assert_ok(account, maildir_deliver(&place.target, &delivery, &account->error));
    again(&place, MAILDIR_FOUND);
    /* The same struct, now with a location that is stale: flagged, and in another folder. */
    assert_ok(account, folders_create(account->fd, ".Deep.er", &account->error));
    assert_ok(account, maildir_open(account->fd, ".Deep.er", &box, &account->error));
    assert_int_equal(renameat(account->inbox.new_fd, IN_NEW, box.cur_fd, IN_NEW ",U=5.6:2,FSa"), 0);
    again(&place, MAILDIR_FOUND);
    assert_int_equal(count_messages(&account->inbox), 0);
    assert_int_equal(count_messages(&box), 1);
    maildir_close(&box);
    maildir_find_clear(&place.find);
}

static void a_wrong_file_is_written_again_in_its_place(void **state)
{
    struct account *account = *state;
    static const char *const wrong[] = {"", "To: a\r\n\r\nhello\r\n", "To: a\r\n\r\nhellO\r\n\r"};
    for (size_t i = 0; i < 3; i++) {
        struct place place;
        place_init(&place, account);
        put_file(account->inbox.cur_fd, IN_NEW ",U=5.6:2,S", wrong[i]);
        again(&place, MAILDIR_FOUND);
        assert_content(account->inbox.cur_fd, IN_NEW ",U=5.6:2,S", "To: a\r\n\r\nhello\r\n\r");
        assert_int_equal(count_messages(&account->inbox), 1);
        maildir_find_clear(&place.find);
    }
}

/* In place of the C library's: before it happens another process renames what is to be replaced. */
static const char *renamed_before;
static int renameat2_fails_with;

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    const char *other = renamed_before;
    renamed_before = NULL;
    if (other && renameat(to_fd, to, to_fd, other) != 0)
        return -1;
    errno = renameat2_fails_with;
    return errno ? -1 : (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
}

static void a_wrong_file_that_is_renamed_meanwhile_is_not_doubled(void **state)
{
    struct account *account = *state;
    struct place place;
    place_init(&place, account);
    put_file(account->inbox.cur_fd, IN_NEW ",U=5.6:2,", "");
    renamed_before = IN_NEW ",U=5.6:2,S";
    again(&place, MAILDIR_FOUND);
    assert_null(renamed_before);
    assert_content(account->inbox.cur_fd, IN_NEW ",U=5.6:2,S", "To: a\r\n\r\nhello\r\n\r");
    assert_int_equal(count_messages(&account->inbox), 1);
    assert_false(has_file(account->inbox.tmp_fd, UNIQUE));
    maildir_find_clear(&place.find);
}

/* A file system that cannot exchange two names. */
static void a_wrong_file_is_written_again_everywhere(void **state)
{
    struct account *account = *state;
    struct place place;
    place_init(&place, account);
    put_file(account->inbox.cur_fd, IN_NEW ",U=5.6:2,", "");
    renameat2_fails_with = EINVAL;
    again(&place, MAILDIR_FOUND);
    renameat2_fails_with = 0;
    assert_content(account->inbox.cur_fd, IN_NEW ",U=5.6:2,", "To: a\r\n\r\nhello\r\n\r");
    assert_int_equal(count_messages(&account->inbox), 1);
    maildir_find_clear(&place.find);
}

static void what_was_removed_stays_removed(void **state)
{
    struct account *account = *state;
    struct maildir_delivery delivery = make_delivery();
    int64_t now = time(NULL);
    struct place place;
    place_init(&place, account);
    assert_ok(account, maildir_deliver(&place.target, &delivery, &account->error));
    again(&place, MAILDIR_FOUND);
    assert_ok(account, maildir_remove(&account->inbox, &account->inbox, MAILDIR_NEW, IN_NEW, now,
                                      &account->error));
    assert_true(has_file(account->inbox.tmp_fd, UNIQUE ".gone"));
    again(&place, MAILDIR_GONE); /* found, stale, looked again, tombstone */
    assert_int_equal(count_messages(&account->inbox), 0);
    maildir_find_clear(&place.find);
}

static void only_young_deliveries_leave_tombstones(void **state)
{
    struct account *account = *state;
    const struct maildir *inbox = &account->inbox;
    int64_t now = time(NULL);
    static const struct {
        const char *name;
        int64_t age;
        const char *tombstone;
    } cases[] = {
        {"1.Q1R1.h,S=1,W=1,U=1.2:2,S", 0, "1.Q1R1.h.gone"},
        {"2.Q1R1.h,S=1,W=1:2,", 23 * 3600, "2.Q1R1.h.gone"},
        {"3.Q1R1.h,S=1,W=1:2,", 25 * 3600, NULL},
        {"4.A00.h,S=1,W=1:2,", 0, NULL}, /* appended: no queue knows it */
        {"5.M1P1.h,S=1:2,", 0, NULL},
    };
    for (size_t i = 0; i < 5; i++) {
        put_file(inbox->cur_fd, cases[i].name, "x");
        age_file(inbox->cur_fd, cases[i].name, cases[i].age);
        assert_ok(account,
                  maildir_remove(inbox, inbox, MAILDIR_CUR, cases[i].name, now, &account->error));
        assert_true(!cases[i].tombstone || has_file(inbox->tmp_fd, cases[i].tombstone));
    }
    assert_false(has_file(inbox->tmp_fd, "3.Q1R1.h.gone") || has_file(inbox->tmp_fd, "4.A00.h.gone")
                 || has_file(inbox->tmp_fd, "5.M1P1.h.gone"));
    assert_fails(account, ERROR_NOT_FOUND,
                 maildir_remove(inbox, inbox, MAILDIR_CUR, "1.Q1R1.h:2,", now, &account->error));
}

static void a_full_disk_leaves_nothing(void **state)
{
    struct account *account = *state;
    struct maildir_delivery delivery = make_delivery();
    struct rlimit before, tiny;
    struct place place;
    place_init(&place, account);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    tiny = before;
    tiny.rlim_cur = 5;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tiny), 0);
    bool delivered = maildir_deliver(&place.target, &delivery, &account->error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_false(delivered);
    assert_int_equal(account->error.kind, ERROR_TEMPORARY);
    assert_int_equal(count_messages(&account->inbox), 0);
    assert_false(has_file(account->inbox.tmp_fd, UNIQUE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_delivery_is_in_new, account_open, account_close),
        cmocka_unit_test_setup_teardown(bare_line_feeds_are_counted, account_open, account_close),
        cmocka_unit_test_setup_teardown(nothing_is_found_at_first, account_open, account_close),
        cmocka_unit_test_setup_teardown(it_is_found_wherever_it_went, account_open, account_close),
        cmocka_unit_test_setup_teardown(a_wrong_file_is_written_again_in_its_place, account_open,
                                        account_close),
        cmocka_unit_test_setup_teardown(a_wrong_file_that_is_renamed_meanwhile_is_not_doubled,
                                        account_open, account_close),
        cmocka_unit_test_setup_teardown(a_wrong_file_is_written_again_everywhere, account_open,
                                        account_close),
        cmocka_unit_test_setup_teardown(what_was_removed_stays_removed, account_open,
                                        account_close),
        cmocka_unit_test_setup_teardown(only_young_deliveries_leave_tombstones, account_open,
                                        account_close),
        cmocka_unit_test_setup_teardown(a_full_disk_leaves_nothing, account_open, account_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
