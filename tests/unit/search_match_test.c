/* Promises of imapd: search_text.h, search_fields.h, search_body.h, search_match.h. */
#include "tests/unit/test.h"

#include "common/size.h"
#include "imapd/search/search_body.h"
#include "imapd/search/search_fields.h"
#include "imapd/search/search_match.h"
#include "storage/maildir_name.h"

static const struct mime_limits limits = {.depth = 100, .parts = 1000};

/* --- comparison --- */

static void letters_are_compared_without_case_and_composition(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        {"Hello", "hELLO", true},
        {"J\xc3\xbcrgen", "j\xc3\x9cRGEN", true},
        {"\xc3\xa9", "e\xcc\x81", true}, /* é: composed, decomposed */
        {"\xef\xac\x81", "fi", true},    /* the ligature */
        {"\xce\xa3", "\xcf\x83", true},  /* Σ σ */
        {"\xd0\x9f", "\xd0\xbf", true},  /* П п */
        {"\xea\xb0\x81", "\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", true}, /* Hangul */
        {"Gr\xc3\xbc\xc3\x9f"
         "e",
         "GR\xc3\x9cSSE", true},
        {"e", "\xc3\xa9", false},
        {"a", "b", false},
        {"", "", true},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer a = BUFFER_WITH_LIMIT(1000), b = BUFFER_WITH_LIMIT(1000);
        search_fold(slice_of_string(cases[i].a), &a);
        search_fold(slice_of_string(cases[i].b), &b);
        if (slice_equal(buffer_slice(&a), buffer_slice(&b)) != cases[i].same)
            fail_msg("%s, %s", cases[i].a, cases[i].b);
        buffer_clear(&a);
        buffer_clear(&b);
    }
}

/* --- a whole search, without I/O --- */

/* Gives the program one message, in pieces of that size; what `known` leaves out stays unknown. */
static enum search_verdict search(struct search_key *key, const struct charset *charset,
                                  struct slice message, size_t piece, unsigned known)
{
    struct arena arena;
    struct mime_scan scan;
    struct search_term *terms = NULL;
    struct search_text text;
    struct search_facts facts = {.known = known};
    arena_init(&arena, 4 << 20);
    assert_true(search_make_terms(key, charset, &arena, &terms));
    search_text_init(&text, terms);
    search_text_reset(&text);
    mime_scan_init(&scan, &arena, &limits);
    mime_scan_feed(&scan, message);
    const struct mime_part *root = mime_scan_finish(&scan);
    assert_non_null(root);
    mime_scan_clear(&scan);
    if (known & SEARCH_NEEDS_HEADER)
        while (!search_text_feed_header(&text, slice_range(message, 0, (size_t)root->header.octets),
                                        false))
            ;
    struct search_run run = search_run_first(root);
    for (; run.part && (known & SEARCH_NEEDS_BODY); run = search_run_next(&run)) {
        struct search_body body;
        struct slice octets =
            slice_range(slice_from(message, (size_t)run.span.offset), 0, (size_t)run.span.octets);
        search_body_begin(&body, &text, &run);
        for (; octets.len > 0; octets = slice_from(octets, piece))
            search_body_feed(&body, slice_range(octets, 0, piece));
        while (!search_body_end(&body))
            ;
        search_body_clear(&body);
    }
    assert_false(text.failed);
    enum search_verdict verdict = search_match(key, &facts);
    search_text_clear(&text);
    arena_clear(&arena);
    return verdict;
}

static const char message[] =
    "From: =?utf-8?q?J=C3=BCrgen_M=C3=BCller?= <jm@example.org>\r\n"
    "To: first@x.test\r\nTo: second@x.test\r\n"
    "Sender: \"O\\\"Hara, K.\"\r\n\t<\"k h\" (comment) @ a.example>, plain@b, group: c@d;\r\n"
    "X-Sender: \"O\\\"Hara, K.\" <\"k h\"@a.example>\r\n"
    "Subject: a folded\r\n subject\r\nX-Empty:\r\n"
    "X-Tab: two\r\n\twords and  more\r\n"
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    "preamble needle\r\n--b\r\n"
    "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: "
    "quoted-printable\r\n"
    "\r\nGr=FC=DFe=20aus M=FCnchen, so=\r\nft break\r\n--b\r\n"
    "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    "PGI+Qm9sZDwvYj4g4oKs\r\n--b\r\n" /* <b>Bold</b> € */
    "Content-Type: application/pdf\r\n\r\nbinary needle\r\n--b\r\n"
    "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx\r\n\r\nStatus: "
    "5.1.1\r\n--b\r\n"
    "Content-Type: message/rfc822\r\n\r\nSubject: =?utf-8?q?inn=C3=A9r?=\r\n\r\ninner body\r\n"
    "--b--\r\nepilogue needle\r\n";

