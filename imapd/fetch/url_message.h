/*
 * Reads a message of the account, or a part of one, by a URL that authorizes its readers (URLAUTH,
 * RFC 4467): checks the reader, then writes the octets. For IMAP's URLFETCH and for a submission's
 * BURL. imapd-mailbox.
 */
#ifndef IMAPD_FETCH_URL_MESSAGE_H
#define IMAPD_FETCH_URL_MESSAGE_H

#include "imapd/fetch/fetch_value.h"
#include "imapd/folder/url_key.h"
#include "imapd/syntax/auth_url.h"
#include "imapd/syntax/message_url.h"

/* The reader, as authenticated by the server. */
struct url_reader {
    bool submits;         /* a submission; else an IMAP session of the account */
    struct slice account; /* canonical */
};

struct url_message {
    struct auth_url url;
    struct message_url message;
    char directory[MAILDIR_NAME_SIZE];
    struct folder *folder; /* open; NULL: none */
    struct fetch_values values;
    uint64_t position;
};

/* Parses a URL of this account on this host, into the arena. Mailbox names in it are in UTF-8. */
bool url_message_parse(struct mailbox *mailbox, struct slice text, struct arena *arena,
                       struct url_message *message);

/* Whether the URL is signed with the mailbox's key, has not expired, and authorizes this reader.
 * The caller must not tell which of these fails (RFC 4467 7). */
bool url_message_lets_in(const struct mailbox *mailbox, const struct url_message *message,
                         const struct url_reader *reader);

/* To be called before url_message_open(), if a part is wanted without its Content-Transfer-Encoding
 * (RFC 5524): url_message_write() may then write a literal8. No difference for a message or a
 * header, which are not encoded. */
void url_message_want_binary(struct url_message *message);

/* Opens the mailbox. The functions below may only run between this and url_message_close(). */
bool url_message_open(struct mailbox *mailbox, struct url_message *message, struct error *error);

/* In slices: does all that can fail before the first octet is written. ERROR_NOT_FOUND: there is no
 * such message. ERROR_PERMANENT: the part to be decoded has an unknown encoding. */
enum source_result url_message_prepare(struct url_message *message, struct error *error);

/* In slices: writes "{6}", CRLF and the octets, or NIL. SOURCE_FAILED: a part may be written. */
enum source_result url_message_write(struct url_message *message, struct writer *writer,
                                     struct error *error);

/* BODYPARTSTRUCTURE (RFC 5524): the BODYSTRUCTURE of the part; `decoded`: as if it had no
 * encoding. Both in slices; the second before url_message_write() begins.
 * ERROR_NOT_FOUND: there is no such message or part. */
enum source_result url_message_read_parts(struct url_message *message, struct error *error);
enum source_result url_message_write_structure(struct url_message *message, bool decoded,
                                               struct buffer *text, struct error *error);

void url_message_close(struct url_message *message); /* may run twice, and on a zeroed struct */

#endif
