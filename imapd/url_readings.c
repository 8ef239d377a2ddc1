/*
 * Reads messages for submissions (BURL); see url_readings.h.
 *
 *     the URL is awaited ──CRLF──> it is judged ──> message and part are found ──> octets go out
 *                                     └─ DENIED         └─ MISSING, LATER            └─ end
 *
 * The last answer ends the output; the other side closes.
 */
#include "imapd/url_readings.h"

#include <stddef.h>
#include <stdlib.h>

#include <utlist.h>

#include "common/config/config.h"
#include "common/disk/fd.h"
#include "common/net/stream.h"
#include "common/role/master_protocol.h"
#include "common/role/url_reading.h"
#include "imapd/fetch/url_message.h"

enum {
    HIGH_WATER_OCTETS = 262144,
    OUTPUT_OCTETS = 16 << 20, /* HEADER.FIELDS is written at once */
    ARENA_OCTETS = 1 << 20,   /* of one URL, undone */
    PATIENCE_MS = 30 * 1000,  /* for the URL, and for the end */
    LINGER_MS = 2000,
};

struct url_reading {
    struct url_reading *prev;
    struct url_reading *next;
    struct url_readings *readings;
    struct stream stream;
    struct writer writer;
    struct arena arena;
    struct url_message message;
    bool begun; /* octets of it went out */
    bool ended;
    struct deferred in_next_turn;
    struct deferred at_turn_end;
    size_t account_octets;
    uint8_t account[MASTER_ACCOUNT_MAX];
};

/* ---- birth and death ---- */

static void free_reading(struct url_reading *reading)
{
    struct url_readings *readings = reading->readings;
    turn_cancel(&reading->in_next_turn);
    turn_cancel(&reading->at_turn_end);
    url_message_close(&reading->message);
    writer_clear(&reading->writer);
    stream_clear(&reading->stream);
    arena_clear(&reading->arena);
    DL_DELETE(readings->all, reading);
    free(reading);
}

static void on_turn_end(struct deferred *deferred)
{
    struct url_reading *reading =
        (void *)((uint8_t *)deferred - offsetof(struct url_reading, at_turn_end));
    struct url_readings *readings = reading->readings;
    free_reading(reading);
    if (url_readings_is_empty(readings))
        readings->on_idle(readings);
}

static void on_closed(struct stream *stream, const struct error *why)
{
    (void)why;
    struct url_reading *reading = stream->owner;
    reading->ended = true;
    turn_defer(&reading->readings->mailbox->turn, &reading->at_turn_end);
}

/* ---- answers ---- */

static void log_read(const struct url_reading *reading, const char *result)
{
    const struct mailbox *mailbox = reading->readings->mailbox;
    LOG(mailbox->log, LOG_INFO, "url_read", log_text("account", mailbox->account),
        log_bytes("reader", slice_of(reading->account, reading->account_octets)),
        log_text("result", result));
}

static void finish(struct url_reading *reading, const char *result)
{
    log_read(reading, result);
    url_message_close(&reading->message);
    writer_flush(&reading->writer);
    if (!stream_is_over(&reading->stream))
        stream_finish(&reading->stream, LINGER_MS);
}

static void refuse(struct url_reading *reading, const char *line, const char *result)
{
    buffer_reset(&reading->writer.text);
    buffer_append_string(&reading->writer.text, line);
    finish(reading, result);
}

/* After the first octet an error can only be shown by ending too soon. */
static void fail(struct url_reading *reading, const struct error *error)
{
    if (error->kind == ERROR_NOT_FOUND && !reading->begun) {
        refuse(reading, URL_READING_MISSING, "missing");
        return;
    }
    LOG(reading->readings->mailbox->log, LOG_ERROR, "url_not_read", log_failure(error));
    if (reading->begun)
        stream_fail(&reading->stream, error);
    else
        refuse(reading, URL_READING_LATER, "failed");
}

/* ---- steps ---- */

static void judge(struct url_reading *reading, struct slice url)
{
    struct mailbox *mailbox = reading->readings->mailbox;
    const struct url_reader reader = {
        .submits = true, .account = slice_of(reading->account, reading->account_octets)};
    struct error error;
    struct slice kept = arena_copy(&reading->arena, url);
    if (!kept.ptr || !url_message_parse(mailbox, kept, &reading->arena, &reading->message)
        || !url_message_lets_in(mailbox, &reading->message, &reader))
        refuse(reading, URL_READING_DENIED, "denied");
    else if (!url_message_open(mailbox, &reading->message, &error))
        fail(reading, &error);
}

