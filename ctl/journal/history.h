/*
 * The history of each message: all events with its queue id, kept for log.history after the last
 * one and within log.history-size octets, in a Berkeley DB environment of the journal's own. Found
 * by the id, and by the addresses and the Message-ID in these events.
 *
 *   events.db   id, time, number  -> kind of role, the record as it came (common/log.h)
 *   names.db    name, 0, id       -> nothing
 *   state.db    "octets"          -> of all the above
 *   statistics.db                    see ctl/journal/statistics.h
 *
 * The history is less important than the log: commits are not flushed, and a power cut loses the
 * last seconds. If the disk is full or broken, events are lost, and mail goes on. The journal only;
 * one thread, but for checkpoints.
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
    uint64_t age_us;     /* how long events are kept after a message's last one */
    uint64_t octets_max; /* above it the oldest messages are removed */
    void (*on_message)(void *context, const char *message);
    void *context;
};

enum { HISTORY_NAME_MAX = 512, HISTORY_ID_MAX = 64 };

/* Opens and recovers. A corrupt environment is moved to `corrupt-<time>`, and a new one is
 * begun. */
bool history_open(const struct history_options *options, struct history **history,
                  struct error *error);
void history_close(struct history *history); /* commits; NULL is fine */

/* Sets new limits; the next prunes remove what exceeds them. */
void history_keep(struct history *history, uint64_t age_us, uint64_t octets_max);

/* Counts the event, and keeps it if it has a queue id. `record`: what `entry` was parsed from. In a
 * transaction that history_commit() ends. False: this event and all since the last commit are lost.
 */
bool history_note(struct history *history, unsigned role_kind, struct slice record,
                  const struct log_entry *entry, struct error *error);
bool history_commit(struct history *history, struct error *error);

/* Borrowed, to be read after a commit. */
struct statistics *history_statistics(struct history *history);

/* A checkpoint shortens recovery and the database's log. Any thread; it waits for the disk. Wanted
 * when there is time, or when the log has become long. */
bool history_wants_checkpoint(const struct history *history, bool at_leisure);
bool history_checkpoint(struct history *history, struct error *error);

/* False: it must be closed and opened again. */
bool history_usable(const struct history *history);

/* Removes a bounded part of what exceeds the limits, oldest first. *more: not all of it. */
bool history_prune(struct history *history, uint64_t now_us, bool *more, struct error *error);

/* Reads a message's events in parts. Zeroed but for `most`, it begins at the first event. */
struct history_part {
    size_t most; /* events in a part */
    bool more;   /* other events may follow this part */
    uint8_t from[HISTORY_ID_MAX + 16];
    size_t from_octets;
};

/* Calls `visit` for the events of a message, oldest first, until it returns false. `part`: only the
 * next part of them; NULL: all. Commits the open transaction. False on failure. */
typedef bool history_visit(void *context, unsigned role_kind, const struct log_entry *entry);
bool history_read(struct history *history, struct slice id, struct history_part *part,
                  history_visit *visit, void *context, struct error *error);

/* The ids of the newest messages with that name (an address, or a Message-ID without its brackets;
 * ignoring case), newest first: up to `most`, each of at most HISTORY_ID_MAX octets. Returns their
 * number; -1 on failure. */
int history_find(struct history *history, struct slice name, size_t most,
                 char (*ids)[HISTORY_ID_MAX + 1], struct error *error);

#endif
