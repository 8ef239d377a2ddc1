/* Output for an administrator, as text or as JSON; see admin_internal.h. */
#include "smtpd/queue/admin/admin_internal.h"

#include "common/text/date.h"
#include "common/text/json.h"
#include "common/text/printable.h"
#include "smtpd/queue/dispatch/destination.h"
#include "smtpd/queue/queue.h"
#include "smtpd/queue/queue_id.h"
#include "smtpd/queue/queue_protocol.h"

/* ---- where a recipient stands ---- */

static const char *state_of(const struct queued_recipient *recipient)
{
    switch (recipient->stage) {
    case QUEUED_SCHEDULED:
        return recipient->entry.state == SCHEDULE_WAITING ? "deferred" : "ready";
    case QUEUED_UNDER_WAY:
        return "under way";
    case QUEUED_HELD:
        return "held";
    default:
        return "being written";
    }
}

/* Seconds until the next try, by its own wait and its destination's. */
static uint64_t wait_s_of(const struct queued_recipient *recipient)
{
    const struct schedule_destination *destination = &queued_target_of(recipient)->destination;
    uint64_t at_ms = 0, now_ms = queue_now_ms();
    if (recipient->stage != QUEUED_SCHEDULED)
        return 0;
    if (recipient->entry.state == SCHEDULE_WAITING)
        at_ms = recipient->entry.node.key;
    if (destination->resting && destination->node.key > at_ms)
        at_ms = destination->node.key;
    return at_ms > now_ms ? (at_ms - now_ms + 999) / 1000 : 0;
}

/* ---- text ---- */

static void append_date(struct buffer *out, int64_t seconds)
{
    char text[DATE_TEXT_OCTETS];
    buffer_append(out, slice_of(text, date_format_internet(seconds, text)));
}

static void append_field(struct buffer *out, const char *name, struct slice value)
{
    if (value.len == 0)
        return;
    buffer_append_format(out, "  %s: ", name);
    printable_append(value, out);
    buffer_append(out, SLICE("\n"));
}

static void print_head(struct admin_job *job, const struct stored_message *message, uint64_t id)
{
    char text[QUEUE_ID_SIZE];
    struct buffer *out = &job->answer;
    buffer_append_format(out, "%s  ", queue_id_format(id, text));
    append_date(out, message->arrival);
    buffer_append(out, SLICE("  <"));
    printable_append(message->reverse_path, out);
    buffer_append_format(out, ">  %llu octets\n", (unsigned long long)message->body_octets);
    if (job->verb != ADMIN_SHOW)
        return;
    append_field(out, "submitted by", message->account);
    append_field(out, "envelope id", message->envid);
    if (message->deliver_by > 0) {
        buffer_append(out, SLICE("  deliver by: "));
        append_date(out, message->deliver_by);
        buffer_append(out, SLICE("\n"));
    }
}

static void print_reply(struct buffer *out, struct slice reply)
{
    while (reply.len > 0) {
        size_t end = slice_find_octet(reply, OUTCOME_REPLY_BREAK);
        buffer_append(out, SLICE("      "));
        printable_append(slice_range(reply, 0, end), out);
        buffer_append(out, SLICE("\n"));
        reply = slice_from(reply, end + 1);
    }
}

/* The meaning of a '!' or '~' before a destination (destination.h). */
static struct slice tls_wish(struct slice destination)
{
    uint32_t flags = destination_flags(destination);
    if ((flags & QUEUE_REQUIRETLS) != 0)
        return SLICE("demanded by the message (REQUIRETLS)");
    return (flags & QUEUE_TLS_OPTIONAL) != 0 ? SLICE("no must, says the message (TLS-Required: No)")
                                             : SLICE("");
}

static void print_details(struct buffer *out, const struct queued_recipient *recipient,
                          const struct stored_recipient *row)
{
    struct outcome_text text = outcome_text_parse(admin_reply_of(recipient, row));
    append_field(out, "  given as", row->orcpt);
    append_field(out, "  account", row->account);
    append_field(out, "  destination", destination_name(row->destination));
    append_field(out, "  TLS", tls_wish(row->destination));
    append_field(out, "  server", text.peer);
    print_reply(out, text.reply);
}

