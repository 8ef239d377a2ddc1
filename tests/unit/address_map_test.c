/* Promises of common/auth/address_map.h: the grammar, and edits that leave the rest alone. */
#include "tests/unit/test.h"

#include "common/auth/address_map.h"
#include "common/size.h"

/* "left>target,target;left>target" of what was parsed. */
static void describe(const struct address_map *map, struct buffer *text)
{
    for (const struct address_map_entry *entry = map->entries; entry; entry = entry->hh.next) {
        buffer_append(text, text->len ? SLICE(";") : SLICE(""));
        buffer_append(text, entry->left);
        for (const struct address_map_target *at = entry->targets; at; at = at->next) {
            buffer_append_octet(text, at == entry->targets ? '>' : ',');
            buffer_append(text, at->address);
        }
    }
}

static void files_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *map;   /* NULL: refused */
        const char *error; /* what the text of the refusal contains */
    } cases[] = {
        {"", "", NULL},
        {"# nothing\n\n  # here\n", "", NULL},
        {"sales: Bob, carol@Other.test", "sales@>bob@,carol@other.test", NULL},
        {"a:b,\n  c,\n\td\n\ne: f\n", "a@>b@,c@,d@;e@>f@", NULL},
        {"*: alice\n@demo.test: bob\n", "@>alice@;@demo.test>bob@", NULL},
        {"x@demo.test : y , y,Y\n", "x@demo.test>y@", NULL},
        {"\"a:b,c\": \"d,e\"@demo.test\n", "\"a:b,c\"@>\"d,e\"@demo.test", NULL},
        {"alice: @other.test, *\n", "alice@>@other.test,@", NULL},
        {"a: b\nA: c\n", NULL, "line 2: A stands in line 1 already"},
        {"a: b\n\n  c\n", NULL, "line 3 begins with a blank"},
        {"a b\n", NULL, "line 1: write ADDRESS: ADDRESS"},
        {"a:\n", NULL, "line 1: an address is missing"},
        {"# x\na: b,,c\n", NULL, "line 2: an address is missing"},
        {"a: b@\n", NULL, "line 1: \"b@\" is no address"},
        {"a: |/bin/sh -c x\n", NULL, "is no address"},
        {"a: b\r\n", NULL, "line 1: an address is missing, too long or unreadable"},
        {"\"a: b\n", NULL, "line 1: write"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct address_map map;
        struct error error = {0};
        address_map_init(&map);
        bool parsed = address_map_parse(&map, slice_of_string(cases[i].text), &error);
        assert_int_equal(parsed, cases[i].map != NULL);
        struct buffer text = BUFFER_WITH_LIMIT(1000);
        describe(&map, &text);
        if (parsed)
            assert_slice_is(buffer_slice(&text), cases[i].map);
        else
            assert_non_null(strstr(error.text, cases[i].error));
        buffer_clear(&text);
        address_map_clear(&map);
    }
}

struct edit_case {
    const char *before;
    const char *left;
    const char *targets[3];
    size_t count;
    const char *after; /* NULL: refused */
    enum error_kind kind;
};

typedef bool edit_function(struct slice, struct slice, const struct slice *, size_t,
                           struct buffer *, struct error *);

static void check_edits(edit_function *edit, const struct edit_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct slice targets[3];
        for (size_t j = 0; j < cases[i].count; j++)
            targets[j] = slice_of_string(cases[i].targets[j]);
        struct buffer text = BUFFER_WITH_LIMIT(10000);
        struct error error = {0};
        bool done = edit(slice_of_string(cases[i].before), slice_of_string(cases[i].left), targets,
                         cases[i].count, &text, &error);
        assert_int_equal(done, cases[i].after != NULL);
        if (done)
            assert_slice_is(buffer_slice(&text), cases[i].after);
        else
            assert_int_equal(error.kind, cases[i].kind);
        buffer_clear(&text);
    }
}

static void adding(void **state)
{
    (void)state;
    static const struct edit_case cases[] = {
        {"", "sales", {"alice"}, 1, "sales: alice\n", 0},
        {"# x\na: b", "c", {"d", "e", "D"}, 3, "# x\na: b\nc: d, e\n", 0},
        {"a:b\n # y\nc: d\n", "A", {"b", "x"}, 2, "a:b, x\n # y\nc: d\n", 0},
        {"a: b,\n  c  \n\n# end\n", "a", {"d"}, 1, "a: b,\n  c, d\n\n# end\n", 0},
        {"a: b\n", "a", {"B"}, 1, NULL, ERROR_EXISTS},
        {"a: b\n", "x y", {"b"}, 1, NULL, ERROR_PERMANENT},
        {"a: b\n", "#x", {"b"}, 1, NULL, ERROR_PERMANENT},
        {"a: b\n", "x", {"b\nroot: evil"}, 1, NULL, ERROR_PERMANENT},
        {"broken\n", "x", {"b"}, 1, NULL, ERROR_PERMANENT},
    };
    check_edits(address_map_text_add, cases, ARRAY_LENGTH(cases));
}

static void removing(void **state)
{
    (void)state;
    static const struct edit_case cases[] = {
        {"# x\na: b, c\n# y\n", "a", {0}, 0, "# x\n# y\n", 0},
        {"# x\na: b,\n   C\nd: e\n", "a", {"b"}, 1, "# x\na: C\nd: e\n", 0},
        {"a: b, c\n", "A", {"c", "B"}, 2, "", 0},
        {"a: b\n", "a", {"x"}, 1, NULL, ERROR_NOT_FOUND},
        {"a: b\n", "b", {0}, 0, NULL, ERROR_NOT_FOUND},
    };
    check_edits(address_map_text_remove, cases, ARRAY_LENGTH(cases));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_parse),
        cmocka_unit_test(adding),
        cmocka_unit_test(removing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
