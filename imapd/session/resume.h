/*
 * Saves a session as a record, and restores it (imapd/session/hibernation.h). The record holds all
 * state of a client that is not in the Maildir: its enabled extensions, the selected folder with
 * the messages that the client knows (imapd/folder/view_past.h), whether it idles.
 *
 *     resume-record = version flags manner without tag [directory view]
 *
 * with numbers as in view_past.h, and texts preceded by their length in octets. The record comes
 * back from a network process, so it is not trusted: it is parsed to the last octet, and it can do
 * no more than that process could do by sending commands as the client. It does not name the
 * account.
 *
 * A session stays awake if it has state that a record cannot hold: a running command, NOTIFY,
 * SEARCH contexts, COMPRESS, pending octets in either direction, or more than SLEEP_RECORD_MAX
 * octets (a selected folder with about 10 000 gaps between its UIDs). imapd-mailbox.
 */
#ifndef IMAPD_SESSION_RESUME_H
#define IMAPD_SESSION_RESUME_H

#include "imapd/folder/view_past.h"

struct session;

enum { RESUME_TAG_MAX = 255 };

struct resume_record {
    bool idles;
    bool selected;
    unsigned manner;        /* enum view_manner */
    uint64_t without;       /* capabilities hidden from the client */
    struct slice tag;       /* of IDLE; else empty */
    struct slice directory; /* valid if `selected` */
    struct view_past view;  /* valid if `selected` */
};

/* Borrows from the octets. False: malformed. Pure. */
bool resume_parse(struct slice octets, struct resume_record *record);

/* Whether the session can be saved: no command is running, and nothing but perhaps the record's
 * size keeps it awake. */
bool resume_is_possible(const struct session *session);

/* Appends the record; false: it is too large, or there is no memory. */
bool resume_format(const struct session *session, struct buffer *text);

/* The same with the enabled extensions only, without the selected folder: for the client's session
 * in another account's process (imapd/shared/visit.h). */
bool resume_format_manner(const struct session *session, struct buffer *text);

/* Restores a record into a new session. ERROR_NOT_FOUND: the folder no longer exists, and the
 * client must be told BYE. */
bool resume_restore(const struct resume_record *record, struct session *session,
                    struct error *error);

#endif
