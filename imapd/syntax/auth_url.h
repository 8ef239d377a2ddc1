/*
 * URLs that authorise another user to read a message (URLAUTH, RFC 4467 9, RFC 5092 6):
 *
 *     imap://alice@mail.example/INBOX/;uid=20/;section=1.2;expire=2026-01-01T00:00:00Z
 *                                               ;urlauth=user+bob:internal:91354a473744909de610943775f92038
 *
 * Pure; imapd-mailbox.
 */
#ifndef IMAPD_SYNTAX_AUTH_URL_H
#define IMAPD_SYNTAX_AUTH_URL_H

#include "common/arena.h"
#include "common/slice.h"

enum auth_url_access {
    AUTH_URL_SUBMIT,    /* "submit+" user: the submission, on behalf of that user */
    AUTH_URL_USER,      /* "user+" a user */
    AUTH_URL_AUTHUSER,  /* anybody who has logged in */
    AUTH_URL_ANONYMOUS, /* anybody */
};

struct auth_url {
    struct slice rump; /* everything before ":" and the mechanism */
    struct slice user; /* the owner of the message; decoded, in the arena */
    struct slice host; /* without its port */
    struct slice path; /* for message_url_parse() */
    bool expires;
    int64_t until; /* seconds since 1970 */
    enum auth_url_access access;
    struct slice reader;    /* of AUTH_URL_SUBMIT, AUTH_URL_USER; decoded */
    struct slice mechanism; /* empty: it is a rump */
    struct slice token;     /* as written */
};

/* False: not such a URL, or no memory. */
bool auth_url_parse(struct slice text, struct arena *arena, struct auth_url *url);

#endif
