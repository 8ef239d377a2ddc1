/*
 * http: serves the server's metrics on loopback.
 *
 *   GET /metrics   numbers of journal and master, as Prometheus reads them
 *   GET /healthz   200 "ok", or 503 and which roles are missing
 *
 * It has no files and asks no other role: journal and master send their numbers. libmicrohttpd
 * reads requests and writes answers on sockets that we accept. Limits: 64 connections, of which the
 * longest silent one is closed for a new one; one request of at most 8 KiB on each, done within 10
 * s. Role ROLE_HTTP; its input is untrusted, from local users.
 */
#ifndef CTL_HTTP_HTTP_H
#define CTL_HTTP_HTTP_H

#include "common/net/acceptor.h"
#include "ctl/http/metrics_protocol.h"

struct MHD_Daemon;
struct http_client;

struct http {
    struct role *role;
    struct acceptor acceptor;
    struct MHD_Daemon *daemon;
    ev_io readable;  /* of the daemon's own epoll descriptor */
    ev_timer wanted; /* when the daemon wants to be called again */
    struct http_client *clients;
    bool has_counts, has_census;
    struct metrics_counts counts; /* the last record from journal */
    struct role_census census;
    uint64_t census_at_ms; /* turn_now_ms() */
};

extern const struct role_spec http_role;

#endif
