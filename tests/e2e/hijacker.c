/*
 * What an intruder would be who took over a network role: a program in that role's place, with its
 * channels, uid and walls, that does what a test tells it. It is built as build/e2e/hijacker and
 * put where smtpd-session or imapd-login stands in a copy of the programs.
 *
 * Tests speak with it over the role's own port, a line each way:
 *
 *   number                         answers the number of this process
 *   send KIND HEX [descriptors]    that record, as it is, to the peer of that kind (a number of
 *                                  enum role_kind; 0: the master). Answers "answer HEX", "closed",
 *                                  or "silence" after 300 ms
 *   call NAME                      a forbidden deed: open, exec, socket, connect, ptrace, kill,
 *                                  sendfile, splice, send-pages, sendmsg-pages, sendmmsg-pages
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/role/role.h"

enum { LINE_OCTETS = 600000, ANSWER_MS = 300 };

static bool is_answered(int fd, int timeout_ms)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    return poll(&poller, 1, timeout_ms) > 0;
}

static void report_answer(FILE *client, int fd)
{
    static uint8_t record[IPC_RECORD_MAX];
    if (!is_answered(fd, ANSWER_MS)) {
        fputs("silence\n", client);
        return;
    }
    ssize_t got = recv(fd, record, sizeof(record), MSG_DONTWAIT);
    if (got <= 0) {
        fputs("closed\n", client);
        return;
    }
    fputs("answer ", client);
    for (ssize_t i = 0; i < got; i++)
        fprintf(client, "%02x", record[i]);
    fputs("\n", client);
}

static size_t decode_hex(const char *hex, uint8_t *octets)
{
    size_t count = 0;
    for (unsigned octet; sscanf(hex, "%2x", &octet) == 1; hex += 2)
        octets[count++] = (uint8_t)octet;
    return count;
}

static void send_raw(int fd, const uint8_t *octets, size_t count, size_t descriptors)
{
    union {
        struct cmsghdr header;
        uint8_t room[CMSG_SPACE(sizeof(int) * 8)];
    } control = {0};
    struct iovec vector = {(void *)(uintptr_t)octets, count};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (descriptors > 8)
        descriptors = 8;
    if (descriptors > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * descriptors);
        struct cmsghdr *part = CMSG_FIRSTHDR(&message);
        part->cmsg_level = SOL_SOCKET;
        part->cmsg_type = SCM_RIGHTS;
        part->cmsg_len = CMSG_LEN(sizeof(int) * descriptors);
        for (size_t i = 0; i < descriptors; i++)
            memcpy(CMSG_DATA(part) + i * sizeof(int), &(int){ROLE_MASTER_FD}, sizeof(int));
    }
    sendmsg(fd, &message, MSG_NOSIGNAL);
}

static void do_send(struct role *role, FILE *client, char *words)
{
    static uint8_t octets[LINE_OCTETS / 2];
    char *end;
    long kind = strtol(words, &end, 10);
    char *hex = *end ? end + 1 : end;
    char *last = strchr(hex, ' ');
    size_t count = decode_hex(hex, octets);
    int fd = role->master.fd;
    if (fd < 0) { /* ended already; by now the number may be the client's */
        fputs("closed\n", client);
        return;
    }
    if (kind != ROLE_MASTER) {
        const struct role_peer *peer = role_find_peer(role, (enum role_kind)kind);
        if (!peer) {
            fputs("no such peer\n", client);
            return;
        }
        fd = peer->channel.fd;
    }
    static uint8_t earlier[IPC_RECORD_MAX]; /* what was said before we asked */
    while (is_answered(fd, 0) && recv(fd, earlier, sizeof(earlier), MSG_DONTWAIT) > 0)
        ;
    send_raw(fd, octets, count, last ? (size_t)strtol(last, NULL, 10) : 0);
    report_answer(client, fd);
}

static void do_call(FILE *client, const char *name)
{
    char *const no_arguments[] = {NULL};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(9)};
    long result = -2;
    errno = 0;
    if (strcmp(name, "open") == 0)
        result = open("/etc/passwd", O_RDONLY);
    else if (strcmp(name, "exec") == 0)
        result = execv("/bin/true", no_arguments);
    else if (strcmp(name, "socket") == 0)
        result = socket(AF_INET, SOCK_STREAM, 0);
    else if (strcmp(name, "connect") == 0)
        result = connect(fileno(client), (struct sockaddr *)&address, sizeof(address));
    else if (strcmp(name, "ptrace") == 0)
        result = ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
    else if (strcmp(name, "kill") == 0)
        result = kill(getppid(), SIGKILL);
    else if (strcmp(name, "sendfile") == 0)
        result = sendfile(fileno(client), ROLE_MASTER_FD, NULL, 1);
    else if (strcmp(name, "splice") == 0)
        result = splice(ROLE_MASTER_FD, NULL, fileno(client), NULL, 1, 0);
    else if (strcmp(name, "send-pages") == 0)
        result = send(fileno(client), "x", 1, MSG_ZEROCOPY | MSG_NOSIGNAL);
    else if (strcmp(name, "sendmsg-pages") == 0)
        result = sendmsg(fileno(client), &(struct msghdr){0}, MSG_ZEROCOPY | MSG_NOSIGNAL);
    else if (strcmp(name, "sendmmsg-pages") == 0)
        result = sendmmsg(fileno(client), &(struct mmsghdr){0}, 1, MSG_ZEROCOPY | MSG_NOSIGNAL);
    fprintf(client, "result %ld errno %d\n", result, errno);
}

static void serve(struct role *role, int fd)
{
    static char line[LINE_OCTETS], buffer[LINE_OCTETS];
    FILE *client = fdopen(fd, "r+");
    if (!client)
        return;
    /* With a buffer of ours stdio does not ask for the file's block size, a forbidden call. */
    setvbuf(client, buffer, _IOFBF, sizeof(buffer));
    while (fgets(line, sizeof(line), client)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (strcmp(line, "number") == 0)
            fprintf(client, "%u\n", role->number);
        else if (strncmp(line, "send ", 5) == 0)
            do_send(role, client, line + 5);
        else if (strncmp(line, "call ", 5) == 0)
            do_call(client, line + 5);
        fflush(client);
    }
    fclose(client);
}

/* The loop of a role, taken over: peers and the master are heard only when a client has gone. */
static void on_connection(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    int fd = accept4(watcher->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        serve(watcher->data, fd);
}

static bool start(struct role *role, struct error *error)
{
    (void)error;
    static ev_io watchers[8];
    size_t count = 0;
    for (size_t i = 0; i < role->file_count && count < 8; i++) {
        if (role->files[i].purpose != DESCRIPTOR_LISTENER)
            continue;
        ev_io_init(&watchers[count], on_connection, role->files[i].fd, EV_READ);
        watchers[count].data = role;
        ev_io_start(role->loop, &watchers[count++]);
    }
    return true;
}

/* Peers are read by hand. */
static void peer_up(struct role_peer *peer)
{
    ev_io_stop(peer->role->loop, &peer->channel.readable);
}

static const struct role_link links[] = {
    {ROLE_AUTH, NULL, 0},
    {ROLE_KEYS, NULL, 0},
    {ROLE_FILTER, NULL, 0},
    {ROLE_QUEUE, NULL, 0},
};

int main(void)
{
    static const struct role_spec hijacker = {
        .sandbox = {.calls = SANDBOX_ACCEPT, .files = SANDBOX_NO_FILES},
        .links = links,
        .link_count = sizeof(links) / sizeof(links[0]),
        .start = start,
        .peer_up = peer_up,
    };
    return role_run(&hijacker, NULL);
}
