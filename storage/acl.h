/*
 * Who beside its owner may do what with a folder (RFC 4314): "staffetta-acl" in the folder's
 * directory, a line for each identifier, rights first:
 *
 *     lrs bob@example.org
 *     lrswipkxtea -carol@example.org
 *     l anyone
 *
 * An identifier is the name of an account of this house, or "anyone", which is every account of it;
 * with "-" before it the rights are those that it has not, whatever else gives them (RFC 4314 2).
 * The owner stands in no list: he has all rights, and nobody takes them away. A line that is none
 * of these gives nothing. A folder without that file that Dovecot had has the rights of its
 * "dovecot-acl" (storage/foreign/foreign_acl.h), until they are first changed.
 *
 * One writer: the owner's mailbox process, which alone decides by it. Blocking file I/O, but for
 * what is pure.
 */
#ifndef STORAGE_ACL_H
#define STORAGE_ACL_H

#include "common/buffer.h"
#include "common/error.h"

/* In the order of RFC 4314 2.1. */
enum acl_right {
    ACL_LOOKUP = 1 << 0,         /* l */
    ACL_READ = 1 << 1,           /* r */
    ACL_SEEN = 1 << 2,           /* s */
    ACL_WRITE = 1 << 3,          /* w: flags other than \Seen and \Deleted */
    ACL_INSERT = 1 << 4,         /* i */
    ACL_POST = 1 << 5,           /* p */
    ACL_CREATE = 1 << 6,         /* k */
    ACL_DELETE_MAILBOX = 1 << 7, /* x */
    ACL_DELETE_MESSAGE = 1 << 8, /* t: \Deleted */
    ACL_EXPUNGE = 1 << 9,        /* e */
    ACL_ADMINISTER = 1 << 10,    /* a */
    ACL_ALL = (1 << 11) - 1,
};

enum {
    ACL_OCTETS_MAX = 32768,   /* of the file */
    ACL_IDENTIFIER_MAX = 322, /* octets, with the sign */
};

struct acl {
    struct buffer text; /* the file */
};

struct acl_entry {
    struct slice identifier; /* without the sign */
    bool negative;
    unsigned rights; /* enum acl_right */
};

void acl_init(struct acl *acl);
void acl_clear(struct acl *acl); /* may run twice */

/* Letters of RFC 4314 2.1, "c" and "d" of RFC 2086 among them (2.1.1). False: there is another
 * letter. Pure. */
bool acl_rights_parse(struct slice letters, unsigned *rights);
/* Appends them, with "c" and "d" where some of what these mean are there, as 2.1.1 wants. */
void acl_rights_format(unsigned rights, struct buffer *text);

/* The entries one after the other: *rest starts as buffer_slice(&acl->text). False at the end. */
bool acl_next(struct slice *rest, struct acl_entry *entry);

/* What that account may do, who is not the owner. Pure. */
unsigned acl_rights_of(const struct acl *acl, struct slice account);
/* What the list says of exactly that identifier; 0: nothing. */
unsigned acl_find(const struct acl *acl, struct slice identifier, bool negative);

/* Replaces what the list says of that identifier; no rights: it goes. ERROR_PERMANENT: the
 * identifier cannot be kept (too long, a control character, a space), or the list is full. */
bool acl_set(struct acl *acl, const struct acl_entry *entry, struct error *error);

/* Of the folder that the directory is; `owner` tells what Dovecot's file means by names without a
 * domain. No file is an empty list. A file that cannot be read is an error: nobody has rights. */
bool acl_load(int folder_fd, struct slice owner, struct acl *acl, struct error *error);
/* Durable when it returns true. */
bool acl_store(int folder_fd, const struct acl *acl, struct error *error);

/* Gives one folder of an account what the other has; the paths are relative to the account's. */
bool acl_copy(int account_fd, const char *from, const char *to, struct slice owner,
              struct error *error);

#endif
