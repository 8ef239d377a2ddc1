/*
 * The index of one user: what was learnt by reading his messages, so that they need not be read
 * again. Derived from the Maildir and nothing else: it may be deleted at any time, loses the last
 * seconds when the process is killed, and is thrown away if it contradicts itself. Each entry
 * belongs to a UIDVALIDITY and a UID, which never mean another message, so an entry can be left
 * over, but never wrong.
 *
 * Berkeley DB, private to the one process that opened it (the user's mailbox process; a lock sees
 * to that). Whatever fails here, the mailbox goes on without the index: close it, and do not ask
 * again.
 */
#ifndef STORAGE_INDEX_H
#define STORAGE_INDEX_H

#include "common/disk/db.h"

#define INDEX_DIRECTORY "staffetta-index" /* in the account's directory */

struct index;

enum index_kind {
    INDEX_FACTS = 1, /* struct index_facts; a message that has anything in the index has these */
    INDEX_ENVELOPE,  /* texts as they stand in a FETCH response, common/mime/structure.h */
    INDEX_BODY,
    INDEX_BODYSTRUCTURE,
    INDEX_REFERENCES, /* what THREAD compares, imapd/search/message_ids.h */
    /* A change of how one of the following is made gives it a new number here. */
    INDEX_PREVIEW, /* a text like the others, imapd/fetch/preview.h */
    INDEX_SUBJECT, /* what SEARCH compares, imapd/search/search_fields.h */
    INDEX_SENDER,
    INDEX_RECIPIENTS,
    INDEX_HEADER_GRAMS, /* what is certainly not there, imapd/search/search_grams.h */
    INDEX_BODY_GRAMS,
    INDEX_KINDS,
};

/* What the file's name does not tell; and the name's key, by which a file that lost its UID in a
 * crash is given it back. */
struct index_facts {
    int64_t internal_date; /* seconds since 1970 */
    uint64_t crlf_octets;  /* RFC822.SIZE */
    int32_t sent_day;      /* of the Date field, days since 1970; INDEX_NO_DAY: it has none */
    bool sent_day_known;
    struct slice key; /* of maildir_name; where it is read, borrowed as the record is */
};
enum { INDEX_NO_DAY = INT32_MIN };

/* Opens the index in `directory`, which is created if missing; a corrupt index is replaced by an
 * empty one. ERROR_EXISTS: another process has it open. `on_message`, called with `context`, is
 * that of db.h. */
bool index_open(const char *directory, void (*on_message)(void *context, const char *message),
                void *context, struct index **index, struct error *error);

/* Flushes and closes. An index with a page that turned out to be corrupt, or with a flush that
 * failed, is removed. NULL is fine. */
void index_close(struct index *index);

/* --- writing: what was put can be read at once, and is on disk after the next flush --- */

bool index_put_facts(struct index *index, uint32_t uidvalidity, uint32_t uid,
                     const struct index_facts *facts, struct error *error);
bool index_put_text(struct index *index, uint32_t uidvalidity, uint32_t uid, enum index_kind kind,
                    struct slice text, struct error *error);

/* To be called in each turn that put something: some of many puts are then in a transaction that is
 * still open. */
bool index_commit(struct index *index, struct error *error);

/* Writes all that was put, and commits. */
bool index_flush(struct index *index, struct error *error);

/* Removes the entries of messages that the folder no longer has (is_alive, called with `owner`,
 * says false), those of at most `limit` messages, and commits. *swept: none are left. */
typedef bool index_alive(const void *owner, uint32_t uid);
bool index_sweep(struct index *index, uint32_t uidvalidity, index_alive *is_alive,
                 const void *owner, size_t limit, bool *swept, struct error *error);

/* The folder no longer exists: the same for all of its messages. */
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
    struct index_block *block; /* that was read last; NULL: none */
    uint32_t number;           /* of it */
    struct buffer text;        /* that was found elsewhere */
};

void index_reader_init(struct index_reader *reader, struct index *index, uint32_t uidvalidity,
                       enum index_kind kind);
void index_reader_clear(struct index_reader *reader); /* may run twice */

/* The text of that UID, borrowed until the next call. UIDs in order cost next to nothing, any other
 * order a block each. False with ERROR_NOT_FOUND where there is none. What was put after a block
 * was read may be missed. */
bool index_reader_find(struct index_reader *reader, uint32_t uid, struct slice *value,
                       struct error *error);
/* The block that has that UID's, and those of its neighbours; borrowed until the next call. False
 * with ERROR_NOT_FOUND also of one that is being put into. */
bool index_reader_find_block(struct index_reader *reader, uint32_t uid,
                             const struct index_block **block, struct error *error);
bool index_reader_find_facts(struct index_reader *reader, uint32_t uid, struct index_facts *facts,
                             struct error *error);

#endif
