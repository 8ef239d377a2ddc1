/* Promises of common/text/date.h. */
#include "tests/unit/test.h"

#include "common/size.h"
#include "common/text/date.h"

static const struct {
    const char *text;
    bool valid;
    int64_t seconds;
    int zone_minutes;
    bool zone_unknown;
} message_dates[] = {
    {"Tue, 1 Jul 2003 10:52:37 +0200", true, 1057049557, 120, false}, /* RFC 5322 A.1.1, form */
    {"Fri, 21 Nov 1997 09:55:06 -0600", true, 880127706, -360, false},
    {"21 Nov 97 09:55:06 GMT", true, 880106106, 0, false}, /* RFC 5322 A.6.2 */
    {"Thu,\r\n      13\r\n        Feb\r\n          1969\r\n      23:32\r\n"
     "               -0330 (Newfoundland Time)",
     true, -27723480, -210, false}, /* RFC 5322 A.5 */
    {"1 Jan 1970 00:00:00 +0000", true, 0, 0, false},
    {"31 Dec 1969 23:59:59 -0000", true, -1, 0, true},
    {"Fri, 1 Nov 2002 04:26:40 -0800 (PST)", true, 1036153600, -480, false},
    {"Fri(x),1(y)Nov(z)2002(a)4(b):(c)26(d):(e)40(f)EST", true, 1036142800, -300, false},
    {"29 Feb 2000 12:00 Z", true, 951825600, 0, true}, /* military: RFC 5322 4.3 */
    {"29 Feb 2000 12:00 CEST", true, 951825600, 0, true},
    {"29 Feb 2000 12:00", true, 951825600, 0, true},
    {"1 Jan 49 00:00 UT", true, 2493072000, 0, false},
    {"1 Jan 50 00:00 UT", true, -631152000, 0, false},
    {"1 Jan 103 00:00 UT", true, 1041379200, 0, false},
    {"31 Dec 1998 23:59:60 +0000", true, 915148800, 0, false}, /* a leap second */
    {"31 Dec 9999 23:59:59 +0000", true, 253402300799, 0, false},
    {"29 Feb 1900 12:00 +0000", false, 0, 0, false},
    {"31 Apr 2000 12:00 +0000", false, 0, 0, false},
    {"0 Jan 2000 12:00 +0000", false, 0, 0, false},
    {"1 Jan 1899 12:00 +0000", false, 0, 0, false},
    {"1 Jan 10000 12:00 +0000", false, 0, 0, false},
    {"1 Jan 2000 24:00 +0000", false, 0, 0, false},
    {"1 Jan 2000 12:60 +0000", false, 0, 0, false},
    {"1 Jan 2000", false, 0, 0, false},
    {"Tuesday", false, 0, 0, false},
    {"", false, 0, 0, false},
    {"(((", false, 0, 0, false},
};

static void message_dates_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(message_dates); i++) {
        struct date date = {.seconds = 7};
        bool valid = date_parse_message(slice_of_string(message_dates[i].text), &date);
        if (valid != message_dates[i].valid)
            fail_msg("%s: %s", message_dates[i].text, valid ? "taken" : "refused");
        assert_int_equal(date.seconds, valid ? message_dates[i].seconds : 7);
        assert_int_equal(date.zone_minutes, message_dates[i].zone_minutes);
        assert_int_equal(date.zone_unknown, message_dates[i].zone_unknown);
    }
}

