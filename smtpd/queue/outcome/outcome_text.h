/*
 * The text about one delivery attempt to a recipient, in up to three lines:
 *
 *   5.1.1 example.org does not know this recipient     for people: a status code (RFC 3463), words
 *   550-5.1.1 <x@example.org>\r550 5.1.1 no such user  the peer's whole reply; empty: it was silent
 *   mx.example.org [192.0.2.1]                         the peer; empty: there was none
 *
 * It travels from relay to queue and stands in the queue's records. Octets that are not printable
 * become '?' (a tab: a space), so no peer can forge a line of the log or a field of a report. Pure;
 * queue and relay.
 */
#ifndef SMTPD_QUEUE_OUTCOME_OUTCOME_TEXT_H
#define SMTPD_QUEUE_OUTCOME_OUTCOME_TEXT_H

#include "common/buffer.h"
#include "common/slice.h"

enum {
    OUTCOME_WORDS_MAX = 300, /* octets; more is cut, as is the reply to what is left */
    OUTCOME_PEER_MAX = 300,
    OUTCOME_TEXT_MAX = 1024, /* all three with the line ends between them */

    OUTCOME_REPLY_BREAK = '\r', /* between the lines of a reply */
};

struct outcome_text {
    struct slice words;
    struct slice reply; /* lines apart by CRLF or LF when formatted, by OUTCOME_REPLY_BREAK when
                           parsed */
    struct slice peer;
};

/* Appends at most OUTCOME_TEXT_MAX octets; empty lines at the end are left out. Failure is the
 * buffer's. */
void outcome_text_format(const struct outcome_text *text, struct buffer *out);

/* Never fails: what is missing is empty, a fourth line is ignored. Borrows from the text. */
struct outcome_text outcome_text_parse(struct slice text);

/* Appends the reason why a recipient is given up ("5.4.7 ..."), then the words of the last attempt,
 * and its reply and peer. `last`: the text of that attempt; empty: there was none. */
void outcome_text_give_up(struct slice reason, struct slice last, struct buffer *out);

/* The status code at the beginning of the words (RFC 3463 2: "5.1.1", class 2, 4 or 5); empty if
 * they begin otherwise. */
struct slice outcome_text_status(struct slice words);

#endif
