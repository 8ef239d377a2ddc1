/*
 * The UIDs given by another server: Dovecot's "dovecot-uidlist", Courier's "courierimapuiddb".
 *
 *     3 V1795821975 N6 G493b112b97110a6bc607000083ecc375     Dovecot since 1.1
 *     1 W21 P1a2b3c :1795821975.M941820P1990.vm,S=18         extensions: a letter and its value
 *
 *     1 1795821975 6                                         Dovecot 1.0, Courier
 *     1 1795821975.M941820P1990.vm,S=18
 *
 * Servers append to these files, and a crash may cut them off, so malformed lines are skipped and
 * counted. Pure, except that it allocates its array.
 */
#ifndef STORAGE_FOREIGN_FOREIGN_UIDS_H
#define STORAGE_FOREIGN_FOREIGN_UIDS_H

#include "common/error.h"
#include "common/slice.h"

enum { FOREIGN_UIDS_OCTETS_MAX = 1 << 28 }; /* of a file: some three million messages */

/* Slices are borrowed from the text. */
struct foreign_uid {
    struct slice key;  /* as in maildir_name: without flags, and without a UID of ours */
    struct slice base; /* the name without flags, as written by that server */
    uint32_t uid;
    struct slice pop3; /* extension P: the POP3 UIDL; empty: none */
    struct slice guid; /* extension G; empty: the base name is the GUID */
};

struct foreign_uids {
    uint32_t uidvalidity;
    uint64_t next_uid;         /* above all UIDs of the list; 1..2^32 */
    struct foreign_uid *items; /* sorted by key, without duplicates */
    size_t count;
    size_t capacity;
    size_t bad_lines;
    size_t first_bad_line; /* counted from 1; 0: none */
};

/* ERROR_PERMANENT: the first line is neither of the two, or has no UIDVALIDITY. Of two lines with
 * the same name the later counts, of two with the same UID the first. foreign_uids_clear() must be
 * called in any case. */
bool foreign_uids_parse(struct slice text, struct foreign_uids *uids, struct error *error);
void foreign_uids_clear(struct foreign_uids *uids); /* may run twice */

/* Sorts by UID instead, for a walk through all items; foreign_uids_find() no longer works. */
void foreign_uids_order_by_uid(struct foreign_uids *uids);

/* NULL: the key is not in the list. */
const struct foreign_uid *foreign_uids_find(const struct foreign_uids *uids, struct slice key);

#endif
