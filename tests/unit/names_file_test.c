/* Promises of storage/names_file.h. */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "common/size.h"
#include "storage/maildir.h"
#include "storage/names_file.h"

static char folder[64];
static int folder_fd = -1;

static int make_folder(void **state)
{
    (void)state;
    make_test_directory(folder, sizeof(folder));
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return folder_fd >= 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    fd_discard(&folder_fd);
    return maildir_remove_tree(AT_FDCWD, folder, 1, NULL) ? 0 : -1;
}

static struct names_origin make_origin(void)
{
    return (struct names_origin){.boot = "a boot",
                                 .uidvalidity = 7,
                                 .cur = {1, 2, 3, 4},
                                 .new = {5, 6, 7, 8},
                                 .complete_since = 9,
                                 .changes = 10};
}

static void store(size_t count)
{
    struct names_file file;
    struct error error = {0};
    names_file_init(&file);
    file.origin = make_origin();
    for (uint32_t i = 0; i < count; i++) {
        char name[64];
        snprintf(name, sizeof(name), "%u.P1.host,U=7.%u:2,%s", i, 2 * i + 1, i % 3 ? "" : "FS");
        names_file_add(&file, &(struct names_entry){.name = name,
                                                    .modseq = i + 5,
                                                    .uid = 2 * i + 1,
                                                    .flags = i % 7,
                                                    .letters = i % 5,
                                                    .internal_date = i});
    }
    assert_true(names_file_store(&file, folder_fd, &error));
    names_file_clear(&file);
    names_file_clear(&file);
}

/* ERROR_NONE: it is believed. */
static enum error_kind load(const struct names_origin *wanted, size_t *count)
{
    struct names_block block;
    struct error error = {.kind = ERROR_NONE};
    bool loaded = names_block_load(&block, folder_fd, wanted, &error);
    *count = block.count;
    if (!loaded)
        assert_null(block.memory);
    names_block_clear(&block);
    return loaded ? ERROR_NONE : error.kind;
}

static void check_entries(const struct names_block *block)
{
    for (size_t at = 0; at < block->count; at += 1 + block->count / 100) {
        const struct names_entry *entry = &block->entries[at];
        char name[64];
        snprintf(name, sizeof(name), "%zu.P1.host,U=7.%zu:2,%s", at, 2 * at + 1,
                 at % 3 ? "" : "FS");
        assert_string_equal(entry->name, name);
        assert_true(names_block_has(block, entry->name));
        assert_int_equal(entry->uid, 2 * at + 1);
        assert_int_equal(entry->modseq, at + 5);
        assert_int_equal(entry->flags, at % 7);
        assert_int_equal(entry->letters, at % 5);
        assert_int_equal(entry->internal_date, at);
    }
    assert_false(names_block_has(block, "elsewhere"));
}

static void what_was_stored_is_loaded(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 2, 1000, 60000}; /* the last is placed */
    for (size_t i = 0; i < ARRAY_LENGTH(counts); i++) {
        struct names_origin wanted = make_origin();
        struct names_block block;
        struct error error = {0};
        store(counts[i]);
        assert_true(names_block_load(&block, folder_fd, &wanted, &error));
        assert_int_equal(block.count, counts[i]);
        assert_memory_equal(&block.origin, &wanted, sizeof(wanted));
        assert_int_equal(block.modseq_least, 5);
        assert_int_equal(block.modseq_most, counts[i] + 4);
        assert_int_equal(block.unseen_from, 1);
        check_entries(&block);
        names_block_clear(&block);
    }
}

/* Two processes may have the same file; here, one has it twice. */
static void what_cannot_be_placed_is_read(void **state)
{
    (void)state;
    struct names_origin wanted = make_origin();
    struct names_block first, second;
    store(60000);
    assert_true(names_block_load(&first, folder_fd, &wanted, NULL));
    assert_true(names_block_load(&second, folder_fd, &wanted, NULL));
    assert_true(first.is_placed);
    assert_false(second.is_placed);
    check_entries(&first);
    check_entries(&second);
    names_block_clear(&first);
    check_entries(&second);
    names_block_clear(&second);
}

