/*
 * Dates of mail: the Date field (RFC 5322 3.3, obsolete forms of 4.3 too), IMAP's INTERNALDATE and
 * search keys (RFC 3501 9, date-time and date) and the Internet date-time of RFC 3339. Days are
 * those of the proleptic Gregorian calendar; no time zone database, no locale, no leap seconds.
 * Pure; any process.
 */
#ifndef COMMON_TEXT_DATE_H
#define COMMON_TEXT_DATE_H

#include "common/slice.h"

struct date {
    int64_t seconds;      /* since 1970-01-01 00:00:00 UTC */
    int16_t zone_minutes; /* east of UTC; -5999..+5999 as written, that is up to 99 h 59 min */
    bool zone_unknown;    /* "-0000", or a zone that says nothing (RFC 5322 4.3); zone_minutes 0 */
};

/* Room for any date that is written here, its NUL included. */
enum { DATE_TEXT_OCTETS = 40 };

/* The body of a Date field, folded or not, comments allowed; a missing zone counts as "-0000".
 * False, *date untouched, if it is none or names a day or hour that does not exist. */
bool date_parse_message(struct slice text, struct date *date);

/* "Tue, 1 Jul 2003 10:52:37 +0200". The years 1 to 9999: a time outside becomes the nearest inside.
 * The length, without the NUL. */
size_t date_format_message(const struct date *date, char text[DATE_TEXT_OCTETS]);

/* " 1-Jul-2003 10:52:37 +0200", IMAP's date-time without its quotes; otherwise the same. */
size_t date_format_internal(const struct date *date, char text[DATE_TEXT_OCTETS]);

/* The inverse: date-time of RFC 3501 without its quotes; the day may come without the space before
 * it. False, *date untouched, if it is none. */
bool date_parse_internal(struct slice text, struct date *date);

/* "2003-07-01T08:52:37Z", RFC 3339 5.6, in UTC. The length, without the NUL. */
size_t date_format_internet(int64_t seconds, char text[DATE_TEXT_OCTETS]);

/* The inverse, of any zone, without parts of a second. False, *date untouched: it is none. */
bool date_parse_internet(struct slice text, struct date *date);

/* IMAP's date of a search key, "1-Feb-1994", without quotes, as days since 1970-01-01. False, *day
 * untouched, if it is none. */
bool date_parse_day(struct slice text, int32_t *day);

/* The day that the sender's calendar showed: what SENTON compares, "disregarding time and timezone"
 * (RFC 3501 6.4.4). */
int32_t date_day(const struct date *date);

#endif
