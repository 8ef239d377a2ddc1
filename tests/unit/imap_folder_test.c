/* Promises of imapd/folder/folder.h, view.h and watch.h on a real Maildir, with inotify and
 * without. */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/config/config.h"
#include "common/disk/fd.h"
#include "common/size.h"
#include "imapd/folder/folder.h"
#include "imapd/folder/view.h"
#include "imapd/mailbox.h"

struct fixture {
    char path[64];
    struct ev_loop *loop;
    struct log log;
    struct config config;
    struct flush_rounds flushes;
    struct mailbox mailbox;
    struct folder *folder;
    unsigned delivered;
};

static void open_account(struct fixture *f, bool inotify)
{
    struct error error;
    struct mailbox_means means = {.loop = f->loop,
                                  .log = &f->log,
                                  .config = &f->config,
                                  .flushes = &f->flushes,
                                  .account_fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                                  .boot = "a boot"};
    assert_true(means.account_fd >= 0);
    flush_rounds_open(&f->flushes);
    assert_int_equal(fchdir(means.account_fd), 0);
    assert_true(mailbox_open(&f->mailbox, &means, &error));
    if (!inotify) {
        watch_clear(&f->mailbox.watch);
        watch_init(&f->mailbox.watch, f->loop, false);
    }
    assert_true(folder_open(&f->mailbox, ".", &f->folder, &error));
    while (folder_step(f->folder))
        ;
}

static void close_account(struct fixture *f)
{
    if (f->folder)
        folder_close(f->folder);
    mailbox_close(&f->mailbox);
    flush_rounds_close(&f->flushes);
    close(f->mailbox.account_fd);
}

static struct fixture *set_up(bool inotify)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    make_test_directory(f->path, sizeof(f->path));
    f->loop = ev_loop_new(0);
    log_init(&f->log, open("/dev/null", O_WRONLY | O_CLOEXEC), "test");
    f->config.hostname = "host.example";
    open_account(f, inotify);
    return f;
}

static void tear_down(struct fixture *f)
{
    struct error error;
    close_account(f);
    ev_loop_destroy(f->loop);
    close(f->log.fd);
    assert_int_equal(chdir("/"), 0);
    assert_true(maildir_remove_tree(AT_FDCWD, f->path, 8, &error));
    free(f);
}

static void put_file(int directory, const char *name)
{
    int fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "a: b\r\n\r\n", 8), 8);
    close(fd);
}

static void deliver(struct fixture *f)
{
    char name[64];
    snprintf(name, sizeof(name), "%u.Q%u.host,S=8,W=8", 1700000000 + f->delivered, f->delivered);
    f->delivered++;
    put_file(f->folder->box.new_fd, name);
}

/* Lets the loop run until the folder has so many messages. */
static void wait_for(struct fixture *f, uint32_t messages)
{
    for (int i = 0; i < 5000 && folder_message_count(f->folder) != messages; i++) {
        ev_run(f->loop, EVRUN_NOWAIT);
        poll(NULL, 0, 1);
    }
    assert_int_equal(folder_message_count(f->folder), messages);
}

static void rename_in_cur(struct fixture *f, const char *from, const char *to)
{
    assert_int_equal(renameat(f->folder->box.cur_fd, from, f->folder->box.cur_fd, to), 0);
}

/* What a session would be told. */
static void assert_news(struct view *view, enum view_extent extent, const char *text)
{
    struct writer writer;
    struct error error;
    writer_init(&writer, NULL, 10000);
    assert_true(view_sync(view, extent, false, &writer, &error));
    assert_slice_is(buffer_slice(&writer.text), text);
    writer_clear(&writer);
}

static void open_view(struct fixture *f, struct view *view)
{
    struct error error;
    struct folder *folder;
    *view = (struct view){.folder = NULL};
    assert_true(folder_open(&f->mailbox, ".", &folder, &error));
    assert_ptr_equal(folder, f->folder);
    assert_true(view_open(view, folder, false, &error));
}

