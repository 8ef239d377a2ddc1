/*
 * What the queue knows of its messages without looking on disk: who is to get which, and how far
 * each is. Some hundred octets a recipient; everything else is in the store. Memory only, the
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
 *
 *   sender ──< message ──< group ──< recipient        a group: the recipients of one message
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
    QUEUED_SCHEDULED, /* in the schedule, or its destination is being asked for */
    QUEUED_UNDER_WAY, /* deliver or relay has it, or `auth` the question who it is */
    QUEUED_UNFLUSHED, /* in the Maildir, the disk has yet to be told */
    QUEUED_SETTLING,  /* the outcome is known and on its way to the store */
    QUEUED_HELD,      /* waits for an administrator */
};

/* What became of an attempt: what QUEUED_SETTLING has to write. */
enum queued_outcome {
    OUTCOME_NONE,
    OUTCOME_DELIVERED,
    OUTCOME_RELAYED,       /* another host has it */
    OUTCOME_RELAYED_TOLD,  /* and will report success itself */
    OUTCOME_RELAYED_NOTED, /* and the sender is told so, whatever success means to him */
    OUTCOME_DEFERRED,      /* later again, or returned where its time is over */
    OUTCOME_FAILED,        /* returned */
    OUTCOME_EXPIRED,       /* returned: its time is over, and its destination did not answer */
    OUTCOME_WARNED,        /* waits on; its sender is told so */
    OUTCOME_HELD,
    OUTCOME_QUARANTINED, /* held, and postmaster is told */
    OUTCOME_RELEASED,    /* from being held: tried at once */
    OUTCOME_REMOVED,     /* nobody is told */
    OUTCOME_RESOLVED,    /* who is behind its address is known: they take its place */
};

/* Where a recipient's mail goes. */
enum target_kind {
    TARGET_ACCOUNT, /* deliver; the name is the account's */
    TARGET_RELAY,   /* relay; the name is the destination's (relay_protocol.h) */
    TARGET_ADDRESS, /* nobody knows yet: auth is asked who is behind the address; without a name */
    TARGET_KINDS,
};

enum target_state {
    TARGET_UNKNOWN,
    TARGET_ASKED, /* auth or the master has the question */
    TARGET_KNOWN, /* handle and deliver_number are good until known_until_ms */
};

struct target_deliver {
    enum target_state state;
    bool is_full; /* auth was told so */
    uint32_t deliver_number;
    uint64_t handle;
    uint64_t known_until_ms;
    uint64_t asked_ms; /* when it was asked for last */
};

struct target_relay {
    uint64_t hash;      /* of the name: which relay process */
    uint32_t window;    /* messages that may be under way; 0: as one, nothing is known yet */
    uint32_t under_way; /* messages */
    int64_t tried;      /* it, when it failed last, seconds since 1970 */
    uint32_t failures;  /* in a row, of the destination itself */
    char *text;         /* of the last such failure, an outcome_text; NULL: none */
};

struct queue_target {
    struct schedule_destination destination; /* first: the schedule hands it out */
    UT_hash_handle hh;
    struct queue_target *prev, *next; /* in `list` */
    struct queue_target **list;       /* of those that wait for the same thing, blocked; or NULL */
    struct queued_group *newest;      /* of its groups */
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
    struct schedule_group turns; /* first */
    struct queued_message *message;
    struct queue_target *target;
    uint32_t recipients;
};

