/*
 * The targets of a recipient: formats and parses the list at the end of an AUTH_RECIPIENT_ANSWER
 * (auth_protocol.h). Pure; results borrow from the list. auth, smtpd-session and smtpd-queue.
 */
#ifndef COMMON_AUTH_RECIPIENT_TARGETS_H
#define COMMON_AUTH_RECIPIENT_TARGETS_H

#include "common/auth/auth_protocol.h"
#include "common/buffer.h"

struct recipient_target {
    enum auth_target_kind kind;
    struct token permit; /* of an address */
    struct slice name;   /* the account or the address, not empty */
};

/* Failure is the buffer's. */
void recipient_target_append(const struct recipient_target *target, struct buffer *list);

/* Takes the first target off the list. False, and nothing is changed: the list is empty or
 * malformed. */
bool recipient_target_take(struct slice *list, struct recipient_target *target);

/* Whether the list is well-formed and has exactly `count` targets. */
bool recipient_targets_are(struct slice list, uint32_t count);

#endif