static const struct {
    enum search_kind kind;
    const char *field;
    const char *text;
    enum search_verdict verdict;
} term_cases[] = {
    {SEARCH_HEADER, "from", "J\xc3\x9cRGEN m", SEARCH_YES},
    {SEARCH_HEADER, "From", "jm@EXAMPLE", SEARCH_YES},
    {SEARCH_HEADER, "From", "second", SEARCH_NO},
    {SEARCH_HEADER, "To", "second", SEARCH_YES},
    {SEARCH_HEADER, "To", "first@x.test second", SEARCH_NO},
    {SEARCH_HEADER, "Sender", "o\"hara, k. <k h@a.example>, plain",
     SEARCH_YES},                                               /* the envelope's */
    {SEARCH_HEADER, "Sender", "\"o\\\"hara, k.\"", SEARCH_YES}, /* the field's */
    {SEARCH_HEADER, "Sender", "(comment)", SEARCH_YES},
    {SEARCH_HEADER, "Sender", "b, group, c@d", SEARCH_YES},
    {SEARCH_HEADER, "X-Sender", "k. <k h", SEARCH_NO},
    {SEARCH_TEXT, NULL, "k. <k h", SEARCH_NO},
    {SEARCH_HEADER, "Subject", "folded subject", SEARCH_YES},
    {SEARCH_HEADER, "Subject", "Subject:", SEARCH_NO},
    {SEARCH_HEADER, "Subject", "inn\xc3\xa9r", SEARCH_NO}, /* of the message inside */
    {SEARCH_HEADER, "X-Tab", "two words", SEARCH_YES},     /* as ENVELOPE shows a subject */
    {SEARCH_HEADER, "X-Tab", "two\twords", SEARCH_YES},
    {SEARCH_HEADER, "X-Tab", "and  more", SEARCH_YES},
    {SEARCH_HEADER, "X-Tab", "words and more", SEARCH_YES},
    {SEARCH_HEADER, "X-Tab", "more two", SEARCH_NO},
    {SEARCH_HEADER, "X-Empty", "", SEARCH_YES},
    {SEARCH_HEADER, "X-Missing", "", SEARCH_NO},
    {SEARCH_BODY, NULL,
     "gr\xc3\xbc\xc3\x9f"
     "e aus m",
     SEARCH_YES},
    {SEARCH_BODY, NULL, "SOFT BREAK", SEARCH_YES},
    {SEARCH_BODY, NULL, "</b> \xe2\x82\xac", SEARCH_YES},
    {SEARCH_BODY, NULL, "inner body", SEARCH_YES},
    {SEARCH_BODY, NULL, "Subject: INN\xc3\x89R", SEARCH_YES},
    {SEARCH_BODY, NULL, "status: 5.1.1", SEARCH_YES}, /* of a report */
    {SEARCH_BODY, NULL, "needle", SEARCH_NO},         /* neither text parts nor shown */
    {SEARCH_BODY, NULL, "breakGr", SEARCH_NO},
    {SEARCH_BODY, NULL, "J\xc3\xbcrgen", SEARCH_NO},
    {SEARCH_BODY, NULL, "", SEARCH_YES},
    {SEARCH_TEXT, NULL, "j\xc3\xbcrgen", SEARCH_YES},
    {SEARCH_TEXT, NULL, "to: FIRST", SEARCH_YES},
    {SEARCH_TEXT, NULL, "M\xc3\xbcnchen", SEARCH_YES},
    {SEARCH_TEXT, NULL, "nowhere", SEARCH_NO},
};

