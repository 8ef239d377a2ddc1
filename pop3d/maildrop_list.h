/*
 * The messages of a maildrop in one POP3 session: listed once, when the session begins, and
 * numbered from 1 (RFC 1939 5). Later mail is for the next session; if another program changes the
 * files meanwhile, names change here, never numbers. pop3d-maildrop.
 */
#ifndef POP3D_MAILDROP_LIST_H
#define POP3D_MAILDROP_LIST_H

#include "storage/foreign/adopted_uidls.h"
#include "storage/maildir_scan.h"

enum { MAILDROP_UIDL_MAX = 70 }; /* RFC 1939 7 */

struct maildrop_message {
    struct slice key; /* key of the file name, constant for the session; owned by `first` */
    const char *name; /* current file name, owned by `now`; NULL: the message was removed */
    uint8_t place;    /* enum maildir_place */
    bool deleted;     /* marked, by DELE or the configuration */
    bool retrieved;
    bool hashed_uidl;                   /* the UIDL is a hash of the key */
    const struct adopted_uidl *adopted; /* UIDL from another server, in list->adopted; or NULL */
    uint64_t octets;                    /* exactly what RETR sends, without doubled dots */
    int64_t arrived_at;                 /* seconds since 1970 */
};

struct maildrop_list {
    const struct maildir *box; /* borrowed */
    struct maildir_list first; /* owns the keys */
    struct maildir_list now;   /* owns the names after maildrop_list_refresh() */
    struct adopted_uidls adopted;
    struct maildrop_message *messages;
    size_t count;
    size_t left; /* messages not marked as deleted */
    uint64_t octets_left;
};

void maildrop_list_init(struct maildrop_list *list, const struct maildir *box);
void maildrop_list_clear(struct maildrop_list *list); /* may run twice */

/* Reads the folder, and the files whose names do not have their size. Order: messages taken over
 * from another server, in that server's order, then the others in the order of delivery.
 * `uidl_format` is that server's (common/text/uidl_format.h). */
bool maildrop_list_load(struct maildrop_list *list, struct slice uidl_format, struct error *error);

/* The message with this number, or NULL: there is none, or it is marked as deleted. */
struct maildrop_message *maildrop_list_get(struct maildrop_list *list, uint64_t number);

void maildrop_list_mark_deleted(struct maildrop_list *list, struct maildrop_message *message);
void maildrop_list_unmark_all(struct maildrop_list *list); /* RSET */

/* Finds the current names after another program has renamed files. Sets `name` of a removed message
 * to NULL. */
bool maildrop_list_refresh(struct maildrop_list *list, struct error *error);

/* The message's unique-id: the one from another server, else the part of its name before the first
 * comma, which never changes. If that is not 1 to 70 printable octets, or may not be unique, a hash
 * of the whole key. */
void maildrop_list_uidl(const struct maildrop_message *message, char uidl[MAILDROP_UIDL_MAX + 1]);

#endif
