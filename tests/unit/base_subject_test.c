/* Promises of imapd/search/base_subject.h: RFC 5256 2.1. */
#include "tests/unit/test.h"

#include <time.h>

#include "common/size.h"
#include "imapd/search/base_subject.h"

static void bases_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *subject, *base;
        bool is_reply;
    } cases[] = {
        {"subject", "subject", false},
        {"", "", false},
        {" \t subject\r\n\tof two  lines ", "subject of two lines", false}, /* step 1 */
        {"=?utf-8?q?Re=3A_gr=C3=BC=C3=9Fe?=",
         "gr\xc3\xbc\xc3\x9f"
         "e",
         true},
        {"subject (fwd)", "subject", true}, /* step 2 */
        {"subject(FWD) (fwd)  ", "subject", true},
        {"(fwd)", "", true},
        {"Re: subject", "subject", true}, /* step 3 */
        {"re:re:RE: subject", "subject", true},
        {"Re : subject", "subject", true},
        {"Re[2]: subject", "subject", true},
        {"Re [a b] : subject", "subject", true},
        {"Re [a] [b]: subject", "Re [a] [b]: subject", false}, /* one subj-blob at most */
        {"Fw: subject", "subject", true},
        {"FWD: subject", "subject", true},
        {"Fwdd: subject", "Fwdd: subject", false},
        {"Reply: subject", "Reply: subject", false},
        {"[list] Re: subject", "subject", true},
        {"[a] [b]Re: subject", "subject", true},
        {"Re: [list] subject", "subject", true},
        {"[list] subject", "subject", false}, /* step 4 */
        {"[a][b] subject", "subject", false},
        {"[a][b]", "[b]", false},
        {"[list]", "[list]", false},
        {"Re: [list]", "[list]", true},
        {"Re: [a] Re[2]: [b] Fwd: subject", "subject", true}, /* step 5 */
        {"[a[b] subject", "[a[b] subject", false},
        {"[a", "[a", false},
        {"a] subject", "a] subject", false},
        {"[fwd: subject]", "subject", true}, /* step 6 */
        {"Re: [Fwd: [list] Re: subject (fwd)]", "subject", true},
        {"[fwd: [fwd: subject]]", "subject", true},
        {"[fwd: subject", "[fwd: subject", false},
        {"[fwd:]", "", true},
        {"[fwd: a] b", "b", false}, /* a blob like any other */
        {"Re:", "", true},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer text = BUFFER_WITH_LIMIT(1000);
        bool is_reply;
        base_subject_decode(slice_of_string(cases[i].subject), &text);
        struct slice base = base_subject_find(buffer_slice(&text), &is_reply);
        if (!slice_equal(base, slice_of_string(cases[i].base)) || is_reply != cases[i].is_reply)
            fail_msg("\"%s\": \"%.*s\" %d", cases[i].subject, SLICE_PRINTF(base), is_reply);
        buffer_clear(&text);
    }
}

/* Each of these costs a quadratic algorithm hours. */
static void hostile_subjects_cost_little(void **state)
{
    (void)state;
    static const char *const pieces[] = {"[]", "[a] ", "[fwd:", "Re:", "(fwd)", "[fwd:[]", "re ["};
    for (size_t i = 0; i < ARRAY_LENGTH(pieces); i++) {
        struct buffer text = BUFFER_WITH_LIMIT(1 << 20);
        bool is_reply;
        clock_t begin = clock();
        while (text.len + 10 < 1 << 20)
            buffer_append_string(&text, pieces[i]);
        base_subject_find(buffer_slice(&text), &is_reply);
        assert_true(clock() - begin < 2 * CLOCKS_PER_SEC);
        buffer_clear(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bases_are_found),
        cmocka_unit_test(hostile_subjects_cost_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