static void strings_are_found_where_they_count(void **state)
{
    (void)state;
    static const unsigned all = SEARCH_NEEDS_GRAMS | SEARCH_NEEDS_HEADER | SEARCH_NEEDS_BODY;
    static const size_t pieces[] = {1, 2, 3, 5, 7, 100, SIZE_MAX};
    for (size_t i = 0; i < ARRAY_LENGTH(term_cases); i++) {
        for (size_t n = 0; n < ARRAY_LENGTH(pieces); n++) {
            struct search_key key = {.kind = term_cases[i].kind,
                                     .field = slice_of_string(term_cases[i].field),
                                     .text = slice_of_string(term_cases[i].text)};
            if (search(&key, charset_utf8(), slice_of_string(message), pieces[n], all)
                != term_cases[i].verdict)
                fail_msg("%s, pieces of %zu", term_cases[i].text, pieces[n]);
        }
    }
}

static void the_charset_of_the_command_counts(void **state)
{
    (void)state;
    struct search_key key = {.kind = SEARCH_BODY, .text = SLICE("m\xdcnchen")};
    assert_int_equal(search(&key, charset_find(SLICE("iso-8859-1")), slice_of_string(message), 10,
                            SEARCH_NEEDS_GRAMS | SEARCH_NEEDS_BODY),
                     SEARCH_YES);
    assert_int_equal(search(&key, charset_utf8(), slice_of_string(message), 10,
                            SEARCH_NEEDS_GRAMS | SEARCH_NEEDS_BODY),
                     SEARCH_NO);
}

static void what_is_ruled_out_needs_no_reading(void **state)
{
    (void)state;
    struct search_term term = {.scopes = SEARCH_IN_BODY, .folded = SLICE("nowhere")};
    struct search_key body = {.kind = SEARCH_BODY, .term = &term};
    struct search_key not = {.kind = SEARCH_NOT, .keys = &body};
    const struct search_facts facts = {.known = SEARCH_NEEDS_GRAMS};
    assert_int_equal(search_match(&body, &facts), SEARCH_UNDECIDED);
    term.excluded = true;
    assert_int_equal(search_match(&body, &facts), SEARCH_NO);
    assert_int_equal(search_match(&not, &facts), SEARCH_YES);
}

static void what_is_not_known_is_not_guessed(void **state)
{
    (void)state;
    static const struct {
        enum search_kind kind;
        const char *text;
        unsigned known;
        enum search_verdict verdict;
    } cases[] = {
        {SEARCH_TEXT, "j\xc3\xbcrgen", SEARCH_NEEDS_HEADER, SEARCH_YES},
        {SEARCH_TEXT, "m\xc3\xbcnchen", SEARCH_NEEDS_HEADER, SEARCH_UNDECIDED},
        {SEARCH_BODY, "m\xc3\xbcnchen", SEARCH_NEEDS_HEADER, SEARCH_UNDECIDED},
        {SEARCH_BODY, "", 0, SEARCH_YES},
        {SEARCH_HEADER, "x", 0, SEARCH_UNDECIDED},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct search_key key = {.kind = cases[i].kind, .text = slice_of_string(cases[i].text)};
        assert_int_equal(
            search(&key, charset_utf8(), slice_of_string(message), 100, cases[i].known),
            cases[i].verdict);
    }
}

/* --- other keys and their logic --- */

static enum search_verdict match_one(const struct search_key *key, unsigned known)
{
    const struct search_facts facts = {
        .number = 3,
        .uid = 30,
        .flags = MAILDIR_SEEN,
        .letters = 1 << 2,
        .recent = true,
        .known = known,
        .octets = 1000,
        .day = 100,
        .sent_day = 99,
    };
    return search_match(key, &facts);
}

