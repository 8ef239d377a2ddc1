/* Events on their way to journal, and back into lines; see log.h. Any process. */
#include "common/log.h"

#include <errno.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "common/text/cursor.h"

/* The record: fixed head, then role and event, then the fields: type, key, value, each run of
 * octets after a 16-bit length. Numbers are in host order: it never leaves the host. */
struct record_head {
    uint32_t magic;
    uint32_t pid;
    uint64_t time_us;
    uint64_t dropped;
    uint8_t level;
    uint8_t field_count;
};

enum { MAGIC = 0x6c6f6731, USUAL_MAX = 1024, RECORD_MAX = 32768 };

void log_init(struct log *log, int fd, const char *role)
{
    *log = (struct log){
        .fd = fd, .role = role, .pid = (uint32_t)getpid(), .threshold = LOG_INFO, .dropped = 0};
}

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void put_run(struct buffer *record, struct slice octets)
{
    octets = slice_range(octets, 0, LOG_VALUE_MAX);
    uint16_t length = (uint16_t)octets.len;
    buffer_append(record, slice_of(&length, sizeof(length)));
    buffer_append(record, octets);
}

static bool is_number(enum log_field_type type)
{
    return type == LOG_FIELD_NUMBER || type == LOG_FIELD_HEX;
}

static void put_field(struct buffer *record, const struct log_field *field)
{
    buffer_append_octet(record, (uint8_t)field->type);
    put_run(record, slice_of_string(field->key));
    if (is_number(field->type))
        put_run(record, slice_of(&field->number, sizeof(field->number)));
    else
        put_run(record, field->bytes);
}

static void write_line(struct slice record)
{
    struct log_entry entry;
    struct buffer line = BUFFER_WITH_LIMIT(RECORD_MAX * 4);
    if (log_entry_parse(record, &entry, NULL)) {
        log_entry_format(&entry, &line);
        buffer_append_octet(&line, '\n');
        fd_write_all(STDERR_FILENO, buffer_slice(&line), NULL); /* nowhere to complain to */
    }
    buffer_clear(&line);
}

/* False: there is no room for it. */
static bool put_event(struct buffer *record, const struct log *log, const char *event,
                      const struct record_head *head, const struct log_field *fields)
{
    buffer_append(record, slice_of(head, sizeof(*head)));
    put_run(record, slice_of_string(log->role));
    put_run(record, slice_of_string(event));
    for (size_t i = 0; i < head->field_count; i++)
        put_field(record, &fields[i]);
    return !record->failed;
}

