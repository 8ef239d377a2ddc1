/*
 * Parses and formats values as people write them: sizes, durations, host names. Also used for
 * arguments of the staffetta command. Pure: no I/O, no allocation; any process.
 */
#ifndef COMMON_CONFIG_CONFIG_VALUE_H
#define COMMON_CONFIG_CONFIG_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/slice.h"

enum { CONFIG_VALUE_TEXT_SIZE = 32 }; /* octets that the format functions need */

/* 1*DIGIT [ "K" / "M" / "G" / "T" ], powers of 1024; octets without a letter. False, with *octets
 * untouched, for anything else and above UINT64_MAX. */
bool config_parse_size(struct slice text, uint64_t *octets);

/* "0" / 1*DIGIT ( "ms" / "s" / "m" / "h" / "d" ). The unit is required. */
bool config_parse_duration(struct slice text, uint64_t *ms);

/* "yes" / "no" */
bool config_parse_bool(struct slice text, bool *value);

/* Format in the largest unit that is exact: "50M", "5m". Return `text`. */
const char *config_format_size(uint64_t octets, char text[CONFIG_VALUE_TEXT_SIZE]);
const char *config_format_duration(uint64_t ms, char text[CONFIG_VALUE_TEXT_SIZE]);

/* Letters, digits and hyphens, labels of 1 to 63 octets, at most 253 in all (RFC 1123 2.1, RFC
 * 1035 2.3.4), no dot at the end. International names are written as A-labels. */
bool config_is_host_name(struct slice text);

#endif
