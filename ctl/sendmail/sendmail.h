/*
 * `staffetta sendmail`, the sendmail command for programs and cron: completes a message from
 * standard input, and sends it by SMTP to the running server, as any client would. It runs as the
 * user who called it, without additional rights.
 *
 *   verb_sendmail.c    options, standard input, exit status
 *   sendmail_text.c    the message: line ends, recipients, missing fields; pure
 *   sendmail_send.c    the SMTP dialogue with the server
 *   sendmail_return.c  the report to the sender when a message from disk is refused; pure
 *   sendmail_drop.c    a file for later, if the server does not run or takes no mail now
 */
#ifndef CTL_SENDMAIL_SENDMAIL_H
#define CTL_SENDMAIL_SENDMAIL_H

#include "common/arena.h"
#include "common/buffer.h"
#include "common/config/config.h"
#include "common/error.h"

/* Addresses, each once. */
struct sendmail_list {
    struct slice *items;
    size_t count;
};

struct sendmail {
    struct arena arena; /* holds all texts */
    const char *domain; /* of names without one */
    const char *hostname;
    struct slice sender; /* reverse-path; empty: null */
    struct slice author; /* for a From that is missing */
    struct slice name;   /* with it; may be empty */
    bool from_header;    /* -t: recipients from To, Cc and Bcc, or Resent-To, -Cc and -Bcc */
    bool dot_ends;       /* no -i: a line with a single dot ends the message */
    struct sendmail_list recipients;
    struct buffer text; /* the message, its lines with CRLF */
};

/* --- sendmail_text.c: all fail with ERROR_PERMANENT and a text for the user ----------------------
 */

/* Adds the addresses of a list in the syntax of From and To; "bob" becomes bob@domain. */
bool sendmail_add_recipients(struct sendmail *mail, struct slice list, struct error *error);

/* One address, completed in the same way; "" and "<>" are the null reverse-path. */
bool sendmail_set_sender(struct sendmail *mail, struct slice address, struct error *error);

/* Makes the text from the input: converts line ends, with -t takes the recipients from the header,
 * always removes Bcc and Resent-Bcc, and adds From, Date and Message-ID if missing. `now`: seconds
 * since 1970; `unique`: for the Message-ID. */
bool sendmail_make_text(struct sendmail *mail, struct slice input, int64_t now, uint64_t unique,
                        struct error *error);

/* --- sendmail_drop.c -------------------------------------------------------------------------- */

#define SENDMAIL_DROP "drop" /* below the state directory */

/* Writes the message to disk for the master to have it sent. ERROR_TEMPORARY or ERROR_PERMANENT: it
 * was not stored. */
bool sendmail_drop(const struct sendmail *mail, const char *state, struct error *error);

/* Reads it back from the octets of such a file. ERROR_PERMANENT: not such a file. */
bool sendmail_read_drop(struct sendmail *mail, struct slice file, struct error *error);

/* --- sendmail_return.c ------------------------------------------------------------------------ */

/* Makes *report about a message refused with the reply `why`. The caller has initialised the
 * report's arena and text, and clears them. ERROR_PERMANENT: there is nobody to notify. */
bool sendmail_make_return(const struct sendmail *mail, const char *why, int64_t now,
                          uint64_t unique, struct sendmail *report, struct error *error);

/* --- sendmail_send.c -------------------------------------------------------------------------- */

/* The exit statuses of sysexits.h that callers see. */
enum sendmail_status {
    SENDMAIL_DONE = 0,
    SENDMAIL_RETURNED = 1,   /* only to the master: refused for good, and the sender was notified */
    SENDMAIL_USAGE = 64,     /* EX_USAGE */
    SENDMAIL_DATA = 65,      /* EX_DATAERR: not a message */
    SENDMAIL_NO_USER = 67,   /* EX_NOUSER: a recipient does not exist */
    SENDMAIL_REFUSED = 69,   /* EX_UNAVAILABLE: refused for good */
    SENDMAIL_FAULT = 71,     /* EX_OSERR */
    SENDMAIL_TRY_AGAIN = 75, /* EX_TEMPFAIL: the server does not run, or accepts nothing now */
    SENDMAIL_CONFIG = 78,    /* EX_CONFIG */
};

/* Connects to the first `listen smtp`; -1 with ERROR_TEMPORARY: no answer. */
int sendmail_connect(const struct config *config, struct error *error);

/* Submits the message, to all recipients or to none. Takes the descriptor. */
enum sendmail_status sendmail_send(const struct sendmail *mail, int fd, struct error *error);

/* -bs: connects standard input and output to it. Takes the descriptor. */
enum sendmail_status sendmail_talk(int fd, struct error *error);

#endif
