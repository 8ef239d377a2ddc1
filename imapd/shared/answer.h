/*
 * What an IMAP server answers to one command (RFC 3501 2.2.2), cut into parts as it comes: the
 * lines of untagged responses and continuation requests, the octets of their literals, and the line
 * that begins with the command's tag. A line that begins otherwise is none: it could pass for the
 * answer to another command of the client. The same parts come out, but for where they are cut,
 * however the input is split. Nothing is kept. Pure; imapd-mailbox.
 */
#ifndef IMAPD_SHARED_ANSWER_H
#define IMAPD_SHARED_ANSWER_H

#include "common/slice.h"

enum answer_part {
    ANSWER_MORE,    /* the input is used up, but for the beginning of a line that may be the tag */
    ANSWER_TEXT,    /* of a response; line ends and announcements of literals among it. One that
                       ends after an announcement ends there */
    ANSWER_LITERAL, /* octets of that literal; answer->literal_left are still to come */
    ANSWER_TAGGED,  /* of the tagged line, the tag among it */
    ANSWER_END,     /* no octets: that line was the end */
    ANSWER_LOST,    /* no octets: the next line is of no answer to this command. Nor is anything
                       that follows (imapd/shared/visit.h) */
};

enum { ANSWER_TAG_MAX = 1024 };

/* By the first letter after the tag. The server may be captured: whatever is not OK is a refusal.
 */
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

/* The answer to another command is awaited from now on; a response that has begun goes on. False,
 * and nothing happens: the tag is too long. */
bool answer_retag(struct answer *answer, struct slice tag);

/* The next part at the beginning of `input`; *taken are its octets, which the caller consumes. */
enum answer_part answer_next(struct answer *answer, struct slice input, size_t *taken);

/* What came so far ends with a line, or is nothing. */
static inline bool answer_is_between_lines(const struct answer *answer)
{
    return answer->at == 0 && answer->literal_left == 0;
}

#endif
