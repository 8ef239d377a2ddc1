/*
 * The queue's messages in memory: their recipients, and the stage of each. A few hundred octets for
 * each recipient; everything else is in the store. The queue's loop only.
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
 * Only queued_enter() writes `stage`.
 *
 *   sender ──< message ──< group ──< recipient        group: the recipients of one message
 *                            >── target               that go to one target
 */
#ifndef SMTPD_QUEUE_WAITING_QUEUED_H
#define SMTPD_QUEUE_WAITING_QUEUED_H

#include "common/hash_table.h"

#include "common/error.h"
#include "common/slice.h"
#include "smtpd/queue/waiting/schedule.h"

enum queued_stage {
    QUEUED_NEW,
    QUEUED_SCHEDULED, /* in the schedule, or its target is being looked up */
    QUEUED_UNDER_WAY, /* deliver or relay has it, or `auth` is asked to resolve its address */
    QUEUED_UNFLUSHED, /* in the Maildir, not yet flushed to disk */
    QUEUED_SETTLING,  /* the outcome is known and on its way to the store */
    QUEUED_HELD,      /* waits for an administrator */
};

/* What became of an attempt, to be written in QUEUED_SETTLING. */
enum queued_outcome {
    OUTCOME_NONE,
    OUTCOME_DELIVERED,
    OUTCOME_RELAYED,       /* another host has it */
    OUTCOME_RELAYED_TOLD,  /* another host has it, and will report success itself (DSN) */
    OUTCOME_RELAYED_NOTED, /* another host has it; the sender is told so, whatever NOTIFY says */
    OUTCOME_DEFERRED,      /* tried again later, or returned if its lifetime is over */
    OUTCOME_FAILED,        /* permanent failure: returned to the sender */
    OUTCOME_EXPIRED,       /* returned: its lifetime is over, its destination did not answer */
    OUTCOME_WARNED,        /* goes on waiting; the sender is told so */
    OUTCOME_HELD,
    OUTCOME_QUARANTINED, /* held, and postmaster is told */
    OUTCOME_RELEASED,    /* was held: tried at once */
    OUTCOME_REMOVED,     /* nobody is told */
    OUTCOME_RESOLVED,    /* auth resolved its address: its targets replace it */
};

/* Where a recipient's mail goes. */
enum target_kind {
    TARGET_ACCOUNT, /* deliver; the name is the account's */
    TARGET_RELAY,   /* relay; the name is the destination's (relay_protocol.h) */
    TARGET_ADDRESS, /* not known yet: auth is asked to resolve each address; has no name */
    TARGET_KINDS,
};

enum target_state {
    TARGET_UNKNOWN,
    TARGET_ASKED, /* auth or the master has the question */
    TARGET_KNOWN, /* handle and deliver_number are valid until known_until_ms */
};

struct target_deliver {
    enum target_state state;
    bool is_full; /* over quota; auth was told so by AUTH_FULL */
    uint32_t deliver_number;
    uint64_t handle;
    uint64_t known_until_ms;
    uint64_t asked_ms; /* when auth was last asked */
};

struct target_relay {
    uint64_t hash;      /* of the name: chooses the relay process */
    uint32_t window;    /* messages that may be under way; 0: not known yet, only one may be */
    uint32_t under_way; /* messages under way */
    int64_t tried;      /* when the destination itself last failed, seconds since 1970 */
    uint32_t failures;  /* of the destination itself, in a row */
    char *text;         /* outcome_text of the destination's last failure; NULL: none */
};

struct queue_target {
    struct schedule_destination destination; /* first: the schedule hands it out */
    UT_hash_handle hh;
    struct queue_target *prev, *next; /* in `list` */
    struct queue_target **list;       /* the list of blocked targets that it is in; NULL: none */
    struct queued_group *newest;      /* the newest of its groups */
    uint32_t groups;
    enum target_kind kind;
    union {
        struct target_deliver deliver; /* TARGET_ACCOUNT */
        struct target_relay relay;     /* TARGET_RELAY */
    };
    uint16_t name_octets;
    uint8_t name[];
};

/* The recipients of one message with one target. */
struct queued_group {
    struct schedule_group turns; /* first, so that it can be cast */
    struct queued_message *message;
    struct queue_target *target;
    uint32_t recipients;
};

struct queued_recipient {
    struct schedule_entry entry; /* first: the schedule hands it out */
    struct queued_group *group;
    struct queued_recipient *prev_of_message, *next_of_message;
    struct queued_recipient *prev, *next; /* in the list of its stage */
    char *text;                           /* outcome_text; NULL: none, or no memory for it */
    struct slice resolved; /* OUTCOME_RESOLVED: a list of recipient_targets.h; empty: the address is
                              in another domain */
    const char *address;   /* for the log, valid while its outcome is written (settle.c); NULL: not
                              known */
    uint32_t number;
    uint32_t attempts; /* failed attempts */
    enum queued_stage stage;
    enum queued_outcome outcome;
    int64_t tried;      /* last attempt, seconds since 1970; 0: none since this process started */
    uint8_t notify;     /* enum queue_notify */
    uint8_t deaths;     /* of processes while they had this recipient, see dispatch.h */
    bool again;         /* an earlier attempt may have delivered it */
    bool warned;        /* the sender was told that it waits */
    uint16_t forwarder; /* destination_forwarder(): the domain for SRS; 0: no SRS */
    uint8_t purpose;    /* enum stored_purpose */
    uint8_t wish; /* enum queued_outcome that the administrator wants if the attempt under way is
                     deferred, or OUTCOME_NONE. Not on disk */
};

