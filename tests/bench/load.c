/*
 * The client side of `make bench`: plain loops over blocking sockets, one process a session, so
 * that it costs little beside the servers it measures. It prints one line: operations per second.
 *
 *   load smtp  PORT SESSIONS MESSAGES OCTETS PER_CONNECTION RECIPIENT...
 *   load pop3  PORT USER PASSWORD MESSAGES
 *   load bound MESSAGES     (as pop3, from a process here that only answers, out of its memory)
 *   load imap  PORT SESSIONS LOGINS PASSWORD USER...     (PORT with a leading "tls:" for TLS)
 *
 * MESSAGES and LOGINS are in all. PER_CONNECTION 0: one connection for all messages of a session.
 * Sessions take the recipients and users in turn; a recipient may be several, with ',' between
 * them; "#25" in one becomes the number of the session's message modulo 25. An unexpected answer
 * ends it with status 1.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/client.h"

/* --- SMTP ------------------------------------------------------------------------------------ */

static void expect_reply(struct client *client, char first)
{
    char *line;
    do {
        line = get_line(client);
        if (line[0] != first)
            fail("SMTP: %s", line);
    } while (line[3] == '-');
}

static char *make_message(size_t octets)
{
    char *message = malloc(octets + 256);
    if (!message)
        fail("no memory");
    int length = sprintf(message,
                         "From: bench@elsewhere.example\r\nTo: somebody\r\n"
                         "Subject: bench\r\nMessage-ID: <%d@elsewhere.example>\r\n\r\n",
                         (int)getpid());
    size_t at = (size_t)length;
    while (at + 80 < octets) {
        memset(message + at, 'a' + (int)(at % 26), 76);
        memcpy(message + at + 76, "\r\n", 2);
        at += 78;
    }
    memcpy(message + at, ".\r\n", 4);
    return message;
}

static void smtp_greet(struct client *client, const char *port)
{
    client_open(client, port);
    expect_reply(client, '2');
    put_text(client, "EHLO bench.elsewhere.example\r\n");
    expect_reply(client, '2');
}

static void smtp_quit(struct client *client)
{
    put_text(client, "QUIT\r\n");
    expect_reply(client, '2');
    client_close(client);
}

static void put_recipient(struct client *client, const char *recipient, int octets, long number)
{
    char line[512];
    const char *mark = memchr(recipient, '#', (size_t)octets);
    char *behind = NULL;
    long modulus = mark ? strtol(mark + 1, &behind, 10) : 0;
    if (modulus > 0)
        snprintf(line, sizeof(line), "RCPT TO:<%.*s%ld%.*s>\r\n", (int)(mark - recipient),
                 recipient, number % modulus, (int)(recipient + octets - behind), behind);
    else
        snprintf(line, sizeof(line), "RCPT TO:<%.*s>\r\n", octets, recipient);
    put_text(client, line);
}

static void smtp_recipients(struct client *client, const char *recipients, long number)
{
    while (*recipients) {
        int octets = (int)strcspn(recipients, ",");
        put_recipient(client, recipients, octets, number);
        expect_reply(client, '2');
        recipients += octets + (recipients[octets] == ',');
    }
}

static void smtp_session(const char *port, long messages, size_t octets, long per_connection,
                         const char *recipients)
{
    static struct client client;
    char *message = make_message(octets);
    for (long i = 0; i < messages; i++) {
        if (i == 0 || (per_connection && i % per_connection == 0)) {
            if (i > 0)
                smtp_quit(&client);
            smtp_greet(&client, port);
        }
        put_text(&client, "MAIL FROM:<bench@elsewhere.example>\r\n");
        expect_reply(&client, '2');
        smtp_recipients(&client, recipients, i);
        put_text(&client, "DATA\r\n");
        expect_reply(&client, '3');
        put_text(&client, message);
        expect_reply(&client, '2');
    }
    if (messages > 0)
        smtp_quit(&client);
    free(message);
}

/* --- POP3 ------------------------------------------------------------------------------------ */

static void expect_ok(struct client *client)
{
    char *line = get_line(client);
    if (strncmp(line, "+OK", 3) != 0)
        fail("POP3: %s", line);
}

