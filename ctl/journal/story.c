/*
 * Sentences for events; see story.h. A sentence has fields of its event in braces. An event without
 * a sentence is shown as in the log.
 */
#include "ctl/journal/story.h"

#include <time.h>

#include "common/role/role_kind.h"
#include "common/size.h"
#include "common/text/json.h"
#include "common/text/printable.h"

enum { SAID_MAX = LOG_FIELDS_MAX * LOG_VALUE_MAX };

/* Events of older versions have no address. */
#define FOR_WHOM " for[ <{to}>][ ({account})][ ({destination})][, {copy}]"

static const struct sentence {
    const char *event, *words;
} sentences[] = {
    {"recipient", "recipient <{to}> accepted, from <{from}>"},
    {"message", "taken from {client}: from <{from}>, {octets} octets, recipients: {recipients}; "
                "250 was said"},
    {"message_refused", "refused to {client}: {code} {enhanced} {text}"},
    {"content", "its Message-ID is {message_id}"},
    {"queued", "on disk: {octets} octets, recipients: {recipients}"},
    {"refused", "not stored: {error}"},
    {"delivered", "delivered to {account} for <{to}>, {delay_s} s after it came"},
    {"not_delivered", "not delivered to {account} for <{to}>: {result}"},
    {"copy_filed", "a copy for {account}, who submitted it: {result}"},
    {"copy_not_filed", "no copy yet for {account}, who submitted it: {result}"},
    {"relayed",
     "sent to {host} for <{to}>[, {tls}, certificate verified: {verified}]"
     "[, TLS demanded by {demanded_by}][, without TLS, which failed: {broken_tls}]: {reply}"},
    {"not_relayed", "not sent[ to {host}] for <{to}>[, TLS demanded by {demanded_by}]: {result}"
                    "[; it said: {reply}]"},
    {"attempt", "attempt at {destination}[ by {host}], {ms} ms[, {tls}, {cipher}, certificate "
                "verified: {verified}][, TLS demanded by {demanded_by}]: {result}"},
    {"deferred", "next attempt" FOR_WHOM " in {next_s} s, {attempts} came to nothing: {=reply}"},
    {"delayed", "not there yet, which its sender is told," FOR_WHOM ": {=reply}"},
    {"failed", "given up" FOR_WHOM ": {=reply}"},
    {"held", "held until an administrator releases it," FOR_WHOM "[: {=reply}]"},
    {"quarantined", "held, since its delivery kills processes," FOR_WHOM ": {=reply}"},
    {"released", "released by an administrator" FOR_WHOM},
    {"removed", "removed by an administrator" FOR_WHOM},
    {"tls_report", "report of TLS connections to the servers of {domain}, to <{to}>"},
    {"report", "<{to}> is told, by message {report}"},
    {"commit_unknown", "the queue died while it came; no reply was given"},
    {"body_unreadable", "its content could not be read: {error}"},
    {"unreadable", "its record cannot be read: {error}"},
};

static const struct log_field *find_field(const struct log_entry *entry, struct slice key)
{
    for (size_t i = 0; i < entry->field_count; i++)
        if (slice_equal(entry->keys[i], key))
            return &entry->fields[i];
    return NULL;
}

/* A peer's text may have any octets: only those safe for a terminal stay, in one line. */
static void put_text(struct buffer *out, struct slice text)
{
    while (text.len > 0) {
        uint8_t octet = text.ptr[0], next = text.len > 1 ? text.ptr[1] : '\n';
        size_t octets = printable_character(text);
        if (octets > 0)
            buffer_append(out, slice_range(text, 0, octets));
        else if (octet == '\n' && next != '\n')
            buffer_append(out, SLICE(" | "));
        else if (octet == '\r' && next != '\n') /* between the lines of a server's reply */
            buffer_append(out, SLICE(" / "));
        else if (octet != '\r' && octet != '\n')
            buffer_append_octet(out, '?');
        text = slice_from(text, octets > 0 ? octets : 1);
    }
}

static struct slice take_line(struct slice *text)
{
    size_t end = slice_find_octet(*text, '\n');
    struct slice line = slice_range(*text, 0, end);
    *text = slice_from(*text, end + 1);
    return line;
}

/* Words, the server's reply, the server: smtpd/queue/outcome/outcome_text.h. */
static void put_outcome(struct buffer *out, struct slice text)
{
    struct slice words = take_line(&text), reply = take_line(&text), server = take_line(&text);
    put_text(out, words);
    if (server.len > 0) {
        buffer_append(out, reply.len > 0 ? SLICE("; ") : SLICE(", at "));
        put_text(out, server);
    }
    if (reply.len > 0) {
        buffer_append(out, server.len > 0 ? SLICE(" said: ") : SLICE("; it said: "));
        put_text(out, reply);
    }
}

/* A key after '=': an outcome. */
static void put_field(struct buffer *out, const struct log_entry *entry, struct slice key)
{
    bool is_outcome = slice_starts_with(key, SLICE("="));
    const struct log_field *field = find_field(entry, slice_from(key, is_outcome));
    if (field && is_outcome)
        put_outcome(out, field->bytes);
    else if (!field)
        buffer_append_octet(out, '-');
    else if (field->type == LOG_FIELD_NUMBER)
        buffer_append_format(out, "%lld", (long long)field->number);
    else if (field->type == LOG_FIELD_HEX)
        buffer_append_format(out, "%llx", (unsigned long long)field->number);
    else
        put_text(out, field->bytes);
}

static bool is_empty(const struct log_entry *entry, struct slice key)
{
    const struct log_field *field = find_field(entry, key);
    return !field || field->bytes.len == 0;
}

