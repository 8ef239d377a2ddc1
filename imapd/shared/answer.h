/*
 * Cuts an IMAP server's answer to one command (RFC 3501 2.2.2) into parts as it arrives: the lines
 * of untagged responses and continuation requests, the octets of their literals, and the line with
 * the command's tag. A line that begins with anything else is an error, since it could pass for the
 * answer to another command of the client. The parts are the same however the input is split,
 * except for where they are cut. Keeps no input. Pure; imapd-mailbox.
 */
#ifndef IMAPD_SHARED_ANSWER_H
#define IMAPD_SHARED_ANSWER_H

#include "common/slice.h"

enum answer_part {
    ANSWER_MORE,    /* needs more input; only the start of a line that may be the tag is left */
    ANSWER_TEXT,    /* text of a response, with line ends and literal announcements; ends after an
                       announcement */
    ANSWER_LITERAL, /* octets of the literal; answer->literal_left are still to come */
    ANSWER_TAGGED,  /* text of the tagged line, with the tag */
    ANSWER_END,     /* no octets: the tagged line is complete */
    ANSWER_LOST,    /* no octets: the next line does not belong to this answer; nothing after it is
                       accepted (imapd/shared/visit.h) */
};

enum { ANSWER_TAG_MAX = 1024 };

/* The result in the tagged line. The server may be compromised: everything but OK is a refusal. */
enum answer_verdict {
    VERDICT_NONE, /* the answer has not ended yet */
    VERDICT_OK,
    VERDICT_REFUSED, /* NO, BAD */
};

struct answer {
    enum answer_verdict verdict; /* at ANSWER_END */
    uint64_t literal_left;
    /* The rest is answer.c's. */
    uint8_t tag[ANSWER_TAG_MAX + 1]; /* with the space after it */
    size_t tag_octets;
    size_t at; /* octets of the line so far, up to a few more than the tag's */
    bool in_tagged;
    bool is_over;
    uint8_t announcing; /* how far "{23}\r\n" has come */
    uint64_t announced;
};

/* False: the tag is too long. */
bool answer_init(struct answer *answer, struct slice tag);

/* Switches to the answer of another command; a response that has begun goes on. False, with nothing
 * done: the tag is too long. */
bool answer_retag(struct answer *answer, struct slice tag);

/* The next part at the beginning of `input`; *taken is its length, which the caller consumes. */
enum answer_part answer_next(struct answer *answer, struct slice input, size_t *taken);

/* Whether the answer so far is empty or ends with a complete line. */
static inline bool answer_is_between_lines(const struct answer *answer)
{
    return answer->at == 0 && answer->literal_left == 0;
}

#endif
