/*
 * One command of ours, not the client's, to another account's process on a visit
 * (imapd/shared/visit.h), and its answer as lines. For those who ask on the client's behalf while
 * they run a command of his; what the client says himself forward.c hands on as it is. What is
 * heard comes from a process that may be captured: the caller takes from it what he asked for, and
 * nothing else. imapd-mailbox.
 */
#ifndef IMAPD_SHARED_EXCHANGE_H
#define IMAPD_SHARED_EXCHANGE_H

#include "common/buffer.h"
#include "imapd/session/session.h"
#include "imapd/shared/visit.h"

/* The tag of all commands of ours. */
#define EXCHANGE_TAG SLICE("c")

/* A command; a response, with its literals where they are gathered. */
enum { EXCHANGE_LINE_OCTETS = 1 << 20 };

struct exchange {
    struct visit *visit;  /* the caller's */
    struct buffer line;   /* of a response that has not ended yet */
    struct buffer tagged; /* the last line */
    enum answer_verdict verdict;
    bool lost;
};

void exchange_init(struct exchange *exchange);
void exchange_clear(struct exchange *exchange); /* not the visit; may run twice */

/* The command begins: all but the end of its line may follow by visit_say(). */
void exchange_begin(struct exchange *exchange, visit_hears *hears);
/* The whole of it, without its CRLF. */
void exchange_ask(struct exchange *exchange, const struct buffer *command, visit_hears *hears);

/* The same under another tag: exchange_relay() is not for that. False: it is too long. */
bool exchange_ask_as(struct exchange *exchange, struct slice tag, const struct buffer *command,
                     visit_hears *hears);

/* The name, ours, as it is said. */
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

/* Ends the client's command in the words of the process that has answered: what it said under our
 * tag he hears under his. */
void exchange_relay(const struct exchange *exchange, struct session *session);

/* ---- for a visit_hears, which only changes what the session's step looks at ---- */

/* The end of the answer, if it is that; then the session's step runs. */
bool exchange_take_end(struct exchange *exchange, struct visit *visit, enum answer_part part,
                       struct slice octets);

/* Other octets. False: the line is too long, `line.failed`, and the session's step runs. */
bool exchange_gather(struct exchange *exchange, struct session *session, struct slice octets);

/* Both. True: `line` is a whole response. */
bool exchange_has_response(struct exchange *exchange, struct visit *visit, enum answer_part part,
                           struct slice octets);

/* The step that waits runs in the next turn. */
void exchange_wake(struct session *session);

#endif
