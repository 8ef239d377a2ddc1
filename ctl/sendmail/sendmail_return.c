/*
 * The report to the sender of a message that waited on disk and is then refused for good: nobody is
 * there any more whom an exit status could tell. Pure; see sendmail.h.
 */
#include <inttypes.h>
#include <stdio.h>

#include "common/text/date.h"
#include "ctl/sendmail/sendmail.h"

#define CRLF "\r\n"

enum { ENVELOPE_MAX = 64 << 20 };

struct returned {
    const struct sendmail *mail;
    const char *why;
    char date[DATE_TEXT_OCTETS];
    char boundary[64];
    struct slice status; /* RFC 3463 */
};

/* "550 5.1.1 ..." after whatever was put before it. */
static struct slice find_status(struct slice why)
{
    for (size_t i = 0; i + 9 <= why.len; i++) {
        const uint8_t *at = why.ptr + i;
        if (at[0] == '5' && ascii_is_digit(at[1]) && ascii_is_digit(at[2]) && at[3] == ' '
            && at[4] == '5' && at[5] == '.')
            return slice_range(why, i + 4, i + 4 + slice_find_octet(slice_from(why, i + 4), ' '));
    }
    return SLICE("5.0.0");
}

static void append_clean(struct buffer *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        buffer_append_octet(out, text.ptr[i] >= ' ' && text.ptr[i] != 0x7f ? text.ptr[i] : '?');
}

static void append_header(const struct returned *returned, uint64_t unique, struct buffer *out)
{
    buffer_append_format(out, "From: Mail Delivery System <MAILER-DAEMON@%s>" CRLF "To: <",
                         returned->mail->hostname);
    append_clean(out, returned->mail->sender);
    buffer_append_format(out,
                         ">" CRLF "Subject: Your message could not be delivered" CRLF
                         "Date: %s" CRLF "Message-ID: <%" PRIx64 ".returned@%s>" CRLF
                         "Auto-Submitted: auto-replied" CRLF "MIME-Version: 1.0" CRLF
                         "Content-Type: multipart/report; report-type=delivery-status;" CRLF
                         "\tboundary=\"%s\"" CRLF CRLF,
                         returned->date, unique, returned->mail->hostname, returned->boundary);
}

static void append_words(const struct returned *returned, struct buffer *out)
{
    const struct sendmail_list *recipients = &returned->mail->recipients;
    buffer_append_format(
        out,
        "--%s" CRLF "Content-Type: text/plain; charset=utf-8" CRLF
        "Content-Transfer-Encoding: 8bit" CRLF CRLF "This is the mail system at %s." CRLF CRLF
        "Your message waited here until it could be handed over. It was then"
        " refused, and" CRLF "will not be tried again. Nobody got it of:" CRLF CRLF,
        returned->boundary, returned->mail->hostname);
    for (size_t i = 0; i < recipients->count; i++) {
        buffer_append(out, SLICE("  <"));
        append_clean(out, recipients->items[i]);
        buffer_append(out, SLICE(">" CRLF));
    }
    buffer_append(out, SLICE(CRLF "The answer was:" CRLF CRLF "  "));
    append_clean(out, slice_of_string(returned->why));
    buffer_append(out, SLICE(CRLF CRLF "The message is attached." CRLF));
}

/* RFC 3464 2 */
static void append_status(const struct returned *returned, struct buffer *out)
{
    const struct sendmail_list *recipients = &returned->mail->recipients;
    buffer_append_format(out,
                         CRLF "--%s" CRLF "Content-Type: message/delivery-status" CRLF CRLF
                              "Reporting-MTA: dns; %s" CRLF,
                         returned->boundary, returned->mail->hostname);
    for (size_t i = 0; i < recipients->count; i++) {
        bool ascii = slice_is_ascii(recipients->items[i]);
        buffer_append_format(out, CRLF "Final-Recipient: %s;", ascii ? "rfc822" : "utf-8");
        append_clean(out, recipients->items[i]);
        buffer_append(out, SLICE(CRLF "Action: failed" CRLF "Status: "));
        buffer_append(out, returned->status);
        buffer_append(out, SLICE(CRLF "Diagnostic-Code: smtp; "));
        append_clean(out, slice_of_string(returned->why));
        buffer_append(out, SLICE(CRLF));
    }
}

static void append_original(const struct returned *returned, struct buffer *out)
{
    buffer_append_format(out,
                         CRLF "--%s" CRLF "Content-Type: message/rfc822" CRLF
                              "Content-Transfer-Encoding: 8bit" CRLF CRLF,
                         returned->boundary);
    buffer_append(out, buffer_slice(&returned->mail->text));
    buffer_append_format(out, CRLF "--%s--" CRLF, returned->boundary);
}

bool sendmail_make_return(const struct sendmail *mail, const char *why, int64_t now,
                          uint64_t unique, struct sendmail *report, struct error *error)
{
    const struct date date = {.seconds = now};
    struct returned returned = {
        .mail = mail, .why = why, .status = find_status(slice_of_string(why))};
    if (mail->sender.len == 0)
        return error_set(error, ERROR_PERMANENT, "nobody wants to be told");
    date_format_message(&date, returned.date);
    snprintf(returned.boundary, sizeof(returned.boundary), "=_%016" PRIx64 "%016" PRIx64, unique,
             (uint64_t)now);
    report->sender = SLICE("");
    if (!sendmail_add_recipients(report, mail->sender, error))
        return false;
    buffer_init(&report->text, mail->text.limit + ENVELOPE_MAX);
    append_header(&returned, unique, &report->text);
    append_words(&returned, &report->text);
    append_status(&returned, &report->text);
    append_original(&returned, &report->text);
    return !report->text.failed || error_memory(error);
}
