/*
 * A message of the account, or a part of one, as a URL names it that says who may read it (URLAUTH,
 * RFC 4467): whether it lets the reader in, and what it names. For IMAP's URLFETCH and for a
 * submission's BURL. imapd-mailbox.
 */
#ifndef IMAPD_FETCH_URL_MESSAGE_H
#define IMAPD_FETCH_URL_MESSAGE_H

#include "imapd/fetch/fetch_value.h"
#include "imapd/folder/url_key.h"
#include "imapd/syntax/auth_url.h"
#include "imapd/syntax/message_url.h"

/* Who it is, somebody who could prove it has said. */
struct url_reader {
    bool submits;         /* a submission on his behalf; else his own IMAP session */
    struct slice account; /* canonical */
};

struct url_message {
    struct auth_url url;
    struct message_url message;
    char directory[MAILDIR_NAME_SIZE];
    struct folder *folder; /* that is being read; NULL: none */
    struct fetch_values values;
    uint64_t position;
};

/* A URL of this account, on this host; what it borrows is in the arena. Mailboxes in it are in
 * UTF-8. */
bool url_message_parse(struct mailbox *mailbox, struct slice text, struct arena *arena,
                       struct url_message *message);

/* It is signed with the mailbox's key, has not expired, and lets this reader in. Which of these it
 * is not, nobody is told (RFC 4467 7). */
bool url_message_lets_in(const struct mailbox *mailbox, const struct url_message *message,
                         const struct url_reader *reader);

/* Before it is opened: a part is wanted without its Content-Transfer-Encoding (RFC 5524), so that
 * url_message_write() may write a literal8. Of a message or of a header, which have none, it is the
 * same. */
void url_message_want_binary(struct url_message *message);

/* Opens its mailbox. The rest may run only between this and the close. */
bool url_message_open(struct mailbox *mailbox, struct url_message *message, struct error *error);

/* In slices: all that can fail comes before the first octet is written. ERROR_NOT_FOUND: there is
 * no such message. ERROR_PERMANENT: the encoding that is to be undone is not known. */
enum source_result url_message_prepare(struct url_message *message, struct error *error);

/* In slices: "{6}", CRLF and the octets, or NIL. SOURCE_FAILED: half of it may be written. */
enum source_result url_message_write(struct url_message *message, struct writer *writer,
                                     struct error *error);

/* BODYPARTSTRUCTURE (RFC 5524): what BODYSTRUCTURE says of the part, `decoded` as if it had come
 * without its encoding. Both in slices; the second before url_message_write() has begun.
 * ERROR_NOT_FOUND: there is no such message or part. */
enum source_result url_message_read_parts(struct url_message *message, struct error *error);
enum source_result url_message_write_structure(struct url_message *message, bool decoded,
                                               struct buffer *text, struct error *error);

void url_message_close(struct url_message *message); /* may run twice, and on a zeroed struct */

#endif
