/* Writing delivery status notifications; see bounce.h. Pure. */
#include "smtpd/queue/bounce.h"

#include "common/date.h"

#define CRLF "\r\n"

/* ---- small parts ---- */

static bool is_ascii(const struct slice *pieces, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!slice_is_ascii(pieces[i]))
            return false;
    return true;
}

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

/* Texts of other processes in a header field: printable, in one line. */
static void append_clean(struct buffer *out, struct slice text, bool utf8)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t octet = text.ptr[i];
        bool fine = (octet >= ' ' && octet < 0x7f) || (octet >= 0x80 && utf8);
        buffer_append_octet(out, fine ? octet : '?');
    }
}

/* "5.2.2" of "5.2.2 words", RFC 3463 2; empty if the text begins otherwise. */
static struct slice status_code(struct slice text)
{
    size_t end = slice_find_octet(text, ' ');
    struct slice code = slice_range(text, 0, end);
    size_t dots = 0;
    for (size_t i = 0; i < code.len; i++) {
        if (code.ptr[i] == '.')
            dots++;
        else if (!ascii_is_digit(code.ptr[i]))
            return slice_of(NULL, 0);
    }
    return dots == 2 && code.len >= 5 && code.len <= 9 && code.ptr[1] == '.' ? code
                                                                             : slice_of(NULL, 0);
}

static struct slice status_of(const struct bounce_recipient *recipient)
{
    bool delivered = recipient->action == BOUNCE_DELIVERED;
    struct slice code = status_code(recipient->text);
    if (code.len > 0 && code.ptr[0] == (delivered ? '2' : '5'))
        return code;
    return delivered ? SLICE("2.0.0") : SLICE("5.0.0");
}

static struct slice words_of(const struct bounce_recipient *recipient)
{
    struct slice code = status_code(recipient->text);
    struct slice words = slice_trim(slice_from(recipient->text, code.len));
    if (words.len > 0)
        return words;
    return recipient->action == BOUNCE_DELIVERED ? SLICE("delivered") : SLICE("delivery failed");
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
    if (!any_with(bounce, BOUNCE_FAILED))
        return "Your message was delivered";
    if (!any_with(bounce, BOUNCE_DELIVERED))
        return "Your message could not be delivered";
    return "Your message could not be delivered to everyone";
}

static void append_header(const struct bounce *bounce, struct buffer *out)
{
    buffer_append(out, SLICE("From: Mail Delivery System <MAILER-DAEMON@"));
    buffer_append(out, bounce->hostname);
    buffer_append(out, SLICE(">" CRLF "To: <"));
    append_clean(out, bounce->sender, bounce->utf8);
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
    }
}

static void append_words(const struct bounce *bounce, struct buffer *out)
{
    begin_part(bounce, out);
    buffer_append(out,
                  SLICE("Content-Type: text/plain; charset=utf-8" CRLF
                        "Content-Transfer-Encoding: 8bit" CRLF CRLF "This is the mail system at "));
    buffer_append(out, bounce->hostname);
    buffer_append(out, SLICE("." CRLF CRLF "Your message of "));
    append_date(out, bounce->arrival);
    buffer_append(out, SLICE(CRLF));
    if (any_with(bounce, BOUNCE_FAILED)) {
        buffer_append(out, SLICE("could not be delivered, and will not be tried again, to:" CRLF));
        append_list(bounce, out, BOUNCE_FAILED);
    }
    if (any_with(bounce, BOUNCE_DELIVERED)) {
        if (any_with(bounce, BOUNCE_FAILED))
            buffer_append(out, SLICE(CRLF "It "));
        buffer_append(out, SLICE("was delivered, as you asked to be told, to:" CRLF));
        append_list(bounce, out, BOUNCE_DELIVERED);
    }
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
    buffer_append_format(out, "Action: %s" CRLF "Status: ",
                         recipient->action == BOUNCE_DELIVERED ? "delivered" : "failed");
    buffer_append(out, status_of(recipient));
    buffer_append(out, SLICE(CRLF));
    if (recipient->action == BOUNCE_FAILED) {
        buffer_append(out, SLICE("Diagnostic-Code: x-staffetta; "));
        append_clean(out, recipient->text.len > 0 ? recipient->text : words_of(recipient),
                     bounce->utf8);
        buffer_append(out, SLICE(CRLF));
    }
    append_date_field(out, "Last-Attempt-Date", bounce->now);
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

static void append_original(const struct bounce *bounce, struct buffer *out, bool ascii)
{
    begin_part(bounce, out);
    buffer_append_format(out, "Content-Type: %s" CRLF, original_type(bounce));
    append_encoding(out, ascii);
    buffer_append(out, SLICE(CRLF));
    for (size_t i = 0; i < bounce->original_count; i++)
        buffer_append(out, bounce->original[i]);
    buffer_append_format(out, CRLF "--%s--" CRLF, bounce->boundary);
}

void bounce_format(const struct bounce *bounce, struct buffer *out)
{
    bool ascii = is_ascii(bounce->original, bounce->original_count);
    append_header(bounce, out);
    append_words(bounce, out);
    append_status(bounce, out);
    append_original(bounce, out, ascii);
}

size_t bounce_header_octets(struct slice text)
{
    if (slice_starts_with(text, SLICE(CRLF)))
        return 0;
    size_t end = slice_find(text, SLICE(CRLF CRLF));
    return end == text.len ? text.len : end + 2;
}
