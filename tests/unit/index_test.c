/* Promises of storage/index.h. */
#include "tests/unit/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "common/size.h"
#include "storage/index.h"
#include "storage/index_block.h"
#include "storage/maildir.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    make_test_directory(folder, sizeof(folder));
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return maildir_remove_tree(AT_FDCWD, folder, 3, NULL) ? 0 : -1;
}

static struct index *open_index(void)
{
    struct index *index = NULL;
    struct error error = {0};
    if (!index_open(folder, NULL, NULL, &index, &error))
        fail_msg("%s", error.text);
    return index;
}

static void put_message(struct index *index, uint32_t uidvalidity, uint32_t uid)
{
    char text[64], key[64];
    int length = snprintf(text, sizeof(text), "envelope of %u %u", uidvalidity, uid);
    snprintf(key, sizeof(key), "key of %u %u", uidvalidity, uid);
    struct index_facts facts = {
        .internal_date = uid * 10, .crlf_octets = uid * 100, .key = slice_of_string(key)};
    assert_true(index_put_facts(index, uidvalidity, uid, &facts, NULL));
    assert_true(index_put_text(index, uidvalidity, uid, INDEX_ENVELOPE,
                               slice_of(text, (size_t)length), NULL));
}

static bool has_envelope(struct index_reader *reader, uint32_t uid)
{
    struct slice value;
    struct error error = {0};
    char text[64];
    if (!index_reader_find(reader, uid, &value, &error)) {
        assert_int_equal(error.kind, ERROR_NOT_FOUND);
        return false;
    }
    snprintf(text, sizeof(text), "envelope of %u %u", reader->uidvalidity, uid);
    assert_slice_is(value, text);
    return true;
}

static void what_is_put_is_found_in_any_order(void **state)
{
    (void)state;
    struct index *index = open_index();
    struct index_reader reader, facts_reader;
    struct index_facts facts;
    for (uint32_t uid = 2; uid <= 5000; uid += 2) {
        put_message(index, 7, uid);
        put_message(index, 8, uid + 1);
    }
    assert_true(index_commit(index, NULL));
    index_close(index);
    index = open_index();
    index_reader_init(&reader, index, 7, INDEX_ENVELOPE);
    index_reader_init(&facts_reader, index, 7, INDEX_FACTS);
    for (uint32_t uid = 1; uid <= 5002; uid++) {
        assert_int_equal(has_envelope(&reader, uid), uid % 2 == 0 && uid <= 5000);
        assert_int_equal(index_reader_find_facts(&facts_reader, uid, &facts, NULL),
                         uid % 2 == 0 && uid <= 5000);
    }
    static const uint32_t jumps[] = {4000, 2, 2, 4998, 4999, 5000, 6, 1, 3000, 5001, 4};
    for (size_t i = 0; i < ARRAY_LENGTH(jumps); i++)
        assert_int_equal(has_envelope(&reader, jumps[i]), jumps[i] % 2 == 0 && jumps[i] <= 5000);
    assert_true(index_reader_find_facts(&facts_reader, 4000, &facts, NULL));
    assert_int_equal(facts.internal_date, 40000);
    assert_int_equal(facts.crlf_octets, 400000);
    assert_false(facts.sent_day_known);
    index_reader_clear(&reader);
    index_reader_clear(&reader);
    index_reader_clear(&facts_reader);
    index_reader_init(&reader, index, 9, INDEX_ENVELOPE);
    assert_false(has_envelope(&reader, 2));
    index_reader_clear(&reader);
    index_close(index);
}

static void blocks_are_found_once_nothing_is_put_into_them(void **state)
{
    (void)state;
    struct index *index = open_index();
    struct index_reader reader;
    const struct index_block *block;
    struct error error = {0};
    for (uint32_t uid = 1; uid <= 2 * INDEX_BLOCK_UIDS; uid++)
        put_message(index, 7, uid);
    index_reader_init(&reader, index, 7, INDEX_ENVELOPE);
    assert_true(index_reader_find_block(&reader, 5, &block, NULL));
    assert_int_equal(block->count, INDEX_BLOCK_UIDS - 1);
    assert_int_equal(block->entries[0].uid, 1);
    assert_true(
        slice_starts_with(buffer_slice(&block->texts), SLICE("envelope of 7 1envelope of")));
    assert_false(index_reader_find_block(&reader, 2 * INDEX_BLOCK_UIDS, &block, &error));
    assert_int_equal(error.kind, ERROR_NOT_FOUND);
    assert_true(index_reader_find_block(&reader, 20 * INDEX_BLOCK_UIDS, &block, NULL));
    assert_int_equal(block->count, 0);
    index_reader_clear(&reader);
    index_close(index);
}

struct visits {
    uint32_t count;
    uint32_t uidvalidity;
};

static void on_facts(void *owner, uint32_t uid, const struct index_facts *facts)
{
    struct visits *visits = owner;
    char key[64];
    snprintf(key, sizeof(key), "key of %u %u", visits->uidvalidity, uid);
    assert_slice_is(facts->key, key);
    assert_int_equal(facts->internal_date, uid * 10);
    assert_int_equal(uid, ++visits->count);
}

static uint32_t count_messages(struct index *index, uint32_t uidvalidity)
{
    struct visits visits = {.uidvalidity = uidvalidity};
    assert_true(index_visit_facts(index, uidvalidity, on_facts, &visits, NULL));
    return visits.count;
}

static void keys_of_names_are_told_with_their_uids(void **state)
{
    (void)state;
    struct index *index = open_index();
    for (uint32_t uid = 1; uid <= 3000; uid++)
        put_message(index, 50, uid);
    put_message(index, 51, 1);
    assert_true(index_commit(index, NULL));
    assert_int_equal(count_messages(index, 50), 3000);
    assert_int_equal(count_messages(index, 51), 1);
    assert_int_equal(count_messages(index, 49), 0);
    index_close(index);
}