static void pop3_session(const char *port, const char *user, const char *password, long messages)
{
    static struct client client;
    char text[512];
    client_open(&client, port);
    expect_ok(&client);
    snprintf(text, sizeof(text), "USER %s\r\n", user);
    put_text(&client, text);
    expect_ok(&client);
    snprintf(text, sizeof(text), "PASS %s\r\n", password);
    put_text(&client, text);
    expect_ok(&client);
    for (long i = 1; i <= messages; i++) {
        snprintf(text, sizeof(text), "RETR %ld\r\n", i);
        put_text(&client, text);
        expect_ok(&client);
        while (strcmp(get_line(&client), ".") != 0)
            ;
        snprintf(text, sizeof(text), "DELE %ld\r\n", i);
        put_text(&client, text);
        expect_ok(&client);
    }
    put_text(&client, "QUIT\r\n");
    expect_ok(&client);
    client_close(&client);
}

/* --- A server that does nothing but answer --------------------------------------------------- */

static void answer(int fd, const char *text)
{
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
        fail("answer");
}

/* One command a packet, as pop3_session sends them. */
static void answer_pop3(int listener)
{
    const int on = 1;
    char command[512], message[8192];
    char *text = make_message(4096);
    snprintf(message, sizeof(message), "+OK %zu octets\r\n%s", strlen(text), text);
    int fd = accept(listener, NULL, NULL);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    answer(fd, "+OK\r\n");
    while (recv(fd, command, sizeof(command), 0) > 0)
        answer(fd, command[0] == 'R' ? message : "+OK Message 1 is marked as deleted\r\n");
    free(text);
}

static void bound_session(long messages)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t octets = sizeof(address);
    char port[16];
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, octets) != 0 || listen(listener, 1) != 0
        || getsockname(listener, (struct sockaddr *)&address, &octets) != 0)
        fail("listen");
    snprintf(port, sizeof(port), "%u", ntohs(address.sin_port));
    if (fork() == 0) {
        answer_pop3(listener);
        _exit(0);
    }
    pop3_session(port, "user", "password", messages);
}

/* --- IMAP ------------------------------------------------------------------------------------ */

static void expect_tagged(struct client *client, const char *tag)
{
    char *line;
    size_t length = strlen(tag);
    do
        line = get_line(client);
    while (strncmp(line, tag, length) != 0);
    if (strncmp(line + length, " OK", 3) != 0)
        fail("IMAP: %s", line);
}

static void imap_session(const char *port, long logins, const char *user, const char *password)
{
    static struct client client;
    char login[512];
    snprintf(login, sizeof(login), "a LOGIN \"%s\" \"%s\"\r\n", user, password);
    for (long i = 0; i < logins; i++) {
        client_open(&client, port);
        get_line(&client);
        put_text(&client, login);
        expect_tagged(&client, "a");
        put_text(&client, "b LOGOUT\r\n");
        expect_tagged(&client, "b");
        client_close(&client);
    }
}

/* --- Sessions -------------------------------------------------------------------------------- */

struct plan {
    const char *mode;
    char **words; /* of the command line, behind the mode */
    int count;
    long sessions;
};

static void run_session(long session, void *owner)
{
    const struct plan *plan = owner;
    const char *mode = plan->mode;
    char **words = plan->words;
    if (strcmp(mode, "smtp") == 0)
        smtp_session(words[0], share(atol(words[2]), plan->sessions, session),
                     (size_t)atol(words[3]), atol(words[4]),
                     words[5 + session % (plan->count - 5)]);
    else if (strcmp(mode, "pop3") == 0)
        pop3_session(words[0], words[1], words[2], atol(words[3]));
    else if (strcmp(mode, "bound") == 0)
        bound_session(atol(words[0]));
    else
        imap_session(words[0], share(atol(words[2]), plan->sessions, session),
                     words[4 + session % (plan->count - 4)], words[3]);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    static const struct mode {
        const char *name;
        int words;    /* at least */
        int sessions; /* the word; 0: it has one session */
        int total;    /* the word: messages or logins in all */
    } modes[] = {{"smtp", 8, 3, 4}, {"pop3", 6, 0, 5}, {"bound", 3, 0, 2}, {"imap", 7, 3, 4}};
    const struct mode *at = modes, *end = modes + sizeof(modes) / sizeof(modes[0]);
    while (at < end && strcmp(at->name, mode) != 0)
        at++;
    if (at == end || argc < at->words)
        fail("usage: see the top of tests/bench/load.c");
    struct plan plan = {.mode = mode,
                        .words = argv + 2,
                        .count = argc - 2,
                        .sessions = at->sessions ? atol(argv[at->sessions]) : 1};
    double before = now_s();
    if (!run_sessions(plan.sessions, run_session, &plan))
        return 1;
    printf("%.1f\n", (double)atol(argv[at->total]) / (now_s() - before));
    return 0;
}