static void send_event(struct log *log, struct slice record)
{
    if (log->fd < 0)
        write_line(record);
    else if (send(log->fd, record.ptr, record.len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        log->dropped++;
    else
        log->dropped = 0;
}

/* Lives on the stack: an event must get out where there is no memory left. */
#define STACK_RECORD(octets)                                                                       \
    {                                                                                              \
        .ptr = (octets), .capacity = sizeof(octets), .limit = sizeof(octets)                       \
    }

static __attribute__((noinline)) void send_long_event(struct log *log, const char *event,
                                                      const struct record_head *head,
                                                      const struct log_field *fields)
{
    uint8_t octets[RECORD_MAX];
    struct buffer record = STACK_RECORD(octets);
    put_event(&record, log, event, head, fields);
    send_event(log, buffer_slice(&record));
}

static void make_event(struct log *log, enum log_level level, const char *event,
                       const struct log_field *fields, size_t count)
{
    int code = errno;
    uint8_t octets[USUAL_MAX]; /* a larger one would touch pages that few events need */
    struct buffer record = STACK_RECORD(octets);
    struct record_head head = {
        .magic = MAGIC,
        .pid = log->pid,
        .time_us = now_us(),
        .dropped = log->dropped,
        .level = (uint8_t)level,
        .field_count = (uint8_t)(count < LOG_FIELDS_MAX ? count : LOG_FIELDS_MAX),
    };
    if (put_event(&record, log, event, &head, fields))
        send_event(log, buffer_slice(&record));
    else
        send_long_event(log, event, &head, fields);
    errno = code;
}

void log_event(struct log *log, enum log_level level, const char *event,
               const struct log_field *fields, size_t count)
{
    if (level >= log->threshold)
        make_event(log, level, event, fields, count);
}

void log_detail(struct log *log, const char *event, const struct log_field *fields, size_t count)
{
    if (log->fd < 0)
        return;
    /* What was lost is said by the next event that becomes a line. */
    uint64_t dropped = log->dropped;
    log->dropped = 0;
    make_event(log, LOG_DEBUG, event, fields, count);
    log->dropped += dropped;
}

/* --- Reading --------------------------------------------------------------------------------- */

static bool take_octets(struct cursor *in, void *octets, size_t count)
{
    if (cursor_left(in) < count)
        return false;
    memcpy(octets, in->at, count);
    in->at += count;
    return true;
}

static bool take_run(struct cursor *in, struct slice *octets)
{
    uint16_t length;
    if (!take_octets(in, &length, sizeof(length)) || length > LOG_VALUE_MAX
        || cursor_left(in) < length)
        return false;
    *octets = slice_of(in->at, length);
    in->at += length;
    return true;
}

/* A key or an event name is ours: lower-case letters, digits and '_' (an event: '-' too). */
static bool is_name(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t octet = text.ptr[i];
        if (!(octet >= 'a' && octet <= 'z') && !ascii_is_digit(octet) && octet != '_'
            && octet != '-')
            return false;
    }
    return text.len > 0;
}

static bool take_field(struct cursor *in, struct log_field *field, struct slice *key)
{
    uint8_t type;
    if (!take_octets(in, &type, 1) || type < LOG_FIELD_BYTES || type > LOG_FIELD_ID
        || !take_run(in, key) || !is_name(*key) || !take_run(in, &field->bytes))
        return false;
    field->type = type;
    field->key = NULL;
    if (!is_number(field->type))
        return true;
    if (field->bytes.len != sizeof(field->number))
        return false;
    memcpy(&field->number, field->bytes.ptr, sizeof(field->number));
    return true;
}

bool log_entry_parse(struct slice record, struct log_entry *entry, struct error *error)
{
    struct cursor in = cursor_of(record);
    struct record_head head;
    if (!take_octets(&in, &head, sizeof(head)) || head.magic != MAGIC || head.level > LOG_ERROR
        || head.field_count > LOG_FIELDS_MAX)
        return error_set(error, ERROR_PEER, "malformed event");
    *entry = (struct log_entry){.time_us = head.time_us,
                                .pid = head.pid,
                                .level = head.level,
                                .dropped = head.dropped,
                                .field_count = head.field_count};
    bool whole =
        take_run(&in, &entry->role) && take_run(&in, &entry->event) && is_name(entry->event);
    for (size_t i = 0; whole && i < entry->field_count; i++)
        whole = take_field(&in, &entry->fields[i], &entry->keys[i]);
    if (!whole || !cursor_at_end(&in))
        return error_set(error, ERROR_PEER, "malformed event");
    return true;
}

static bool is_plain(uint8_t octet)
{
    return octet > 0x20 && octet < 0x7f && octet != '"' && octet != '\\' && octet != '=';
}

static void put_quoted(struct buffer *line, struct slice text)
{
    static const char hex[] = "0123456789abcdef";
    buffer_append_octet(line, '"');
    for (size_t i = 0; i < text.len; i++) {
        uint8_t octet = text.ptr[i];
        if (octet == '"' || octet == '\\') {
            buffer_append_octet(line, '\\');
            buffer_append_octet(line, octet);
        } else if (octet >= 0x20 && octet < 0x7f) {
            buffer_append_octet(line, octet);
        } else {
            buffer_append(line, SLICE("\\x"));
            buffer_append_octet(line, (uint8_t)hex[octet >> 4]);
            buffer_append_octet(line, (uint8_t)hex[octet & 15]);
        }
    }
    buffer_append_octet(line, '"');
}

static void put_value(struct buffer *line, const struct log_field *field)
{
    bool plain = field->bytes.len > 0;
    for (size_t i = 0; i < field->bytes.len; i++)
        plain = plain && is_plain(field->bytes.ptr[i]);
    if (field->type == LOG_FIELD_NUMBER)
        buffer_append_format(line, "%lld", (long long)field->number);
    else if (field->type == LOG_FIELD_HEX)
        buffer_append_format(line, "%llx", (unsigned long long)field->number);
    else if (plain)
        buffer_append(line, field->bytes);
    else
        put_quoted(line, field->bytes);
}

void log_entry_format(const struct log_entry *entry, struct buffer *line)
{
    buffer_append(line, SLICE("event="));
    buffer_append(line, entry->event);
    for (size_t i = 0; i < entry->field_count; i++) {
        buffer_append_octet(line, ' ');
        buffer_append(line, entry->keys[i]);
        buffer_append_octet(line, '=');
        put_value(line, &entry->fields[i]);
    }
    if (entry->dropped > 0)
        buffer_append_format(line, " events_lost=%llu", (unsigned long long)entry->dropped);
}