static void write_octets(struct url_reading *reading)
{
    struct error error;
    enum source_result result = url_message_write(&reading->message, &reading->writer, &error);
    struct slice written = buffer_slice(&reading->writer.text);
    bool is_nil = !reading->begun && slice_equal(written, SLICE("NIL"));
    reading->begun = true;
    if (result == SOURCE_FAILED)
        fail(reading, &error);
    else if (is_nil)
        refuse(reading, URL_READING_MISSING, "missing");
    else if (result == SOURCE_DONE)
        finish(reading, "read");
}

static void step(struct url_reading *reading)
{
    struct error error;
    enum source_result prepared =
        reading->begun ? SOURCE_DONE : url_message_prepare(&reading->message, &error);
    if (prepared == SOURCE_FAILED)
        fail(reading, &error);
    else if (prepared == SOURCE_DONE)
        write_octets(reading);
}

static bool may_step(const struct url_reading *reading)
{
    return reading->message.folder && !reading->ended && !stream_is_over(&reading->stream)
           && !stream_output_full(&reading->stream);
}

static void go_on(struct url_reading *reading)
{
    if (may_step(reading))
        step(reading);
    if (stream_is_over(&reading->stream))
        return;
    writer_flush(&reading->writer);
    if (may_step(reading))
        turn_again(&reading->readings->mailbox->turn, &reading->in_next_turn);
}

static void on_next_turn(struct deferred *deferred)
{
    go_on((void *)((uint8_t *)deferred - offsetof(struct url_reading, in_next_turn)));
}

/* ---- the URL ---- */

static void on_input(struct stream *stream)
{
    struct url_reading *reading = stream->owner;
    struct slice input = stream_input(stream);
    size_t end = slice_find_octet(input, '\n');
    if (reading->message.folder)
        return; /* nothing more is to be said */
    if (end == input.len) {
        if (stream_at_end(stream) || input.len > URL_READING_URL_MAX)
            refuse(reading, URL_READING_DENIED, "denied");
        return;
    }
    struct slice url = slice_range(input, 0, end > 0 ? end - 1 : 0); /* CR */
    stream_consume(stream, end + 1);
    judge(reading, url);
    go_on(reading);
}

static void on_drained(struct stream *stream)
{
    go_on(stream->owner);
}

static void on_deadline(struct stream *stream)
{
    struct error error;
    error_set(&error, ERROR_PEER, "the URL did not come in time");
    stream_fail(stream, &error);
}

static const struct stream_handler handler = {
    .on_input = on_input,
    .on_drained = on_drained,
    .on_deadline = on_deadline,
    .on_closed = on_closed,
};

/* ---- all of them ---- */

void url_readings_init(struct url_readings *readings, struct mailbox *mailbox,
                       void (*on_idle)(struct url_readings *readings))
{
    *readings = (struct url_readings){.mailbox = mailbox, .on_idle = on_idle};
}

void url_readings_clear(struct url_readings *readings)
{
    struct url_reading *reading, *next;
    DL_FOREACH_SAFE (readings->all, reading, next)
        free_reading(reading);
}

bool url_readings_take(struct url_readings *readings, int fd, struct slice account,
                       struct error *error)
{
    struct mailbox *mailbox = readings->mailbox;
    const struct stream_limits limits = {.input = 2 * URL_READING_URL_MAX,
                                         .high_water = HIGH_WATER_OCTETS,
                                         .output = OUTPUT_OCTETS + HIGH_WATER_OCTETS,
                                         .stalled_ms =
                                             (unsigned)mailbox->config->timeouts.write_ms};
    struct url_reading *reading = calloc(1, sizeof(*reading));
    if (!reading) {
        fd_discard(&fd);
        return error_memory(error);
    }
    reading->readings = readings;
    reading->account_octets = account.len;
    memcpy(reading->account, account.ptr, account.len);
    reading->in_next_turn.run = on_next_turn;
    reading->at_turn_end.run = on_turn_end;
    arena_init(&reading->arena, ARENA_OCTETS);
    stream_init(&reading->stream, &mailbox->turn, fd, &handler, &limits);
    reading->stream.owner = reading;
    writer_init(&reading->writer, &reading->stream, OUTPUT_OCTETS);
    stream_set_deadline_ms(&reading->stream, PATIENCE_MS);
    DL_APPEND(readings->all, reading);
    return true;
}
