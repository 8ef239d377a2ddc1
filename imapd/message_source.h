/*
 * The message behind a FETCH or SEARCH: its file and the tree of its parts, each looked at only
 * when something asks for it. imapd-mailbox.
 */
#ifndef IMAPD_MESSAGE_SOURCE_H
#define IMAPD_MESSAGE_SOURCE_H

#include "common/mime/scan.h"
#include "imapd/fetch_item.h"
#include "imapd/folder.h"
#include "imapd/writer.h"
#include "storage/message_file.h"

struct config;

struct message_source {
    struct mime_limits limits;
    const struct folder *folder; /* NULL: none is open */
    uint32_t uid;
    struct message_file file;  /* closed: nothing needed it yet */
    struct stream_file *share; /* of the same file, for the stream to send from; NULL: not lent */
    struct arena arena;
    const struct mime_part *root; /* in the arena; NULL: not scanned yet */
};

void message_source_init(struct message_source *source, const struct config *config);
void message_source_clear(struct message_source *source); /* may run twice */

/* Turns to another message and forgets the one before. Opens nothing yet. */
void message_source_turn_to(struct message_source *source, const struct folder *folder,
                            uint32_t uid);

/* Opens and scans what these items need: after that only the reading of a section's octets can
 * fail. ERROR_NOT_FOUND: another program removed the message. */
bool message_source_prepare(struct message_source *source, const struct fetch_item *items,
                            struct error *error);

/* The date that INTERNALDATE and the search keys speak of. */
bool message_source_date(struct message_source *source, int64_t *seconds, struct error *error);

/* RFC822.SIZE. */
bool message_source_octets(struct message_source *source, uint64_t *octets, struct error *error);

/* The tree. */
const struct mime_part *message_source_root(struct message_source *source, struct error *error);

/* The value of one item but FLAGS and UID, after message_source_prepare() with it. A long section
 * is written in parts: *position, 0 at first, says how far it is, and the answer is SOURCE_MORE as
 * long as something is left and the stream wants no more now. SOURCE_FAILED: a value that was begun
 * cannot be ended. */
enum source_result {
    SOURCE_DONE,
    SOURCE_MORE,
    SOURCE_FAILED,
};
enum source_result message_source_write(struct message_source *source,
                                        const struct fetch_item *item, uint64_t *position,
                                        struct writer *writer, struct error *error);

#endif
