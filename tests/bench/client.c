/* The connection of client.h. */
#include "tests/bench/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static int accept_certificate(X509_STORE_CTX *chain, void *nothing)
{
    (void)chain;
    (void)nothing;
    return 1;
}

/* As cheap as a client can be: it has the processors that are measured. */
static SSL_CTX *make_context(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context || !SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION)
        || !SSL_CTX_set1_groups_list(context, "X25519"))
        fail("TLS cannot begin");
    SSL_CTX_set_cert_verify_callback(context, accept_certificate, NULL);
    return context;
}

void client_open(struct client *client, const char *port)
{
    static SSL_CTX *context;
    bool secure = strncmp(port, "tls:", 4) == 0;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atol(secure ? port + 4 : port)),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int on = 1;
    client->start = client->end = 0;
    client->tls = NULL;
    client->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        fail("connect to port %s", port);
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (!secure)
        return;
    if (!context)
        context = make_context();
    client->tls = SSL_new(context);
    if (!client->tls || !SSL_set_fd(client->tls, client->fd) || SSL_connect(client->tls) != 1)
        fail("TLS handshake with port %s", port);
}

void client_close(struct client *client)
{
    if (client->tls)
        SSL_free(client->tls);
    close(client->fd);
}

void put(struct client *client, const char *octets, size_t count)
{
    while (count > 0) {
        ssize_t sent = client->tls ? SSL_write(client->tls, octets, (int)count)
                                   : send(client->fd, octets, count, MSG_NOSIGNAL);
        if (sent <= 0)
            fail("connection lost while writing");
        octets += sent;
        count -= (size_t)sent;
    }
}

void put_text(struct client *client, const char *text)
{
    put(client, text, strlen(text));
}

void fill(struct client *client)
{
    if (client->start > 0) {
        memmove(client->input, client->input + client->start, client->end - client->start);
        client->end -= client->start;
        client->start = 0;
    }
    size_t room = sizeof(client->input) - client->end;
    ssize_t got = client->tls ? SSL_read(client->tls, client->input + client->end, (int)room)
                              : recv(client->fd, client->input + client->end, room, 0);
    if (got <= 0)
        fail("connection lost while reading");
    client->end += (size_t)got;
}

char *get_line(struct client *client)
{
    for (;;) {
        char *line = client->input + client->start;
        char *newline = memchr(line, '\n', client->end - client->start);
        if (newline) {
            client->start = (size_t)(newline + 1 - client->input);
            *newline = '\0';
            if (newline > line && newline[-1] == '\r')
                newline[-1] = '\0';
            return line;
        }
        fill(client);
    }
}

double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

long share(long total, long sessions, long session)
{
    return total / sessions + (session < total % sessions);
}

bool run_sessions(long sessions, void (*session)(long number, void *owner), void *owner)
{
    int status;
    bool done = true;
    for (long number = 0; number < sessions; number++) {
        pid_t child = fork();
        if (child < 0)
            fail("fork");
        if (child == 0) {
            session(number, owner);
            _exit(0);
        }
    }
    while (wait(&status) > 0)
        done = done && status == 0;
    return done;
}
