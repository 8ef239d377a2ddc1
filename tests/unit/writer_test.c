/* Promises of imapd/syntax/writer.h: RFC 3501 9, astring, flag-list, responses. */
#include "tests/unit/test.h"

#include "common/size.h"
#include "imapd/syntax/writer.h"
#include "storage/folder_record.h"
#include "storage/maildir_name.h"

static const struct string_case {
    const char *value;
    const char *astring;
} cases[] = {
    {"abc", "abc"},
    {"", "\"\""},
    {"a b", "\"a b\""},
    {"a]b", "a]b"},
    {"a%b", "\"a%b\""},
    {"NIL", "\"NIL\""},
    {"a\"b\\c", "\"a\\\"b\\\\c\""},
    {"a\r\nb", "{4}\r\na\r\nb"},
    {"\xc3\xa4", "{2}\r\n\xc3\xa4"},
    {NULL, "\"\""},
};

static void strings_are_atoms_or_quoted_where_they_can_be(void **state)
{
    (void)state;
    struct buffer text = BUFFER_WITH_LIMIT(1000);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        imap_append_astring(&text, slice_of_string(cases[i].value));
        assert_slice_is(buffer_slice(&text), cases[i].astring);
        buffer_reset(&text);
    }
    buffer_clear(&text);
}

static void long_strings_are_literals(void **state)
{
    (void)state;
    uint8_t octets[1001];
    struct buffer text = BUFFER_WITH_LIMIT(3000);
    memset(octets, 'a', sizeof(octets));
    imap_append_astring(&text, slice_of(octets, sizeof(octets)));
    assert_true(slice_starts_with(buffer_slice(&text), SLICE("{1001}\r\naaa")));
    buffer_clear(&text);
}

static void flags_are_listed(void **state)
{
    (void)state;
    static const struct folder_record record = {.keywords = {[0] = "$Junk", [25] = "z"}};
    struct buffer text = BUFFER_WITH_LIMIT(1000);
    imap_append_flags(&text, 0, 0, &record, false);
    imap_append_flags(&text, MAILDIR_SEEN, 0, &record, true);
    imap_append_flags(&text, MAILDIR_ANSWERED | MAILDIR_PASSED, 1 | 2 | 1 << 25, &record, false);
    assert_slice_is(buffer_slice(&text), "()(\\Seen \\Recent)(\\Answered $Forwarded $Junk z)");
    buffer_clear(&text);
}

static void responses_are_lines(void **state)
{
    (void)state;
    struct writer writer;
    writer_init(&writer, NULL, 1000);
    writer_tagged(&writer, SLICE("A1"), WRITER_OK, SLICE("READ-ONLY"), "Done");
    writer_tagged(&writer, SLICE("A2"), WRITER_NO, SLICE(""), "Not so");
    writer_untagged(&writer, WRITER_BYE, SLICE(""), "Bye");
    writer_count(&writer, 23, "EXISTS");
    writer_continue(&writer, "idling");
    assert_slice_is(buffer_slice(&writer.text), "A1 OK [READ-ONLY] Done\r\nA2 NO Not so\r\n"
                                                "* BYE Bye\r\n* 23 EXISTS\r\n+ idling\r\n");
    writer_clear(&writer);
    writer_clear(&writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_atoms_or_quoted_where_they_can_be),
        cmocka_unit_test(long_strings_are_literals),
        cmocka_unit_test(flags_are_listed),
        cmocka_unit_test(responses_are_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
