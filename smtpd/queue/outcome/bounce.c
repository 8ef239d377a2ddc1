/* Writing delivery status notifications; see bounce.h. Pure. */
#include "smtpd/queue/outcome/bounce.h"

#include "common/net/ip_address.h"
#include "common/text/date.h"

#define CRLF "\r\n"

enum { LINE_MAX_OCTETS = 900 }; /* of a quoted reply; the limit of mail is 998 */

/* ---- small parts ---- */

static void append_date(struct buffer *out, int64_t seconds)
{
    const struct date date = {.seconds = seconds};
    char text[DATE_TEXT_OCTETS];
    buffer_append(out, slice_of(text, date_format_message(&date, text)));
}

static void append_date_field(struct buffer *out, const char *name, int64_t seconds)
{
    buffer_append_format(out, "%s: ", name);
    append_date(out, seconds);
    buffer_append(out, SLICE(CRLF));
}

/* Appends a text of another process to a header field: printable, on one line. */
static void append_clean(struct buffer *out, struct slice text, bool utf8)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t octet = text.ptr[i];
        bool fine = (octet >= ' ' && octet < 0x7f) || (octet >= 0x80 && utf8);
        buffer_append_octet(out, fine ? octet : '?');
    }
}

/* The value of Action (RFC 3464 2.3.3), the class of its Status, and the defaults if nothing is
 * known. */
static const struct {
    const char *name;
    uint8_t class;
    struct slice status, words;
} actions[BOUNCE_ACTIONS] = {
    [BOUNCE_FAILED] = {"failed", '5', SLICE("5.0.0"), SLICE("delivery failed")},
    [BOUNCE_DELAYED] = {"delayed", '4', SLICE("4.0.0"), SLICE("not delivered yet")},
    [BOUNCE_RELAYED] = {"relayed", '2', SLICE("2.0.0"), SLICE("handed on")},
    [BOUNCE_DELIVERED] = {"delivered", '2', SLICE("2.0.0"), SLICE("delivered")},
};

static struct slice status_of(const struct bounce_recipient *recipient)
{
    struct slice code = outcome_text_status(recipient->text.words);
    bool fits = code.len > 0 && code.ptr[0] == actions[recipient->action].class;
    return fits ? code : actions[recipient->action].status;
}

static struct slice words_of(const struct bounce_recipient *recipient)
{
    struct slice words = recipient->text.words;
    words = slice_trim(slice_from(words, outcome_text_status(words).len));
    return words.len > 0 ? words : actions[recipient->action].words;
}

static bool any_with(const struct bounce *bounce, enum bounce_action action)
{
    for (size_t i = 0; i < bounce->recipient_count; i++)
        if (bounce->recipients[i].action == action)
            return true;
    return false;
}

static void append_encoding(struct buffer *out, bool ascii)
{
    if (!ascii)
        buffer_append(out, SLICE("Content-Transfer-Encoding: 8bit" CRLF));
}

static void begin_part(const struct bounce *bounce, struct buffer *out)
{
    buffer_append_format(out, CRLF "--%s" CRLF, bounce->boundary);
}

/* ---- the header ---- */

static const char *subject_of(const struct bounce *bounce)
{
    if (bounce->kind == BOUNCE_DOUBLE)
        return "A report could not be delivered";
    if (bounce->kind == BOUNCE_QUARANTINE)
        return "A message is held in quarantine";
    bool good = any_with(bounce, BOUNCE_DELIVERED) || any_with(bounce, BOUNCE_RELAYED);
    bool bad = any_with(bounce, BOUNCE_FAILED);
    if (bad && good)
        return "Your message could not be delivered to everyone";
    if (bad)
        return "Your message could not be delivered";
    if (any_with(bounce, BOUNCE_DELAYED))
        return "Your message is delayed";
    return any_with(bounce, BOUNCE_DELIVERED) ? "Your message was delivered"
                                              : "Your message was handed on";
}