static void simple_keys_match(void **state)
{
    (void)state;
    static const unsigned all = SEARCH_NEEDS_OCTETS | SEARCH_NEEDS_DATE | SEARCH_NEEDS_SENT_DAY;
    static const struct {
        struct search_key key;
        enum search_verdict known, unknown;
    } cases[] = {
        {{.kind = SEARCH_ALL}, SEARCH_YES, SEARCH_YES},
        {{.kind = SEARCH_FLAG, .flag = MAILDIR_SEEN}, SEARCH_YES, SEARCH_YES},
        {{.kind = SEARCH_FLAG, .flag = MAILDIR_DRAFT}, SEARCH_NO, SEARCH_NO},
        {{.kind = SEARCH_KEYWORD, .letters = 1 << 2}, SEARCH_YES, SEARCH_YES},
        {{.kind = SEARCH_KEYWORD, .letters = 0}, SEARCH_NO, SEARCH_NO},
        {{.kind = SEARCH_RECENT}, SEARCH_YES, SEARCH_YES},
        {{.kind = SEARCH_LARGER, .octets = 999}, SEARCH_YES, SEARCH_UNDECIDED},
        {{.kind = SEARCH_LARGER, .octets = 1000}, SEARCH_NO, SEARCH_UNDECIDED},
        {{.kind = SEARCH_SMALLER, .octets = 1000}, SEARCH_NO, SEARCH_UNDECIDED},
        {{.kind = SEARCH_SMALLER, .octets = 1001}, SEARCH_YES, SEARCH_UNDECIDED},
        {{.kind = SEARCH_BEFORE, .day = 100}, SEARCH_NO, SEARCH_UNDECIDED},
        {{.kind = SEARCH_BEFORE, .day = 101}, SEARCH_YES, SEARCH_UNDECIDED},
        {{.kind = SEARCH_ON, .day = 100}, SEARCH_YES, SEARCH_UNDECIDED},
        {{.kind = SEARCH_ON, .day = 99}, SEARCH_NO, SEARCH_UNDECIDED},
        {{.kind = SEARCH_SINCE, .day = 100}, SEARCH_YES, SEARCH_UNDECIDED},
        {{.kind = SEARCH_SINCE, .day = 101}, SEARCH_NO, SEARCH_UNDECIDED},
        {{.kind = SEARCH_SENT_BEFORE, .day = 100}, SEARCH_YES, SEARCH_UNDECIDED},
        {{.kind = SEARCH_SENT_BEFORE, .day = 99}, SEARCH_NO, SEARCH_UNDECIDED},
        {{.kind = SEARCH_SENT_ON, .day = 99}, SEARCH_YES, SEARCH_UNDECIDED},
        {{.kind = SEARCH_SENT_SINCE, .day = 99}, SEARCH_YES, SEARCH_UNDECIDED},
        {{.kind = SEARCH_SENT_SINCE, .day = 100}, SEARCH_NO, SEARCH_UNDECIDED},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        assert_int_equal(match_one(&cases[i].key, all), cases[i].known);
        assert_int_equal(match_one(&cases[i].key, 0), cases[i].unknown);
    }
}

static void a_message_without_date_was_never_sent(void **state)
{
    (void)state;
    static const enum search_kind kinds[] = {SEARCH_SENT_BEFORE, SEARCH_SENT_ON, SEARCH_SENT_SINCE};
    const struct search_facts facts = {.known = SEARCH_NEEDS_SENT_DAY, .sent_day = INDEX_NO_DAY};
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        const struct search_key key = {.kind = kinds[i], .day = 100};
        assert_int_equal(search_match(&key, &facts), SEARCH_NO);
    }
}

static void three_values_combine(void **state)
{
    (void)state;
    struct search_key yes = {.kind = SEARCH_ALL}, no = {.kind = SEARCH_KEYWORD},
                      open = {.kind = SEARCH_LARGER};
    struct search_key *const keys[] = {&yes, &no, &open};
    static const enum search_verdict and[3][3] = {
        {SEARCH_YES, SEARCH_NO, SEARCH_UNDECIDED},
        {SEARCH_NO, SEARCH_NO, SEARCH_NO},
        {SEARCH_UNDECIDED, SEARCH_NO, SEARCH_UNDECIDED},
    };
    static const enum search_verdict or [3][3] = {
        {SEARCH_YES, SEARCH_YES, SEARCH_YES},
        {SEARCH_YES, SEARCH_NO, SEARCH_UNDECIDED},
        {SEARCH_YES, SEARCH_UNDECIDED, SEARCH_UNDECIDED},
    };
    static const enum search_verdict not [3] = {SEARCH_NO, SEARCH_YES, SEARCH_UNDECIDED};
    for (size_t a = 0; a < 3; a++) {
        struct search_key first = *keys[a], second;
        struct search_key negated = {.kind = SEARCH_NOT, .keys = &first};
        assert_int_equal(match_one(&negated, 0), not [a]);
        first.next = &second;
        for (size_t b = 0; b < 3; b++) {
            second = *keys[b];
            struct search_key both = {.kind = SEARCH_AND, .keys = &first};
            struct search_key either = {.kind = SEARCH_OR, .keys = &first};
            assert_int_equal(match_one(&both, 0), and[a][b]);
            assert_int_equal(match_one(&either, 0), or [a][b]);
            assert_int_equal(search_needs(&both), a == 2 || b == 2 ? SEARCH_NEEDS_OCTETS : 0);
        }
    }
}