struct queued_recipient {
    struct schedule_entry entry; /* first: the schedule hands it out */
    struct queued_group *group;
    struct queued_recipient *prev_of_message, *next_of_message;
    struct queued_recipient *prev, *next; /* in the list of its stage */
    char *text;                           /* of the outcome; NULL: none, or no memory for it */
    struct slice resolved; /* OUTCOME_RESOLVED: a list of recipient_targets.h; empty: the address
                              is elsewhere */
    const char *address;   /* as its row has it, for the log: good only while its outcome is written
                              (settle.c); NULL: not known */
    uint32_t number;
    uint32_t attempts; /* made and failed */
    enum queued_stage stage;
    enum queued_outcome outcome;
    int64_t tried;      /* the last attempt, seconds since 1970; 0: none in this life */
    uint8_t notify;     /* enum queue_notify */
    uint8_t deaths;     /* of processes that had it, see dispatch.h */
    bool again;         /* an attempt may have been written */
    bool warned;        /* the sender knows that it waits */
    uint16_t forwarder; /* leaves with a reverse-path of ours: destination_forwarder(); else 0 */
    uint8_t purpose;    /* enum stored_purpose */
    uint8_t wish; /* enum queued_outcome: what it is to come to if its attempt fails for now, as
                     the administrator wants; OUTCOME_NONE. Memory only */
};

enum { QUEUED_LOCAL, QUEUED_OUTWARD, QUEUED_SCHEDULES };

/* Whom turns are shared among. */
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
    struct queued_recipient *settling;  /* outcomes to be written */
    struct queued_message *prev, *next; /* messages with some */
    uint64_t id;
    uint64_t expires_ms; /* steady time: what is deferred after that is returned */
    uint64_t warn_ms;    /* steady time: then the sender is told that it waits; or QUEUED_NEVER */
    uint32_t recipient_count;
    uint32_t held;
    uint32_t next_number; /* for a recipient to be added */
    bool in_spool;
    bool is_armed;
    bool by_return; /* DELIVERBY: expires_ms is what the sender wants */
    bool by_notice; /* DELIVERBY: at warn_ms its sender is told, whatever NOTIFY says of delays */
};

#define QUEUED_NEVER UINT64_MAX

/* All of them, and their schedules: of what is delivered here, and of what leaves. Zeroed it is
 * empty. */
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

/* The same number for the same name in every life of the queue. */
uint64_t queued_hash(struct slice name);

/* Frees everything. May run twice. */
void queued_clear(struct queued *queued);

/* NULL: no memory. Not on disk, so in nobody's count until a recipient leaves QUEUED_NEW. `sender`
 * is any number that messages of one sender share. */
struct queued_message *queued_add_message(struct queued *queued, uint64_t id, uint64_t sender);
struct queued_message *queued_find_message(const struct queued *queued, uint64_t id);

/* Sets both times; the message is in `deadlines` under the sooner. */
void queued_set_times(struct queued *queued, struct queued_message *message, uint64_t expires_ms,
                      uint64_t warn_ms);
/* Out of the deadlines and back under another time. */
void queued_set_deadline(struct queued *queued, struct queued_message *message, uint64_t at_ms);

/* A new recipient; the name is copied, and one target is shared by all with the same. `number` is
 * new in the message. NULL: no memory. */
struct queued_recipient *queued_add_recipient(struct queued *queued, struct queued_message *message,
                                              uint32_t number, enum target_kind kind,
                                              struct slice name);

/* Out of every list and of the schedule; frees a message with its last recipient's. */
void queued_drop_recipient(struct queued *queued, struct queued_recipient *recipient);
void queued_drop_message(struct queued *queued, struct queued_message *message);

/* The step is checked. Into QUEUED_SCHEDULED only by queued_schedule(). */
void queued_enter(struct queued *queued, struct queued_recipient *recipient,
                  enum queued_stage stage);
void queued_schedule(struct queued *queued, struct queued_recipient *recipient, uint64_t due_ms);

/* Keeps a copy of an outcome_text, OUTCOME_TEXT_MAX octets of it; out of memory it keeps none. */
void queued_set_text(char **kept, struct slice text);

struct queue_target *queued_find_target(const struct queued *queued, enum target_kind kind,
                                        struct slice name);

/* Frees the targets that nobody points to and of which nothing has to be remembered. */
void queued_sweep_targets(struct queued *queued);

#endif