static void print_recipient(struct admin_job *job, const struct queued_recipient *recipient,
                            const struct stored_recipient *row)
{
    struct buffer *out = &job->answer;
    struct outcome_text text = outcome_text_parse(admin_reply_of(recipient, row));
    uint64_t wait_s = wait_s_of(recipient);
    buffer_append(out, SLICE("    <"));
    printable_append(row->address, out);
    buffer_append_format(out, ">  %s", state_of(recipient));
    if (recipient->attempts > 0)
        buffer_append_format(out, ", attempts: %u", recipient->attempts);
    if (wait_s > 0)
        buffer_append_format(out, ", next in %llu s", (unsigned long long)wait_s);
    if (text.words.len > 0)
        buffer_append(out, SLICE(": "));
    printable_append(text.words, out);
    buffer_append(out, SLICE("\n"));
    if (job->verb == ADMIN_SHOW)
        print_details(out, recipient, row);
}

/* ---- JSON, RFC 8259 ---- */

static void json_head(struct admin_job *job, const struct stored_message *message, uint64_t id)
{
    char text[QUEUE_ID_SIZE];
    struct buffer *out = &job->answer;
    buffer_append_format(out, "%s{\"id\":\"%s\",\"arrival\":%lld,\"octets\":%llu",
                         job->messages > 0 ? ",\n" : "", queue_id_format(id, text),
                         (long long)message->arrival, (unsigned long long)message->body_octets);
    json_field(out, "sender", message->reverse_path);
    json_field(out, "account", message->account);
    json_field(out, "envid", message->envid);
    buffer_append(out, SLICE(",\"recipients\":["));
}

static void json_recipient(struct admin_job *job, bool first,
                           const struct queued_recipient *recipient,
                           const struct stored_recipient *row)
{
    struct buffer *out = &job->answer;
    struct outcome_text text = outcome_text_parse(admin_reply_of(recipient, row));
    buffer_append_format(out, "%s{\"state\":\"%s\",\"attempts\":%u,\"next_s\":%llu",
                         first ? "" : ",", state_of(recipient), recipient->attempts,
                         (unsigned long long)wait_s_of(recipient));
    json_field(out, "address", row->address);
    json_field(out, "orcpt", row->orcpt);
    json_field(out, "account", row->account);
    json_field(out, "destination", row->destination);
    json_field(out, "result", text.words);
    json_field(out, "reply", text.reply);
    json_field(out, "server", text.peer);
    buffer_append(out, SLICE("}"));
}

/* ---- both ---- */

void admin_print_begin(struct admin_job *job)
{
    buffer_append(&job->answer, SLICE("ok\n"));
    if (job->json && admin_only_prints(job))
        buffer_append(&job->answer, SLICE("["));
}

void admin_print_recipient(struct admin_job *job, const struct stored_message *message,
                           const struct queued_recipient *recipient,
                           const struct stored_recipient *row)
{
    uint64_t id = queued_message_of(recipient)->id;
    bool first = !job->in_message;
    job->in_message = true;
    if (first && job->json)
        json_head(job, message, id);
    else if (first)
        print_head(job, message, id);
    if (job->json)
        json_recipient(job, first, recipient, row);
    else
        print_recipient(job, recipient, row);
}

void admin_print_message_end(struct admin_job *job)
{
    job->in_message = false;
    if (job->json)
        buffer_append(&job->answer, SLICE("]}"));
}

static void print_done(struct admin_job *job)
{
    struct buffer *out = &job->answer;
    unsigned long long done = job->done, later = job->later;
    buffer_append_format(out, "%llu of %llu recipients, of %llu messages", done,
                         (unsigned long long)job->recipients, (unsigned long long)job->messages);
    if (later > 0)
        buffer_append_format(out, "; %llu under way, as soon as the attempt has failed", later);
    if (done + later < job->recipients)
        buffer_append(out, SLICE("; the others are in another state"));
    buffer_append(out, SLICE("\n"));
}

void admin_print_end(struct admin_job *job)
{
    struct buffer *out = &job->answer;
    unsigned long long recipients = job->recipients, messages = job->messages;
    if (job->json && admin_only_prints(job))
        buffer_append(out, SLICE("]\n"));
    else if (job->json)
        buffer_append_format(
            out, "{\"messages\":%llu,\"recipients\":%llu,\"done\":%llu,\"later\":%llu}\n", messages,
            recipients, (unsigned long long)job->done, (unsigned long long)job->later);
    else if (admin_only_prints(job))
        buffer_append_format(out, "%llu messages, %llu recipients\n", messages, recipients);
    else
        print_done(job);
}
