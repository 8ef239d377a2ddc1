/* Promises of storage/line_ends.h, storage/pieces.h and storage/message_file.h. */
#include "tests/unit/maildir_fixture.h"

#include "common/size.h"
#include "storage/line_ends.h"
#include "storage/message_file.h"
#include "storage/pieces.h"

static const struct {
    const char *stored;
    const char *served;
} cases[] = {
    {"", ""},
    {"\n", "\r\n"},
    {"a\r\nb\r\n", "a\r\nb\r\n"},
    {"a\nb\n", "a\r\nb\r\n"},
    {"a\r\nb\nc", "a\r\nb\r\nc"},
    {"\n\n\r\n\n", "\r\n\r\n\r\n\r\n"},
    {"a\r\r\nb\rc\n\r", "a\r\r\nb\rc\r\n\r"}, /* a CR alone is the message's own */
};

/* In blocks of every size, into room of every size. */
static void line_ends_are_completed_however_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        for (size_t block = 1; block < 16; block++)
            for (size_t room = 1; room < 8; room++) {
                struct slice stored = slice_of_string(cases[i].stored);
                struct line_ends converting = LINE_ENDS_START, counting = LINE_ENDS_START;
                uint8_t out[64];
                size_t written = 0;
                while (stored.len > 0) {
                    size_t used;
                    struct slice next = slice_range(stored, 0, block);
                    written += line_ends_to_crlf(&converting, next, &used, out + written, room);
                    line_ends_count(&counting, slice_range(stored, 0, used));
                    stored = slice_from(stored, used);
                }
                assert_slice_is(slice_of(out, written), cases[i].served);
                assert_int_equal(counting.bare_lf,
                                 strlen(cases[i].served) - strlen(cases[i].stored));
                assert_int_equal(converting.bare_lf, counting.bare_lf);
            }
}

static void check_reads(struct message_file *file, struct slice served)
{
    struct error error;
    uint8_t octets[64];
    size_t got;
    for (size_t offset = 0; offset <= served.len + 1; offset++)
        for (size_t size = 1; size < 20; size++) {
            assert_true(message_file_read(file, offset, octets, size, &got, &error));
            assert_slice_equal(slice_of(octets, got), slice_range(served, offset, offset + size));
        }
    for (size_t offset = served.len; offset-- > 0;) { /* backwards */
        assert_true(message_file_read(file, offset, octets, 1, &got, &error));
        assert_int_equal(octets[0], served.ptr[offset]);
    }
}

static void files_are_served_with_crlf(void **state)
{
    struct account *account = *state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct message_file file;
        put_file(account->inbox.cur_fd, "1.a.h:2,", cases[i].stored);
        assert_ok(account, message_file_open(&account->inbox, MAILDIR_CUR, "1.a.h:2,", &file,
                                             &account->error));
        assert_int_equal(file.crlf, strcmp(cases[i].stored, cases[i].served) == 0);
        assert_int_equal(file.octets, strlen(cases[i].stored));
        assert_int_equal(file.crlf_octets, strlen(cases[i].served));
        check_reads(&file, slice_of_string(cases[i].served));
        message_file_close(&file);
        message_file_close(&file);
    }
}

