/*
 * Names of mailboxes: on the wire modified UTF-7 (RFC 3501 5.1.3), or UTF-8 once a client asked for
 * that (RFC 6855, RFC 9051 5.1); inside always UTF-8, components joined by "/", INBOX in capitals.
 * storage/folder_name.h decides how such a name becomes a directory. Pure; imapd-mailbox.
 */
#ifndef IMAPD_SYNTAX_MAILBOX_NAME_H
#define IMAPD_SYNTAX_MAILBOX_NAME_H

#include "common/buffer.h"
#include "common/text/cursor.h"

enum { MAILBOX_NAME_MAX = 1000 }; /* octets, on the wire or inside */

enum mailbox_name_form {
    MAILBOX_NAME_UTF7,
    MAILBOX_NAME_UTF8,
};

/* Appends the name to *name. False, with *problem (static, for the NO to the client) and *name
 * undefined, if no mailbox can have it: malformed, empty or too long, an empty component, or
 * a control character (RFC 9051 5.1, RFC 5198 2). "INBOX", alone or as the first component, is
 * recognised in any case. */
bool mailbox_name_parse(struct slice wire, enum mailbox_name_form form, struct buffer *name,
                        const char **problem);

/* The inverse, appended. False, with a part appended, if the name is not UTF-8: it comes from an
 * edited file, not from a client. */
bool mailbox_name_format(struct slice name, enum mailbox_name_form form, struct buffer *wire);

/* True for INBOX itself, not for mailboxes below it. */
bool mailbox_name_is_inbox(struct slice name);

/* What a LIST asks for: reference and mailbox name put together, with wildcards "*" and "%" (RFC
 * 3501 6.3.8), compared in the form of the wire. Bit i of a set stands for octet i of the pattern;
 * a name is read once, whatever the pattern. */
enum {
    MAILBOX_PATTERN_MAX = 511, /* after merging runs of wildcards: no name is longer */
    MAILBOX_PATTERN_WORDS = (MAILBOX_PATTERN_MAX + 1) / 64,
};

struct mailbox_pattern {
    size_t length;
    uint64_t octets[256][MAILBOX_PATTERN_WORDS]; /* where the pattern has that octet */
    uint64_t star[MAILBOX_PATTERN_WORDS];        /* where it has "*" */
    uint64_t percent[MAILBOX_PATTERN_WORDS];     /* where it has "%" */
};

/* False if the pattern is longer than any name: it matches nothing. 17 KiB: not for the stack of a
 * deep function. */
bool mailbox_pattern_init(struct mailbox_pattern *pattern, struct slice reference,
                          struct slice mailbox);

/* The name as on the wire. INBOX as first component is compared in any case. */
bool mailbox_pattern_matches(const struct mailbox_pattern *pattern, struct slice wire_name);

#endif
