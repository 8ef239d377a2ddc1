/*
 * What the queue knows of its messages without looking on disk: who is to get which, and how far
 * each is. A few hundred octets a recipient; everything else is in the store. Memory only, the
 * queue's loop only.
 *
 *                      accepted, loaded                     ┌──── deferred ────┐
 *                             │                             v                  │
 *   QUEUED_NEW ───────────> QUEUED_SCHEDULED ──> QUEUED_UNDER_WAY ──> QUEUED_SETTLING ──> gone
 *   not on disk yet           │        ^            │                   ^      │
 *                             │        │            v  (written,        │      v
 *                             │        │       QUEUED_UNFLUSHED ────────┘   QUEUED_HELD
 *                             │        │            no syncfs yet)
 *                             └────────┴── an attempt that came to nothing
 *
 * queued_enter() is the only one that writes `stage`.
 */
#ifndef SMTPD_QUEUE_QUEUED_H
#define SMTPD_QUEUE_QUEUED_H

#include "common/hash_table.h"

#include "common/error.h"
#include "common/slice.h"
#include "smtpd/queue/schedule.h"

enum queued_stage {
    QUEUED_NEW,
    QUEUED_SCHEDULED, /* in the schedule, or its destination is being asked for */
    QUEUED_UNDER_WAY, /* `deliver`, or `auth` for a recipient without an account, has it */
    QUEUED_UNFLUSHED, /* in the Maildir, the disk has yet to be told */
    QUEUED_SETTLING,  /* the outcome is known and on its way to the store */
    QUEUED_HELD,      /* waits for an administrator or for the relay */
};

/* What became of an attempt: what QUEUED_SETTLING has to write. */
enum queued_outcome {
    OUTCOME_NONE,
    OUTCOME_DELIVERED,
    OUTCOME_DEFERRED, /* later again, or returned where its time is over */
    OUTCOME_FAILED,   /* returned */
    OUTCOME_HELD,
    OUTCOME_RESOLVED, /* the targets behind its address are known: they take its place */
};

/* Where mail of one account goes. */
enum target_state {
    TARGET_UNKNOWN,
    TARGET_ASKED, /* auth or the master has the question */
    TARGET_KNOWN, /* handle and deliver_number are good until known_until_ms */
};

struct queue_target {
    struct schedule_destination destination; /* first: entries lead to it */
    UT_hash_handle hh;
    struct queue_target *prev, *next; /* in `list` */
    struct queue_target **list;       /* of those that wait for the same thing, blocked; or NULL */
    enum target_state state;
    uint64_t request;
    uint64_t handle;
    uint64_t known_until_ms;
    uint64_t asked_ms; /* when it was asked for last */
    uint32_t deliver_number;
    uint32_t recipients; /* that point here */
    bool is_full;        /* auth was told so */
    uint16_t account_octets;
    uint8_t account[]; /* empty: whoever `auth` says is behind the address */
};

struct queued_recipient {
    struct schedule_entry entry; /* first: the schedule hands it out */
    struct queued_message *message;
    struct queue_target *target;
    struct queued_recipient *prev_of_message, *next_of_message;
    struct queued_recipient *prev, *next; /* in the list of its stage */
    char *text;                           /* of the outcome; NULL: none, or no memory for it */
    struct slice targets;                 /* OUTCOME_RESOLVED: a list of recipient_targets.h */
    uint32_t number;
    uint32_t attempts; /* made and failed */
    enum queued_stage stage;
    enum queued_outcome outcome;
    uint8_t notify;       /* enum queue_notify */
    uint8_t lost_workers; /* attempts in a row whose process died */
    bool again;           /* an attempt may have been written */
};

struct queued_message {
    UT_hash_handle hh;
    struct queued_recipient *recipients;
    struct queued_recipient *settling;  /* outcomes to be written */
    struct queued_message *prev, *next; /* messages with some */
    uint64_t id;
    uint64_t expires_ms; /* steady time: what is deferred after that is returned */
    uint32_t recipient_count;
    uint32_t held;
    uint32_t next_number; /* for a recipient to be added */
    bool in_spool;
};

/* All of them, and their schedule. Zeroed it is empty. */
struct queued {
    struct queued_message *messages; /* by id */
    struct queue_target *targets;    /* by account */
    struct schedule schedule;
    uint64_t message_count;
    uint64_t held_count; /* messages with a held recipient */
    size_t recipient_count;
};

/* Frees everything. May run twice. */
void queued_clear(struct queued *queued);

/* NULL: no memory. Not on disk, so in nobody's count until a recipient leaves QUEUED_NEW. */
struct queued_message *queued_add_message(struct queued *queued, uint64_t id, uint64_t expires_ms);
struct queued_message *queued_find_message(const struct queued *queued, uint64_t id);

/* A new recipient, with room for it in the schedule; the account is copied, and one target is
 * shared by all with the same. `number` is new in the message. NULL: no memory. */
struct queued_recipient *queued_add_recipient(struct queued *queued, struct queued_message *message,
                                              uint32_t number, struct slice account);

/* Out of every list and of the schedule; frees a message with its last recipient's. */
void queued_drop_recipient(struct queued *queued, struct queued_recipient *recipient);
void queued_drop_message(struct queued *queued, struct queued_message *message);

/* The step is checked. Into QUEUED_SCHEDULED only by queued_schedule(). */
void queued_enter(struct queued *queued, struct queued_recipient *recipient,
                  enum queued_stage stage);
void queued_schedule(struct queued *queued, struct queued_recipient *recipient, uint64_t due_ms);

/* Keeps a copy of the words, QUEUED_TEXT_MAX octets of them; out of memory it keeps none. */
enum { QUEUED_TEXT_MAX = 400 };
void queued_set_text(struct queued_recipient *recipient, struct slice text);

struct queue_target *queued_find_target(const struct queued *queued, struct slice account);

/* Frees the targets that nobody points to and that are not just being asked for. */
void queued_sweep_targets(struct queued *queued);

static inline struct slice queue_target_account(const struct queue_target *target)
{
    return slice_of(target->account, target->account_octets);
}

#endif
