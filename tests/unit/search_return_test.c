/* Promises of imapd/search/search_return.h: RFC 4731 5, RFC 5182 3, RFC 9394 4. */
#include "tests/unit/test.h"

#include "common/size.h"
#include "imapd/search/search_return.h"

enum {
    MIN = SEARCH_RETURNS_MIN,
    MAX = SEARCH_RETURNS_MAX,
    COUNT = SEARCH_RETURNS_COUNT,
    ALL = SEARCH_RETURNS_ALL,
    PARTIAL = SEARCH_RETURNS_PARTIAL,
    SAVE = SEARCH_SAVES,
    REFUSED = 1 << 16,
};

static void options_are_parsed(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned items;
        const char *rest;
    } cases[] = {
        {"ALL", 0, "ALL"},
        {"RETURN () ALL", ALL, "ALL"}, /* "an empty list ... the server behaves as if ALL" */
        {"return (min MAX Count all) 1", MIN | MAX | COUNT | ALL, "1"},
        {"RETURN (SAVE) 1", SAVE, "1"},
        {"RETURN (MIN MIN) 1", MIN, "1"},
        {"RETURN (PARTIAL 1:500 COUNT SAVE) 1", PARTIAL | COUNT | SAVE, "1"},
        {"RETURN (PARTIAL -1:-2) 1", PARTIAL, "1"},
        {"RETURN (ALL PARTIAL 1:2) 1", REFUSED, NULL}, /* RFC 9394 3.1 */
        {"RETURN (PARTIAL 1:2 ALL) 1", REFUSED, NULL},
        {"RETURN (PARTIAL 1:2 PARTIAL 1:2) 1", REFUSED, NULL},
        {"RETURN (PARTIAL) 1", REFUSED, NULL},
        {"RETURN (PARTIAL 1) 1", REFUSED, NULL},
        {"RETURN (PARTIAL 0:1) 1", REFUSED, NULL},
        {"RETURN (PARTIAL 1:*) 1", REFUSED, NULL},
        {"RETURN (PARTIAL -1:1) 1", REFUSED, NULL},
        {"RETURN (PARTIAL 1:-1) 1", REFUSED, NULL},
        {"RETURN (FOO) 1", REFUSED, NULL},
        {"RETURN (MIN ) 1", REFUSED, NULL},
        {"RETURN ( MIN) 1", REFUSED, NULL},
        {"RETURN (MIN", REFUSED, NULL},
        {"RETURN (MIN)", REFUSED, NULL},
        {"RETURN (MIN)1", REFUSED, NULL},
        {"RETURN MIN 1", REFUSED, NULL},
        {"RETURN", REFUSED, NULL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct arena arena;
        struct imap_parser parser;
        struct search_return returns;
        arena_init(&arena, 1000);
        imap_parser_init(&parser, slice_of_string(cases[i].text), &arena);
        bool parsed = search_return_parse(&parser, &returns);
        if (parsed != (cases[i].items != REFUSED))
            fail_msg("\"%s\": %s", cases[i].text, parsed ? "accepted" : parser.expected);
        if (parsed) {
            assert_int_equal(returns.items, cases[i].items);
            assert_slice_is(cursor_rest(&parser.in), cases[i].rest);
        }
        arena_clear(&arena);
    }
}

static void ranges_are_resolved(void **state)
{
    (void)state;
    static const struct {
        const char *text, *told;
        size_t count, first, end;
    } cases[] = {
        {"1:500", "1:500", 1000, 0, 500},
        {"500:1", "1:500", 1000, 0, 500}, /* "A range 500:400 is the same as 400:500" */
        {"501:1000", "501:1000", 764, 500, 764},
        {"1:1", "1:1", 1, 0, 1},
        {"2:3", "2:3", 1, 0, 0},
        {"1:1", "1:1", 0, 0, 0},
        {"1:4294967295", "1:4294967295", 3, 0, 3},
        {"-1:-2", "-1:-2", 10, 8, 10},
        {"-2:-1", "-1:-2", 10, 8, 10},
        {"-3:-20", "-3:-20", 10, 0, 8},
        {"-11:-20", "-11:-20", 10, 0, 0},
        {"-4294967295:-1", "-1:-4294967295", 2, 0, 2},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct arena arena;
        struct imap_parser parser;
        struct partial_range range;
        struct buffer text = BUFFER_WITH_LIMIT(100);
        size_t first, end;
        arena_init(&arena, 1000);
        imap_parser_init(&parser, slice_of_string(cases[i].text), &arena);
        assert_true(partial_range_parse(&parser, &range) && imap_parse_end(&parser));
        partial_range_resolve(&range, cases[i].count, &first, &end);
        assert_int_equal(first, cases[i].first);
        assert_int_equal(end, cases[i].end);
        partial_range_format(&range, &text);
        assert_slice_is(buffer_slice(&text), cases[i].told);
        buffer_clear(&text);
        arena_clear(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_parsed),
        cmocka_unit_test(ranges_are_resolved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
