/* Promises of imapd/session/resume.h and imapd/folder/view_past.h. */
#include "tests/unit/test.h"

#include <stdlib.h>

#include "common/size.h"
#include "imapd/session/resume.h"

/* A selected INBOX: mark 0, uidvalidity 7, modseq 9, last UID 5, no letters, none recent; UIDs
 * 1:3,5; three empty sets. */
#define VIEW                                                                                       \
    "\x00\x07\x09\x05\x00\x00"                                                                     \
    "\x04\x00\x02\x01\x00"                                                                         \
    "\x00\x00\x00"
#define TEXT(literal)                                                                              \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }

static const struct record_case {
    struct slice text;
    bool valid;
} cases[] = {
    {TEXT("\x01\x00\x00\x00\x00"), true}, /* no folder, does not idle */
    {TEXT("\x01\x01\x00\x00\x01"
          "a"),
     true}, /* idles */
    {TEXT("\x01\x03\x03\x00\x02"
          "a1"
          "\x01." VIEW),
     true},
    {TEXT("\x01\x02\x00\x00\x00"
          "\x04.A.B" VIEW),
     true},
    {TEXT(""), false},
    {TEXT("\x02\x00\x00\x00\x00"), false},     /* another version */
    {TEXT("\x01\x04\x00\x00\x00"), false},     /* an unknown flag */
    {TEXT("\x01\x00\x20\x00\x00"), false},     /* VIEW_HIDES_CHANGES, which is NOTIFY's */
    {TEXT("\x01\x00\xff\x01\x00\x00"), false}, /* no manner */
    {TEXT("\x01\x00\x00\x00\x00"
          "x"),
     false},                               /* more behind it */
    {TEXT("\x01\x01\x00\x00\x00"), false}, /* idles without a tag */
    {TEXT("\x01\x00\x00\x00\x01"
          "a"),
     false}, /* a tag, and does not idle */
    {TEXT("\x01\x01\x00\x00\x03"
          "a\r\n"),
     false}, /* would be a line of its own */
    {TEXT("\x01\x01\x00\x00\x02"
          "a"),
     false},                                   /* cut off */
    {TEXT("\x01\x80\x00\x00\x00\x00"), false}, /* not the shortest form */
    {TEXT("\x01\x02\x00\x00\x00"
          "\x02.." VIEW),
     false},
    {TEXT("\x01\x02\x00\x00\x00"
          "\x04.A/B" VIEW),
     false},
    {TEXT("\x01\x02\x00\x00\x00"
          "\x05.A..B" VIEW),
     false},
    {TEXT("\x01\x02\x00\x00\x00"
          "\x03.A." VIEW),
     false},
    {TEXT("\x01\x02\x00\x00\x00"
          "\x03"
          "A.B" VIEW),
     false},
    {TEXT("\x01\x02\x00\x00\x00"
          "\x02.\x00" VIEW),
     false},
    {TEXT("\x01\x02\x00\x00\x00"
          "\x01."
          "\x00\x07\x09\x05\x00\x00"),
     false},
    /* a range that ends behind 4294967295 */
    {TEXT("\x01\x02\x00\x00\x00"
          "\x01."
          "\x00\x07\x09\x05\x00\x00"
          "\x06\x00\xff\xff\xff\xff\x0f"
          "\x00\x00\x00"),
     false},
    /* more messages than are kept so: 1:8388608 */
    {TEXT("\x01\x02\x00\x00\x00"
          "\x01."
          "\x00\x07\x09\x05\x00\x00"
          "\x05\x00\xff\xff\xff\x03"
          "\x00\x00\x00"),
     false},
    /* 1:24, then 25: one range */
    {TEXT("\x01\x02\x00\x00\x00"
          "\x01."
          "\x00\x07\x09\x05\x00\x00"
          "\x04\x00\x17\x00\x00"
          "\x00\x00\x00"),
     false},
    /* a set of one octet more than there are */
    {TEXT("\x01\x02\x00\x00\x00"
          "\x01."
          "\x00\x07\x09\x05\x00\x00"
          "\x00\x00\x00\x01"),
     false},
    /* half a range */
    {TEXT("\x01\x02\x00\x00\x00"
          "\x01."
          "\x00\x07\x09\x05\x00\x00"
          "\x01\x00"
          "\x00\x00\x00"),
     false},
};