static void what_is_settled_outlives_the_file(void **state)
{
    (void)state;
    struct names_origin wanted = make_origin();
    struct names_block block;
    store(60000);
    assert_true(names_block_load(&block, folder_fd, &wanted, NULL));
    assert_true(block.is_placed);
    block.entries[7].flags = 6; /* what was changed meanwhile stays */
    names_block_settle(&block);
    int fd = openat(folder_fd, NAMES_FILE, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    fd_discard(&fd);
    assert_int_equal(block.entries[7].flags, 6);
    block.entries[7].flags = 0;
    check_entries(&block);
    names_block_settle(&block);
    names_block_clear(&block);
    names_block_clear(&block);
}

static void what_belongs_elsewhere_is_not_believed(void **state)
{
    (void)state;
    size_t count;
    struct names_origin wanted = make_origin();
    store(10);
    assert_int_equal(load(&wanted, &count), ERROR_NONE);
    wanted.new.changed_ns++; /* for the caller to compare */
    assert_int_equal(load(&wanted, &count), ERROR_NONE);
    int64_t *times[] = {&wanted.cur.modified_ns, &wanted.cur.changed_ns};
    for (size_t i = 0; i < ARRAY_LENGTH(times); i++) {
        ++*times[i];
        assert_int_equal(load(&wanted, &count), ERROR_NOT_FOUND);
        --*times[i];
    }
    wanted.cur.inode++;
    assert_int_equal(load(&wanted, &count), ERROR_NOT_FOUND);
    wanted = make_origin();
    wanted.uidvalidity++;
    assert_int_equal(load(&wanted, &count), ERROR_NOT_FOUND);
    wanted = make_origin();
    wanted.boot[0] = 'b';
    assert_int_equal(load(&wanted, &count), ERROR_NOT_FOUND);
    assert_int_equal(unlinkat(folder_fd, NAMES_FILE, 0), 0);
    assert_int_equal(load(&wanted, &count), ERROR_NOT_FOUND);
}

static void write_octets(const struct buffer *octets, size_t count)
{
    int fd = openat(folder_fd, NAMES_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_true(fd_write_all(fd, slice_range(buffer_slice(octets), 0, count), NULL));
    fd_discard(&fd);
}

/* Each octet is of some use. */
static void damage_is_found(void **state)
{
    (void)state;
    size_t count;
    struct names_origin wanted = make_origin();
    struct buffer octets = BUFFER_WITH_LIMIT(1 << 20);
    store(10);
    int fd = openat(folder_fd, NAMES_FILE, O_RDONLY | O_CLOEXEC);
    assert_true(fd_read_all(fd, &octets, NULL));
    fd_discard(&fd);
    for (size_t at = 0; at < octets.len; at++) {
        octets.ptr[at] ^= 0x20;
        write_octets(&octets, octets.len);
        assert_int_not_equal(load(&wanted, &count), ERROR_NONE);
        octets.ptr[at] ^= 0x20;
        write_octets(&octets, at);
        assert_int_equal(load(&wanted, &count), ERROR_PERMANENT);
    }
    write_octets(&octets, octets.len);
    assert_int_equal(load(&wanted, &count), ERROR_NONE);
    buffer_clear(&octets);
}

static void a_link_is_not_followed(void **state)
{
    (void)state;
    size_t count;
    struct names_origin wanted = make_origin();
    store(10);
    assert_int_equal(renameat(folder_fd, NAMES_FILE, folder_fd, "other"), 0);
    assert_int_equal(symlinkat("other", folder_fd, NAMES_FILE), 0);
    assert_int_equal(load(&wanted, &count), ERROR_PERMANENT);
    store(10);
    assert_int_equal(load(&wanted, &count), ERROR_NONE);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_stored_is_loaded, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(what_cannot_be_placed_is_read, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(what_is_settled_outlives_the_file, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(what_belongs_elsewhere_is_not_believed, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(damage_is_found, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_link_is_not_followed, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
