/*
 * The quota of an account, by the Maildir++ file "maildirsize" in its directory:
 *
 *     1000000S,5000C      the quota, octets and messages
 *     812304 214          usage when the file was written
 *     4096 1              every change since: octets and messages, added or removed
 *     -812 -1
 *
 * Every process that adds or removes messages appends a line with one write(2). Usage is recounted
 * if the file is missing, malformed, for another quota, longer than 5120 octets, or if it says that
 * the account is full and is older than 15 minutes. Other Maildir++ programs may use the same file.
 * Counts are as exact as the file: a delivery during a recount may be missed until the next one.
 */
#ifndef STORAGE_QUOTA_H
#define STORAGE_QUOTA_H

#include "common/slice.h"
#include "storage/maildir.h"

enum {
    QUOTA_FILE_MAX = 5120, /* octets; a longer file is replaced by a recount */
    QUOTA_STALE_SECONDS = 15 * 60,
};

struct quota_limits {
    uint64_t octets;   /* 0: no limit */
    uint64_t messages; /* 0: no limit */
};

struct quota_usage {
    int64_t octets; /* on disk */
    int64_t messages;
};

static inline bool quota_is_set(const struct quota_limits *limits)
{
    return limits->octets > 0 || limits->messages > 0;
}

/* Whether there is room for one more message of this size. An account at or above its limit has
 * none, not even for an empty message. */
bool quota_has_room(const struct quota_limits *limits, const struct quota_usage *usage,
                    uint64_t octets);

/* False if any line is malformed, or a sum overflows. Sums below zero (lines lost) are zero. Pure.
 */
bool quota_parse(struct slice text, struct quota_limits *limits, struct quota_usage *usage);

/* Reads the usage from the file, after a recount if that is due. */
bool quota_load(const struct maildir *inbox, const struct quota_limits *limits,
                struct quota_usage *usage, struct error *error);

/* The same, with a recount also if `octets` would not fit and the file is stale. *fits: whether
 * they fit. */
bool quota_check(const struct maildir *inbox, const struct quota_limits *limits, int64_t now,
                 uint64_t octets, struct quota_usage *usage, bool *fits, struct error *error);

/* Records that messages were added (negative: removed). Does nothing for an account without the
 * file, which has no quota. */
bool quota_add(const struct maildir *inbox, int64_t octets, int64_t messages, struct error *error);

/* Reads all folders and writes the file. */
bool quota_recount(const struct maildir *inbox, const struct quota_limits *limits,
                   struct quota_usage *usage, struct error *error);

/* Adds the usage of one folder. */
bool quota_count_folder(int account_fd, const char *directory, struct quota_usage *usage,
                        struct error *error);

/* The size of a message for quota_add(): from its name if that has a plausible size, else from the
 * file. 0: the message does not exist. */
uint64_t quota_octets_of(const struct maildir *box, enum maildir_place place, const char *name);

#endif
