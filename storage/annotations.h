/*
 * What a client notes about a folder or about the account (RFC 5464): one small text file in each
 * folder that has any,
 *
 *     staffetta-metadata 1
 *     /private/comment 11
 *     My own note
 *     end
 *
 * and one of another name for the account. A value has exactly so many octets, whatever they are,
 * and a LF after it. What is private to another account that sees the folder stands there as
 * "/private:bob@example.org/comment", the account's odd octets as "%2f".
 *
 * One writer: the user's mailbox process. The first half of this header is pure.
 */
#ifndef STORAGE_ANNOTATIONS_H
#define STORAGE_ANNOTATIONS_H

#include "common/buffer.h"
#include "common/error.h"

#define ANNOTATIONS_FILE "staffetta-metadata"                 /* in a folder */
#define ANNOTATIONS_ACCOUNT_FILE "staffetta-account-metadata" /* in the account's directory */

struct annotations {
    struct buffer text; /* the file's lines between the first and the last */
};

struct annotation {
    struct slice entry; /* "/private/comment": printable ASCII without spaces, in lower case */
    struct slice value;
};

/* Memory, and the file, never pass `limit` octets. */
void annotations_init(struct annotations *annotations, size_t limit);
void annotations_clear(struct annotations *annotations); /* may run twice */

/* One after the other: *rest starts as buffer_slice(&annotations->text). False at the end. */
bool annotations_next(struct slice *rest, struct annotation *annotation);

/* False, with *value untouched: there is no such entry. */
bool annotations_find(const struct annotations *annotations, struct slice entry,
                      struct slice *value);

size_t annotations_count(const struct annotations *annotations);

/* Adds it, replaces it, or removes it where value.ptr is NULL. False, with nothing changed: no
 * memory, or past the limit. */
bool annotations_set(struct annotations *annotations, struct slice entry, struct slice value);

/* ---- of an account that is not the owner's ---- */

/* Appends by what name its entry is kept: /shared is everybody's, /private its own. */
void annotations_append_kept(struct slice account, struct slice entry, struct buffer *kept);

/* What it sees, by the names that it knows. False: no memory. */
bool annotations_see(const struct annotations *annotations, struct slice account,
                     struct annotations *seen);

/* How many are its own, /private; of the owner (empty) those and all of /shared. */
size_t annotations_count_of(const struct annotations *annotations, struct slice account);

/* Drops what is private to those accounts of which it says false. True: there was something. */
typedef bool annotations_keeps(struct slice account, const void *context);
bool annotations_drop(struct annotations *annotations, annotations_keeps *keeps,
                      const void *context);

/* ---- the text ---- */

/* Takes the text of a file. ERROR_PERMANENT, with nothing changed: it is malformed. */
bool annotations_parse(struct annotations *annotations, struct slice text, struct error *error);
void annotations_format(const struct annotations *annotations, struct buffer *text);

/* ---- the file ---- */

/* No file is no annotation. ERROR_PERMANENT: it is malformed or too large; it then stands aside as
 * NAME.broken and there is none any more. */
bool annotations_load(int dir_fd, const char *name, struct annotations *annotations,
                      struct error *error);

/* Durable when it returns true. Without annotations there is no file. */
bool annotations_store(int dir_fd, const char *name, const struct annotations *annotations,
                       struct error *error);

/* Octets of all those files of an account, in what was deleted and is kept (storage/expunged.h)
 * too: else who makes, annotates and deletes folders would have as many as he likes. */
bool annotations_measure(int account_fd, uint64_t *octets, struct error *error);

#endif
