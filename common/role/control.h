/*
 * The answer to an administrator's command that the master handed on (ROLE_CONTROL): the words of
 * the command, and an answer that is written while the role's loop goes on. For queue and journal.
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

/* False with ERROR_PEER: too many. */
bool control_words_parse(const struct ipc_packet *packet, struct control_words *words,
                         struct error *error);

/* Takes the descriptor and the octets of the buffer, which is empty afterwards. The first line must
 * be "ok" or "error: ...". A client that takes none of it for CONTROL_PATIENCE_S is left. Where the
 * buffer has failed, "error: out of memory" is said instead. */
void control_answer(struct role *role, int fd, struct buffer *answer);

/* The same with "error: " and that text. */
void control_refuse(struct role *role, int fd, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