/* Words with fields in braces, none in brackets. */
static void put_words(struct buffer *out, const struct log_entry *entry, struct slice words)
{
    while (words.len > 0) {
        size_t open = slice_find_octet(words, '{');
        size_t close = slice_find_octet(words, '}');
        buffer_append(out, slice_range(words, 0, open));
        if (open < words.len)
            put_field(out, entry, slice_range(words, open + 1, close));
        words = slice_from(words, open < words.len ? close + 1 : open);
    }
}

static bool lacks_a_field(const struct log_entry *entry, struct slice words)
{
    size_t open;
    while ((open = slice_find_octet(words, '{')) < words.len) {
        size_t close = slice_find_octet(words, '}');
        size_t key = open + 1 + (words.ptr[open + 1] == '=');
        if (is_empty(entry, slice_range(words, key, close)))
            return true;
        words = slice_from(words, close + 1);
    }
    return false;
}

static void put_sentence(struct buffer *out, const struct log_entry *entry, struct slice words)
{
    while (words.len > 0) {
        size_t open = slice_find_octet(words, '[');
        size_t close = slice_find_octet(words, ']');
        put_words(out, entry, slice_range(words, 0, open));
        struct slice inner = slice_range(words, open + 1, close);
        if (open < words.len && !lacks_a_field(entry, inner))
            put_words(out, entry, inner);
        words = slice_from(words, open < words.len ? close + 1 : open);
    }
}

static void put_time(struct buffer *out, uint64_t time_us)
{
    char text[64];
    struct tm parts;
    time_t seconds = (time_t)(time_us / 1000000);
    gmtime_r(&seconds, &parts);
    size_t length = strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &parts);
    buffer_append(out, slice_of(text, length));
    buffer_append_format(out, ".%03uZ  ", (unsigned)(time_us % 1000000 / 1000));
}

/* ---- the conversation of an attempt ---- */

/* Fields of that name are pieces of one text. */
static void gather_said(const struct log_entry *entry, struct buffer *said)
{
    for (size_t i = 0; i < entry->field_count; i++)
        if (slice_equal(entry->keys[i], SLICE("said")))
            buffer_append(said, entry->fields[i].bytes);
}

static void put_said(struct buffer *out, const struct log_entry *entry)
{
    struct buffer said = BUFFER_WITH_LIMIT(SAID_MAX);
    gather_said(entry, &said);
    struct slice rest = buffer_slice(&said);
    while (rest.len > 0) {
        size_t end = slice_find_octet(rest, '\n');
        buffer_append(out, SLICE("    "));
        put_text(out, slice_range(rest, 0, end));
        buffer_append_octet(out, '\n');
        rest = slice_from(rest, end + 1);
    }
    buffer_clear(&said);
}

static bool is_attempt(unsigned role_kind, const struct log_entry *entry)
{
    return role_kind == ROLE_RELAY && slice_equal(entry->event, SLICE("attempt"));
}

static const char *sentence_of(const struct log_entry *entry)
{
    for (size_t i = 0; i < ARRAY_LENGTH(sentences); i++)
        if (slice_equal(entry->event, slice_of_string(sentences[i].event)))
            return sentences[i].words;
    return NULL;
}

void story_format(unsigned role_kind, const struct log_entry *entry, struct buffer *out)
{
    const char *words = sentence_of(entry);
    put_time(out, entry->time_us);
    if (words)
        put_sentence(out, entry, slice_of_string(words));
    else
        log_entry_format(entry, out);
    buffer_append_format(out, "  [%s]\n", role_kind_name(role_kind));
    if (is_attempt(role_kind, entry))
        put_said(out, entry);
}

bool story_format_attempt(unsigned role_kind, const struct log_entry *entry, struct buffer *out)
{
    if (!is_attempt(role_kind, entry))
        return false;
    put_time(out, entry->time_us);
    put_sentence(out, entry, slice_of_string(sentence_of(entry)));
    buffer_append_octet(out, '\n');
    put_said(out, entry);
    return true;
}

static void put_json_fields(struct buffer *out, const struct log_entry *entry)
{
    static const char *const keys[] = {"destination", "host",        "tls",   "cipher",
                                       "verified",    "demanded_by", "result"};
    for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
        const struct log_field *field = find_field(entry, slice_of_string(keys[i]));
        json_field(out, keys[i], field ? field->bytes : SLICE(""));
    }
}

static void put_json_said(struct buffer *out, const struct log_entry *entry)
{
    struct buffer said = BUFFER_WITH_LIMIT(SAID_MAX);
    gather_said(entry, &said);
    struct slice rest = buffer_slice(&said);
    buffer_append(out, SLICE(",\"transcript\":["));
    while (rest.len > 0) {
        size_t end = slice_find_octet(rest, '\n');
        json_string(out, slice_range(rest, 0, end));
        rest = slice_from(rest, end + 1);
        if (rest.len > 0)
            buffer_append_octet(out, ',');
    }
    buffer_append(out, SLICE("]"));
    buffer_clear(&said);
}

bool story_format_attempt_json(unsigned role_kind, const struct log_entry *entry, bool first,
                               struct buffer *out)
{
    if (!is_attempt(role_kind, entry))
        return false;
    const struct log_field *ms = find_field(entry, SLICE("ms"));
    buffer_append_format(out, "%s{\"ended_ms\":%llu,\"took_ms\":%lld", first ? "" : ",",
                         (unsigned long long)(entry->time_us / 1000),
                         ms ? (long long)ms->number : 0LL);
    put_json_fields(out, entry);
    put_json_said(out, entry);
    buffer_append_octet(out, '}');
    return true;
}
