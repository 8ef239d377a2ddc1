/* Promises of imapd/syntax/list_request.h: RFC 5258 6, RFC 5819 4, RFC 6154 6. */
#include "tests/unit/test.h"

#include "common/size.h"
#include "imapd/syntax/list_request.h"

enum { ARENA_LIMIT = 100000 };

static const struct list_case {
    const char *text;
    const char *patterns; /* each with "|" behind it; NULL: refused */
    bool extended;
    bool returns_are_told;
    unsigned selection;
    unsigned returns;
    unsigned status_items;
} cases[] = {
    {" \"\" *", "*|", false, false, 0, 0, 0},
    {" ref \"\"", "|", false, false, 0, 0, 0},
    {" () \"\" a", "a|", true, false, 0, 0, 0},
    {" (subscribed REMOTE) \"\" a", "a|", true, false, LIST_SUBSCRIBED | LIST_REMOTE, 0, 0},
    {" (RECURSIVEMATCH SPECIAL-USE) \"\" a", "a|", true, false,
     LIST_RECURSIVEMATCH | LIST_SPECIAL_USE, 0, 0},
    {" \"\" (a% \"b c\" {1}\r\n*)", "a%|b c|*|", true, false, 0, 0, 0},
    {" \"\" a RETURN ()", "a|", true, true, 0, 0, 0},
    {" \"\" a return (CHILDREN SUBSCRIBED SPECIAL-USE)", "a|", true, true, 0,
     LIST_CHILDREN | LIST_SUBSCRIBED | LIST_SPECIAL_USE, 0},
    {" \"\" a RETURN (STATUS (MESSAGES SIZE) CHILDREN)", "a|", true, true, 0, LIST_CHILDREN,
     STATUS_MESSAGES | STATUS_SIZE},
    {" (RECURSIVEMATCH) \"\" a", NULL, false, false, 0, 0, 0}, /* RFC 5258 3.1 */
    {" (RECURSIVEMATCH REMOTE) \"\" a", NULL, false, false, 0, 0, 0},
    {" (CHILDREN) \"\" a", NULL, false, false, 0, 0, 0},
    {" (SUBSCRIBEDX) \"\" a", NULL, false, false, 0, 0, 0},
    {" \"\" ()", NULL, false, false, 0, 0, 0},
    {" \"\" (a", NULL, false, false, 0, 0, 0},
    {" \"\" a ", NULL, false, false, 0, 0, 0},
    {" \"\" a RETURN (RECURSIVEMATCH)", NULL, false, false, 0, 0, 0},
    {" \"\" a RETURN (STATUS)", NULL, false, false, 0, 0, 0},
    {" \"\" a RETURN () x", NULL, false, false, 0, 0, 0},
    {"", NULL, false, false, 0, 0, 0},
};

static void requests_are_parsed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        const struct list_case *c = &cases[i];
        struct arena arena;
        struct imap_parser parser;
        struct list_request request;
        struct buffer patterns = BUFFER_WITH_LIMIT(1000);
        arena_init(&arena, ARENA_LIMIT);
        imap_parser_init(&parser, slice_of_string(c->text), &arena);
        bool parsed = list_request_parse(&parser, &request);
        if (parsed != (c->patterns != NULL))
            fail_msg("\"%s\": %s", c->text, parsed ? "accepted" : parser.expected);
        for (size_t k = 0; parsed && k < request.pattern_count; k++) {
            buffer_append(&patterns, request.patterns[k]);
            buffer_append_octet(&patterns, '|');
        }
        if (parsed) {
            assert_slice_is(buffer_slice(&patterns), c->patterns);
            assert_int_equal(request.extended, c->extended);
            assert_int_equal(request.returns_are_told, c->returns_are_told);
            assert_int_equal(request.selection, c->selection);
            assert_int_equal(request.returns, c->returns);
            assert_int_equal(request.status_items, c->status_items);
        }
        buffer_clear(&patterns);
        arena_clear(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_parsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