static void follow_others(bool inotify)
{
    struct fixture *f = set_up(inotify);
    struct view view;
    char name[MAILDIR_NAME_SIZE + 8];
    deliver(f);
    wait_for(f, 1);
    open_view(f, &view);
    assert_int_equal(view.count, 1);
    assert_int_equal(view.recent, 1);

    deliver(f);
    wait_for(f, 2);
    assert_news(&view, VIEW_KEEP_NUMBERS, "* 2 EXISTS\r\n* 2 RECENT\r\n");

    snprintf(name, sizeof(name), "%sS", f->folder->messages[0].name);
    rename_in_cur(f, f->folder->messages[0].name, name);
    for (int i = 0; i < 5000 && view.changed == 0; i++) {
        ev_run(f->loop, EVRUN_NOWAIT);
        poll(NULL, 0, 1);
    }
    assert_news(&view, VIEW_KEEP_NUMBERS, "* 1 FETCH (FLAGS (\\Seen \\Recent))\r\n");

    assert_int_equal(unlinkat(f->folder->box.cur_fd, f->folder->messages[0].name, 0), 0);
    wait_for(f, 1);
    assert_news(&view, VIEW_KEEP_NUMBERS, "");
    assert_null(view_message(&view, 0));
    assert_news(&view, VIEW_ALL, "* 1 EXPUNGE\r\n* 1 RECENT\r\n");
    assert_int_equal(view.slots[0].uid, 2);
    view_close(&view);
    tear_down(f);
}

static void others_are_followed_by_inotify(void **state)
{
    (void)state;
    follow_others(true);
}

static void others_are_followed_by_times(void **state)
{
    (void)state;
    follow_others(false);
}

static void two_views_are_told_what_each_does_not_know(void **state)
{
    (void)state;
    static const struct message_change seen = {.flags_on = MAILDIR_SEEN};
    struct fixture *f = set_up(true);
    struct view first, second;
    struct error error;
    for (int i = 0; i < 4; i++)
        deliver(f);
    wait_for(f, 4);
    open_view(f, &first);
    open_view(f, &second);
    assert_int_equal(first.recent, 4);
    assert_int_equal(second.recent, 0);
    assert_true(folder_change(f->folder, 3, &seen, &first, &error));
    assert_false(view_has_news(&first, VIEW_ALL));
    assert_true(folder_remove(f->folder, folder_find(f->folder, 1), &error));
    assert_true(folder_remove(f->folder, folder_find(f->folder, 4), &error));
    assert_false(view_has_news(&first, VIEW_KEEP_NUMBERS));
    assert_news(&first, VIEW_ALL, "* 1 EXPUNGE\r\n* 3 EXPUNGE\r\n* 2 RECENT\r\n");
    assert_news(&second, VIEW_KEEP_NUMBERS, "* 3 FETCH (FLAGS (\\Seen))\r\n");
    deliver(f);
    wait_for(f, 3);
    assert_news(&second, VIEW_ALL, "* 1 EXPUNGE\r\n* 3 EXPUNGE\r\n* 3 EXISTS\r\n* 1 RECENT\r\n");
    assert_news(&first, VIEW_ALL, "* 3 EXISTS\r\n");
    view_close(&second);
    view_close(&first);
    tear_down(f);
}

static void sets_are_walked(void **state)
{
    (void)state;
    static const struct {
        const char *set;
        bool by_uid;
        const char *walked; /* UIDs; NULL: BAD */
    } cases[] = {
        {"1:*", false, "1 2 4 5 "}, {"2", false, "2 "},    {"*", false, "5 "},
        {"4,1", false, "1 5 "},     {"5", false, NULL},    {"1:5", false, NULL},
        {"1:*", true, "1 2 4 5 "},  {"3", true, ""},       {"3:4", true, "4 "},
        {"9:*", true, "5 "},        {"*:3", true, "4 5 "}, {"2:3,5:9", true, "2 5 "},
        {"$", false, "2 4 "},       {"$", true, "2 4 "},   {"1,$", false, "1 2 4 "},
        {"5,$", true, "2 4 5 "},
    };
    static const struct sequence_range saved[] = {{2, 4}, {7, 9}}; /* 3 has gone since */
    struct fixture *f = set_up(true);
    struct view view;
    struct error error;
    for (int i = 0; i < 5; i++)
        deliver(f);
    wait_for(f, 5);
    assert_true(folder_remove(f->folder, folder_find(f->folder, 3), &error));
    open_view(f, &view);
    struct sequence_range *taken = calloc(ARRAY_LENGTH(saved), sizeof(*taken));
    assert_non_null(taken);
    memcpy(taken, saved, sizeof(saved));
    view_take_saved(&view, taken, ARRAY_LENGTH(saved));
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct arena arena;
        struct sequence_set set;
        struct buffer walked = BUFFER_WITH_LIMIT(100);
        struct cursor in = cursor_of(slice_of_string(cases[i].set));
        size_t index;
        arena_init(&arena, 10000);
        assert_true(sequence_set_parse(&in, &arena, &set));
        assert_int_equal(view_resolve(&view, &set, cases[i].by_uid), cases[i].walked != NULL);
        struct view_walk walk = view_walk_begin(&set, cases[i].by_uid);
        while (cases[i].walked && view_walk_next(&view, &walk, &index))
            buffer_append_format(&walked, "%u ", view.slots[index].uid);
        if (cases[i].walked)
            assert_slice_is(buffer_slice(&walked), cases[i].walked);
        buffer_clear(&walked);
        arena_clear(&arena);
    }
    view_close(&view);
    tear_down(f);
}