/* --- what the index keeps of a header (search_fields.h) --- */

static const char indexed_header[] =
    "Received: by mail.example\r\n"
    "subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from\r\n\tafar\r\n"
    "From: \"Doe, J.\" (comment) <jd@a.example>,\r\n =?utf-8?b?w4k=?= <e@b.example>\r\n"
    "Subject: a second one\r\n"
    "Bcc:\r\n\r\n";

/* Each number below MANY_TERMS, in brackets, in the header: of the message, or of one inside. */
enum { MANY_TERMS = 1000, LONG_HEADER = 40000 };

static void append_many(struct buffer *text)
{
    for (int i = 0; i < MANY_TERMS; i++)
        buffer_append_format(text, "X-%d: %30s (%d)\r\n", i % 7, "", i);
    buffer_append(text, SLICE("\r\n"));
}

static void make_many(struct search_term *terms, char (*words)[16], unsigned scopes)
{
    for (int i = 0; i < MANY_TERMS; i++) {
        /* every other one is not there */
        int length = snprintf(words[i], sizeof(words[i]), i % 2 ? "(%d)" : "[%d]", i);
        terms[i] = (struct search_term){.next = i + 1 < MANY_TERMS ? &terms[i + 1] : NULL,
                                        .scopes = scopes,
                                        .folded = slice_of(words[i], (size_t)length)};
    }
}

/* So that one search does not keep the others waiting. */
static void many_terms_have_turns_in_a_long_header(void **state)
{
    (void)state;
    for (int inside = 0; inside < 2; inside++) {
        struct buffer header = BUFFER_WITH_LIMIT(1 << 20);
        struct search_term terms[MANY_TERMS];
        char words[MANY_TERMS][16];
        struct search_text text;
        int turns = 1;
        append_many(&header);
        assert_in_range(header.len, LONG_HEADER, 1 << 20);
        make_many(terms, words, inside ? SEARCH_IN_BODY : SEARCH_IN_HEADER | SEARCH_IN_BODY);
        search_text_init(&text, terms);
        search_text_reset(&text);
        for (; !search_text_feed_header(&text, buffer_slice(&header), inside); turns++)
            assert_false(terms[MANY_TERMS - 1].found);
        assert_in_range(turns, MANY_TERMS / (SEARCH_COMPARED_IN_HEADER / LONG_HEADER), 50);
        for (int i = 0; i < MANY_TERMS; i++)
            assert_int_equal(terms[i].found, i % 2);
        search_text_clear(&text);
        buffer_clear(&header);
    }
}

/* A match may lie across two pieces, wherever they are cut; what was looked through before is not
 * looked through again. */
static void a_term_is_found_across_pieces(void **state)
{
    (void)state;
    static const struct slice body = SLICE("..needle..");
    for (size_t cut = 0; cut <= body.len; cut++) {
        struct search_term longer = {.scopes = SEARCH_IN_BODY, .folded = SLICE("..needle...")};
        struct search_term term = {
            .next = &longer, .scopes = SEARCH_IN_BODY, .folded = SLICE("needle")};
        struct search_text text;
        search_text_init(&text, &term);
        search_text_reset(&text);
        search_text_feed(&text, SEARCH_IN_BODY, SLICE(""), slice_range(body, 0, cut));
        search_text_feed(&text, SEARCH_IN_BODY, SLICE(""), slice_from(body, cut));
        assert_true(term.found);
        assert_false(longer.found);
        search_text_clear(&text);
    }
}