static void a_folder_is_forgotten(void **state)
{
    (void)state;
    struct index *index = open_index();
    struct index_reader reader;
    bool forgotten = false;
    int rounds = 0;
    for (uint32_t uid = 1; uid <= 120; uid++)
        put_message(index, 60, uid);
    put_message(index, 61, 1);
    assert_true(index_commit(index, NULL));
    for (; !forgotten; rounds++)
        assert_true(index_forget(index, 60, 50, &forgotten, NULL));
    assert_int_equal(rounds, 3);
    assert_int_equal(count_messages(index, 60), 0);
    assert_int_equal(count_messages(index, 61), 1);
    index_reader_init(&reader, index, 60, INDEX_ENVELOPE);
    assert_false(has_envelope(&reader, 1));
    index_reader_clear(&reader);
    index_close(index);
}

static bool is_multiple_of(const void *owner, uint32_t uid)
{
    return uid % *(const uint32_t *)owner == 0;
}

static void what_is_gone_is_swept(void **state)
{
    (void)state;
    static const uint32_t three = 3, four = 4;
    struct index *index = open_index();
    struct index_reader reader;
    bool swept = false;
    int rounds = 0;
    for (uint32_t uid = 1; uid <= 300; uid++) {
        put_message(index, 20, uid);
        put_message(index, 21, uid);
    }
    assert_true(index_commit(index, NULL));
    for (; !swept; rounds++)
        assert_true(index_sweep(index, 20, is_multiple_of, &three, 50, &swept, NULL));
    assert_int_equal(rounds, 5); /* 200 are gone, and one more look */
    index_reader_init(&reader, index, 20, INDEX_ENVELOPE);
    for (uint32_t uid = 1; uid <= 300; uid++)
        assert_int_equal(has_envelope(&reader, uid), uid % 3 == 0);
    index_reader_clear(&reader);
    index_reader_init(&reader, index, 21, INDEX_ENVELOPE);
    for (uint32_t uid = 1; uid <= 300; uid++)
        assert_true(has_envelope(&reader, uid));
    index_reader_clear(&reader);
    assert_true(index_sweep(index, 20, is_multiple_of, &four, 1000, &swept, NULL));
    assert_true(swept);
    index_close(index);
}

static void one_process_has_it(void **state)
{
    (void)state;
    struct index *index = open_index();
    struct index *second = NULL;
    struct error error = {0};
    assert_false(index_open(folder, NULL, NULL, &second, &error));
    assert_int_equal(error.kind, ERROR_EXISTS);
    index_close(index);
    index_close(NULL);
    index_close(open_index());
}

/* Overwrites the files of the directory whose names end so. */
static void spoil(const char *ending, uint64_t offset)
{
    DIR *directory = opendir(folder);
    const struct dirent *entry;
    assert_non_null(directory);
    while ((entry = readdir(directory)) != NULL) {
        if (!slice_ends_with(slice_of_string(entry->d_name), slice_of_string(ending)))
            continue;
        int fd = openat(dirfd(directory), entry->d_name, O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        uint8_t rubbish[30000];
        memset(rubbish, 0x5a, sizeof(rubbish));
        assert_true(fd_pwrite_all(fd, slice_of(rubbish, sizeof(rubbish)), offset, NULL));
        fd_discard(&fd);
    }
    closedir(directory);
}

static void a_corrupt_index_is_begun_anew(void **state)
{
    (void)state;
    struct index *index = open_index();
    struct index_reader reader;
    put_message(index, 30, 1);
    assert_true(index_commit(index, NULL));
    index_close(index);
    spoil(".db", 0);
    index = open_index();
    index_reader_init(&reader, index, 30, INDEX_ENVELOPE);
    has_envelope(&reader, 1); /* from the log, or not at all */
    index_reader_clear(&reader);
    put_message(index, 30, 2);
    assert_true(index_commit(index, NULL));
    index_reader_init(&reader, index, 30, INDEX_ENVELOPE);
    assert_true(has_envelope(&reader, 2));
    index_reader_clear(&reader);
    index_close(index);
}

/* In a child: the library leaks what it had when it gave up. */
static int read_to_spoilt_page(void)
{
    struct index *index = open_index();
    struct index_reader reader;
    struct slice value;
    struct error error = {0};
    uint32_t uid = 0;
    index_reader_init(&reader, index, 40, INDEX_ENVELOPE);
    while (index_reader_find(&reader, ++uid, &value, &error))
        ;
    index_reader_clear(&reader);
    index_close(index);
    return error.kind == ERROR_PERMANENT ? 0 : 1;
}

static void run_in_child(int (*run)(void))
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(run());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_spoilt_page_ends_it_for_this_process_alone(void **state)
{
    (void)state;
    struct index *index = open_index();
    struct index_reader reader;
    for (uint32_t uid = 1; uid <= 5000; uid++)
        put_message(index, 40, uid);
    assert_true(index_commit(index, NULL));
    index_close(index);
    index_close(open_index()); /* recovery writes the tree */
    spoil(".db", 10 * 8192);
    run_in_child(read_to_spoilt_page);
    index = open_index();
    index_reader_init(&reader, index, 40, INDEX_ENVELOPE);
    assert_false(has_envelope(&reader, 1));
    index_reader_clear(&reader);
    index_close(index);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_put_is_found_in_any_order, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(blocks_are_found_once_nothing_is_put_into_them, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(keys_of_names_are_told_with_their_uids, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(what_is_gone_is_swept, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_folder_is_forgotten, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(one_process_has_it, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_corrupt_index_is_begun_anew, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_spoilt_page_ends_it_for_this_process_alone, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
