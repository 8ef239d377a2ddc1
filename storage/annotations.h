/*
 * Annotations of a folder or of the account (RFC 5464): one small text file in each folder that has
 * any,
 *
 *     staffetta-metadata 1
 *     /private/comment 11
 *     My own note
 *     end
 *
 * and one with another name for the account. The number is the length of the value in octets; the
 * value may have any octets, and is followed by LF. Private entries of another account that sees
 * the folder are stored as "/private:bob@example.org/comment", with unusual octets of the account's
 * name as "%2f".
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

/* Memory and file never exceed `limit` octets. */
void annotations_init(struct annotations *annotations, size_t limit);
void annotations_clear(struct annotations *annotations); /* may run twice */

/* Reads the next one: *rest starts as buffer_slice(&annotations->text). False at the end. */
bool annotations_next(struct slice *rest, struct annotation *annotation);

/* False, with *value untouched: there is no such entry. */
bool annotations_find(const struct annotations *annotations, struct slice entry,
                      struct slice *value);

size_t annotations_count(const struct annotations *annotations);

/* Adds or replaces an entry, or removes it if value.ptr is NULL. False, with nothing changed: no
 * memory, or over the limit. */
bool annotations_set(struct annotations *annotations, struct slice entry, struct slice value);

/* ---- for an account that is not the owner ---- */

/* Appends the name under which the account's entry is stored: /shared entries are common to all
 * accounts, /private ones are its own. */
void annotations_append_kept(struct slice account, struct slice entry, struct buffer *kept);

/* The annotations that the account sees, under the names it uses. False: no memory. */
bool annotations_see(const struct annotations *annotations, struct slice account,
                     struct annotations *seen);

/* The number of the account's own /private entries; for the owner (empty), with all of /shared. */
size_t annotations_count_of(const struct annotations *annotations, struct slice account);

/* Removes private entries of accounts for which `keeps` returns false. True: some were removed. */
typedef bool annotations_keeps(struct slice account, const void *context);
bool annotations_drop(struct annotations *annotations, annotations_keeps *keeps,
                      const void *context);

/* ---- the text ---- */

/* Takes the text of a file. ERROR_PERMANENT, with nothing changed: it is malformed. */
bool annotations_parse(struct annotations *annotations, struct slice text, struct error *error);
void annotations_format(const struct annotations *annotations, struct buffer *text);

/* ---- the file ---- */

/* No file means no annotations. ERROR_PERMANENT: the file is malformed or too large; it was renamed
 * to NAME.broken. */
bool annotations_load(int dir_fd, const char *name, struct annotations *annotations,
                      struct error *error);

/* Durable when it returns true. Without annotations there is no file. */
bool annotations_store(int dir_fd, const char *name, const struct annotations *annotations,
                       struct error *error);

/* Total octets of these files in an account, including deleted folders that are kept
 * (storage/expunged.h): else a client could get any amount by creating, annotating and deleting
 * folders. */
bool annotations_measure(int account_fd, uint64_t *octets, struct error *error);

#endif
