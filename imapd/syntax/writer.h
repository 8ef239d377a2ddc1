/*
 * Responses to an IMAP client (RFC 3501 7). Values are appended to any buffer; a struct writer
 * collects responses for a stream, with parts of files in between. Failure is the buffer's, sticky.
 * imapd-login and imapd-mailbox.
 */
#ifndef IMAPD_SYNTAX_WRITER_H
#define IMAPD_SYNTAX_WRITER_H

#include "common/buffer.h"
#include "imapd/syntax/mailbox_name.h"

struct folder_record;
struct stream;
struct stream_file;

/* ---- values ---- */

/* astring: an atom where it can be, else a string as of common/mime/structure.h. "NIL" is quoted:
 * some clients take the atom for a missing value. */
void imap_append_astring(struct buffer *text, struct slice string);

/* A mailbox name in wire form; one in UTF-8 is quoted. */
void imap_append_mailbox(struct buffer *text, struct slice wire_name, enum mailbox_name_form form);

/* "(\Answered \Seen $Work)": enum maildir_flag, and the keywords of the letters as the folder's
 * record names them; a letter without a keyword is left out. */
void imap_append_flags(struct buffer *text, uint32_t flags, uint32_t letters,
                       const struct folder_record *record, bool recent);

/* ---- responses ---- */

enum writer_status {
    WRITER_OK,
    WRITER_NO,
    WRITER_BAD,
    WRITER_BYE,
    WRITER_PREAUTH,
};

struct writer {
    struct buffer text;    /* not handed to the stream yet */
    struct stream *stream; /* borrowed */
};

/* The limit applies to what collects between two calls of writer_flush(); a handler that writes
 * much checks stream_output_full() and flushes now and then. */
void writer_init(struct writer *writer, struct stream *stream, size_t limit);
void writer_clear(struct writer *writer); /* may run twice */

/* Hands the collected output to the stream. If memory ran out, the stream fails: a client must not
 * take half an answer for a complete one. */
void writer_flush(struct writer *writer);

/* Octets of a file after what was written so far; the literal that announces them is the caller's.
 */
void writer_lend(struct writer *writer, struct stream_file *file, uint64_t offset, uint64_t octets);

/* "A1 OK [CODE] text". The code is without brackets; empty: none. */
void writer_tagged(struct writer *writer, struct slice tag, enum writer_status status,
                   struct slice code, const char *text);
/* "* OK [CODE] text" */
void writer_untagged(struct writer *writer, enum writer_status status, struct slice code,
                     const char *text);
/* "* 23 EXISTS" */
void writer_count(struct writer *writer, uint32_t number, const char *what);
/* "+ text" */
void writer_continue(struct writer *writer, const char *text);

#endif
