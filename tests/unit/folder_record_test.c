/* Promises of storage/folder_record.h: the text is exact, numbers never come twice. */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/size.h"
#include "storage/folder_record.h"
#include "storage/text_file.h"

#define HEAD "staffetta-folder 1\n"
#define NUMBERS "uidvalidity 7\nuid-watermark 1001\nmodseq-watermark 3001\nmailbox-id Fx_-9\n"

static const char *const whole = HEAD NUMBERS
    "special-use \\Archive\nspecial-use \\Sent\nkeyword a $Forwarded\nkeyword z todo\nend\n";

static const char *const malformed[] = {
    "",
    "staffetta-folder 2\n" NUMBERS "end\n",
    HEAD NUMBERS,
    HEAD NUMBERS "end",
    HEAD NUMBERS "end\nend\n",
    HEAD "end\n",
    HEAD "uidvalidity 7\nuid-watermark 1\nmodseq-watermark 1\nend\n", /* a line is missing */
    HEAD NUMBERS "uidvalidity 7\nend\n",                              /* one is there twice */
    HEAD NUMBERS "uid-watermark 7\nend\n",
    HEAD NUMBERS "colour red\nend\n",
    HEAD "uidvalidity 0\nuid-watermark 1\nmodseq-watermark 1\nmailbox-id F\nend\n",
    HEAD "uidvalidity 4294967296\nuid-watermark 1\nmodseq-watermark 1\nmailbox-id F\nend\n",
    HEAD "uidvalidity 1\nuid-watermark 4294967297\nmodseq-watermark 1\nmailbox-id F\nend\n",
    HEAD
    "uidvalidity 1\nuid-watermark 1\nmodseq-watermark 9223372036854775808\nmailbox-id F\nend\n",
    HEAD /* no number is left above it */
    "uidvalidity 1\nuid-watermark 1\nmodseq-watermark 9223372036854775807\nmailbox-id F\nend\n",
    HEAD "uidvalidity 1 \nuid-watermark 1\nmodseq-watermark 1\nmailbox-id F\nend\n",
    HEAD "uidvalidity 1\r\nuid-watermark 1\nmodseq-watermark 1\nmailbox-id F\nend\n",
    HEAD "uidvalidity 1\nuid-watermark 1\nmodseq-watermark 1\nmailbox-id a b\nend\n",
    HEAD NUMBERS "special-use \\Nonsense\nend\n",
    HEAD NUMBERS "special-use \\Sent\nspecial-use \\sent\nend\n",
    HEAD NUMBERS "keyword a\nend\n",
    HEAD NUMBERS "keyword a \nend\n",
    HEAD NUMBERS "keyword A b\nend\n",
    HEAD NUMBERS "keyword a b c\nend\n",
    HEAD NUMBERS "keyword a b(\nend\n",
    HEAD NUMBERS "keyword a \\Seen\nend\n",
    HEAD NUMBERS "keyword a x\nkeyword a y\nend\n",
    HEAD NUMBERS "keyword a todo\nkeyword b TODO\nend\n",
};

static void text_and_record_are_inverse(void **state)
{
    (void)state;
    struct folder_record record;
    struct error error;
    assert_true(folder_record_parse(slice_of_string(whole), &record, &error));
    assert_int_equal(record.uidvalidity, 7);
    assert_int_equal(record.uid_watermark, 1001);
    assert_int_equal(record.modseq_watermark, 3001);
    assert_string_equal(record.mailbox_id, "Fx_-9");
    assert_int_equal(record.special_use, SPECIAL_ARCHIVE | SPECIAL_SENT);
    assert_string_equal(record.keywords[0], "$Forwarded");
    assert_string_equal(record.keywords[25], "todo");
    struct buffer text = BUFFER_WITH_LIMIT(FOLDER_RECORD_MAX);
    folder_record_format(&record, &text);
    assert_slice_is(buffer_slice(&text), whole);
    buffer_clear(&text);
}

static void malformed_text_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(malformed); i++) {
        struct folder_record record = {.uidvalidity = 99};
        struct error error;
        assert_false(folder_record_parse(slice_of_string(malformed[i]), &record, &error));
        assert_int_equal(error.kind, ERROR_PERMANENT);
        assert_int_equal(record.uidvalidity, 99);
    }
}

