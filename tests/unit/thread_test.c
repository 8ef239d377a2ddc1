/* Promises of imapd/search/thread.h and message_ids.h: RFC 5256 3. */
#include "tests/unit/test.h"

#include <stdlib.h>
#include <time.h>

#include "common/size.h"
#include "imapd/search/message_ids.h"
#include "imapd/search/thread.h"

static void ids_are_normalised(void **state)
{
    (void)state;
    static const struct {
        const char *body, *ids;
    } cases[] = {
        {"<a@b>", "a@b\n"},
        {" <a@b> (<no@comment>)\r\n\t<c@d>", "a@b\nc@d\n"},
        {"<\"a\"@b>", "a@b\n"}, /* "considered the same" */
        {"<\"a\\ b\"@c>", "a b@c\n"},
        {"< a @ b >", "a@b\n"},
        {"Your message of <a@b>, \"x\"", "a@b\n"},
        {"<a@b", ""},
        {"<a@b<c@d>", "c@d\n"},
        {"<ab>", ""},
        {"<@b>", ""},
        {"<a@>", ""},
        {"a@b", ""},
        {"", ""},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer ids = BUFFER_WITH_LIMIT(1000);
        message_ids_append(slice_of_string(cases[i].body), SIZE_MAX, &ids);
        if (!slice_equal(buffer_slice(&ids), slice_of_string(cases[i].ids)))
            fail_msg("\"%s\": \"%.*s\"", cases[i].body, SLICE_PRINTF(buffer_slice(&ids)));
        buffer_clear(&ids);
    }
}

static uint32_t name(const void *owner, uint32_t position)
{
    (void)owner;
    return position + 1;
}

/* Messages 1, 2, 3 ...; ids as of message_ids.h with blanks for line ends. */
struct spec {
    const char *ids;
    const char *subject;
    bool is_reply;
    int64_t date; /* 0: that of its number */
};

static void check(enum thread_algorithm algorithm, const struct spec *specs, size_t count,
                  const char *wanted)
{
    struct thread_message messages[16];
    char ids[16][100];
    struct arena arena;
    struct thread_node *roots;
    struct buffer text = BUFFER_WITH_LIMIT(1000);
    for (size_t i = 0; i < count; i++) {
        snprintf(ids[i], sizeof(ids[i]), "%s ", specs[i].ids);
        for (char *at = ids[i]; *at; at++)
            *at = *at == ' ' ? '\n' : *at;
        messages[i] = (struct thread_message){
            .position = (uint32_t)i,
            .date = specs[i].date ? specs[i].date : (int64_t)i + 1,
            .subject = slice_of_string(specs[i].subject ? specs[i].subject : ""),
            .is_reply = specs[i].is_reply,
            .ids = slice_of_string(ids[i]),
        };
    }
    arena_init(&arena, 1 << 20);
    assert_true(thread_build(algorithm, messages, count, &arena, &roots));
    thread_format(roots, name, NULL, &text);
    assert_slice_is(buffer_slice(&text), wanted);
    buffer_clear(&text);
    arena_clear(&arena);
}

#define CHECK(algorithm, wanted, ...)                                                              \
    do {                                                                                           \
        static const struct spec specs[] = {__VA_ARGS__};                                          \
        check(algorithm, specs, ARRAY_LENGTH(specs), wanted);                                      \
    } while (0)

static void references_link(void **state)
{
    (void)state;
    CHECK(THREAD_REFS, "(1 2 3)", {.ids = "a@x"}, {.ids = "b@x a@x"}, {.ids = "c@x a@x b@x"});
    CHECK(THREAD_REFS, "(1 (2)(3 4))", {.ids = "a@x"}, {.ids = "b@x a@x"}, {.ids = "c@x a@x"},
          {.ids = "d@x c@x"});
    CHECK(THREAD_REFS, "(3 2 1)", {.ids = "c@x b@x"}, {.ids = "b@x a@x"},
          {.ids = "a@x"}); /* in any order */
    /* Nodes without a message (step 3): the only child goes up, several stay together. */
    CHECK(THREAD_REFS, "(1)(2)", {.ids = "a@x gone@x"}, {.ids = "b@x lost@x"});
    CHECK(THREAD_REFS, "((1)(2))", {.ids = "a@x gone@x"}, {.ids = "b@x gone@x"});
    CHECK(THREAD_REFS, "((1)(2))", {.ids = "a@x old@x gone@x"}, {.ids = "b@x old@x lost@x"});
    CHECK(THREAD_REFS, "(1 2)", {.ids = "a@x"}, {.ids = "b@x a@x gone@x"});
    /* The last reference counts more than what others said (step 1 B). */
    CHECK(THREAD_REFS, "(1)(2 3 4)", {.ids = "a@x"}, {.ids = "b@x"}, {.ids = "c@x b@x"},
          {.ids = "d@x a@x c@x"});
    CHECK(THREAD_REFS, "(1)(2 4 3)", {.ids = "a@x"}, {.ids = "b@x"}, {.ids = "c@x a@x d@x"},
          {.ids = "d@x b@x"});
    CHECK(THREAD_REFS, "(1)(3 2)", {.ids = "b@x lost@x"}, {.ids = "c@x b@x a@x"},
          {.ids = "a@x"}); /* what refers to nothing has no parent */
    /* No loops. */
    CHECK(THREAD_REFS, "(2 1)", {.ids = "a@x b@x"}, {.ids = "b@x a@x"});
    CHECK(THREAD_REFS, "(1)", {.ids = "a@x a@x a@x"});
    /* One of the same Message-ID, or without one, is nobody's parent. */
    CHECK(THREAD_REFS, "(2)(1 3)", {.ids = "a@x"}, {.ids = "a@x"}, {.ids = "c@x a@x"});
    CHECK(THREAD_REFS, "(1)(2)(3)", {.ids = ""}, {.ids = ""}, {.ids = "c@x"});
    CHECK(THREAD_REFS, "(1 2)", {.ids = "a@x"}, {.ids = " a@x"});
    /* REFS: by the newest of each thread; siblings by their own date. */
    CHECK(THREAD_REFS, "(2)(1 3)", {.ids = "a@x"}, {.ids = "b@x"}, {.ids = "c@x a@x"});
    CHECK(THREAD_REFS, "(1 (3)(2))", {.ids = "a@x"}, {.ids = "b@x a@x", .date = 9},
          {.ids = "c@x a@x"});
    check(THREAD_REFS, NULL, 0, "");
}

