/*
 * A blocking connection of the clients of `make bench`. Whatever goes wrong ends the process with
 * status 1 and a line on standard error.
 */
#ifndef TESTS_BENCH_CLIENT_H
#define TESTS_BENCH_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/ssl.h>

struct client {
    int fd;
    SSL *tls; /* NULL: plaintext */
    char input[262144];
    size_t start, end; /* of what is not read yet */
};

void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *format, ...);

/* On loopback; a port with a leading "tls:" for TLS. */
void client_open(struct client *client, const char *port);
void client_close(struct client *client);

void put(struct client *client, const char *octets, size_t count);
void put_text(struct client *client, const char *text);

/* Waits for more input behind what is there. */
void fill(struct client *client);

/* A line without its CRLF, NUL-terminated; valid until the next call. */
char *get_line(struct client *client);

double now_s(void); /* monotonic */

/* Part `session` of `total` things that so many sessions do. */
long share(long total, long sessions, long session);

/* Runs it in as many processes, until all are done. False: one failed. */
bool run_sessions(long sessions, void (*session)(long number, void *owner), void *owner);

#endif
