/* Promises of ctl/import/imap_client.h: whatever a server says is read to an end, and no word of it
 * becomes part of a command. The rest: tests/e2e/test_import.py. */
#include "tests/unit/test.h"

#include "common/size.h"
#include "ctl/import/imap_client.h"

static struct imap_token first_token(struct slice text)
{
    struct cursor in = cursor_of(text);
    return imap_take_token(&in);
}

static void assert_token(struct imap_token token, enum imap_token_kind kind, const char *text)
{
    assert_int_equal(token.kind, kind);
    assert_int_equal(token.text.len, strlen(text));
    assert_memory_equal(token.text.ptr, text, strlen(text));
}

static void test_tokens(void **state)
{
    (void)state;
    struct cursor in = cursor_of(SLICE("FLAGS (\\Seen $Work) \"a\\\"b\" BODY[HEADER.FIELDS (TO)] "
                                       "{5}\r\na(\r\nb NIL"));
    assert_token(imap_take_token(&in), IMAP_ATOM, "FLAGS");
    assert_token(imap_take_token(&in), IMAP_OPEN, "");
    assert_token(imap_take_token(&in), IMAP_ATOM, "\\Seen");
    assert_token(imap_take_token(&in), IMAP_ATOM, "$Work");
    assert_token(imap_take_token(&in), IMAP_CLOSE, "");
    assert_token(imap_take_token(&in), IMAP_STRING, "a\\\"b");
    assert_token(imap_take_token(&in), IMAP_ATOM, "BODY[HEADER.FIELDS (TO)]");
    assert_token(imap_take_token(&in), IMAP_STRING, "a(\r\nb");
    assert_token(imap_take_token(&in), IMAP_ATOM, "NIL");
    assert_token(imap_take_token(&in), IMAP_END, "");
    assert_int_equal(first_token(SLICE("\"no end")).kind, IMAP_BAD);
    assert_int_equal(first_token(SLICE("{9}\r\nshort")).kind, IMAP_BAD);
}

/* An atom without octets would be found again and again. */
static void test_no_atom_is_empty(void **state)
{
    (void)state;
    static const struct slice texts[] = {SLICE("\0"), SLICE("\0x"), SLICE("\r\n"), SLICE("\x7f")};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
        assert_int_equal(first_token(texts[i]).kind, IMAP_BAD);
}

/* A line that ends as a literal does may stand in a response, within what looks like an atom. */
static void test_an_atom_ends_with_its_line(void **state)
{
    (void)state;
    struct cursor in = cursor_of(SLICE("a[{22}\r\n) {0+}\r\ns9 DELETE INBOX)"));
    assert_token(imap_take_token(&in), IMAP_ATOM, "a[{22}");
    assert_int_equal(imap_take_token(&in).kind, IMAP_BAD);
    assert_token(first_token(SLICE("x\0y")), IMAP_ATOM, "x");
}

static void test_what_is_no_flag_is_left_out(void **state)
{
    (void)state;
    static const struct slice texts[] = {
        SLICE("\\Seen"), SLICE(""),      SLICE("\\"),        SLICE("a(b"),   SLICE("a)"),
        SLICE("a b"),    SLICE("$Work"), SLICE("a[{22}"),    SLICE("a]"),    SLICE("a\"b"),
        SLICE("a\r\nb"), SLICE("a\0b"),  SLICE("\xC3\xA9t"), SLICE("\\\\x"), SLICE("NonJunk")};
    struct buffer flags = BUFFER_WITH_LIMIT(200);
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
        imap_append_flag(texts[i], &flags);
    assert_true(slice_equal(buffer_slice(&flags), SLICE("\\Seen $Work NonJunk")));
    buffer_clear(&flags);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_no_atom_is_empty),
        cmocka_unit_test(test_an_atom_ends_with_its_line),
        cmocka_unit_test(test_what_is_no_flag_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
