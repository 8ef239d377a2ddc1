/*
 * The supported IMAP capabilities, as named by CAPABILITY (RFC 3501 7.2.1), except those that
 * depend on a connection's TLS (STARTTLS, AUTH=, LOGINDISABLED). The configuration names them in
 * `client { without }`, imapd announces them. A table and a lookup; any process.
 */
#ifndef COMMON_LOGIN_IMAP_CAPABILITY_H
#define COMMON_LOGIN_IMAP_CAPABILITY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/slice.h"

enum imap_capability_when {
    IMAP_BEFORE_LOGIN = 1 << 0,
    IMAP_AFTER_LOGIN = 1 << 1,
    IMAP_ANY_TIME = IMAP_BEFORE_LOGIN | IMAP_AFTER_LOGIN,
};

struct imap_capability {
    const char *name;  /* in the configuration, and on the wire if `words` is NULL */
    unsigned when;     /* enum imap_capability_when */
    const char *words; /* on the wire; NULL: `name` */
};

/* A set of capabilities is a uint64_t, bit n for row n, hence this maximum. */
enum { IMAP_CAPABILITIES_MAX = 64 };

extern const struct imap_capability imap_capabilities[];
extern const unsigned imap_capability_count;

/* The bit of the capability of that name, compared without case; 0: there is none. */
uint64_t imap_capability_find(struct slice name);

#endif