static void append_header(const struct bounce *bounce, struct buffer *out)
{
    buffer_append(out, SLICE("From: Mail Delivery System <MAILER-DAEMON@"));
    buffer_append(out, bounce->hostname);
    buffer_append(out, SLICE(">" CRLF "To: <"));
    append_clean(out, bounce->to, bounce->utf8);
    buffer_append_format(out, ">" CRLF "Subject: %s" CRLF, subject_of(bounce));
    append_date_field(out, "Date", bounce->now);
    buffer_append_format(out, "Message-ID: <%s@", bounce->id);
    buffer_append(out, bounce->hostname);
    buffer_append(out, SLICE(">" CRLF "Auto-Submitted: auto-replied" CRLF "MIME-Version: 1.0" CRLF
                             "Content-Transfer-Encoding: 8bit" CRLF));
    buffer_append_format(out,
                         "Content-Type: multipart/report; report-type=delivery-status;" CRLF
                         "\tboundary=\"%s\"" CRLF,
                         bounce->boundary);
}

/* ---- the part for people ---- */

static struct slice take_reply_line(struct slice *reply)
{
    size_t end = slice_find_octet(*reply, OUTCOME_REPLY_BREAK);
    struct slice line = slice_range(*reply, 0, end);
    *reply = slice_from(*reply, end + 1);
    return slice_range(line, 0, LINE_MAX_OCTETS);
}

static void append_reply(struct buffer *out, const struct outcome_text *text)
{
    struct slice reply = text->reply;
    if (reply.len == 0 && text->peer.len == 0)
        return;
    if (reply.len == 0) {
        buffer_append(out, SLICE("    at "));
        append_clean(out, text->peer, true);
        buffer_append(out, SLICE(CRLF));
        return;
    }
    buffer_append(out, SLICE("    "));
    append_clean(out, text->peer.len > 0 ? text->peer : SLICE("The other server"), true);
    buffer_append(out, SLICE(" said:" CRLF));
    while (reply.len > 0) {
        buffer_append(out, SLICE("      "));
        append_clean(out, take_reply_line(&reply), true);
        buffer_append(out, SLICE(CRLF));
    }
}

static void append_list(const struct bounce *bounce, struct buffer *out, enum bounce_action action)
{
    for (size_t i = 0; i < bounce->recipient_count; i++) {
        const struct bounce_recipient *recipient = &bounce->recipients[i];
        if (recipient->action != action)
            continue;
        buffer_append(out, SLICE(CRLF "  <"));
        append_clean(out, recipient->address, true);
        buffer_append(out, SLICE(">" CRLF "    "));
        append_clean(out, words_of(recipient), true);
        buffer_append(out, SLICE(" ("));
        buffer_append(out, status_of(recipient));
        buffer_append(out, SLICE(")" CRLF));
        if (action != BOUNCE_DELIVERED)
            append_reply(out, &recipient->text);
    }
}

static void append_introduction(const struct bounce *bounce, struct buffer *out)
{
    static const struct slice subjects[] = {
        [BOUNCE_TO_SENDER] = SLICE("Your message of "),
        [BOUNCE_DOUBLE] = SLICE("A report of this system, about a message that could not be"
                                " delivered, could not" CRLF "be delivered itself. Nobody else is"
                                " told. The report of "),
        [BOUNCE_QUARANTINE] = SLICE("A message is held: each time it was to be sent, the process"
                                    " that had it died." CRLF "It is tried again after `staffetta"
                                    " queue release`. The message of "),
    };
    buffer_append(out, SLICE("This is the mail system at "));
    buffer_append(out, bounce->hostname);
    buffer_append(out, SLICE("." CRLF CRLF));
    buffer_append(out, subjects[bounce->kind]);
    append_date(out, bounce->arrival);
    buffer_append(out, SLICE(CRLF));
}

