/*
 * Answers an administrator's command that the master passed on (ROLE_CONTROL): parses its words,
 * and writes the answer while the role's loop goes on.
 */
#ifndef COMMON_ROLE_CONTROL_H
#define COMMON_ROLE_CONTROL_H

#include "common/buffer.h"
#include "common/role/role.h"

enum { CONTROL_WORDS_MAX = 64, CONTROL_ANSWER_MAX = 256 << 20, CONTROL_PATIENCE_S = 60 };

/* Borrowed from the record. */
struct control_words {
    struct slice words[CONTROL_WORDS_MAX]; /* the verb first */
    size_t count;
};

/* False with ERROR_PEER: too many words. */
bool control_words_parse(const struct ipc_packet *packet, struct control_words *words,
                         struct error *error);

/* Takes the descriptor and the octets of the buffer, which is empty afterwards. The first line must
 * be "ok" or "error: ...". A client that reads nothing for CONTROL_PATIENCE_S is disconnected. If
 * the buffer has failed, the answer is "error: out of memory". */
void control_answer(struct role *role, int fd, struct buffer *answer);

/* control_answer() with "error: " and that text. */
void control_refuse(struct role *role, int fd, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