enum { QUEUED_LOCAL, QUEUED_OUTWARD, QUEUED_SCHEDULES };

/* A sender: the schedule shares turns fairly among senders. */
struct queued_sender {
    UT_hash_handle hh;
    uint64_t key;
    uint32_t messages;
    struct schedule_turn turns[QUEUED_SCHEDULES];
};

struct queued_message {
    struct heap_node deadline; /* first: in `deadlines`, if is_armed */
    UT_hash_handle hh;
    struct queued_sender *sender;
    struct schedule_turn turns[QUEUED_SCHEDULES];
    struct queued_recipient *recipients;
    struct queued_recipient *settling;  /* recipients whose outcomes are to be written */
    struct queued_message *prev, *next; /* in settle's list of messages with outcomes to write */
    uint64_t id;
    uint64_t expires_ms; /* steady time: recipients deferred after this are returned */
    uint64_t warn_ms;    /* steady time of the delay warning; QUEUED_NEVER: none */
    uint32_t recipient_count;
    uint32_t held;
    uint32_t next_number; /* for a recipient to be added */
    bool in_spool;
    bool is_armed;
    bool by_return; /* DELIVERBY in mode R: the sender set expires_ms */
    bool by_notice; /* DELIVERBY in mode N: the sender is warned whatever NOTIFY says of delays */
};

#define QUEUED_NEVER UINT64_MAX

/* All messages, and the two schedules: for local delivery, and for other hosts. Empty when zeroed.
 */
struct queued {
    struct queued_message *messages;            /* by id */
    struct queued_sender *senders;              /* by key */
    struct queue_target *targets[TARGET_KINDS]; /* by name */
    struct schedule schedules[QUEUED_SCHEDULES];
    struct heap deadlines; /* of messages */
    uint64_t message_count;
    uint64_t held_count; /* messages with a held recipient */
    size_t recipient_count;
};

static inline struct queued_message *queued_message_of(const struct queued_recipient *recipient)
{
    return recipient->group->message;
}

static inline struct queue_target *queued_target_of(const struct queued_recipient *recipient)
{
    return recipient->group->target;
}

static inline struct slice queue_target_name(const struct queue_target *target)
{
    return slice_of(target->name, target->name_octets);
}

/* A hash that is the same for a name in every run of the queue. */
uint64_t queued_hash(struct slice name);

/* Frees everything. May run twice. */
void queued_clear(struct queued *queued);

/* NULL: no memory. The message is counted when a recipient leaves QUEUED_NEW: it is not on disk
 * before that. `sender`: any number that the messages of one sender share. */
struct queued_message *queued_add_message(struct queued *queued, uint64_t id, uint64_t sender);
struct queued_message *queued_find_message(const struct queued *queued, uint64_t id);

/* Sets both times; `deadlines` has the message under the earlier one. */
void queued_set_times(struct queued *queued, struct queued_message *message, uint64_t expires_ms,
                      uint64_t warn_ms);
/* Moves the message to another time in `deadlines`. */
void queued_set_deadline(struct queued *queued, struct queued_message *message, uint64_t at_ms);

/* A new recipient, with a `number` that is new in the message. The name is copied; recipients with
 * the same name share one target. NULL: no memory. */
struct queued_recipient *queued_add_recipient(struct queued *queued, struct queued_message *message,
                                              uint32_t number, enum target_kind kind,
                                              struct slice name);

/* Removes the recipient from all lists and the schedule; frees the message with its last one. */
void queued_drop_recipient(struct queued *queued, struct queued_recipient *recipient);
void queued_drop_message(struct queued *queued, struct queued_message *message);

/* Changes the stage, and checks the transition. Only queued_schedule() enters QUEUED_SCHEDULED. */
void queued_enter(struct queued *queued, struct queued_recipient *recipient,
                  enum queued_stage stage);
void queued_schedule(struct queued *queued, struct queued_recipient *recipient, uint64_t due_ms);

/* Keeps a copy of an outcome_text, at most OUTCOME_TEXT_MAX octets; none if there is no memory. */
void queued_set_text(char **kept, struct slice text);

struct queue_target *queued_find_target(const struct queued *queued, enum target_kind kind,
                                        struct slice name);

/* Frees targets that no group refers to and whose state need not be remembered. */
void queued_sweep_targets(struct queued *queued);

#endif