static void find_both_ways(const char *field, const char *text, bool *in_header, bool *in_record)
{
    struct search_text search;
    struct buffer folded = BUFFER_WITH_LIMIT(1000), record = BUFFER_WITH_LIMIT(10000);
    struct slice header = slice_of_string(indexed_header);
    unsigned groups;
    search_fold(slice_of_string(text), &folded);
    struct search_term term = {.scopes = SEARCH_IN_FIELD,
                               .field = slice_of_string(field),
                               .folded = buffer_slice(&folded)};
    search_text_init(&search, &term);
    search_text_reset(&search);
    assert_true(search_text_feed_header(&search, header, false));
    *in_header = term.found;
    search_text_reset(&search);
    assert_true(search_fields_decide(&term, &groups));
    for (unsigned group = 0; group < SEARCH_FIELDS_GROUPS; group++) {
        buffer_reset(&record);
        search_fields_format(header, (enum search_fields_group)group, &record);
        if (groups & 1U << group)
            assert_true(search_fields_match(buffer_slice(&record), &term));
    }
    *in_record = term.found;
    search_text_clear(&search);
    buffer_clear(&folded);
    buffer_clear(&record);
}

static void a_record_of_fields_answers_as_the_header_does(void **state)
{
    (void)state;
    static const struct {
        const char *field, *text;
        bool found;
    } cases[] = {
        {"SUBJECT", "gr\xc3\x9cSSE FROM", true},  /* decoded, folded */
        {"Subject", "from\tafar", true},          /* unfolded */
        {"Subject", "second", true},              /* each field of the name */
        {"Subject", "afar a second", false},      /* but not across two */
        {"From", "Doe, J. <jd@a.example>", true}, /* as the envelope has it */
        {"From", "(COMMENT)", true},              /* and as it stands */
        {"From", "\xc3\xa9 <e@b.example>", true},
        {"To", "jd@a.example", false},
        {"To", "", false}, /* "there is such a field" */
        {"Bcc", "", true},
        {"Cc", "", false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        bool in_header, in_record;
        find_both_ways(cases[i].field, cases[i].text, &in_header, &in_record);
        if (in_record != cases[i].found || in_header != cases[i].found)
            fail_msg("%s %s: %d %d", cases[i].field, cases[i].text, in_header, in_record);
    }
}

static void a_record_decides_nothing_of_other_fields(void **state)
{
    (void)state;
    struct search_term other = {.scopes = SEARCH_IN_FIELD, .field = SLICE("X-Other")};
    struct search_term known = {
        .next = &other, .scopes = SEARCH_IN_FIELD, .field = SLICE("Subject")};
    struct search_term all = {.scopes = SEARCH_IN_HEADER | SEARCH_IN_BODY};
    struct search_term body = {.scopes = SEARCH_IN_BODY};
    unsigned groups;
    assert_false(search_fields_decide(&known, &groups));
    assert_false(search_fields_decide(&all, &groups));
    assert_true(search_fields_decide(&body, &groups));
    assert_int_equal(groups, 0);
}

static void half_a_record_is_malformed(void **state)
{
    (void)state;
    struct buffer record = BUFFER_WITH_LIMIT(10000);
    search_fields_format(slice_of_string(indexed_header), SEARCH_FIELDS_SUBJECT, &record);
    for (size_t length = 0; length < record.len; length++)
        assert_false(search_fields_match(slice_range(buffer_slice(&record), 0, length), NULL));
    assert_true(search_fields_match(buffer_slice(&record), NULL));
    buffer_clear(&record);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_are_compared_without_case_and_composition),
        cmocka_unit_test(strings_are_found_where_they_count),
        cmocka_unit_test(the_charset_of_the_command_counts),
        cmocka_unit_test(what_is_ruled_out_needs_no_reading),
        cmocka_unit_test(what_is_not_known_is_not_guessed),
        cmocka_unit_test(simple_keys_match),
        cmocka_unit_test(a_message_without_date_was_never_sent),
        cmocka_unit_test(three_values_combine),
        cmocka_unit_test(many_terms_have_turns_in_a_long_header),
        cmocka_unit_test(a_term_is_found_across_pieces),
        cmocka_unit_test(a_record_of_fields_answers_as_the_header_does),
        cmocka_unit_test(a_record_decides_nothing_of_other_fields),
        cmocka_unit_test(half_a_record_is_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