static void keywords_have_letters(void **state)
{
    (void)state;
    struct folder_record record = {.uidvalidity = UINT32_MAX};
    unsigned letter;
    assert_true(folder_record_add_keyword(&record, SLICE("todo"), &letter));
    assert_int_equal(letter, 0);
    assert_true(folder_record_add_keyword(&record, SLICE("TODO"), &letter));
    assert_int_equal(letter, 0);
    assert_false(folder_record_add_keyword(&record, SLICE("\\Seen"), &letter));
    assert_false(folder_record_add_keyword(&record, SLICE(""), &letter));
    uint8_t longest[FOLDER_KEYWORD_MAX + 1];
    memset(longest, 'k', sizeof(longest));
    assert_false(folder_record_add_keyword(&record, slice_of(longest, sizeof(longest)), &letter));
    for (unsigned i = 1; i < FOLDER_KEYWORDS; i++) {
        assert_false(folder_record_keywords_full(&record));
        longest[0] = (uint8_t)('A' + i);
        assert_true(
            folder_record_add_keyword(&record, slice_of(longest, FOLDER_KEYWORD_MAX), &letter));
        assert_int_equal(letter, i);
    }
    assert_true(folder_record_keywords_full(&record));
    assert_false(folder_record_add_keyword(&record, SLICE("more"), &letter));
    assert_true(folder_record_find_keyword(&record, SLICE("Todo"), &letter));

    record.uid_watermark = record.modseq_watermark = 1;
    memset(record.mailbox_id, 'F', FOLDER_MAILBOX_ID_MAX); /* the largest fits the file */
    record.special_use = 0xff;
    struct buffer text = BUFFER_WITH_LIMIT(FOLDER_RECORD_MAX);
    folder_record_format(&record, &text);
    assert_false(text.failed);
    struct folder_record again;
    assert_true(folder_record_parse(buffer_slice(&text), &again, NULL));
    buffer_clear(&text);
}

static void watermarks_cover_what_is_shown(void **state)
{
    (void)state;
    struct folder_record record = {.uid_watermark = 1, .modseq_watermark = 1};
    assert_false(folder_record_cover(&record, 0, 0));
    assert_true(folder_record_cover(&record, 1, 0));
    assert_int_equal(record.uid_watermark, 1002);
    assert_int_equal(record.modseq_watermark, 1);
    assert_false(folder_record_cover(&record, 1001, 0));
    assert_true(folder_record_cover(&record, 1002, 5));
    assert_int_equal(record.uid_watermark, 2003);
    assert_int_equal(record.modseq_watermark, 100006);
    assert_true(folder_record_cover(&record, UINT32_MAX, 0));
    assert_int_equal(record.uid_watermark, UINT64_C(1) << 32);
    assert_false(folder_record_cover(&record, UINT32_MAX, 0));
}

static void the_file_is_replaced_whole(void **state)
{
    (void)state;
    char path[64];
    make_test_directory(path, sizeof(path));
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    struct folder_record record, again;
    struct error error;
    assert_false(folder_record_load(fd, &record, &error));
    assert_int_equal(error.kind, ERROR_NOT_FOUND);
    assert_true(folder_record_renew(fd, 1700000001, &record, &error));
    assert_true(folder_record_cover(&record, 1, 1));
    assert_true(folder_record_store(fd, &record, &error));
    assert_true(folder_record_load(fd, &again, &error));
    assert_int_equal(again.uidvalidity, 1700000001);
    assert_int_equal(again.uid_watermark, 1002);
    assert_string_equal(again.mailbox_id, record.mailbox_id);

    /* Emptied by somebody: it says so, and a new one keeps the old beside it. */
    assert_true(text_file_replace(fd, FOLDER_RECORD_FILE, SLICE(""), &error));
    assert_false(folder_record_load(fd, &again, &error));
    assert_int_equal(error.kind, ERROR_PERMANENT);
    assert_true(folder_record_renew(fd, 1700000002, &again, &error));
    assert_string_not_equal(again.mailbox_id, record.mailbox_id);
    assert_int_equal(faccessat(fd, FOLDER_RECORD_FILE ".broken", F_OK, 0), 0);
    assert_int_not_equal(faccessat(fd, FOLDER_RECORD_FILE ".new", F_OK, 0), 0);

    unlinkat(fd, FOLDER_RECORD_FILE, 0);
    unlinkat(fd, FOLDER_RECORD_FILE ".broken", 0);
    close(fd);
    assert_int_equal(rmdir(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_and_record_are_inverse),
        cmocka_unit_test(malformed_text_is_refused),
        cmocka_unit_test(keywords_have_letters),
        cmocka_unit_test(watermarks_cover_what_is_shown),
        cmocka_unit_test(the_file_is_replaced_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
