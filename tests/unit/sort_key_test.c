/* Promises of imapd/search/sort_key.h: RFC 5256 3 and 5, RFC 5957. */
#include "tests/unit/test.h"

#include "common/size.h"
#include "imapd/search/sort_key.h"

static bool parse(const char *text, struct sort_program *program)
{
    struct arena arena;
    struct imap_parser parser;
    arena_init(&arena, 1000);
    imap_parser_init(&parser, slice_of_string(text), &arena);
    bool parsed = sort_program_parse(&parser, program) && imap_parse_end(&parser);
    arena_clear(&arena);
    return parsed;
}

static void criteria_are_parsed(void **state)
{
    (void)state;
    struct sort_program program;
    assert_true(parse("(SUBJECT reverse date)", &program));
    assert_int_equal(program.count, 2);
    assert_true(program.keys[0].kind == SORT_SUBJECT && !program.keys[0].reverse);
    assert_true(program.keys[1].kind == SORT_DATE && program.keys[1].reverse);
    assert_true(parse("(ARRIVAL CC FROM SIZE TO DISPLAYFROM DISPLAYTO)", &program));
    static const char *const refused[] = {
        "",
        "()",
        "DATE",
        "(DATE",
        "(DATE )",
        "( DATE)",
        "(REVERSE)",
        "(REVERSE REVERSE DATE)",
        "(FOO)",
        "(DATESIZE)",
        "(CC CC CC CC CC CC CC CC CC CC CC CC CC CC CC CC CC CC CC CC CC)"};
    for (size_t i = 0; i < ARRAY_LENGTH(refused); i++)
        if (parse(refused[i], &program))
            fail_msg("%s", refused[i]);
}

static void equals_are_ordered_by_the_next_key_and_by_position(void **state)
{
    (void)state;
    static const struct sort_value values[][2] = {
        {{0, SLICE("B")}, {5, SLICE("")}}, {{0, SLICE("A")}, {3, SLICE("")}},
        {{0, SLICE("B")}, {7, SLICE("")}}, {{0, SLICE("AB")}, {3, SLICE("")}},
        {{0, SLICE("B")}, {5, SLICE("")}}, {{0, SLICE("")}, {-1, SLICE("")}},
    };
    static const struct {
        const char *criteria;
        uint32_t order[6];
    } cases[] = {
        {"(SUBJECT SIZE)", {5, 1, 3, 0, 4, 2}},
        {"(SUBJECT REVERSE SIZE)", {5, 1, 3, 2, 0, 4}},
        {"(REVERSE SUBJECT)", {0, 2, 4, 3, 1, 5}}, /* "sequence numbers are not reversed" */
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct sort_program program;
        struct sort_entry entries[6];
        assert_true(parse(cases[i].criteria, &program));
        for (uint32_t n = 0; n < 6; n++)
            entries[n] = (struct sort_entry){n, values[n]};
        sort_entries(entries, 6, &program);
        for (size_t n = 0; n < 6; n++)
            assert_int_equal(entries[n].position, cases[i].order[n]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(criteria_are_parsed),
        cmocka_unit_test(equals_are_ordered_by_the_next_key_and_by_position),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