static void only_whole_records_are_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct resume_record record;
        if (resume_parse(cases[i].text, &record) != cases[i].valid)
            fail_msg("case %zu", i);
        /* No beginning of one is one. */
        for (size_t end = 0; cases[i].valid && end < cases[i].text.len; end++)
            assert_false(resume_parse(slice_range(cases[i].text, 0, end), &record));
    }
}

static void fill(struct folder *folder, struct message *messages, size_t count)
{
    static char name[] = "name";
    for (size_t i = 0; i < count; i++)
        messages[i] = (struct message){.name = name, .uid = (uint32_t)i + 1, .modseq = 5};
    *folder = (struct folder){.record = {.uidvalidity = 7},
                              .messages = messages,
                              .count = count,
                              .modseq_next = 10,
                              .users = 2};
}

/* What happened while the session was asleep is news of the view, and all that it had to tell
 * before is so still. */
static void a_view_comes_back_with_its_news(void **state)
{
    (void)state;
    struct message messages[9];
    struct folder folder;
    struct view view = {.manner = VIEW_REV2};
    struct error error;
    struct buffer text = BUFFER_WITH_LIMIT(1000);
    struct view_past past;
    fill(&folder, messages, 8);
    messages[0].recent = true;
    assert_true(view_open(&view, &folder, false, &error));
    view_on_changed(&view, 2);
    struct sequence_range *saved = calloc(2, sizeof(*saved));
    saved[0] = (struct sequence_range){1, 2};
    saved[1] = (struct sequence_range){7, 7};
    view_take_saved(&view, saved, 2);
    assert_true(view_past_format(&view, &text));
    view_close(&view);
    folder.users = 2;

    messages[8] = (struct message){.name = messages[0].name, .uid = 9, .modseq = 12};
    folder.count = 9;
    messages[3].name = NULL; /* UID 4 is gone */
    messages[5].modseq = 11; /* UID 6 has changed */
    folder.modseq_next = 13;
    snprintf(folder.record.keywords[3], sizeof(folder.record.keywords[3]), "New");

    struct cursor in = cursor_of(buffer_slice(&text));
    assert_true(view_past_parse(&in, &past));
    assert_true(cursor_at_end(&in));
    assert_true(view_past_restore(&past, &view, &folder, &error));
    assert_int_equal(view.count, 8);
    assert_int_equal(view.last_uid, 8);
    assert_int_equal(view.manner, VIEW_REV2);
    assert_int_equal(view.changed, 2);
    assert_int_equal(view.gone, 1);
    assert_int_equal(view.slots[0].marks, VIEW_RECENT);
    assert_int_equal(view.slots[1].marks, VIEW_CHANGED);
    assert_int_equal(view.slots[3].marks, VIEW_GONE);
    assert_int_equal(view.slots[5].marks, VIEW_CHANGED);
    assert_true(view.keywords_changed);
    assert_true(view_has_news(&view, VIEW_ALL));
    assert_int_equal(view.saved_count, 2);
    assert_int_equal(view.saved[1].first, 7);
    view_close(&view);
    folder.users = 2;

    folder.record.uidvalidity = 8;
    assert_false(view_past_restore(&past, &view, &folder, &error));
    assert_int_equal(error.kind, ERROR_NOT_FOUND);
    buffer_clear(&text);
}

/* docs/architecture.md: a hundred thousand messages are a few octets, ten thousand gaps fit. */
static void a_record_is_small(void **state)
{
    (void)state;
    enum { COUNT = 100000, GAPS = 10000 };
    struct message *messages = calloc(COUNT, sizeof(*messages));
    struct folder folder;
    struct view view = {.folder = NULL};
    struct error error;
    struct buffer text = BUFFER_WITH_LIMIT(32768);
    fill(&folder, messages, COUNT);
    assert_true(view_open(&view, &folder, false, &error));
    assert_true(view_past_format(&view, &text));
    assert_true(text.len < 40);
    view_close(&view);
    folder.users = 2;
    buffer_reset(&text);
    for (size_t i = 0; i < GAPS; i++)
        messages[i * 10].name = NULL;
    assert_true(view_open(&view, &folder, false, &error));
    assert_true(view_past_format(&view, &text));
    view_close(&view);
    buffer_clear(&text);
    view_rest_clear(&folder.rest);
    free(messages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_whole_records_are_taken),
        cmocka_unit_test(a_view_comes_back_with_its_news),
        cmocka_unit_test(a_record_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
