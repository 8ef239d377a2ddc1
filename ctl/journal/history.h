/*
 * The history of each message: every event that bears a queue id, kept for log.history after the
 * message is gone and within log.history-size octets, in a Berkeley DB environment of the journal's
 * own. Found by id, and by whatever address or Message-ID one of its events names.
 *
 *   events.db   id, time, number  -> kind of role, the record as it came (common/log.h)
 *   names.db    name, 0, id       -> nothing
 *   state.db    "octets"          -> of all the above
 *   statistics.db                    see ctl/journal/statistics.h
 *
 * The history is worth less than the log: a commit is not flushed, and a power cut takes the last
 * seconds. Where the disk is full or broken, events are lost from it and mail goes on. The journal
 * only; one thread, but for checkpoints.
 */
#ifndef CTL_JOURNAL_HISTORY_H
#define CTL_JOURNAL_HISTORY_H

#include "common/buffer.h"
#include "common/error.h"
#include "common/log.h"
#include "ctl/journal/statistics.h"

struct history;

struct history_options {
    const char *directory;
    uint64_t age_us;     /* kept so long after a message's last event */
    uint64_t octets_max; /* then the oldest go first */
    void (*on_message)(void *context, const char *message);
    void *context;
};

enum { HISTORY_NAME_MAX = 512, HISTORY_ID_MAX = 64 };

/* Opens and recovers. A corrupt one is set aside below `corrupt-<time>`, and a new one begun. */
bool history_open(const struct history_options *options, struct history **history,
                  struct error *error);
void history_close(struct history *history); /* commits; NULL is fine */

/* From now on as much as these options say; what is too much goes with the next prunes. */
void history_keep(struct history *history, uint64_t age_us, uint64_t octets_max);

/* Counts the event, and keeps it if it bears a queue id: `record` is the one that `entry` was
 * parsed from. In a transaction that history_commit() ends. False: it is lost, and all since the
 * last commit. */
bool history_note(struct history *history, unsigned role_kind, struct slice record,
                  const struct log_entry *entry, struct error *error);
bool history_commit(struct history *history, struct error *error);

/* Borrowed, to be read after a commit. */
struct statistics *history_statistics(struct history *history);

/* Makes recovery short and the database's log small. Any thread; it waits for the disk. To be done
 * at leisure, or, where there is none, once the log is long. */
bool history_wants_checkpoint(const struct history *history, bool at_leisure);
bool history_checkpoint(struct history *history, struct error *error);

/* False: close it, and open it again. */
bool history_usable(const struct history *history);

/* Removes what is too old or too much: a bounded part of it, oldest first. *more: there is. */
bool history_prune(struct history *history, uint64_t now_us, bool *more, struct error *error);

/* A message's events part by part. Zeroed but for `most`, it begins at the first. */
struct history_part {
    size_t most; /* events of a part */
    bool more;   /* there may be others behind it */
    uint8_t from[HISTORY_ID_MAX + 16];
    size_t from_octets;
};

/* The events of a message, oldest first, to `visit`; it may end that by returning false. part:
 * the next one of them, or NULL: all. Commits what is open. False on failure. */
typedef bool history_visit(void *context, unsigned role_kind, const struct log_entry *entry);
bool history_read(struct history *history, struct slice id, struct history_part *part,
                  history_visit *visit, void *context, struct error *error);

/* The ids of the newest messages with that name (an address, a Message-ID without its brackets; in
 * any case), newest first: up to `most`, each HISTORY_ID_MAX octets at most. Returns how many;
 * -1 on failure. */
int history_find(struct history *history, struct slice name, size_t most,
                 char (*ids)[HISTORY_ID_MAX + 1], struct error *error);

#endif