static void names_are_believed_if_they_agree(void **state)
{
    struct account *account = *state;
    static const struct {
        const char *name;
        bool crlf;
    } names[] = {
        {"1.a.h,S=4,W=4:2,", true}, /* believed, and not read: the file has an LF */
        {"1.a.h,S=4,W=6:2,", false},
        {"1.a.h,S=9,W=9:2,", false},
        {"1.a.h,W=4:2,", false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        struct message_file file;
        put_file(account->inbox.cur_fd, names[i].name, "a\nb\n");
        assert_ok(account, message_file_open(&account->inbox, MAILDIR_CUR, names[i].name, &file,
                                             &account->error));
        assert_int_equal(file.crlf, names[i].crlf);
        assert_int_equal(file.crlf_octets, names[i].crlf ? 4 : 6);
        message_file_close(&file);
    }
    uint64_t octets;
    assert_true(message_file_octets_from_name("1.a.h,S=4,W=6:2,", &octets));
    assert_int_equal(octets, 6);
    assert_false(message_file_octets_from_name("1.a.h,S=4:2,", &octets));
}

/* After a power cut the octets can be missing: until queue has it delivered again no client gets
 * anything of it. */
static void what_a_crash_cut_short_is_withheld(void **state)
{
    struct account *account = *state;
    static const struct {
        const char *name;
        int64_t age;
        bool withheld;
    } names[] = {
        {"5.Q1R1.h,S=9,W=9", 0, true},
        {"5.Q1R2.h,S=9,W=9,U=1.2:2,S", 3600, true},
        {"5.Q1R3.h,S=4,W=4", 0, false},
        {"5.Q1R4.h,S=9,W=9", 2 * 24 * 3600, false}, /* nobody will mend it any more */
        {"5.A1.h,S=9,W=9", 0, false},               /* another program's, with other ideas of S= */
        {"5.Q1R5.h", 0, false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        struct message_file file;
        const struct timespec times[2] = {{0, UTIME_OMIT}, {time(NULL) - names[i].age, 0}};
        put_file(account->inbox.cur_fd, names[i].name, "a\r\nb");
        assert_int_equal(utimensat(account->inbox.cur_fd, names[i].name, times, 0), 0);
        account->error = (struct error){0};
        bool opened =
            message_file_open(&account->inbox, MAILDIR_CUR, names[i].name, &file, &account->error);
        assert_int_equal(opened, !names[i].withheld);
        assert_int_equal(account->error.kind, names[i].withheld ? ERROR_TEMPORARY : ERROR_NONE);
        message_file_close(&file);
    }
}

/* Marks, blocks and jumps in a file of some hundred kilobytes. */
static void large_files_are_read_anywhere(void **state)
{
    struct account *account = *state;
    enum { LINES = 20000, LINE = 12, SERVED = LINES * (LINE + 1) };
    char *stored = malloc(LINES * LINE + 1), *served = malloc(SERVED + 1);
    assert_true(stored && served);
    for (unsigned i = 0; i < LINES; i++) {
        snprintf(stored + (size_t)i * LINE, LINE + 1, "line %06u\n", i);
        snprintf(served + (size_t)i * (LINE + 1), LINE + 1, "line %06u\r", i);
        served[(size_t)i * (LINE + 1) + LINE] = '\n';
    }
    put_file(account->inbox.new_fd, "1.a.h", stored);
    struct message_file file;
    assert_ok(account,
              message_file_open(&account->inbox, MAILDIR_NEW, "1.a.h", &file, &account->error));
    assert_int_equal(file.crlf_octets, SERVED);
    for (unsigned i = 0; i < 500; i++) {
        static uint8_t octets[100000];
        size_t got, offset = (i * 7919U * 31) % SERVED, size = 1 + i * 199;
        assert_ok(account, message_file_read(&file, offset, octets, size, &got, &account->error));
        assert_int_equal(got, size < SERVED - offset ? size : SERVED - offset);
        assert_memory_equal(octets, served + offset, got);
    }
    message_file_close(&file);
    free(stored);
    free(served);
}

static void pieces_make_a_message(void **state)
{
    struct account *account = *state;
    int tmp_fd = account->inbox.tmp_fd;
    put_file(tmp_fd, "body", "0123456789\r\n\n");
    int body = openat(tmp_fd, "body", O_RDONLY | O_CLOEXEC);
    int fd = openat(tmp_fd, "message", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(body >= 0 && fd >= 0);
    struct piece pieces[70];
    for (size_t i = 0; i < 66; i++) /* more than one writev takes */
        pieces[i] = piece_of(SLICE("a"));
    pieces[66] = piece_of(SLICE("\r"));
    pieces[67] = piece_of(SLICE("\nX: y\n"));
    pieces[68] = piece_of_file(body, 3, 10);
    pieces[69] = piece_of(SLICE("end"));
    uint64_t bare;
    assert_ok(account, pieces_write(fd, pieces, 70, &account->error));
    assert_content(tmp_fd, "message",
                   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nX: "
                   "y\n3456789\r\n\nend");
    assert_int_equal(pieces_octets(pieces, 70), 66 + 7 + 10 + 3);
    assert_ok(account, pieces_count_bare_lf(pieces, 70, &bare, &account->error));
    assert_int_equal(bare, 2);

    bool equal;
    assert_ok(account, pieces_equal_file(fd, pieces, 70, &equal, &account->error));
    assert_true(equal);
    assert_ok(account, pieces_equal_file(fd, pieces, 69, &equal, &account->error));
    assert_false(equal);
    pieces[69] = piece_of(SLICE("enD"));
    assert_ok(account, pieces_equal_file(fd, pieces, 70, &equal, &account->error));
    assert_false(equal);
    pieces[69] = piece_of(SLICE("ending"));
    assert_ok(account, pieces_equal_file(fd, pieces, 70, &equal, &account->error));
    assert_false(equal);

    pieces[0] = piece_of_file(body, 10, 10);
    assert_fails(account, ERROR_PERMANENT, pieces_write(fd, pieces, 1, &account->error));
    close(body);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_ends_are_completed_however_split),
        cmocka_unit_test_setup_teardown(files_are_served_with_crlf, account_open, account_close),
        cmocka_unit_test_setup_teardown(names_are_believed_if_they_agree, account_open,
                                        account_close),
        cmocka_unit_test_setup_teardown(what_a_crash_cut_short_is_withheld, account_open,
                                        account_close),
        cmocka_unit_test_setup_teardown(large_files_are_read_anywhere, account_open, account_close),
        cmocka_unit_test_setup_teardown(pieces_make_a_message, account_open, account_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
