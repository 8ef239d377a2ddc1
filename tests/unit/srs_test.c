/* Promises of common/auth/srs.h. */
#include "tests/unit/test.h"

#include <sodium.h>

#include "common/auth/srs.h"
#include "common/size.h"
#include "common/text/address.h"

enum { DAY = 86400 };

static const struct srs_key key = {{1, 2, 3}};
static const int64_t now = 1700000000;

static struct buffer forward(const char *reverse_path, int64_t when)
{
    struct buffer text = BUFFER_WITH_LIMIT(ADDRESS_LIMIT);
    if (!srs_forward(&key, slice_of_string(reverse_path), "demo.test", when, &text))
        assert_int_equal(text.len, 0);
    return text;
}

/* The address behind the text, or "" with the reason. */
static struct buffer reverse(struct slice text, int64_t when, struct error *error)
{
    struct buffer behind = BUFFER_WITH_LIMIT(ADDRESS_LIMIT);
    *error = (struct error){0};
    if (!srs_reverse(&key, text, when, &behind, error))
        assert_int_equal(error->kind, ERROR_PERMANENT);
    return behind;
}

static void what_leaves_comes_back(void **state)
{
    (void)state;
    static const struct {
        const char *from;
        const char *begins; /* of what leaves */
        const char *back;   /* what is behind it */
    } cases[] = {
        {"Bob@b.example", "SRS0=######=##=b.example=Bob@demo.test", "Bob@b.example"},
        {"a=b+c@x.example", "SRS0=######=##=x.example=a=b+c@demo.test", "a=b+c@x.example"},
        {"SRS0=hh=tt=b.example=bob@c.example",
         "SRS1=######=c.example==hh=tt=b.example=bob@demo.test",
         "SRS0=hh=tt=b.example=bob@c.example"},
        {"srs0+hh=tt=b.ex=bob@c.example", "SRS1=######=c.example=+hh=tt=b.ex=bob@demo.test",
         "SRS0+hh=tt=b.ex=bob@c.example"},
        {"SRS1=xx=c.example==hh=tt=b.ex=bob@d.example",
         "SRS1=######=c.example==hh=tt=b.ex=bob@demo.test", "SRS0=hh=tt=b.ex=bob@c.example"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer text = forward(cases[i].from, now);
        struct error error;
        assert_int_equal(text.len, strlen(cases[i].begins));
        for (size_t at = 0; at < text.len; at++)
            if (cases[i].begins[at] != '#')
                assert_int_equal(text.ptr[at], cases[i].begins[at]);
        struct buffer behind = reverse(buffer_slice(&text), now, &error);
        assert_slice_is(buffer_slice(&behind), cases[i].back);
        buffer_clear(&behind);
        buffer_clear(&text);
    }
}

static void what_cannot_be_written_stays(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "bob",
        "\"a b\"@b.example",
        "bob@[192.0.2.1]",
        "a-name-that-is-much-too-long-for-it@a-domain-that-is-long.example",
        "SRS1=nothing@b.example",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer text = forward(cases[i], now);
        assert_int_equal(text.len, 0);
        buffer_clear(&text);
    }
    /* The longest that fits, and one more. */
    struct buffer text = forward("abcdefghijklmnopqrstuvwxy@abcdefghijklmno.example", now);
    struct address address;
    assert_true(address_parse_mailbox(buffer_slice(&text), &address, NULL));
    assert_int_equal(address.local_part.len, ADDRESS_LOCAL_PART_LIMIT);
    buffer_clear(&text);
    text = forward("abcdefghijklmnopqrstuvwxyz@abcdefghijklmno.example", now);
    assert_int_equal(text.len, 0);
    buffer_clear(&text);
}

/* Every octet of the local part changed: none is taken, but for a letter in another case. */
static void forged_ones_are_known(void **state)
{
    (void)state;
    static const char *const cases[] = {"bob@b.example", "SRS0=hh=tt=b.example=bob@c.example"};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer text = forward(cases[i], now);
        size_t end = slice_find_octet(buffer_slice(&text), '@');
        for (size_t at = 0; at < end; at++) {
            uint8_t before = text.ptr[at];
            struct error error;
            text.ptr[at] = before == 'q' ? 'r' : 'q';
            struct buffer behind = reverse(buffer_slice(&text), now, &error);
            if (behind.len > 0)
                fail_msg("%.*s", SLICE_PRINTF(buffer_slice(&text)));
            buffer_clear(&behind);
            text.ptr[at] = before;
        }
        buffer_clear(&text);
    }
    struct error error;
    struct buffer behind = reverse(SLICE("SRS0=aaaaaa=aa=b.example=bob@demo.test"), now, &error);
    assert_int_equal(behind.len, 0);
    assert_non_null(strstr(error.text, "not written here"));
    assert_false(srs_is_claimed(SLICE("SRS0")));
    assert_false(srs_is_claimed(SLICE("srs2=x=y")));
    assert_true(srs_is_claimed(SLICE("srs1-x")));
    buffer_clear(&behind);
}

static void letters_may_be_folded_on_the_way(void **state)
{
    (void)state;
    struct buffer text = forward("bob@b.example", now);
    struct error error;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] >= 'a' && text.ptr[i] <= 'z')
            text.ptr[i] = (uint8_t)(text.ptr[i] - 'a' + 'A');
    struct buffer behind = reverse(buffer_slice(&text), now, &error);
    assert_slice_is(buffer_slice(&behind), "BOB@B.EXAMPLE");
    buffer_clear(&behind);
    buffer_clear(&text);
}

static void they_expire(void **state)
{
    (void)state;
    /* Also where the count of days begins anew. */
    const int64_t days[] = {now / DAY, 1023, 1024 * 20 - 1};
    for (size_t i = 0; i < ARRAY_LENGTH(days); i++) {
        struct buffer text = forward("bob@b.example", days[i] * DAY);
        struct error error;
        struct buffer behind = reverse(buffer_slice(&text), (days[i] + SRS_DAYS) * DAY, &error);
        assert_slice_is(buffer_slice(&behind), "bob@b.example");
        buffer_clear(&behind);
        behind = reverse(buffer_slice(&text), (days[i] + SRS_DAYS + 1) * DAY, &error);
        assert_int_equal(behind.len, 0);
        assert_non_null(strstr(error.text, "30 days"));
        buffer_clear(&behind);
        buffer_clear(&text);
    }
}

static int set_up(void **state)
{
    (void)state;
    return sodium_init() < 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_leaves_comes_back),
        cmocka_unit_test(what_cannot_be_written_stays),
        cmocka_unit_test(forged_ones_are_known),
        cmocka_unit_test(letters_may_be_folded_on_the_way),
        cmocka_unit_test(they_expire),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
