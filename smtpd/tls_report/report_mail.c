/* The report as a message; see report_mail.h. queue. */
#include "smtpd/tls_report/report_mail.h"

#include <zlib.h>

#include "common/text/base64.h"
#include "common/text/date.h"

enum {
    GZIP_WINDOW_BITS = 15 + 16, /* with a gzip header, zlib.h */
    MEMORY_LEVEL = 8,
    LINE_OCTETS = 57, /* 76 characters, RFC 2045 6.8 */
    DAY_SECONDS = 86400,
};

static bool compress_into(z_stream *stream, struct slice octets, struct buffer *out)
{
    size_t most = deflateBound(stream, octets.len);
    if (!buffer_reserve(out, most))
        return false;
    stream->next_in = (Bytef *)(uintptr_t)octets.ptr; /* zlib reads it */
    stream->avail_in = (uInt)octets.len;
    stream->next_out = out->ptr + out->len;
    stream->avail_out = (uInt)most;
    bool done = deflate(stream, Z_FINISH) == Z_STREAM_END;
    buffer_commit(out, most - stream->avail_out);
    return done;
}

bool report_mail_gzip(struct slice octets, struct buffer *out)
{
    z_stream stream = {0};
    if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, GZIP_WINDOW_BITS, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY)
        != Z_OK)
        return false;
    bool done = compress_into(&stream, octets, out);
    deflateEnd(&stream);
    return done;
}

static void put_field(struct buffer *out, const char *name, struct slice value)
{
    buffer_append_format(out, "%s: ", name);
    buffer_append(out, value);
    buffer_append(out, SLICE("\r\n"));
}

static void put_date(struct buffer *out, int64_t seconds)
{
    const struct date date = {.seconds = seconds};
    char text[DATE_TEXT_OCTETS];
    put_field(out, "Date", slice_of(text, date_format_message(&date, text)));
}

static void put_addresses(struct buffer *out, struct slice addresses)
{
    buffer_append(out, SLICE("To: "));
    for (size_t i = 0; i < addresses.len; i++)
        if (addresses.ptr[i] == '\n')
            buffer_append(out, SLICE(",\r\n "));
        else
            buffer_append_octet(out, addresses.ptr[i]);
    buffer_append(out, SLICE("\r\n"));
}

static void put_header(const struct report_mail *mail, struct buffer *out)
{
    put_date(out, mail->now);
    put_field(out, "From", mail->from);
    put_addresses(out, mail->to);
    buffer_append_format(out, "Message-ID: <%s.tlsrpt@", mail->queue_id);
    buffer_append(out, mail->submitter);
    buffer_append(out, SLICE(">\r\nSubject: Report Domain: "));
    buffer_append(out, mail->domain);
    buffer_append(out, SLICE("\r\n Submitter: "));
    buffer_append(out, mail->submitter);
    buffer_append(out, SLICE("\r\n Report-ID: <"));
    buffer_append(out, mail->id);
    buffer_append(out, SLICE(">\r\n"));
    put_field(out, "TLS-Report-Domain", mail->domain);
    put_field(out, "TLS-Report-Submitter", mail->submitter);
    buffer_append_format(out,
                         "TLS-Required: No\r\nAuto-Submitted: auto-generated\r\n"
                         "MIME-Version: 1.0\r\nContent-Type: multipart/report; "
                         "report-type=\"tlsrpt\";\r\n boundary=\"%s\"\r\n\r\n",
                         mail->boundary);
}

static void put_text(const struct report_mail *mail, struct buffer *out)
{
    buffer_append_format(out, "--%s\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n",
                         mail->boundary);
    buffer_append(out, SLICE("This is an aggregate report of TLS connections (RFC 8460) to the "
                             "servers of\r\n"));
    buffer_append(out, mail->domain);
    buffer_append(out, SLICE(", from "));
    buffer_append(out, mail->submitter);
    buffer_append(out, SLICE(".\r\n\r\n"));
}

/* RFC 8460 5.1: submitter!domain!begin!end.json.gz */
static void put_file_name(const struct report_mail *mail, struct buffer *out)
{
    long long start = (long long)mail->day * DAY_SECONDS;
    buffer_append(out, mail->submitter);
    buffer_append_octet(out, '!');
    buffer_append(out, mail->domain);
    buffer_append_format(out, "!%lld!%lld.json.gz", start, start + DAY_SECONDS - 1);
}

static void put_base64(struct slice octets, struct buffer *out)
{
    while (octets.len > 0) {
        base64_encode(slice_range(octets, 0, LINE_OCTETS), out);
        buffer_append(out, SLICE("\r\n"));
        octets = slice_from(octets, LINE_OCTETS);
    }
}

static void put_report(const struct report_mail *mail, struct slice packed, struct buffer *out)
{
    buffer_append_format(out,
                         "--%s\r\nContent-Type: application/tlsrpt+gzip\r\n"
                         "Content-Transfer-Encoding: base64\r\n"
                         "Content-Disposition: attachment;\r\n filename=\"",
                         mail->boundary);
    put_file_name(mail, out);
    buffer_append(out, SLICE("\"\r\n\r\n"));
    put_base64(packed, out);
    buffer_append_format(out, "\r\n--%s--\r\n", mail->boundary);
}

void report_mail_format(const struct report_mail *mail, struct buffer *out)
{
    put_header(mail, out);
    put_text(mail, out);
    put_report(mail, mail->packed, out);
}
