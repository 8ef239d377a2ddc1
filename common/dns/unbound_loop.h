/*
 * libunbound on our event loop: its pluggable event base (unbound-event.h) made of libev watchers.
 * The resolver only.
 */
#ifndef COMMON_DNS_UNBOUND_LOOP_H
#define COMMON_DNS_UNBOUND_LOOP_H

#include <ev.h>

struct ub_ctx;

/* A context whose sockets and timers live in the loop; both stay as long as the process. NULL: no
 * memory. */
struct ub_ctx *unbound_loop_new(struct ev_loop *loop);

#endif
