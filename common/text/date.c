/*
 * The calendar of date.h. Days are counted in eras of 400 years that begin on 1 March, so that the
 * leap day is the last of its year and needs no case of its own.
 */
#include "common/text/date.h"

#include <stdio.h>

#include "common/mime/token.h"
#include "common/size.h"
#include "common/text/cursor.h"

enum {
    SECONDS_OF_DAY = 86400,
    DAYS_OF_ERA = 146097,        /* 400 years */
    DAYS_BEFORE_1970 = 719468,   /* from 0000-03-01 */
    EARLIEST_YEAR = 1900,        /* RFC 5322 3.3: "any numeric year 1900 or later" */
    LATEST_YEAR = 9999,          /* IMAP writes four digits */
    LARGEST_ZONE = 99 * 60 + 59, /* RFC 5322 3.3 */
};

static const int64_t first_second = -62135596800; /* 0001-01-01 00:00:00 */
static const int64_t last_second = 253402300799;  /* 9999-12-31 23:59:59 */

static const char month_names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char day_names[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

struct calendar {
    int year;
    int month; /* 1..12 */
    int day;   /* 1..31 */
    int hour;
    int minute;
    int second; /* 60 in a leap second */
};

static bool is_leap_year(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_of_month(int year, int month)
{
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap_year(year) ? 29 : days[month - 1];
}

/* Days since 1970-01-01. */
static int64_t day_number(int year, int month, int day)
{
    int64_t march_year = month <= 2 ? year - 1 : year;
    int64_t era = (march_year >= 0 ? march_year : march_year - 399) / 400;
    int64_t year_of_era = march_year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_OF_ERA + day_of_era - DAYS_BEFORE_1970;
}

static int64_t floor_divide(int64_t number, int64_t by)
{
    return number / by - (number % by < 0);
}

static void calendar_of_day(int64_t day, struct calendar *calendar)
{
    int64_t shifted = day + DAYS_BEFORE_1970;
    int64_t era = floor_divide(shifted, DAYS_OF_ERA);
    int64_t day_of_era = shifted - era * DAYS_OF_ERA;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t march_month = (5 * day_of_year + 2) / 153;
    calendar->day = (int)(day_of_year - (153 * march_month + 2) / 5 + 1);
    calendar->month = (int)(march_month < 10 ? march_month + 3 : march_month - 9);
    calendar->year = (int)(year_of_era + era * 400 + (calendar->month <= 2));
}

static bool calendar_is_valid(const struct calendar *calendar)
{
    return calendar->year >= EARLIEST_YEAR && calendar->year <= LATEST_YEAR && calendar->day >= 1
           && calendar->day <= days_of_month(calendar->year, calendar->month)
           && calendar->hour <= 23 && calendar->minute <= 59 && calendar->second <= 60;
}

static int64_t calendar_seconds(const struct calendar *calendar)
{
    return day_number(calendar->year, calendar->month, calendar->day) * SECONDS_OF_DAY
           + calendar->hour * 3600 + calendar->minute * 60 + calendar->second;
}

/* Between `least` and `most` digits. */
static bool take_digits(struct cursor *in, size_t least, size_t most, int *number)
{
    struct cursor start = *in;
    int value = 0;
    while (in->at != in->end && ascii_is_digit(*in->at) && (size_t)(in->at - start.at) < most)
        value = value * 10 + (*in->at++ - '0');
    if ((size_t)(in->at - start.at) < least) {
        *in = start;
        return false;
    }
    *number = value;
    return true;
}

static bool take_month(struct cursor *in, int *month)
{
    for (size_t i = 0; i < ARRAY_LENGTH(month_names); i++) {
        if (cursor_skip_nocase(in, slice_of_string(month_names[i]))) {
            *month = (int)i + 1;
            return true;
        }
    }
    return false;
}

static struct slice take_letters(struct cursor *in)
{
    struct cursor start = *in;
    while (in->at != in->end && ascii_is_alpha(*in->at))
        in->at++;
    return cursor_since(in, &start);
}

/* [ day-of-week "," ], any word: software writes it in its own language, and it adds nothing. */
static void skip_day_of_week(struct cursor *in)
{
    token_skip_cfws(in);
    if (take_letters(in).len > 0) {
        cursor_skip(in, '.');
        token_skip_cfws(in);
        cursor_skip(in, ',');
    }
}

/* obs-year = [CFWS] 2*DIGIT [CFWS]    RFC 5322 4.3: 00-49 is 20yy, 50-99 and 100-999 are 1900 + n
 */
static bool take_year(struct cursor *in, int *year)
{
    struct cursor start = *in;
    if (!take_digits(in, 2, 5, year))
        return false;
    size_t digits = (size_t)(in->at - start.at);
    if (digits == 2 && *year <= 49)
        *year += 2000;
    else if (digits <= 3)
        *year += 1900;
    return true;
}

/* time-of-day = hour ":" minute [ ":" second ] */
static bool take_time_of_day(struct cursor *in, struct calendar *calendar)
{
    token_skip_cfws(in);
    if (!take_digits(in, 1, 2, &calendar->hour))
        return false;
    token_skip_cfws(in);
    if (!cursor_skip(in, ':'))
        return false;
    token_skip_cfws(in);
    if (!take_digits(in, 1, 2, &calendar->minute))
        return false;
    token_skip_cfws(in);
    calendar->second = 0;
    if (!cursor_skip(in, ':'))
        return true;
    token_skip_cfws(in);
    return take_digits(in, 1, 2, &calendar->second);
}

/* ( "+" / "-" ) 4DIGIT */
static bool take_numeric_zone(struct cursor *in, struct date *date)
{
    struct cursor start = *in;
    bool west = cursor_skip(in, '-');
    int digits;
    if ((!west && !cursor_skip(in, '+')) || !take_digits(in, 4, 4, &digits) || digits % 100 > 59) {
        *in = start;
        return false;
    }
    int minutes = digits / 100 * 60 + digits % 100;
    date->zone_minutes = (int16_t)(west ? -minutes : minutes);
    date->zone_unknown = west && minutes == 0;
    return true;
}

/* obs-zone, RFC 5322 4.3. Military letters were defined with the wrong sign, and other words are
 * not known to all: both mean "-0000". */
static void take_named_zone(struct cursor *in, struct date *date)
{
    static const struct {
        const char *name;
        int hours;
    } zones[] = {
        {"UT", 0},   {"GMT", 0},  {"UTC", 0},  {"EST", -5}, {"EDT", -4}, {"CST", -6},
        {"CDT", -5}, {"MST", -7}, {"MDT", -6}, {"PST", -8}, {"PDT", -7},
    };
    struct slice word = take_letters(in);
    date->zone_minutes = 0;
    date->zone_unknown = true;
    for (size_t i = 0; i < ARRAY_LENGTH(zones); i++) {
        if (slice_equal_nocase(word, slice_of_string(zones[i].name))) {
            date->zone_minutes = (int16_t)(zones[i].hours * 60);
            date->zone_unknown = false;
        }
    }
}

/* date-time = [ day-of-week "," ] date time [CFWS]    RFC 5322 3.3 */
bool date_parse_message(struct slice text, struct date *date)
{
    struct cursor in = cursor_of(text);
    struct calendar calendar;
    struct date parsed;
    skip_day_of_week(&in);
    token_skip_cfws(&in);
    if (!take_digits(&in, 1, 2, &calendar.day))
        return false;
    token_skip_cfws(&in);
    if (!take_month(&in, &calendar.month))
        return false;
    token_skip_cfws(&in);
    if (!take_year(&in, &calendar.year) || !take_time_of_day(&in, &calendar)
        || !calendar_is_valid(&calendar))
        return false;
    token_skip_cfws(&in);
    if (!take_numeric_zone(&in, &parsed))
        take_named_zone(&in, &parsed);
    parsed.seconds = calendar_seconds(&calendar) - parsed.zone_minutes * 60;
    *date = parsed;
    return true;
}

/* date-day-fixed = (SP DIGIT) / 2DIGIT, or a digit alone */
static bool take_fixed_day(struct cursor *in, int *day)
{
    return take_digits(in, 1, cursor_skip(in, ' ') ? 1 : 2, day);
}

/* "-" date-month "-" date-year */
static bool take_imap_month(struct cursor *in, struct calendar *calendar)
{
    return cursor_skip(in, '-') && take_month(in, &calendar->month) && cursor_skip(in, '-')
           && take_digits(in, 4, 4, &calendar->year);
}

/* time = 2DIGIT ":" 2DIGIT ":" 2DIGIT */
static bool take_fixed_time(struct cursor *in, struct calendar *calendar)
{
    return take_digits(in, 2, 2, &calendar->hour) && cursor_skip(in, ':')
           && take_digits(in, 2, 2, &calendar->minute) && cursor_skip(in, ':')
           && take_digits(in, 2, 2, &calendar->second);
}

/* date-time = date-day-fixed "-" date-month "-" date-year SP time SP zone    RFC 3501 9 */
bool date_parse_internal(struct slice text, struct date *date)
{
    struct cursor in = cursor_of(text);
    struct calendar calendar;
    struct date parsed;
    if (!take_fixed_day(&in, &calendar.day) || !take_imap_month(&in, &calendar)
        || !cursor_skip(&in, ' ') || !take_fixed_time(&in, &calendar) || !cursor_skip(&in, ' ')
        || !take_numeric_zone(&in, &parsed) || !cursor_at_end(&in) || !calendar_is_valid(&calendar))
        return false;
    parsed.seconds = calendar_seconds(&calendar) - parsed.zone_minutes * 60;
    *date = parsed;
    return true;
}

/* time-offset = "Z" / ( "+" / "-" ) time-hour ":" time-minute */
static bool take_internet_zone(struct cursor *in, struct date *date)
{
    int hour;
    int minute;
    *date = (struct date){0};
    if (cursor_skip_nocase(in, SLICE("Z")))
        return true;
    bool west = cursor_skip(in, '-');
    if ((!west && !cursor_skip(in, '+')) || !take_digits(in, 2, 2, &hour) || !cursor_skip(in, ':')
        || !take_digits(in, 2, 2, &minute) || hour > 23 || minute > 59)
        return false;
    int offset = hour * 60 + minute;
    date->zone_minutes = (int16_t)(west ? -offset : offset);
    date->zone_unknown = west && offset == 0; /* RFC 3339 4.3 */
    return true;
}

/* full-date = 4DIGIT "-" 2DIGIT "-" 2DIGIT */
static bool take_full_date(struct cursor *in, struct calendar *calendar)
{
    return take_digits(in, 4, 4, &calendar->year) && cursor_skip(in, '-')
           && take_digits(in, 2, 2, &calendar->month) && cursor_skip(in, '-')
           && take_digits(in, 2, 2, &calendar->day) && calendar->month >= 1
           && calendar->month <= 12;
}

/* time-secfrac = "." 1*DIGIT */
static bool skip_fraction(struct cursor *in)
{
    int digit;
    if (!cursor_skip(in, '.'))
        return true;
    if (!take_digits(in, 1, 1, &digit))
        return false;
    while (take_digits(in, 1, 1, &digit))
        ;
    return true;
}

/* date-time = full-date "T" partial-time time-offset    RFC 3339 5.6 */
bool date_parse_internet(struct slice text, struct date *date)
{
    struct cursor in = cursor_of(text);
    struct calendar calendar;
    struct date parsed;
    if (!take_full_date(&in, &calendar) || !cursor_skip_nocase(&in, SLICE("T"))
        || !take_fixed_time(&in, &calendar) || !skip_fraction(&in)
        || !take_internet_zone(&in, &parsed) || !cursor_at_end(&in)
        || !calendar_is_valid(&calendar))
        return false;
    parsed.seconds = calendar_seconds(&calendar) - parsed.zone_minutes * 60;
    *date = parsed;
    return true;
}

bool date_parse_day(struct slice text, int32_t *day)
{
    struct cursor in = cursor_of(text);
    struct calendar calendar;
    if (!take_digits(&in, 1, 2, &calendar.day) || !take_imap_month(&in, &calendar)
        || !cursor_at_end(&in))
        return false;
    if (calendar.day < 1 || calendar.day > days_of_month(calendar.year, calendar.month))
        return false;
    *day = (int32_t)day_number(calendar.year, calendar.month, calendar.day);
    return true;
}

/* What a clock on the wall of that zone shows, within the years that can be written. */
static int64_t wall_seconds(const struct date *date)
{
    int64_t seconds = date->seconds;
    if (seconds > last_second - LARGEST_ZONE * 60)
        seconds = last_second - LARGEST_ZONE * 60;
    if (seconds < first_second + LARGEST_ZONE * 60)
        seconds = first_second + LARGEST_ZONE * 60;
    return seconds + date->zone_minutes * 60;
}

int32_t date_day(const struct date *date)
{
    return (int32_t)floor_divide(wall_seconds(date), SECONDS_OF_DAY);
}

struct written {
    struct calendar calendar;
    int day_of_week;
    char sign;
    int zone; /* hhmm */
};

static struct written write_parts(const struct date *date)
{
    struct written parts;
    int64_t wall = wall_seconds(date);
    int64_t day = floor_divide(wall, SECONDS_OF_DAY);
    int second = (int)(wall - day * SECONDS_OF_DAY);
    int zone = date->zone_minutes < 0 ? -date->zone_minutes : date->zone_minutes;
    calendar_of_day(day, &parts.calendar);
    parts.calendar.hour = second / 3600;
    parts.calendar.minute = second / 60 % 60;
    parts.calendar.second = second % 60;
    parts.day_of_week = (int)(((day + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
    parts.sign = date->zone_minutes < 0 || date->zone_unknown ? '-' : '+';
    parts.zone = zone / 60 * 100 + zone % 60;
    return parts;
}

size_t date_format_message(const struct date *date, char text[DATE_TEXT_OCTETS])
{
    struct written parts = write_parts(date);
    const struct calendar *at = &parts.calendar;
    int length = snprintf(text, DATE_TEXT_OCTETS, "%s, %d %s %04d %02d:%02d:%02d %c%04d",
                          day_names[parts.day_of_week], at->day, month_names[at->month - 1],
                          at->year, at->hour, at->minute, at->second, parts.sign, parts.zone);
    return length > 0 ? (size_t)length : 0;
}

size_t date_format_internal(const struct date *date, char text[DATE_TEXT_OCTETS])
{
    struct written parts = write_parts(date);
    const struct calendar *at = &parts.calendar;
    int length = snprintf(text, DATE_TEXT_OCTETS, "%2d-%s-%04d %02d:%02d:%02d %c%04d", at->day,
                          month_names[at->month - 1], at->year, at->hour, at->minute, at->second,
                          parts.sign, parts.zone);
    return length > 0 ? (size_t)length : 0;
}

size_t date_format_internet(int64_t seconds, char text[DATE_TEXT_OCTETS])
{
    const struct date date = {.seconds = seconds};
    struct written parts = write_parts(&date);
    const struct calendar *at = &parts.calendar;
    int length = snprintf(text, DATE_TEXT_OCTETS, "%04d-%02d-%02dT%02d:%02d:%02dZ", at->year,
                          at->month, at->day, at->hour, at->minute, at->second);
    return length > 0 ? (size_t)length : 0;
}
