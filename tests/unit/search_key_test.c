/* Promises of imapd/search/search_key.h: RFC 3501 6.4.4 and 9, search and search-key. */
#include "tests/unit/test.h"

#include <inttypes.h>

#include "common/size.h"
#include "imapd/search/search_key.h"
#include "storage/maildir_name.h"

enum { ARENA_LIMIT = 1 << 20 };

static void dump(const struct search_key *key, struct buffer *text);

static void dump_list(const char *name, const struct search_key *keys, struct buffer *text)
{
    buffer_append_format(text, "%s(", name);
    for (; keys; keys = keys->next) {
        dump(keys, text);
        buffer_append_string(text, keys->next ? " " : "");
    }
    buffer_append_string(text, ")");
}

static void dump(const struct search_key *key, struct buffer *text)
{
    static const char *const names[] = {
        "all",       "and",         "or",      "not",        "seq",     "uid",        "flag",
        "kw",        "recent",      "before",  "on",         "since",   "sentbefore", "senton",
        "sentsince", "larger",      "smaller", "header",     "body",    "text",       "older",
        "younger",   "savedbefore", "savedon", "savedsince", "emailid", "modseq"};
    const char *name = names[key->kind];
    switch (key->kind) {
    case SEARCH_AND:
    case SEARCH_OR:
    case SEARCH_NOT:
        dump_list(name, key->keys, text);
        return;
    case SEARCH_SEQUENCE:
    case SEARCH_UID:
        buffer_append_format(text, "%s:", name);
        sequence_set_format(&key->set, text);
        return;
    case SEARCH_FLAG:
        buffer_append_format(text, "flag:%c", 'A' + __builtin_ctz(key->flag));
        return;
    case SEARCH_BEFORE:
    case SEARCH_ON:
    case SEARCH_SINCE:
    case SEARCH_SENT_BEFORE:
    case SEARCH_SENT_ON:
    case SEARCH_SENT_SINCE:
    case SEARCH_SAVED_BEFORE:
    case SEARCH_SAVED_ON:
    case SEARCH_SAVED_SINCE:
        buffer_append_format(text, "%s:%" PRId32, name, key->day);
        return;
    case SEARCH_LARGER:
    case SEARCH_SMALLER:
        buffer_append_format(text, "%s:%" PRIu64, name, key->octets);
        return;
    case SEARCH_OLDER:
    case SEARCH_YOUNGER:
        buffer_append_format(text, "%s:%" PRIu32, name, key->seconds);
        return;
    case SEARCH_MODSEQ:
        buffer_append_format(text, "%s:%" PRIu64, name, key->modseq);
        return;
    case SEARCH_HEADER:
        buffer_append_format(text, "%.*s:%.*s", SLICE_PRINTF(key->field), SLICE_PRINTF(key->text));
        return;
    case SEARCH_EMAIL_ID:
    case SEARCH_KEYWORD:
    case SEARCH_BODY:
    case SEARCH_TEXT:
        buffer_append_format(text, "%s:%.*s", name, SLICE_PRINTF(key->text));
        return;
    default:
        buffer_append_string(text, name);
    }
}

