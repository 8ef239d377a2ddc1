/*
 * libunbound on our event loop: its pluggable event base (unbound-event.h) made of libev watchers.
 * The resolver only.
 */
#ifndef COMMON_DNS_UNBOUND_LOOP_H
#define COMMON_DNS_UNBOUND_LOOP_H

#include <ev.h>

struct ub_ctx;

/* A context whose sockets and timers live in the loop. NULL: no memory. */
struct unbound_loop;
struct unbound_loop *unbound_loop_new(struct ev_loop *loop);

/* Not within a callback of it. Questions under way get no callback. NULL is fine. */
void unbound_loop_free(struct unbound_loop *loop);

struct ub_ctx *unbound_loop_context(struct unbound_loop *loop); /* borrowed */

#endif
