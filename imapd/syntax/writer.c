/* Formats values and responses; see writer.h. */
#include "imapd/syntax/writer.h"

#include "common/mime/structure.h"
#include "common/net/stream.h"
#include "common/size.h"
#include "imapd/syntax/parser.h"
#include "storage/folder_record.h"
#include "storage/maildir_name.h"

enum {
    ATOM_MAX = 1000
}; /* longer strings are sent as literals: old clients read lines into buffers */

void imap_append_astring(struct buffer *text, struct slice string)
{
    struct cursor in = cursor_of(string);
    cursor_take_class(&in, imap_classes, IMAP_ASTRING);
    bool is_atom = string.len > 0 && string.len <= ATOM_MAX && cursor_at_end(&in);
    if (is_atom && !slice_equal_nocase(string, SLICE("NIL")))
        buffer_append(text, string);
    else
        structure_append_string(text, string);
}

void imap_append_mailbox(struct buffer *text, struct slice wire_name, enum mailbox_name_form form)
{
    bool above_ascii = false;
    for (size_t i = 0; i < wire_name.len; i++)
        above_ascii |= wire_name.ptr[i] >= 0x80;
    if (form == MAILBOX_NAME_UTF8 && above_ascii)
        structure_append_quoted(text, wire_name); /* no name has control characters */
    else
        imap_append_astring(text, wire_name);
}

static const struct flag_word {
    uint32_t flag;
    struct slice word;
} flag_words[] = {
    {MAILDIR_ANSWERED, SLICE("\\Answered ")}, {MAILDIR_FLAGGED, SLICE("\\Flagged ")},
    {MAILDIR_TRASHED, SLICE("\\Deleted ")},   {MAILDIR_SEEN, SLICE("\\Seen ")},
    {MAILDIR_DRAFT, SLICE("\\Draft ")},       {MAILDIR_PASSED, SLICE("$Forwarded ")},
};

void imap_append_flags(struct buffer *text, uint32_t flags, uint32_t letters,
                       const struct folder_record *record, bool recent)
{
    buffer_append_octet(text, '(');
    size_t begin = text->len;
    for (size_t i = 0; i < ARRAY_LENGTH(flag_words); i++) {
        if (flags & flag_words[i].flag)
            buffer_append(text, flag_words[i].word);
    }
    for (uint32_t left = letters; left != 0; left &= left - 1) {
        const char *keyword = record->keywords[__builtin_ctz(left)];
        if (keyword[0] == '\0')
            continue;
        buffer_append_string(text, keyword);
        buffer_append_octet(text, ' ');
    }
    if (recent)
        buffer_append(text, SLICE("\\Recent "));
    if (text->len > begin)
        buffer_truncate(text, text->len - 1); /* the last space */
    buffer_append_octet(text, ')');
}

void writer_init(struct writer *writer, struct stream *stream, size_t limit)
{
    *writer = (struct writer){.stream = stream};
    buffer_init(&writer->text, limit);
}

void writer_clear(struct writer *writer)
{
    buffer_clear(&writer->text);
}

void writer_flush(struct writer *writer)
{
    enum { WORTH_KEEPING = 4096 };
    if (writer->text.failed) {
        struct error error;
        error_set(&error, ERROR_TEMPORARY, "no memory for an answer");
        stream_fail(writer->stream, &error);
    } else {
        stream_write(writer->stream, buffer_slice(&writer->text));
    }
    if (writer->text.capacity > WORTH_KEEPING)
        buffer_clear(&writer->text);
    buffer_reset(&writer->text);
}

void writer_lend(struct writer *writer, struct stream_file *file, uint64_t offset, uint64_t octets)
{
    writer_flush(writer);
    stream_write_file(writer->stream, file, offset, octets);
}

static void write_status(struct writer *writer, enum writer_status status, struct slice code,
                         const char *text)
{
    static const struct slice words[] = {
        [WRITER_OK] = SLICE("OK "),           [WRITER_NO] = SLICE("NO "),
        [WRITER_BAD] = SLICE("BAD "),         [WRITER_BYE] = SLICE("BYE "),
        [WRITER_PREAUTH] = SLICE("PREAUTH "),
    };
    buffer_append(&writer->text, words[status]);
    if (code.len) {
        buffer_append_octet(&writer->text, '[');
        buffer_append(&writer->text, code);
        buffer_append(&writer->text, SLICE("] "));
    }
    buffer_append_string(&writer->text, text);
    buffer_append(&writer->text, SLICE("\r\n"));
}

void writer_tagged(struct writer *writer, struct slice tag, enum writer_status status,
                   struct slice code, const char *text)
{
    buffer_append(&writer->text, tag);
    buffer_append_octet(&writer->text, ' ');
    write_status(writer, status, code, text);
}

void writer_untagged(struct writer *writer, enum writer_status status, struct slice code,
                     const char *text)
{
    buffer_append(&writer->text, SLICE("* "));
    write_status(writer, status, code, text);
}

void writer_count(struct writer *writer, uint32_t number, const char *what)
{
    buffer_append(&writer->text, SLICE("* "));
    buffer_append_number(&writer->text, number);
    buffer_append_octet(&writer->text, ' ');
    buffer_append_string(&writer->text, what);
    buffer_append(&writer->text, SLICE("\r\n"));
}

void writer_continue(struct writer *writer, const char *text)
{
    buffer_append(&writer->text, SLICE("+ "));
    buffer_append_string(&writer->text, text);
    buffer_append(&writer->text, SLICE("\r\n"));
}
