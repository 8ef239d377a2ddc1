/*
 * The access control list of a folder (RFC 4314): the file "staffetta-acl" in its directory, one
 * line for each identifier, rights first:
 *
 *     lrs bob@example.org
 *     lrswipkxtea -carol@example.org
 *     l anyone
 *
 * An identifier is the name of an account of this server, or "anyone" for all its accounts; with
 * "-" before it, the rights are denied, whatever else grants them (RFC 4314 2). The owner is in no
 * list: the owner always has all rights. A malformed line grants nothing. A folder without this
 * file that came from Dovecot has the rights of its "dovecot-acl" (storage/foreign/foreign_acl.h)
 * until they are first changed.
 *
 * One writer: the owner's mailbox process, which alone checks rights by it. Blocking file I/O,
 * except for what is marked pure.
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

/* Parses the letters of RFC 4314 2.1, including "c" and "d" of RFC 2086 (2.1.1). False: any other
 * letter. Pure. */
bool acl_rights_parse(struct slice letters, unsigned *rights);
/* Appends the letters, with "c" and "d" if some of the rights they stand for are set (2.1.1). */
void acl_rights_format(unsigned rights, struct buffer *text);

/* Reads the next entry: *rest starts as buffer_slice(&acl->text). False at the end. */
bool acl_next(struct slice *rest, struct acl_entry *entry);

/* The effective rights of an account that is not the owner. Pure. */
unsigned acl_rights_of(const struct acl *acl, struct slice account);
/* The rights in the entry of exactly this identifier; 0: there is none. */
unsigned acl_find(const struct acl *acl, struct slice identifier, bool negative);

/* Replaces the entry of this identifier; without rights, removes it. ERROR_PERMANENT: the
 * identifier cannot be stored (too long, a control character, a space), or the list is full. */
bool acl_set(struct acl *acl, const struct acl_entry *entry, struct error *error);

/* Loads the list of a folder; `owner` supplies the domain for names without one in Dovecot's file.
 * No file is an empty list. A file that cannot be read is an error: then no other account has
 * rights. */
bool acl_load(int folder_fd, struct slice owner, struct acl *acl, struct error *error);
/* Durable when it returns true. */
bool acl_store(int folder_fd, const struct acl *acl, struct error *error);

/* Copies the list of one folder to another; paths are relative to the account's directory. */
bool acl_copy(int account_fd, const char *from, const char *to, struct slice owner,
              struct error *error);

#endif
