/* MAIL and RCPT; see envelope.h. Pure; relay. */
#include "smtpd/relay/envelope.h"

#include "common/size.h"
#include "smtpd/queue/queue_protocol.h"
#include "smtpd/xtext.h"

static bool addresses_are_ascii(const struct outgoing *message)
{
    if (!slice_is_ascii(message->reverse_path))
        return false;
    for (size_t i = 0; i < message->recipient_count; i++)
        if (!slice_is_ascii(message->recipients[i].address))
            return false;
    return true;
}

static bool header_is_ascii(const struct outgoing *message)
{
    if (message->body_fd >= 0 || !slice_is_ascii(message->prefix))
        return false;
    size_t end = slice_find(message->body, SLICE("\r\n\r\n"));
    return slice_is_ascii(slice_range(message->body, 0, end));
}

unsigned envelope_needs(const struct outgoing *message)
{
    unsigned needs = 0;
    if ((message->flags & QUEUE_8BITMIME) != 0 || message->body_fd >= 0
        || !slice_is_ascii(message->body))
        needs |= NEEDS_8BITMIME;
    if ((message->flags & QUEUE_UTF8) != 0
        && !(addresses_are_ascii(message) && header_is_ascii(message)))
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

void envelope_append_mail(const struct outgoing *message, const struct capabilities *offers,
                          unsigned needs, struct buffer *commands)
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
