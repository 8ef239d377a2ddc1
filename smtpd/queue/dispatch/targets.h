/*
 * The queue's questions to auth: where an account's mail is delivered (on success the master
 * answers), and which accounts an address means.
 *
 *   queue ── AUTH_TARGET (account) ────> auth ── MASTER_TARGET ──> master
 *   queue <─ ROLE_TARGET / ROLE_NO_TARGET ───────────────────────── master
 *   queue <─ AUTH_NO_TARGET ──────────── auth
 *
 *   queue ── AUTH_RECIPIENT (address) ─> auth     of a report's recipient, who has no account yet
 *   queue <─ AUTH_RECIPIENT_ANSWER ───── auth
 *
 * A destination that waits for something (an answer, or in a list with others for the same thing)
 * is blocked in the schedule, so that it does not delay others.
 */
#ifndef SMTPD_QUEUE_DISPATCH_TARGETS_H
#define SMTPD_QUEUE_DISPATCH_TARGETS_H

#include "common/buffer.h"
#include "common/role/role.h"

struct queue;
struct queue_target;

struct targets {
    struct question *questions;        /* under way, by request */
    struct queue_target *paused;       /* to be asked about again at the next second */
    struct queue_target *without_auth; /* wait until auth is connected */
    struct buffer recipient;
};

enum { TARGETS_AUTH_RULES = 2 };
extern const struct ipc_rule targets_auth_rules[TARGETS_AUTH_RULES];

/* ROLE_TARGET and ROLE_NO_TARGET of the master; owner: struct role. */
ipc_handler targets_on_target, targets_on_no_process;

void targets_init(struct queue *queue);
void targets_auth_up(struct queue *queue);
void targets_auth_down(struct queue *queue);

/* Puts the target into the list and blocks it until targets_let_go() of that list. */
void targets_wait(struct queue_target **list, struct queue_target *target);
void targets_let_go(struct queue *queue, struct queue_target **list);

/* Asks where the account's mail goes. The destination is blocked until there is an answer, or until
 * auth can be asked. */
void targets_ask(struct queue *queue, struct queue_target *target);

/* After a reload: accounts may have moved, and there are new deliver processes. */
void targets_forget_known(struct queue *queue);

/* Takes the next recipient of a TARGET_ADDRESS target whose turn it is, and asks auth to resolve
 * its address. */
void targets_ask_address(struct queue *queue, struct queue_target *target);

/* Once a second: gives up questions that were never answered, and asks paused ones again. */
void targets_tick(struct queue *queue);

#endif