static void subjects_merge(void **state)
{
    (void)state;
    CHECK(THREAD_REFERENCES, "(1 3)(2)", {.ids = "a@x", .subject = "S"},
          {.ids = "b@x", .subject = "T"}, {.ids = "c@x", .subject = "S", .is_reply = true});
    /* The one that is no reply is the parent, though it came later. */
    CHECK(THREAD_REFERENCES, "(2 1)", {.ids = "a@x", .subject = "S", .is_reply = true},
          {.ids = "b@x", .subject = "S"});
    CHECK(THREAD_REFERENCES, "((1)(2))", {.ids = "a@x", .subject = "S"},
          {.ids = "b@x", .subject = "S"}); /* "create a new dummy" */
    CHECK(THREAD_REFERENCES, "((1)(2)(3))", {.ids = "a@x", .subject = "S"},
          {.ids = "b@x", .subject = "S"}, {.ids = "c@x", .subject = "S", .is_reply = true});
    CHECK(THREAD_REFERENCES, "((1)(2)(3))", {.ids = "a@x gone@x", .subject = "S"},
          {.ids = "b@x gone@x", .subject = "T"}, {.ids = "c@x", .subject = "S"});
    CHECK(THREAD_REFERENCES, "((1)(2)(3)(4))", {.ids = "a@x gone@x", .subject = "S"},
          {.ids = "b@x gone@x", .subject = "T"}, {.ids = "c@x lost@x", .subject = "S"},
          {.ids = "d@x lost@x", .subject = "T"});
    CHECK(THREAD_REFERENCES, "(1)(2)", {.ids = "a@x", .subject = ""},
          {.ids = "b@x", .subject = ""}); /* no subject, no thread */
    /* By sent date, then by number. */
    CHECK(THREAD_REFERENCES, "(3)(1 2)", {.ids = "a@x", .subject = "S", .date = 5},
          {.ids = "b@x a@x", .subject = "S"}, {.ids = "c@x", .subject = "T"});
    CHECK(THREAD_REFERENCES, "(1)(2)(3)", {.ids = "a@x", .subject = "S", .date = 5},
          {.ids = "b@x", .subject = "T", .date = 5}, {.ids = "c@x", .subject = "U", .date = 5});
}

static void ordered_subjects(void **state)
{
    (void)state;
    CHECK(THREAD_ORDEREDSUBJECT, "(2)(1 3)", {.ids = "", .subject = "S", .date = 2},
          {.ids = "", .subject = "T", .date = 1},
          {.ids = "", .subject = "S", .is_reply = true, .date = 3});
    CHECK(THREAD_ORDEREDSUBJECT, "(1 (2)(3))(4)", {.ids = "", .subject = "S"},
          {.ids = "", .subject = "S"}, {.ids = "", .subject = "S"}, {.ids = "", .subject = "T"});
    CHECK(THREAD_ORDEREDSUBJECT, "(3 (1)(2))", {.ids = "", .subject = "S", .date = 8},
          {.ids = "", .subject = "S", .date = 9}, {.ids = "", .subject = "S", .date = 7});
    check(THREAD_ORDEREDSUBJECT, NULL, 0, "");
}

/* A chain of a mailbox's length, each message before the one that it answers. */
static void long_chains_cost_little(void **state)
{
    (void)state;
    enum { COUNT = 50000 };
    struct thread_message *messages = calloc(COUNT, sizeof(*messages));
    struct arena arena;
    struct thread_node *roots;
    struct buffer text = BUFFER_WITH_LIMIT(1 << 20);
    clock_t begin = clock();
    arena_init(&arena, 64 << 20);
    assert_non_null(messages);
    for (int i = 0; i < COUNT; i++) {
        char ids[64];
        snprintf(ids, sizeof(ids), "%d@x\n%d@x\n", i, i + 1);
        messages[i] = (struct thread_message){.position = (uint32_t)i,
                                              .ids = arena_copy(&arena, slice_of_string(ids))};
    }
    assert_true(thread_build(THREAD_REFS, messages, COUNT, &arena, &roots));
    thread_format(roots, name, NULL, &text);
    assert_false(text.failed);
    assert_null(roots->next);
    assert_true(clock() - begin < 5 * CLOCKS_PER_SEC);
    buffer_clear(&text);
    arena_clear(&arena);
    free(messages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_normalised),      cmocka_unit_test(references_link),
        cmocka_unit_test(subjects_merge),          cmocka_unit_test(ordered_subjects),
        cmocka_unit_test(long_chains_cost_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
