/*
 * One command of our own on a visit to another account's process (imapd/shared/visit.h), and its
 * answer as lines. For commands that need something from that process; the client's own commands
 * are forwarded unchanged by forward.c. The other process may be compromised: the caller must
 * accept only what it asked for. imapd-mailbox.
 */
#ifndef IMAPD_SHARED_EXCHANGE_H
#define IMAPD_SHARED_EXCHANGE_H

#include "common/buffer.h"
#include "imapd/session/session.h"
#include "imapd/shared/visit.h"

/* The tag of all our commands. */
#define EXCHANGE_TAG SLICE("c")

/* Longest command or response, including literals that are collected. */
enum { EXCHANGE_LINE_OCTETS = 1 << 20 };

struct exchange {
    struct visit *visit;  /* the caller's */
    struct buffer line;   /* the response being received */
    struct buffer tagged; /* the tagged line */
    enum answer_verdict verdict;
    bool lost;
};

void exchange_init(struct exchange *exchange);
void exchange_clear(struct exchange *exchange); /* not the visit; may run twice */

/* Begins a command; the caller sends its text with visit_say(). */
void exchange_begin(struct exchange *exchange, visit_hears *hears);
/* Sends a whole command, given without its CRLF. */
void exchange_ask(struct exchange *exchange, const struct buffer *command, visit_hears *hears);

/* The same with another tag, which exchange_relay() does not support. False: the tag is too
 * long. */
bool exchange_ask_as(struct exchange *exchange, struct slice tag, const struct buffer *command,
                     visit_hears *hears);

/* Appends a mailbox name (UTF-8) in the encoding of the exchange. */
void exchange_append_name(const struct session *session, struct slice name, struct buffer *text);

static inline bool exchange_is_answered(const struct exchange *exchange)
{
    return exchange->verdict != VERDICT_NONE;
}

/* It was answered, but not with OK. */
static inline bool exchange_is_refused(const struct exchange *exchange)
{
    return exchange->verdict == VERDICT_REFUSED;
}

/* It was refused, or will never be answered. */
static inline bool exchange_has_failed(const struct exchange *exchange)
{
    return exchange->lost || exchange_is_refused(exchange);
}

/* Ends the client's command with the other process's tagged response, under the client's tag. */
void exchange_relay(const struct exchange *exchange, struct session *session);

/* ---- for a visit_hears, which only changes state that the session's step reads ---- */

/* Handles the end of the answer, if this is it; then the session's step runs. */
bool exchange_take_end(struct exchange *exchange, struct visit *visit, enum answer_part part,
                       struct slice octets);

/* Collects other octets. False: the line is too long (`line.failed`), and the session's step runs.
 */
bool exchange_gather(struct exchange *exchange, struct session *session, struct slice octets);

/* Does both. True: `line` is a complete response. */
bool exchange_has_response(struct exchange *exchange, struct visit *visit, enum answer_part part,
                           struct slice octets);

/* Runs the waiting step in the next turn. */
void exchange_wake(struct session *session);

#endif
