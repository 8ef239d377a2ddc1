/* Promises of storage/email_id.h: RFC 8474 5.1. */
#include "tests/unit/test.h"

#include "common/size.h"
#include "storage/email_id.h"

static void id_of(const char *text, char id[EMAIL_ID_SIZE])
{
    struct maildir_name name;
    assert_true(maildir_name_parse(slice_of_string(text), &name));
    email_id_format(&name, id);
}

/* What becomes of a name (a UID, flags, another S=) leaves the identifier as it is. */
static void names_of_one_message_agree(void **state)
{
    (void)state;
    static const struct {
        const char *one, *other;
        bool same;
    } cases[] = {
        {"1.Q1.host,S=3,W=3", "1.Q1.host,S=3,W=3,U=7.8:2,FS", true},
        {"1.Q1.host", "1.Q1.host,S=4", true},
        {"1.Q1.host", "1.Q2.host", false},
        {"odd", "odd:2,S", true},
        {"5.C0123456789abcdefE0123456789abcdef01234567.a,S=3",
         "6.Cfedcba9876543210E0123456789abcdef01234567.b", true}, /* two copies */
        {"5.C0123456789abcdefE0123456789abcdef01234567.a",
         "5.Lfedcba9876543210E0123456789abcdef01234567.long", true},
        {"5.C0123456789abcdefE0123456789abcdef01234567.a",
         "5.C0123456789abcdefE0123456789abcdef01234568.a", false},
        /* As another program may have called them: */
        {"5.C0123456789abcdefE0123456789abcdef0123456.a",
         "6.C0123456789abcdefE0123456789abcdef0123456.a", false},
        {"5.C0123456789ABCDEFE0123456789abcdef01234567.a",
         "6.C0123456789ABCDEFE0123456789abcdef01234567.a", false},
        {"5.C0123456789abcdef.a", "6.C0123456789abcdef.a", false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        char one[EMAIL_ID_SIZE], other[EMAIL_ID_SIZE];
        id_of(cases[i].one, one);
        id_of(cases[i].other, other);
        if ((strcmp(one, other) == 0) != cases[i].same)
            fail_msg("%s %s, %s %s", cases[i].one, one, cases[i].other, other);
    }
}

static void ids_are_handed_down(void **state)
{
    (void)state;
    char id[EMAIL_ID_SIZE], again[EMAIL_ID_SIZE];
    char unique[MAILDIR_UNIQUE_MAX + 1] = "C0123456789abcdef";
    char text[MAILDIR_NAME_SIZE];
    struct maildir_name name;
    assert_true(maildir_name_parse(SLICE("1.Q1.host,S=3"), &name));
    email_id_format(&name, id);
    assert_int_equal(strlen(id), EMAIL_ID_SIZE - 1);
    assert_int_equal(id[0], 'M');
    email_id_append(&name, unique);
    maildir_key_format(&(struct maildir_key){.seconds = 9,
                                             .unique = slice_of_string(unique),
                                             .host = SLICE("other"),
                                             .octets = 3,
                                             .crlf_octets = 3},
                       text);
    id_of(text, again);
    assert_string_equal(id, again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_one_message_agree),
        cmocka_unit_test(ids_are_handed_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