static int64_t latest_retry(const struct bounce *bounce)
{
    int64_t latest = 0;
    for (size_t i = 0; i < bounce->recipient_count; i++)
        if (bounce->recipients[i].retry_until > latest)
            latest = bounce->recipients[i].retry_until;
    return latest;
}

static void append_waiting(const struct bounce *bounce, struct buffer *out)
{
    if (bounce->kind == BOUNCE_QUARANTINE) {
        buffer_append(out, SLICE("is held for:" CRLF));
        return;
    }
    buffer_append(out, SLICE("could not be delivered yet. You need not send it again: it will be"
                             " tried until" CRLF));
    append_date(out, latest_retry(bounce));
    buffer_append(out, SLICE(". It waits for:" CRLF));
}

/* Appends a paragraph for each action that occurs, starting with "It" from the second on. */
static void append_actions(const struct bounce *bounce, struct buffer *out)
{
    bool first = true;
    for (enum bounce_action action = 0; action < BOUNCE_ACTIONS; action++) {
        if (!any_with(bounce, action))
            continue;
        if (!first)
            buffer_append(out, SLICE(CRLF "It "));
        first = false;
        if (action == BOUNCE_FAILED)
            buffer_append(out,
                          SLICE("could not be delivered, and will not be tried again, to:" CRLF));
        else if (action == BOUNCE_DELAYED)
            append_waiting(bounce, out);
        else if (action == BOUNCE_RELAYED)
            buffer_append(out, SLICE("was handed on to a server that will not tell us about its"
                                     " delivery, to:" CRLF));
        else
            buffer_append(out, SLICE("was delivered, as you asked to be told, to:" CRLF));
        append_list(bounce, out, action);
    }
}

static void append_words(const struct bounce *bounce, struct buffer *out)
{
    begin_part(bounce, out);
    buffer_append(out, SLICE("Content-Type: text/plain; charset=utf-8" CRLF
                             "Content-Transfer-Encoding: 8bit" CRLF CRLF));
    append_introduction(bounce, out);
    append_actions(bounce, out);
    buffer_append_format(out, CRLF "Here it is known as %s. %s is attached." CRLF,
                         bounce->original_id, bounce->whole ? "The message" : "Its header");
}

/* ---- the part for programs, RFC 3464 2 ---- */

static void append_address(const struct bounce *bounce, struct buffer *out, const char *field,
                           struct slice address)
{
    buffer_append_format(out, "%s: %s;", field, slice_is_ascii(address) ? "rfc822" : "utf-8");
    append_clean(out, address, bounce->utf8);
    buffer_append(out, SLICE(CRLF));
}

/* Appends the reply as continuation lines of the field, or else our own words. A line with only
 * white space is no valid continuation (RFC 5322 3.2.2) and would end the recipient's fields for
 * some readers. */
static void append_diagnostic(const struct bounce *bounce, struct buffer *out,
                              const struct bounce_recipient *recipient)
{
    struct slice reply = recipient->text.reply, words = recipient->text.words;
    buffer_append(out, reply.len > 0 ? SLICE("Diagnostic-Code: smtp; ")
                                     : SLICE("Diagnostic-Code: x-staffetta; "));
    if (reply.len == 0)
        append_clean(out, words.len > 0 ? words : words_of(recipient), bounce->utf8);
    const char *between = "";
    while (reply.len > 0) {
        struct slice line = take_reply_line(&reply);
        if (slice_trim(line).len == 0)
            continue;
        buffer_append_string(out, between);
        append_clean(out, line, bounce->utf8);
        between = CRLF " ";
    }
    buffer_append(out, SLICE(CRLF));
}

static void append_peer(const struct bounce *bounce, struct buffer *out, struct slice peer)
{
    if (peer.len == 0)
        return;
    struct slice name = slice_range(peer, 0, slice_find_octet(peer, ' '));
    struct ip_address address;
    bool is_address = ip_address_parse(name, &address); /* RFC 3464 2.1.2: in brackets then */
    buffer_append_format(out, "Remote-MTA: dns; %s", is_address ? "[" : "");
    append_clean(out, name, bounce->utf8);
    buffer_append_format(out, "%s" CRLF, is_address ? "]" : "");
}

