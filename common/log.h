/*
 * Events: what any role has to say to the administrator. One event is one line; its name and fields
 * are listed in docs/log.md. A role hands its events to `journal` and never waits: what a full
 * socket does not take is dropped and counted, and the next event that gets through says how many.
 *
 *     LOG(session->log, LOG_INFO, "delivered", log_id("queue_id", message->id),
 *         log_bytes("to", recipient->address), log_number("delay_ms", delay_ms));
 *
 * The type of a field decides its escaping, so no caller can forget it. Never a password, an AUTH
 * line, or a body.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include "common/buffer.h"
#include "common/error.h"
#include "common/slice.h"

enum log_level {
    LOG_DEBUG, /* no line is written of it */
    LOG_INFO,
    LOG_WARNING, /* someone should look, not now */
    LOG_ERROR,   /* someone should look now */
};

enum log_field_type {
    LOG_FIELD_BYTES = 1, /* a peer's octets: quoted and escaped */
    LOG_FIELD_TEXT,      /* our own words: quoted where they have spaces */
    LOG_FIELD_NUMBER,
    LOG_FIELD_HEX, /* a number as hexadecimal digits: sessions */
    LOG_FIELD_ID,  /* an identifier of ours: letters, digits, '-', '.', '_' and '@' as they are */
};

struct log_field {
    const char *key; /* lower case, '_' between words; static */
    enum log_field_type type;
    struct slice bytes;
    int64_t number;
};

/* Where a process says things. One a process, set up by its main(). */
struct log {
    int fd; /* socket to journal; -1: lines go to standard error */
    const char *role;
    uint32_t pid;
    enum log_level threshold; /* events below it are not sent */
    uint64_t dropped;         /* since the last event that got through */
};

enum { LOG_FIELDS_MAX = 24, LOG_VALUE_MAX = 1024 };

void log_init(struct log *log, int fd, const char *role);

#define LOG(log, level, event, ...)                                                                \
    log_event((log), (level), (event), (const struct log_field[]){__VA_ARGS__},                    \
              sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))

void log_event(struct log *log, enum log_level level, const char *event,
               const struct log_field *fields, size_t count);

/* An event of level LOG_DEBUG that is sent all the same: the history keeps it
 * (ctl/journal/history.h). */
void log_detail(struct log *log, const char *event, const struct log_field *fields, size_t count);

static inline struct log_field log_bytes(const char *key, struct slice bytes)
{
    return (struct log_field){.key = key, .type = LOG_FIELD_BYTES, .bytes = bytes};
}

static inline struct log_field log_text(const char *key, const char *text)
{
    return (struct log_field){.key = key, .type = LOG_FIELD_TEXT, .bytes = slice_of_string(text)};
}

static inline struct log_field log_number(const char *key, int64_t number)
{
    return (struct log_field){.key = key, .type = LOG_FIELD_NUMBER, .number = number};
}

static inline struct log_field log_hex(const char *key, uint64_t number)
{
    return (struct log_field){.key = key, .type = LOG_FIELD_HEX, .number = (int64_t)number};
}

static inline struct log_field log_id(const char *key, const char *id)
{
    return (struct log_field){.key = key, .type = LOG_FIELD_ID, .bytes = slice_of_string(id)};
}

/* The text of an error as field `error`. */
static inline struct log_field log_failure(const struct error *error)
{
    return log_text("error", error->text);
}

/* --- For journal ----------------------------------------------------------------------------- */

/* An event as it came out of a role's record. Borrowed from the record. */
struct log_entry {
    uint64_t time_us; /* since 1970, by the role's clock */
    uint32_t pid;
    enum log_level level;
    uint64_t dropped; /* events lost before this one */
    struct slice role;
    struct slice event;
    struct log_field fields[LOG_FIELDS_MAX];
    struct slice keys[LOG_FIELDS_MAX]; /* fields[i].key is not set: the key is here */
    size_t field_count;
};

/* One record of a role. False, ERROR_PEER: malformed. Pure. */
bool log_entry_parse(struct slice record, struct log_entry *entry, struct error *error);

/* The line "event=… key=value …", without time, level and newline. */
void log_entry_format(const struct log_entry *entry, struct buffer *line);

#endif
