/* Promises of storage/change_log.h. */
#include "tests/unit/maildir_fixture.h"

#include "common/size.h"
#include "storage/change_log.h"

static const uint8_t boot[CHANGE_LOG_BOOT_OCTETS] = "this boot";
static const uint8_t other_boot[CHANGE_LOG_BOOT_OCTETS] = "another boot";
static const uint8_t unknown_boot[CHANGE_LOG_BOOT_OCTETS];
static const struct change_log_trust trust = {.modseq_watermark = 1000, .uid_watermark = 1000};

struct told {
    struct change changes[8];
    size_t count;
};

static void on_change(void *owner, const struct change *change)
{
    struct told *told = owner;
    assert_true(told->count < ARRAY_LENGTH(told->changes));
    told->changes[told->count++] = *change;
}

static const struct change flagged = {.uid = 7, .flags = 1 << 5, .letters = 3, .modseq = 11};
static const struct change gone = {.uid = 8, .gone = true, .modseq = 12};

/* A file with those two, of this boot, sealed with `sealed` unless that is 0. */
static void write_two(struct account *account, uint64_t sealed)
{
    struct change_log log;
    change_log_init(&log, 5, boot);
    change_log_renew(&log, 10);
    change_log_put(&log, &flagged);
    change_log_put(&log, &gone);
    assert_ok(account, change_log_flush(&log, account->fd, &account->error));
    if (sealed)
        assert_ok(account, change_log_seal(&log, account->fd, sealed, &account->error));
    change_log_close(&log);
}

static bool load(struct account *account, uint32_t uidvalidity, const uint8_t *of_boot,
                 const struct change_log_trust *by, struct told *told)
{
    struct change_log log;
    *told = (struct told){.count = 0};
    change_log_init(&log, uidvalidity, of_boot);
    bool loaded = change_log_load(&log, account->fd, by, on_change, told, &account->error);
    assert_int_equal(log.complete_since, loaded ? 10 : 0);
    assert_true(loaded || told->count == 0);
    change_log_close(&log);
    return loaded;
}

static void what_is_put_is_told_in_order(void **state)
{
    struct account *account = *state;
    struct told told;
    write_two(account, 0);
    assert_ok(account, load(account, 5, boot, &trust, &told));
    assert_int_equal(told.count, 2);
    assert_int_equal(told.changes[0].uid, 7);
    assert_false(told.changes[0].gone);
    assert_int_equal(told.changes[0].flags, flagged.flags);
    assert_int_equal(told.changes[0].letters, flagged.letters);
    assert_int_equal(told.changes[0].modseq, 11);
    assert_int_equal(told.changes[1].uid, 8);
    assert_true(told.changes[1].gone);
    assert_int_equal(told.changes[1].modseq, 12);
}

static void it_is_added_to_and_renewed(void **state)
{
    struct account *account = *state;
    struct change_log log;
    struct told told = {.count = 0};
    write_two(account, 0);
    change_log_init(&log, 5, boot);
    assert_ok(account,
              change_log_load(&log, account->fd, &trust, on_change, &told, &account->error));
    change_log_put(&log, &gone);
    assert_ok(account, change_log_flush(&log, account->fd, &account->error));
    change_log_put(&log, &gone);
    assert_ok(account, change_log_flush(&log, account->fd, &account->error));
    assert_int_equal(log.count, 4);
    assert_ok(account, load(account, 5, boot, &trust, &told));
    assert_int_equal(told.count, 4);
    change_log_renew(&log, 10);
    assert_ok(account, change_log_flush(&log, account->fd, &account->error)); /* nothing put */
    assert_ok(account, load(account, 5, boot, &trust, &told));
    assert_int_equal(told.count, 4);
    change_log_put(&log, &flagged);
    assert_ok(account, change_log_flush(&log, account->fd, &account->error));
    change_log_close(&log);
    assert_ok(account, load(account, 5, boot, &trust, &told));
    assert_int_equal(told.count, 1);
    assert_false(has_file(account->fd, CHANGE_LOG_FILE ".new"));
}

static void after_a_power_cut_only_what_is_sealed_is_believed(void **state)
{
    struct account *account = *state;
    const struct change_log_trust raised = {.modseq_watermark = 2000, .uid_watermark = 1000};
    static const struct {
        uint64_t sealed;
        const uint8_t *boot;
        const struct change_log_trust *trust;
        bool believed;
    } cases[] = {
        {0, boot, &trust, true},          {0, other_boot, &trust, false},
        {0, unknown_boot, &trust, false}, {1000, other_boot, &trust, true},
        {999, other_boot, &trust, false}, {1000, boot, NULL, true},
        {1000, other_boot, NULL, false}, /* something came behind the seal */
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct told told;
        write_two(account, cases[i].sealed);
        bool believed =
            load(account, 5, cases[i].boot, cases[i].trust ? cases[i].trust : &raised, &told);
        if (believed != cases[i].believed)
            fail_msg("case %zu", i);
        if (!believed)
            assert_int_equal(account->error.kind, ERROR_PERMANENT);
    }
}

static void what_makes_no_sense_is_not_believed(void **state)
{
    struct account *account = *state;
    const struct change_log_trust lower_uid = {.modseq_watermark = 1000, .uid_watermark = 8};
    const struct change_log_trust lower_modseq = {.modseq_watermark = 12, .uid_watermark = 1000};
    struct told told;
    assert_false(load(account, 5, boot, &trust, &told));
    assert_int_equal(account->error.kind, ERROR_NOT_FOUND);
    write_two(account, 0);
    assert_false(load(account, 6, boot, &trust, &told));
    assert_false(load(account, 5, boot, &lower_uid, &told));
    assert_false(load(account, 5, boot, &lower_modseq, &told));
    put_file(account->fd, CHANGE_LOG_FILE, "staffetta-changes 2");
    assert_false(load(account, 5, boot, &trust, &told));
    assert_int_equal(account->error.kind, ERROR_PERMANENT);
}

/* Half a history would be believed the next time. */
static void what_cannot_be_written_is_removed(void **state)
{
    struct account *account = *state;
    struct change_log log;
    struct told told = {.count = 0};
    write_two(account, 0);
    change_log_init(&log, 5, boot);
    assert_ok(account,
              change_log_load(&log, account->fd, &trust, on_change, &told, &account->error));
    log.fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    change_log_put(&log, &gone);
    assert_false(change_log_flush(&log, account->fd, &account->error));
    assert_false(has_file(account->fd, CHANGE_LOG_FILE));
    change_log_put(&log, &gone);
    assert_ok(account, change_log_flush(&log, account->fd, &account->error)); /* said once */
    assert_false(has_file(account->fd, CHANGE_LOG_FILE));
    change_log_close(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_put_is_told_in_order, account_open, account_close),
        cmocka_unit_test_setup_teardown(it_is_added_to_and_renewed, account_open, account_close),
        cmocka_unit_test_setup_teardown(after_a_power_cut_only_what_is_sealed_is_believed,
                                        account_open, account_close),
        cmocka_unit_test_setup_teardown(what_makes_no_sense_is_not_believed, account_open,
                                        account_close),
        cmocka_unit_test_setup_teardown(what_cannot_be_written_is_removed, account_open,
                                        account_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
