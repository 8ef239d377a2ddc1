/*
 * The quota of an account, by the Maildir++ file "maildirsize" in its directory:
 *
 *     1000000S,5000C      the quota, octets and messages
 *     812304 214          what was there when the file was written
 *     4096 1              and every change since: octets and messages, added or taken away
 *     -812 -1
 *
 * Appended to by every process that adds or removes messages, each line with one write(2); counted
 * anew when the file is missing, malformed, for another quota, longer than 5120 octets, or when it
 * says that the account is full and is older than 15 minutes. Another Maildir++ program may keep
 * the same file. Counts are as exact as the file: a delivery during a recount may be missed until
 * the next.
 */
#ifndef STORAGE_QUOTA_H
#define STORAGE_QUOTA_H

#include "common/slice.h"
#include "storage/maildir.h"

enum {
    QUOTA_FILE_MAX = 5120, /* octets: beyond, the file is counted anew and made short */
    QUOTA_STALE_SECONDS = 15 * 60,
};

struct quota_limits {
    uint64_t octets;   /* 0: any */
    uint64_t messages; /* 0: any */
};

struct quota_usage {
    int64_t octets; /* on disk */
    int64_t messages;
};

static inline bool quota_is_set(const struct quota_limits *limits)
{
    return limits->octets > 0 || limits->messages > 0;
}

/* Room for one message more of so many octets. An account at its limit or above has none, not even
 * for an empty message. */
bool quota_has_room(const struct quota_limits *limits, const struct quota_usage *usage,
                    uint64_t octets);

/* False if any line is malformed, or a sum overflows. Sums below zero (lines lost) are zero. Pure.
 */
bool quota_parse(struct slice text, struct quota_limits *limits, struct quota_usage *usage);

/* What the file says, after a recount where the file asks for one. */
bool quota_load(const struct maildir *inbox, const struct quota_limits *limits,
                struct quota_usage *usage, struct error *error);

/* The same, with a recount also where there would be no room for `octets` and the file is stale;
 * *fits is the answer. */
bool quota_check(const struct maildir *inbox, const struct quota_limits *limits, int64_t now,
                 uint64_t octets, struct quota_usage *usage, bool *fits, struct error *error);

/* Messages were added (or, below zero, removed). An account without the file has no quota: nothing
 * happens. */
bool quota_add(const struct maildir *inbox, int64_t octets, int64_t messages, struct error *error);

/* Reads all folders and writes the file. */
bool quota_recount(const struct maildir *inbox, const struct quota_limits *limits,
                   struct quota_usage *usage, struct error *error);

/* Adds what is in that folder. */
bool quota_count_folder(int account_fd, const char *directory, struct quota_usage *usage,
                        struct error *error);

/* The octets of a message for quota_add: from its name if that has a size that can be, or else from
 * the file. 0 if it is gone. */
uint64_t quota_octets_of(const struct maildir *box, enum maildir_place place, const char *name);

#endif
