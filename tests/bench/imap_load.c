/*
 * The IMAP client of `make bench`. It looks at no more of an answer than its last line, so that it
 * costs little beside the servers it measures.
 *
 *   imap_load run PORT USER PASSWORD COMMAND...
 *     Says the commands, each when the one before is answered, and for each that begins with "="
 *     prints the seconds until its tagged OK, and the octets of its answer. "=500 STORE # ..." is
 *     said 500 times in turn, "#" being 1 to 500, and measured as one.
 *   imap_load append PORT SESSIONS MESSAGES OCTETS MAILBOX PASSWORD USER...
 *     Messages appended a second, MESSAGES being those of all sessions; these take the users in
 * turn.
 *
 * An answer other than OK ends it with status 1.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/client.h"

enum { TAIL_OCTETS = 1024, LINE_OCTETS = 1024 };
static const char tag[] = "bench-tag-7 "; /* no line of a message begins so */

/* The last line of what was read, without what is before it; NULL: it is not whole yet. */
static const char *last_line(const char *tail, size_t octets)
{
    if (octets < 2 || tail[octets - 1] != '\n')
        return NULL;
    const char *newline = memrchr(tail, '\n', octets - 1);
    return newline ? newline + 1 : tail;
}

/* Reads up to the tagged line; the octets read. A line's end may come in a packet of its own. */
static size_t expect_ok(struct client *client)
{
    char tail[TAIL_OCTETS + 1];
    size_t kept = 0, total = 0;
    for (;;) {
        client->start = client->end = 0;
        fill(client);
        size_t got = client->end, part = got < TAIL_OCTETS ? got : TAIL_OCTETS;
        size_t old = kept + part <= TAIL_OCTETS ? kept : TAIL_OCTETS - part;
        memmove(tail, tail + kept - old, old);
        memcpy(tail + old, client->input + got - part, part);
        kept = old + part;
        tail[kept] = '\0';
        total += got;
        const char *line = last_line(tail, kept);
        if (!line || strncmp(line, tag, sizeof(tag) - 1) != 0)
            continue;
        if (strncmp(line + sizeof(tag) - 1, "OK", 2) != 0)
            fail("IMAP: %s", line);
        client->start = client->end = 0;
        return total;
    }
}

static size_t say(struct client *client, const char *command)
{
    char line[LINE_OCTETS];
    int octets = snprintf(line, sizeof(line), "%s%s\r\n", tag, command);
    if (octets >= (int)sizeof(line))
        fail("command too long");
    put(client, line, (size_t)octets);
    return expect_ok(client);
}

static void log_in(struct client *client, const char *port, const char *user, const char *password)
{
    char command[LINE_OCTETS];
    client_open(client, port);
    get_line(client);
    snprintf(command, sizeof(command), "LOGIN \"%s\" \"%s\"", user, password);
    say(client, command);
}

static size_t say_number(struct client *client, const char *command, long number)
{
    char numbered[LINE_OCTETS];
    const char *mark = strchr(command, '#');
    if (!mark)
        return say(client, command);
    snprintf(numbered, sizeof(numbered), "%.*s%ld%s", (int)(mark - command), command, number,
             mark + 1);
    return say(client, numbered);
}

static void measure(struct client *client, const char *command)
{
    char *behind;
    long times = strtol(command, &behind, 10);
    size_t octets = 0;
    const char *text = behind + strspn(behind, " ");
    double before = now_s();
    for (long number = 1; number <= (times ? times : 1); number++)
        octets += say_number(client, text, number);
    printf("%.6f %zu\n", now_s() - before, octets);
}

static void run(char **words, int count)
{
    static struct client client;
    log_in(&client, words[0], words[1], words[2]);
    for (int i = 3; i < count; i++) {
        if (words[i][0] == '=')
            measure(&client, words[i] + 1);
        else
            say(&client, words[i]);
    }
    client_close(&client);
}

/* --- APPEND --- */

static size_t make_message(char *message, size_t octets)
{
    size_t at = (size_t)sprintf(message, "From: bench@elsewhere.example\r\nTo: somebody\r\n"
                                         "Subject: bench\r\n\r\n");
    while (at + 78 <= octets) {
        memset(message + at, 'a' + (int)(at % 26), 76);
        memcpy(message + at + 76, "\r\n", 2);
        at += 78;
    }
    return at;
}

/* PORT SESSIONS MESSAGES OCTETS MAILBOX PASSWORD USER... */
struct appending {
    char **words;
    int count;
};

static void append_session(long number, void *owner)
{
    static struct client client;
    const struct appending *plan = owner;
    char command[LINE_OCTETS];
    char **words = plan->words;
    char *message = malloc((size_t)atol(words[3]) + LINE_OCTETS);
    if (!message)
        fail("no memory");
    size_t octets = make_message(message, (size_t)atol(words[3]));
    log_in(&client, words[0], words[6 + number % (plan->count - 6)], words[5]);
    int length =
        snprintf(command, sizeof(command), "%sAPPEND %s {%zu+}\r\n", tag, words[4], octets);
    memcpy(message + octets, "\r\n", 2);
    for (long left = share(atol(words[2]), atol(words[1]), number); left > 0; left--) {
        put(&client, command, (size_t)length);
        put(&client, message, octets + 2);
        expect_ok(&client);
    }
    client_close(&client);
    free(message);
}

static void append(char **words, int count)
{
    struct appending plan = {.words = words, .count = count};
    double before = now_s();
    if (!run_sessions(atol(words[1]), append_session, &plan))
        exit(1);
    printf("%.1f\n", (double)atol(words[2]) / (now_s() - before));
}

int main(int argc, char **argv)
{
    if (argc > 5 && strcmp(argv[1], "run") == 0)
        run(argv + 2, argc - 2);
    else if (argc > 8 && strcmp(argv[1], "append") == 0)
        append(argv + 2, argc - 2);
    else
        fail("usage: see the top of tests/bench/imap_load.c");
    return 0;
}
