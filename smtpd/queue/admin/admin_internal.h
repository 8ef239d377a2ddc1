/* One command of an administrator: between admin.c, which says what is looked at and done, and
 * admin_print.c, which says it in words. */
#ifndef SMTPD_QUEUE_ADMIN_ADMIN_INTERNAL_H
#define SMTPD_QUEUE_ADMIN_ADMIN_INTERNAL_H

#include "common/arena.h"
#include "common/role/control.h"
#include "smtpd/queue/store/record.h"
#include "smtpd/queue/waiting/queued.h"

enum admin_verb {
    ADMIN_LIST,
    ADMIN_SHOW,
    ADMIN_RETRY,
    ADMIN_HOLD,
    ADMIN_RELEASE,
    ADMIN_REMOVE,
    ADMIN_BOUNCE,
};

struct admin_job {
    struct admin_job *prev, *next;
    int fd;             /* of the client; goes with the answer */
    struct arena arena; /* the words */
    enum admin_verb verb;
    bool json;
    bool named;   /* the ids were given */
    bool selects; /* one of the options that choose was given */
    bool only_held;
    bool only_null_sender;
    bool has_age;
    int64_t came_before;                     /* seconds since 1970; with has_age */
    struct slice destination, sender, error; /* empty: any */

    uint64_t *ids; /* oldest first */
    size_t count;
    size_t at; /* the next to look at */

    struct buffer record, row; /* of what is looked at */
    struct buffer answer;
    bool in_message;               /* its head is printed */
    uint64_t messages, recipients; /* that fitted */
    uint64_t done;                 /* recipients that something was done to */
    uint64_t later;                /* that it will be done to when their attempt has failed */
};

static inline bool admin_only_prints(const struct admin_job *job)
{
    return job->verb == ADMIN_LIST || job->verb == ADMIN_SHOW;
}

/* What is known of the last attempt: of its own, or its destination's. */
struct slice admin_reply_of(const struct queued_recipient *recipient,
                            const struct stored_recipient *row);

/* "ok", and what else stands before the first message. */
void admin_print_begin(struct admin_job *job);

/* The first of a message prints its head too. */
void admin_print_recipient(struct admin_job *job, const struct stored_message *message,
                           const struct queued_recipient *recipient,
                           const struct stored_recipient *row);
void admin_print_message_end(struct admin_job *job);
/* A message of JSON is one line; ctl/command/verb_queue.c adds to it. */
void admin_print_end(struct admin_job *job);

#endif
