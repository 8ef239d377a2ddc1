/*
 * A session as a record, and back (imapd/session/hibernation.h). The record says all that this
 * process knows of a client but what is in the Maildir: what it has enabled, the folder it has
 * selected with the messages that it knows (imapd/folder/view_past.h), whether it idles.
 *
 *     resume-record = version flags manner without tag [directory view]
 *
 * numbers as in view_past.h, texts after the number of their octets. It comes back from a network
 * process, so nothing in it is believed: it is parsed to the last octet, and what it can say is no
 * more than that process could have its client do by commands. Whose account it is it does not say.
 *
 * What cannot be said so keeps its session awake: a command that is under way, NOTIFY, contexts of
 * SEARCH, COMPRESS, octets that wait in either direction, more than SLEEP_RECORD_MAX octets (a
 * selected folder with about 10 000 gaps between its UIDs). imapd-mailbox.
 */
#ifndef IMAPD_SESSION_RESUME_H
#define IMAPD_SESSION_RESUME_H

#include "imapd/folder/view_past.h"

struct session;

enum { RESUME_TAG_MAX = 255 };

struct resume_record {
    bool idles;
    bool selected;
    unsigned manner;  /* of enum view_manner */
    uint64_t without; /* capabilities that the client is not to know */
    struct slice tag; /* of IDLE; else none */
    struct slice directory;
    struct view_past view; /* the last two: if selected */
};

/* Borrows from the octets. False: it is no record. Pure. */
bool resume_parse(struct slice octets, struct resume_record *record);

/* Nothing is under way in the session, and nothing keeps it awake but perhaps its size. */
bool resume_is_possible(const struct session *session);

/* Appends the record; false: it is too large, or there is no memory. */
bool resume_format(const struct session *session, struct buffer *text);

/* The same of what was enabled alone, without what is selected: for the session that the client
 * gets in the process of another account (imapd/shared/visit.h). */
bool resume_format_manner(const struct session *session, struct buffer *text);

/* Makes a new session what it was. ERROR_NOT_FOUND: its folder is no more, and the client must be
 * told BYE. */
bool resume_restore(const struct resume_record *record, struct session *session,
                    struct error *error);

#endif
