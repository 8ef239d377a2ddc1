/* MAIL and RCPT; see envelope.h. relay. */
#include "smtpd/relay/envelope.h"

#include "common/disk/fd.h"
#include "common/size.h"
#include "smtpd/queue/queue_protocol.h"
#include "smtpd/session/xtext.h"

static bool addresses_are_ascii(const struct outgoing *message)
{
    if (!slice_is_ascii(message->reverse_path))
        return false;
    for (size_t i = 0; i < message->recipient_count; i++)
        if (message->recipients[i].state != RECIPIENT_SETTLED
            && !slice_is_ascii(message->recipients[i].address))
            return false;
    return true;
}

/* Returns the beginning of the content; of a body in a file, as much as a chunk holds. */
static struct slice beginning(const struct outgoing *message, uint8_t chunk[OUTGOING_CHUNK])
{
    size_t size = message->body_octets < OUTGOING_CHUNK ? (size_t)message->body_octets
                                                        : (size_t)OUTGOING_CHUNK;
    size_t got = 0;
    if (message->body_fd < 0)
        return message->body;
    if (!fd_pread_full(message->body_fd, chunk, size, 0, &got, NULL))
        got = 0; /* sending it will report the error */
    return slice_of(chunk, got);
}

static bool header_is_ascii(const struct outgoing *message, uint8_t chunk[OUTGOING_CHUNK])
{
    if (!slice_is_ascii(message->prefix))
        return false;
    struct slice text = beginning(message, chunk);
    size_t end = slice_find(text, SLICE("\r\n\r\n"));
    return (end < text.len || message->body_fd < 0) && slice_is_ascii(slice_range(text, 0, end));
}

unsigned envelope_needs(const struct outgoing *message, uint8_t chunk[OUTGOING_CHUNK])
{
    unsigned needs = 0;
    if ((message->flags & QUEUE_8BITMIME) != 0 || message->body_fd >= 0
        || !slice_is_ascii(message->prefix) || !slice_is_ascii(message->body))
        needs |= NEEDS_8BITMIME;
    if ((message->flags & QUEUE_UTF8) != 0
        && !(addresses_are_ascii(message) && header_is_ascii(message, chunk)))
        needs |= NEEDS_SMTPUTF8;
    if ((message->flags & QUEUE_REQUIRETLS) != 0)
        needs |= NEEDS_REQUIRETLS;
    return needs;
}

/* RFC 3461 4.3, 4.4 */
static void append_report_wishes(const struct outgoing *message, struct buffer *commands)
{
    if ((message->flags & QUEUE_RET_FULL) != 0)
        buffer_append(commands, SLICE(" RET=FULL"));
    else if ((message->flags & QUEUE_RET_HDRS) != 0)
        buffer_append(commands, SLICE(" RET=HDRS"));
    if (message->envid.len == 0)
        return;
    buffer_append(commands, SLICE(" ENVID="));
    xtext_encode(message->envid, commands);
}

/* by-value = by-time ";" by-mode [by-trace]; by-time = ["-" / "+"] 1*9DIGIT    RFC 2852 4. A
 * by-time that has passed is negative (mode N). */
static void append_deliver_by(const struct outgoing *message, int64_t now, struct buffer *commands)
{
    const int64_t most = 999999999;
    int64_t left_s = message->deliver_by - now;
    left_s = left_s > most ? most : left_s < -most ? -most : left_s;
    buffer_append_format(commands, " BY=%lld;%s%s", (long long)left_s,
                         (message->flags & QUEUE_BY_RETURN) != 0 ? "R" : "N",
                         (message->flags & QUEUE_BY_TRACE) != 0 ? "T" : "");
}

void envelope_append_mail(const struct outgoing *message, const struct capabilities *offers,
                          unsigned needs, int64_t now, struct buffer *commands)
{
    buffer_append(commands, SLICE("MAIL FROM:<"));
    buffer_append(commands, message->reverse_path);
    buffer_append(commands, SLICE(">"));
    if (capabilities_offer(offers, OFFERS_SIZE)) {
        buffer_append(commands, SLICE(" SIZE="));
        buffer_append_number(commands, outgoing_octets(message));
    }
    if ((needs & NEEDS_8BITMIME) != 0 && capabilities_offer(offers, OFFERS_8BITMIME))
        buffer_append(commands, SLICE(" BODY=8BITMIME"));
    if ((needs & NEEDS_SMTPUTF8) != 0)
        buffer_append(commands, SLICE(" SMTPUTF8"));
    if ((needs & NEEDS_REQUIRETLS) != 0)
        buffer_append(commands, SLICE(" REQUIRETLS"));
    if (message->deliver_by > 0 && capabilities_offer(offers, OFFERS_DELIVERBY))
        append_deliver_by(message, now, commands);
    if (capabilities_offer(offers, OFFERS_DSN))
        append_report_wishes(message, commands);
    buffer_append(commands, SLICE("\r\n"));
}

/* RFC 3461 4.1: NEVER stands alone. */
static void append_notify(unsigned notify, struct buffer *commands)
{
    static const struct {
        unsigned bit;
        const char *word;
    } words[] = {{QUEUE_NOTIFY_SUCCESS, "SUCCESS"},
                 {QUEUE_NOTIFY_FAILURE, "FAILURE"},
                 {QUEUE_NOTIFY_DELAY, "DELAY"}};
    if (notify == 0)
        return;
    buffer_append(commands, SLICE(" NOTIFY="));
    if ((notify & QUEUE_NOTIFY_NEVER) != 0) {
        buffer_append(commands, SLICE("NEVER"));
        return;
    }
    const char *comma = "";
    for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
        if ((notify & words[i].bit) == 0)
            continue;
        buffer_append_string(commands, comma);
        buffer_append_string(commands, words[i].word);
        comma = ",";
    }
}

/* RFC 3461 4.2: the type as it is, the address as xtext. */
static void append_original(struct slice orcpt, struct buffer *commands)
{
    size_t semicolon = slice_find_octet(orcpt, ';');
    if (semicolon == orcpt.len)
        return;
    buffer_append(commands, SLICE(" ORCPT="));
    buffer_append(commands, slice_range(orcpt, 0, semicolon + 1));
    xtext_encode(slice_from(orcpt, semicolon + 1), commands);
}

void envelope_append_rcpt(const struct outgoing_recipient *recipient,
                          const struct capabilities *offers, struct buffer *commands)
{
    buffer_append(commands, SLICE("RCPT TO:<"));
    buffer_append(commands, recipient->address);
    buffer_append(commands, SLICE(">"));
    if (capabilities_offer(offers, OFFERS_DSN)) {
        append_notify(recipient->notify, commands);
        append_original(recipient->orcpt, commands);
    }
    buffer_append(commands, SLICE("\r\n"));
}
