/*
 * The message that a FETCH or SEARCH reads: its file and its tree of MIME parts, each read only
 * when needed, and in slices: a large message takes many turns. imapd-mailbox.
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
    SOURCE_OPEN,   /* the file is open: size and date are known */
    SOURCE_HEADER, /* root is a leaf: the message's header, and its size as body */
    SOURCE_PARTS,  /* root is the tree of all parts */
};

enum source_result {
    SOURCE_DONE,
    SOURCE_MORE, /* one slice is done: call again in the next turn */
    SOURCE_FAILED,
};

struct message_source {
    struct message_cache *cache; /* borrowed */
    struct mime_limits limits;
    struct folder *folder; /* borrowed; NULL: cleared */
    uint32_t uid;
    enum source_depth depth;
    struct message_file file;
    struct stream_file *share; /* the same file, for a stream to send from; NULL: not shared */
    const struct mime_part *root;
    struct mime_part head; /* the root at SOURCE_HEADER */
    struct message_tree tree;
    struct mime_scan scan; /* builds `tree` while `scanning` */
    bool scanning;
    uint64_t scanned; /* octets scanned so far */
};

void message_source_init(struct message_source *source, struct folder *folder);
void message_source_clear(struct message_source *source); /* may run twice */

/* Switches to another message and forgets the previous one. Reads nothing yet. */
void message_source_turn_to(struct message_source *source, uint32_t uid);

/* Reads one slice towards `depth`. ERROR_NOT_FOUND: the message was removed. */
enum source_result message_source_read(struct message_source *source, enum source_depth depth,
                                       struct error *error);

/* INTERNALDATE in seconds since 1970; opens the file only if it is not found by its name. */
bool message_source_date(struct message_source *source, int64_t *seconds, struct error *error);

/* RFC822.SIZE, if known without reading: from the file name, or because the file is open. */
bool message_source_octets(const struct message_source *source, uint64_t *octets);

/* SAVEDATE (RFC 8514) from the file name, in seconds since 1970 (0: it has none), and EMAILID
 * (storage/email_id.h). ERROR_NOT_FOUND: the message was removed. */
bool message_source_saved(const struct message_source *source, int64_t *seconds,
                          struct error *error);
bool message_source_email_id(const struct message_source *source, char id[EMAIL_ID_SIZE],
                             struct error *error);

/* The key of the file name (maildir_name.h); empty: the message was removed. Borrowed until the
 * message's flags change. */
struct slice message_source_key(const struct message_source *source);

/* Appends octets of the open message, counted with CRLF. */
bool message_source_append(struct message_source *source, uint64_t offset, size_t octets,
                           struct buffer *text, struct error *error);

/* Makes source->share, if there is none yet. The file must be open. */
bool message_source_share(struct message_source *source, struct error *error);

#endif
