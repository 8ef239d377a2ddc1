/*
 * The messages of a maildrop as one POP3 session sees them: taken once, when it begins, and
 * numbered from 1 (RFC 1939 5). Mail that comes later is for the next session; what another program
 * does to the files meanwhile changes names here, never numbers. pop3d-maildrop.
 */
#ifndef POP3D_MAILDROP_LIST_H
#define POP3D_MAILDROP_LIST_H

#include "storage/foreign/adopted_uidls.h"
#include "storage/maildir_scan.h"

enum { MAILDROP_UIDL_MAX = 70 }; /* RFC 1939 7 */

struct maildrop_message {
    struct slice key; /* of its name, the same for the whole session; in `first` */
    const char *name; /* as on disk now, in `now`; NULL: it is gone */
    uint8_t place;    /* enum maildir_place */
    bool deleted;     /* marked, by DELE or the configuration */
    bool retrieved;
    bool hashed_uidl;                   /* its UIDL is a hash of the key */
    const struct adopted_uidl *adopted; /* what another server had for it; in `adopted`. Or NULL */
    uint64_t octets;                    /* exactly as many as RETR sends, dots not doubled */
    int64_t arrived_at;                 /* seconds since 1970 */
};

struct maildrop_list {
    const struct maildir *box; /* borrowed */
    struct maildir_list first; /* owns the keys */
    struct maildir_list now;   /* owns the names, once they were refreshed */
    struct adopted_uidls adopted;
    struct maildrop_message *messages;
    size_t count;
    size_t left; /* not deleted */
    uint64_t octets_left;
};

void maildrop_list_init(struct maildrop_list *list, const struct maildir *box);
void maildrop_list_clear(struct maildrop_list *list); /* may run twice */

/* Reads the folder, and those files whose names do not tell their size. In the order of delivery,
 * after those of another server in the order that they had there. `uidl_format` is that of
 * the server whose mail it was (common/text/uidl_format.h). */
bool maildrop_list_load(struct maildrop_list *list, struct slice uidl_format, struct error *error);

/* The message with that number, or NULL: there is none, or it is marked as deleted. */
struct maildrop_message *maildrop_list_get(struct maildrop_list *list, uint64_t number);

void maildrop_list_mark_deleted(struct maildrop_list *list, struct maildrop_message *message);
void maildrop_list_unmark_all(struct maildrop_list *list); /* RSET */

/* Another program renamed files: finds their names of now. `name` of a message that is gone
 * becomes NULL. */
bool maildrop_list_refresh(struct maildrop_list *list, struct error *error);

/* Its unique-id: the one that another server gave it, or what stands before the first comma of its
 * name, the same for ever. Where that is not 1 to 70 printable octets, or may not be unique, a hash
 * of the whole key. */
void maildrop_list_uidl(const struct maildrop_message *message, char uidl[MAILDROP_UIDL_MAX + 1]);

#endif
