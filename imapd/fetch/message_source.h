/*
 * The message behind a FETCH or SEARCH: its file and the tree of its parts, each read only when
 * something asks for it, and in slices: a large message takes many turns. imapd-mailbox.
 */
#ifndef IMAPD_FETCH_MESSAGE_SOURCE_H
#define IMAPD_FETCH_MESSAGE_SOURCE_H

#include "imapd/fetch/message_cache.h"
#include "imapd/folder/folder.h"
#include "storage/email_id.h"
#include "storage/message_file.h"

struct stream_file;

/* How much of the message has been read. */
enum source_depth {
    SOURCE_UNREAD,
    SOURCE_OPEN,   /* its file is open: size and date */
    SOURCE_HEADER, /* root: its own header, and that all after it is body */
    SOURCE_PARTS,  /* root: all parts */
};

enum source_result {
    SOURCE_DONE,
    SOURCE_MORE, /* a slice is done: call again, in another turn */
    SOURCE_FAILED,
};

struct message_source {
    struct message_cache *cache; /* borrowed */
    struct mime_limits limits;
    struct folder *folder; /* borrowed; NULL: none is looked at */
    uint32_t uid;
    enum source_depth depth;
    struct message_file file;
    struct stream_file *share; /* of the same file, for a stream to send from; NULL: not lent */
    const struct mime_part *root;
    struct mime_part head; /* what root is with SOURCE_HEADER */
    struct message_tree tree;
    struct mime_scan scan; /* of `tree`, while it is made */
    bool scanning;
    uint64_t scanned; /* octets */
};

void message_source_init(struct message_source *source, struct folder *folder);
void message_source_clear(struct message_source *source); /* may run twice */

/* Turns to another message and forgets the one before. Reads nothing yet. */
void message_source_turn_to(struct message_source *source, uint32_t uid);

/* Reads on until so much is known. ERROR_NOT_FOUND: the message is gone. */
enum source_result message_source_read(struct message_source *source, enum source_depth depth,
                                       struct error *error);

/* Seconds since 1970, of INTERNALDATE; without opening the file where it is not open. */
bool message_source_date(struct message_source *source, int64_t *seconds, struct error *error);

/* RFC822.SIZE, where it is known without reading: by the file's name, or because it is open. */
bool message_source_octets(const struct message_source *source, uint64_t *octets);

/* SAVEDATE (RFC 8514) as its file's name has it, seconds since 1970; 0: it has none. And EMAILID
 * (storage/email_id.h). ERROR_NOT_FOUND: the message is gone. */
bool message_source_saved(const struct message_source *source, int64_t *seconds,
                          struct error *error);
bool message_source_email_id(const struct message_source *source, char id[EMAIL_ID_SIZE],
                             struct error *error);

/* The key of its file's name (maildir_name.h); empty: the message is gone. Borrowed until its flags
 * change. */
struct slice message_source_key(const struct message_source *source);

/* Appends octets of the open message, counted with CRLF. */
bool message_source_append(struct message_source *source, uint64_t offset, size_t octets,
                           struct buffer *text, struct error *error);

/* source->share is there. */
bool message_source_share(struct message_source *source, struct error *error);

#endif