static void append_recipient(const struct bounce *bounce, struct buffer *out,
                             const struct bounce_recipient *recipient)
{
    buffer_append(out, SLICE(CRLF));
    if (recipient->orcpt.len > 0) {
        buffer_append(out, SLICE("Original-Recipient: "));
        append_clean(out, recipient->orcpt, bounce->utf8);
        buffer_append(out, SLICE(CRLF));
    }
    append_address(bounce, out, "Final-Recipient", recipient->address);
    buffer_append_format(out, "Action: %s" CRLF "Status: ", actions[recipient->action].name);
    buffer_append(out, status_of(recipient));
    buffer_append(out, SLICE(CRLF));
    append_peer(bounce, out, recipient->text.peer);
    if (recipient->action == BOUNCE_FAILED || recipient->action == BOUNCE_DELAYED)
        append_diagnostic(bounce, out, recipient);
    if (recipient->last_attempt > 0)
        append_date_field(out, "Last-Attempt-Date", recipient->last_attempt);
    buffer_append_format(out, "Final-Log-ID: %s" CRLF, bounce->original_id);
    if (recipient->action == BOUNCE_DELAYED && recipient->retry_until > 0)
        append_date_field(out, "Will-Retry-Until", recipient->retry_until);
}

static void append_status(const struct bounce *bounce, struct buffer *out)
{
    begin_part(bounce, out);
    buffer_append_format(out, "Content-Type: message/%sdelivery-status" CRLF,
                         bounce->utf8 ? "global-" : "");
    append_encoding(out, !bounce->utf8);
    buffer_append(out, SLICE(CRLF "Reporting-MTA: dns; "));
    buffer_append(out, bounce->hostname);
    buffer_append(out, SLICE(CRLF));
    if (bounce->envid.len > 0) {
        buffer_append(out, SLICE("Original-Envelope-Id: "));
        append_clean(out, bounce->envid, false);
        buffer_append(out, SLICE(CRLF));
    }
    append_date_field(out, "Arrival-Date", bounce->arrival);
    for (size_t i = 0; i < bounce->recipient_count; i++)
        append_recipient(bounce, out, &bounce->recipients[i]);
}

/* ---- the original ---- */

static const char *original_type(const struct bounce *bounce)
{
    if (bounce->whole)
        return bounce->utf8 ? "message/global" : "message/rfc822";
    return bounce->utf8 ? "message/global-headers" : "text/rfc822-headers";
}

static bool is_ascii(const struct slice *pieces, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!slice_is_ascii(pieces[i]))
            return false;
    return count > 0;
}

static void begin_original(const struct bounce *bounce, struct buffer *out)
{
    begin_part(bounce, out);
    buffer_append_format(out, "Content-Type: %s" CRLF, original_type(bounce));
    append_encoding(out, is_ascii(bounce->original, bounce->original_count));
    buffer_append(out, SLICE(CRLF));
}

void bounce_append_begin(const struct bounce *bounce, struct buffer *out)
{
    append_header(bounce, out);
    append_words(bounce, out);
    append_status(bounce, out);
    begin_original(bounce, out);
}

void bounce_append_end(const char *boundary, struct buffer *out)
{
    buffer_append_format(out, CRLF "--%s--" CRLF, boundary);
}

void bounce_format(const struct bounce *bounce, struct buffer *out)
{
    bounce_append_begin(bounce, out);
    for (size_t i = 0; i < bounce->original_count; i++)
        buffer_append(out, bounce->original[i]);
    bounce_append_end(bounce->boundary, out);
}

size_t bounce_header_octets(struct slice text)
{
    if (slice_starts_with(text, SLICE(CRLF)))
        return 0;
    size_t end = slice_find(text, SLICE(CRLF CRLF));
    return end == text.len ? text.len : end + 2;
}
