/*
 * The index of one user: data from messages that were read, so that they need not be read again.
 * Derived from the Maildir only: it may be deleted at any time, loses the last seconds when the
 * process is killed, and is discarded if it is inconsistent. Each entry belongs to a UIDVALIDITY
 * and a UID, which are never used for another message, so an entry can be obsolete, but never
 * wrong.
 *
 * Berkeley DB, private to the one process that opened it (the user's mailbox process; ensured by a
 * lock). After any failure the mailbox goes on without the index: the caller closes it and does not
 * use it again.
 */
#ifndef STORAGE_INDEX_H
#define STORAGE_INDEX_H

#include "common/disk/db.h"

#define INDEX_DIRECTORY "staffetta-index" /* in the account's directory */

struct index;

enum index_kind {
    INDEX_FACTS = 1, /* struct index_facts; a message that has anything in the index has these */
    INDEX_ENVELOPE,  /* these three: as in a FETCH response, common/mime/structure.h */
    INDEX_BODY,
    INDEX_BODYSTRUCTURE,
    INDEX_REFERENCES, /* what THREAD compares, imapd/search/message_ids.h */
    /* If the format of one of the following changes, it must get a new number. */
    INDEX_PREVIEW, /* as in a FETCH response, imapd/fetch/preview.h */
    INDEX_SUBJECT, /* what SEARCH compares, imapd/search/search_fields.h */
    INDEX_SENDER,
    INDEX_RECIPIENTS,
    INDEX_HEADER_GRAMS, /* rule out strings, imapd/search/search_grams.h */
    INDEX_BODY_GRAMS,
    INDEX_KINDS,
};

/* Facts that the file name does not hold; and the name's key, by which a file that lost its UID in
 * a crash gets it back. */
struct index_facts {
    int64_t internal_date; /* seconds since 1970 */
    uint64_t crlf_octets;  /* RFC822.SIZE */
    int32_t sent_day;      /* of the Date field, days since 1970; INDEX_NO_DAY: there is none */
    bool sent_day_known;
    struct slice key; /* maildir_name.key; when read, borrowed like the record */
};
enum { INDEX_NO_DAY = INT32_MIN };

/* Opens the index in `directory`, which is created if missing; a corrupt index is replaced by an
 * empty one. ERROR_EXISTS: another process has it open. `on_message` gets the messages of db.h and
 * `context`. */
bool index_open(const char *directory, void (*on_message)(void *context, const char *message),
                void *context, struct index **index, struct error *error);

/* Flushes and closes. Removes an index that has a corrupt page, or if a flush failed. NULL is fine.
 */
void index_close(struct index *index);

/* --- writing: an entry can be read at once, and is on disk after the next flush --- */

bool index_put_facts(struct index *index, uint32_t uidvalidity, uint32_t uid,
                     const struct index_facts *facts, struct error *error);
bool index_put_text(struct index *index, uint32_t uidvalidity, uint32_t uid, enum index_kind kind,
                    struct slice text, struct error *error);

/* To be called in each turn that has put an entry: ends the open transaction. */
bool index_commit(struct index *index, struct error *error);

/* Writes all entries to disk, and commits. */
bool index_flush(struct index *index, struct error *error);

/* Removes the entries of at most `limit` messages for which `is_alive` (called with `owner`)
 * returns false, and commits. *swept: none are left. */
typedef bool index_alive(const void *owner, uint32_t uid);
bool index_sweep(struct index *index, uint32_t uidvalidity, index_alive *is_alive,
                 const void *owner, size_t limit, bool *swept, struct error *error);

/* The same for all messages of a folder that no longer exists. */
bool index_forget(struct index *index, uint32_t uidvalidity, size_t limit, bool *forgotten,
                  struct error *error);

/* --- reading: all facts of one folder, in the order of UIDs --- */

typedef void index_visit(void *owner, uint32_t uid, const struct index_facts *facts);
bool index_visit_facts(struct index *index, uint32_t uidvalidity, index_visit *visit, void *owner,
                       struct error *error);

/* --- reading: texts of one kind of one folder --- */

struct index_block;

struct index_reader {
    struct index *index;
    uint32_t uidvalidity;
    enum index_kind kind;
    struct index_block *block; /* the last block read; NULL: none */
    uint32_t number;           /* number of `block` */
    struct buffer text;        /* a text found outside a block */
};

void index_reader_init(struct index_reader *reader, struct index *index, uint32_t uidvalidity,
                       enum index_kind kind);
void index_reader_clear(struct index_reader *reader); /* may run twice */

/* Finds the text of a UID, borrowed until the next call. Cheap for ascending UIDs; in any other
 * order each call reads a block. False with ERROR_NOT_FOUND: there is none. May miss a text that
 * was put after its block was read. */
bool index_reader_find(struct index_reader *reader, uint32_t uid, struct slice *value,
                       struct error *error);
/* Finds the block with the texts of this UID and its neighbours; borrowed until the next call.
 * False with ERROR_NOT_FOUND also if the block is being written. */
bool index_reader_find_block(struct index_reader *reader, uint32_t uid,
                             const struct index_block **block, struct error *error);
bool index_reader_find_facts(struct index_reader *reader, uint32_t uid, struct index_facts *facts,
                             struct error *error);

#endif