static const struct search_case {
    const char *text;
    const char *tree; /* NULL: refused */
} cases[] = {
    {"ALL", "all"},
    {"all", "all"},
    {"ANSWERED", "flag:R"},
    {"UNSEEN UNDELETED", "and(not(flag:S) not(flag:T))"},
    {"NEW", "and(recent not(flag:S))"},
    {"OLD RECENT", "and(not(recent) recent)"},
    {"UNFLAGGED UNDRAFT UNANSWERED", "and(not(flag:F) not(flag:D) not(flag:R))"},
    {"FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\"", "and(flag:F since:8797 not(From:Smith))"},
    {"SENTBEFORE \"2-Jan-1970\" SENTON 2-Jan-1970 SENTSINCE 2-Jan-1970",
     "and(sentbefore:1 senton:1 sentsince:1)"},
    {"BEFORE 2-Jan-1970 ON 3-Jan-1970", "and(before:1 on:2)"},
    {"OR SEEN DELETED", "or(flag:S flag:T)"},
    {"OR OR SEEN DRAFT NOT 1", "or(or(flag:S flag:D) not(seq:1))"},
    {"NOT NOT SEEN", "not(not(flag:S))"},
    {"(SEEN)", "flag:S"},
    {"(SEEN DRAFT) ALL", "and(and(flag:S flag:D) all)"},
    {"1,3:5 UID 7:*", "and(seq:1,3:5 uid:7:0)"}, /* "*" is 0 as long as it is not resolved */
    {"*", "seq:0"},
    {"$ UID $", "and(seq: uid:)"}, /* RFC 5182 3 */
    {"LARGER 100 SMALLER 200", "and(larger:100 smaller:200)"},
    {"LARGER 4294967296 SMALLER 9223372036854775807", /* number64, RFC 9051 9 */
     "and(larger:4294967296 smaller:9223372036854775807)"},
    {"KEYWORD a UNKEYWORD b", "and(kw:a not(kw:b))"},
    {"KEYWORD $forwarded", "flag:P"},
    {"SUBJECT {4}\r\na b ", "Subject:a b "},
    {"TO a CC b BCC c BODY d TEXT e", "and(To:a Cc:b Bcc:c body:d text:e)"},
    {"HEADER X-Foo \"\"", "X-Foo:"},
    {"MODSEQ 620162338 SEEN", "and(modseq:620162338 flag:S)"}, /* RFC 7162 3.1.5 */
    {"MODSEQ \"/flags/\\\\draft\" all 620162338", "modseq:620162338"},
    {"MODSEQ \"/flags/\\\\draft\" 620162338", NULL},
    {"MODSEQ all 620162338", NULL},
    {"MODSEQ 9223372036854775808", NULL},
    {"OLDER 4294967295 NOT YOUNGER 1", "and(older:4294967295 not(younger:1))"}, /* RFC 5032 4 */
    {"OLDER 0", NULL},
    {"YOUNGER -1", NULL},
    {"YOUNGER", NULL},
    {"SAVEDBEFORE 2-Jan-1970 SAVEDON 2-Jan-1970 SAVEDSINCE \"2-Jan-1970\"", /* RFC 8514 4.3 */
     "and(savedbefore:1 savedon:1 savedsince:1)"},
    {"SAVEDATESUPPORTED", "all"},
    {"SAVEDBEFORE 1", NULL},
    {"EMAILID M6_d-9", "emailid:M6_d-9"}, /* RFC 8474 7 */
    {"THREADID T1", "not(all)"},
    {"EMAILID", NULL},
    {"EMAILID \"M6\"", NULL},
    {"EMAILID M.6", NULL},
    {"CHARSET UTF-8 ALL", "UTF-8 all"},
    {"CHARSET \"a b\" ALL", "a b all"},
    {"CHARSET UTF-8", NULL},
    {"ALL CHARSET UTF-8", NULL},
    {"", NULL},
    {"FOO", NULL},
    {"ALL ", NULL},
    {" ALL", NULL},
    {"()", NULL},
    {"(SEEN", NULL},
    {"SEEN)", NULL},
    {"NOT", NULL},
    {"OR SEEN", NULL},
    {"FROM", NULL},
    {"FROM ", NULL},
    {"KEYWORD \\Seen", NULL},
    {"KEYWORD \"a\"", NULL},
    {"LARGER -1", NULL},
    {"SMALLER 9223372036854775808", NULL},
    {"SINCE 1994-02-01", NULL},
    {"SINCE 30-Feb-1994", NULL},
    {"UID ALL", NULL},
    {"0", NULL},
};

static void programs_are_parsed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct arena arena;
        struct imap_parser parser;
        struct search_program program;
        struct buffer tree = BUFFER_WITH_LIMIT(1000);
        arena_init(&arena, ARENA_LIMIT);
        imap_parser_init(&parser, slice_of_string(cases[i].text), &arena);
        bool parsed = search_program_parse(&parser, &program) && imap_parse_end(&parser);
        if (parsed != (cases[i].tree != NULL))
            fail_msg("\"%s\": %s", cases[i].text, parsed ? "accepted" : parser.expected);
        if (parsed) {
            buffer_append(&tree, program.charset);
            buffer_append_string(&tree, program.charset.len ? " " : "");
            dump(program.key, &tree);
            assert_slice_is(buffer_slice(&tree), cases[i].tree);
        }
        buffer_clear(&tree);
        arena_clear(&arena);
    }
}

static bool parses(const char *repeated, size_t times, const char *last)
{
    struct arena arena;
    struct imap_parser parser;
    struct search_program program;
    struct buffer text = BUFFER_WITH_LIMIT(100000);
    arena_init(&arena, ARENA_LIMIT);
    for (size_t i = 0; i < times; i++)
        buffer_append_string(&text, repeated);
    buffer_append_string(&text, last);
    imap_parser_init(&parser, buffer_slice(&text), &arena);
    bool parsed = search_program_parse(&parser, &program) && imap_parse_end(&parser);
    buffer_clear(&text);
    arena_clear(&arena);
    return parsed;
}

static void depth_is_bounded(void **state)
{
    (void)state;
    assert_true(parses("NOT ", SEARCH_DEPTH_MAX - 1, "ALL"));
    assert_false(parses("NOT ", SEARCH_DEPTH_MAX, "ALL"));
    assert_true(parses("OR 1 ", SEARCH_DEPTH_MAX - 1, "1"));
    assert_false(parses("OR 1 ", SEARCH_DEPTH_MAX, "1"));
    assert_false(parses("(", 10000, ""));
    assert_true(parses("ALL ", 2000, "ALL")); /* long is not deep */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_are_parsed),
        cmocka_unit_test(depth_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