static void dates_are_written(void **state)
{
    (void)state;
    static const struct {
        struct date date;
        const char *message;
        const char *internal;
    } cases[] = {
        {{0, 0, false}, "Thu, 1 Jan 1970 00:00:00 +0000", " 1-Jan-1970 00:00:00 +0000"},
        {{-1, 0, true}, "Wed, 31 Dec 1969 23:59:59 -0000", "31-Dec-1969 23:59:59 -0000"},
        {{1057049557, 120, false}, "Tue, 1 Jul 2003 10:52:37 +0200", " 1-Jul-2003 10:52:37 +0200"},
        {{951782399, -210, false}, "Mon, 28 Feb 2000 20:29:59 -0330", "28-Feb-2000 20:29:59 -0330"},
        {{951782400, 0, false}, "Tue, 29 Feb 2000 00:00:00 +0000", "29-Feb-2000 00:00:00 +0000"},
        {{INT64_MAX, 5999, false}, "Fri, 31 Dec 9999 23:59:59 +9959", "31-Dec-9999 23:59:59 +9959"},
        {{INT64_MIN, -5999, false}, "Mon, 1 Jan 0001 00:00:00 -9959", " 1-Jan-0001 00:00:00 -9959"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        char text[DATE_TEXT_OCTETS];
        assert_int_equal(date_format_message(&cases[i].date, text), strlen(cases[i].message));
        assert_string_equal(text, cases[i].message);
        assert_int_equal(date_format_internal(&cases[i].date, text), strlen(cases[i].internal));
        assert_string_equal(text, cases[i].internal);
    }
}

/* Days of all months and years of two eras, and odd seconds of them. */
static void what_is_written_is_read_back(void **state)
{
    (void)state;
    for (int64_t seconds = -2208988800; seconds < 253402000000; seconds += 86400 * 11 + 3607) {
        struct date date = {seconds, (int16_t)(seconds % 1440), false};
        struct date read;
        char text[DATE_TEXT_OCTETS];
        date_format_message(&date, text);
        if (seconds < -2208988800 + 86400)
            continue; /* the zone may lead back into 1899 */
        assert_true(date_parse_message(slice_of_string(text), &read));
        assert_int_equal(read.seconds, date.seconds);
        assert_int_equal(read.zone_minutes, date.zone_minutes);
        date_format_internal(&date, text);
        assert_true(date_parse_internal(slice_of_string(text), &read));
        assert_int_equal(read.seconds, date.seconds);
    }
}

static void internet_dates(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool valid;
        int64_t seconds;
        const char *again;
    } cases[] = {
        {"2003-07-01T08:52:37Z", true, 1057049557, "2003-07-01T08:52:37Z"},
        {"2003-07-01t10:52:37+02:00", true, 1057049557, "2003-07-01T08:52:37Z"},
        {"2003-07-01T08:52:37.000001-00:00", true, 1057049557, "2003-07-01T08:52:37Z"},
        {"2024-02-29T00:00:00z", true, 1709164800, "2024-02-29T00:00:00Z"},
        {"2023-02-29T00:00:00Z", false, 0, NULL},
        {"2003-00-01T00:00:00Z", false, 0, NULL},
        {"2003-13-01T00:00:00Z", false, 0, NULL},
        {"2003-07-01T24:00:00Z", false, 0, NULL},
        {"2003-07-01 08:52:37Z", false, 0, NULL},
        {"2003-07-01T08:52:37", false, 0, NULL},
        {"2003-07-01T08:52:37.Z", false, 0, NULL},
        {"2003-07-01T08:52:37+2:00", false, 0, NULL},
        {"2003-07-01T08:52:37+02:60", false, 0, NULL},
        {"2003-07-01T08:52:37Z ", false, 0, NULL},
        {"", false, 0, NULL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct date date;
        char text[DATE_TEXT_OCTETS];
        if (date_parse_internet(slice_of_string(cases[i].text), &date) != cases[i].valid)
            fail_msg("%s", cases[i].text);
        if (!cases[i].valid)
            continue;
        assert_int_equal(date.seconds, cases[i].seconds);
        assert_int_equal(date_format_internet(date.seconds, text), strlen(cases[i].again));
        assert_string_equal(text, cases[i].again);
    }
}

static void internal_dates_are_exact(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {
        {"17-Jul-1996 02:44:25 -0700", true}, /* RFC 3501 6.3.11, form */
        {" 7-Jul-1996 02:44:25 -0700", true},
        {"7-Jul-1996 02:44:25 -0700", true},
        {"07-JUL-1996 02:44:25 -0700", true},
        {" 17-Jul-1996 02:44:25 -0700", false},
        {"17-Jul-96 02:44:25 -0700", false},
        {"17-Jul-1996 02:44:25", false},
        {"17-Jul-1996 02:44:25 -0700 ", false},
        {"17-Jul-1996 2:44:25 -0700", false},
        {"17-Jul-1996 02:44:25 GMT", false},
        {"31-Jun-1996 02:44:25 -0700", false},
        {"", false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct date date;
        if (date_parse_internal(slice_of_string(cases[i].text), &date) != cases[i].valid)
            fail_msg("%s", cases[i].text);
    }
}

static void days_are_compared_without_zone(void **state)
{
    (void)state;
    int32_t day = 0;
    struct date date;
    assert_true(date_parse_day(SLICE("1-Feb-1994"), &day));
    assert_int_equal(day, 8797);
    assert_true(date_parse_day(SLICE("01-feb-1994"), &day));
    assert_false(date_parse_day(SLICE("30-Feb-1994"), &day));
    assert_false(date_parse_day(SLICE("1-Feb-94"), &day));
    assert_false(date_parse_day(SLICE("\"1-Feb-1994\""), &day));
    assert_int_equal(day, 8797);
    assert_true(date_parse_message(SLICE("1 Feb 1994 23:59:00 -0800"), &date));
    assert_int_equal(date_day(&date), 8797);
    assert_true(date_parse_message(SLICE("1 Feb 1994 00:01:00 +1200"), &date));
    assert_int_equal(date_day(&date), 8797);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_dates_are_read),
        cmocka_unit_test(dates_are_written),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(internal_dates_are_exact),
        cmocka_unit_test(internet_dates),
        cmocka_unit_test(days_are_compared_without_zone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