/* A folder without users is kept, and read again only where its directories' times say so. */
/* With inotify it stays open, without it is shut. */
static void keep_folder(bool inotify)
{
    struct fixture *f = set_up(inotify);
    struct error error;
    deliver(f);
    wait_for(f, 1);
    struct folder *kept = f->folder;
    folder_close(f->folder);
    assert_int_equal(kept->box.fd >= 0, inotify);
    assert_true(folder_open(&f->mailbox, ".", &f->folder, &error));
    assert_ptr_equal(f->folder, kept);
    assert_int_equal(folder_message_count(kept), 1);
    int new_fd = fcntl(kept->box.new_fd, F_DUPFD_CLOEXEC, 0);
    folder_close(f->folder);
    put_file(new_fd, "1700000099.Q99.host,S=8,W=8");
    close(new_fd);
    assert_true(folder_open(&f->mailbox, ".", &f->folder, &error));
    wait_for(f, 2);
    tear_down(f);
}

static void a_kept_folder_is_up_to_date(void **state)
{
    (void)state;
    keep_folder(true);
    keep_folder(false);
}

/* Another program replaced the directory of a folder that nobody used. */
static void a_kept_folder_is_the_one_that_has_the_name(void **state)
{
    (void)state;
    struct fixture *f = set_up(true);
    struct folder *folder;
    struct error error;
    int account = f->mailbox.account_fd;
    assert_true(mailbox_create_folder(&f->mailbox, SLICE("a"), 0, &error));
    assert_true(folder_open(&f->mailbox, ".a", &folder, &error));
    ino_t before = folder->inode;
    folder_close(folder);
    assert_int_equal(renameat(account, ".a", account, ".b"), 0);
    assert_false(folder_open(&f->mailbox, ".a", &folder, &error));
    assert_int_equal(error.kind, ERROR_NOT_FOUND);
    assert_true(mailbox_create_folder(&f->mailbox, SLICE("a"), 0, &error));
    assert_true(folder_open(&f->mailbox, ".a", &folder, &error));
    assert_true(folder->inode != before);
    folder_close(folder);
    tear_down(f);
}

static void numbering_goes_on(void **state)
{
    (void)state;
    struct fixture *f = set_up(true);
    struct error error;
    deliver(f);
    deliver(f);
    wait_for(f, 2);
    assert_true(folder_remove(f->folder, folder_find(f->folder, 2), &error));
    close_account(f);
    open_account(f, true);
    assert_int_equal(f->folder->uid_next, 3); /* not the watermark: it was closed in order */
    deliver(f);
    wait_for(f, 2);
    assert_int_equal(folder_last_uid(f->folder), 3);
    assert_true(f->folder->record.uid_watermark > 3);
    tear_down(f);
}

/* folder_names.c: 300 messages are more than are read from the directory anyway. */
static void names_are_read_from_one_file(void **state)
{
    (void)state;
    struct fixture *f = set_up(true);
    for (int i = 0; i < 300; i++)
        deliver(f);
    wait_for(f, 300);
    for (int round = 0; round < 3; round++) {
        poll(NULL, 0, 30); /* past the tick of the file system's clock */
        close_account(f);
        open_account(f, true);
        assert_int_equal(f->folder->names.count, 300 + round);
        assert_int_equal(folder_message_count(f->folder), 300 + round);
        deliver(f); /* grows out of the block */
        wait_for(f, 300 + (uint32_t)round + 1);
        struct message *message = folder_find(f->folder, (uint32_t)round + 1);
        assert_true(folder_remove(f->folder, message, NULL));
        deliver(f);
        wait_for(f, 300 + (uint32_t)round + 1);
    }
    tear_down(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read_from_one_file),
        cmocka_unit_test(others_are_followed_by_inotify),
        cmocka_unit_test(others_are_followed_by_times),
        cmocka_unit_test(two_views_are_told_what_each_does_not_know),
        cmocka_unit_test(sets_are_walked),
        cmocka_unit_test(a_kept_folder_is_up_to_date),
        cmocka_unit_test(a_kept_folder_is_the_one_that_has_the_name),
        cmocka_unit_test(numbering_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
