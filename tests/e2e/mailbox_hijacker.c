/*
 * imapd-mailbox, as an intruder would run it who took over the process of the account whose name
 * begins with "thief": with its channel to the master, its uid and its walls. All other accounts
 * have theirs as it is. It is built as build/e2e/mailbox_hijacker and put where imapd-mailbox
 * stands in a copy of the programs.
 *
 * Tests speak with it over a connection that has logged in as the thief by IMAP without TLS. It
 * says "ready", then a line each way:
 *
 *   send HEX              that record, as it is, to the master. Answers as "read" does
 *   read                  the next record of the master: "answer TYPE HEX", "way N TYPE" where a
 *                         descriptor came, kept as number N; "closed", or "silence" after 300 ms
 *   flood COUNT HEX       that record so often, while nothing is read; "sent COUNT", so many
 *   say N HEX             octets to that way; "said", or "closed"
 *   bring N M HEX         the same, and way M along as a descriptor
 *   hear N                what has come on it: "heard HEX", "closed", or "silence"
 *   leave N               closes it
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/role/handoff.h"
#include "common/size.h"
#include "imapd/mailbox_role.h"

enum { LINE_OCTETS = 300000, ANSWER_MS = 300, WAYS_MAX = 4096 };

static int ways[WAYS_MAX];
static size_t way_count;

static bool is_there(int fd, short events)
{
    struct pollfd poller = {.fd = fd, .events = events};
    return poll(&poller, 1, ANSWER_MS) > 0;
}

static void print_hex(FILE *client, const uint8_t *octets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fprintf(client, "%02x", octets[i]);
    fputs("\n", client);
}

static size_t decode_hex(const char *hex, uint8_t *octets)
{
    size_t count = 0;
    for (char pair[3] = ""; hex[0] != '\0' && hex[1] != '\0'; hex += 2) {
        memcpy(pair, hex, 2);
        octets[count++] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return count;
}

static ssize_t transmit(int fd, const uint8_t *octets, size_t count, int along, int flags)
{
    union {
        struct cmsghdr header;
        uint8_t room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec vector = {(void *)(uintptr_t)octets, count};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (along >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof(control.room);
        struct cmsghdr *part = CMSG_FIRSTHDR(&message);
        part->cmsg_level = SOL_SOCKET;
        part->cmsg_type = SCM_RIGHTS;
        part->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(part), &along, sizeof(int));
    }
    return sendmsg(fd, &message, MSG_NOSIGNAL | flags);
}

static int take_descriptor(struct msghdr *message)
{
    int fd = -1;
    const struct cmsghdr *part = CMSG_FIRSTHDR(message);
    if (part && part->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(part), sizeof(int));
    return fd;
}

static void read_record(FILE *client, int master)
{
    static uint8_t record[IPC_RECORD_MAX];
    union {
        struct cmsghdr header;
        uint8_t room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec vector = {record, sizeof(record)};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    if (master < 0 || !is_there(master, POLLIN)) {
        fputs(master < 0 ? "closed\n" : "silence\n", client);
        return;
    }
    ssize_t got = recvmsg(master, &message, MSG_DONTWAIT);
    const struct ipc_header *header = (const void *)record;
    if (got < (ssize_t)sizeof(*header)) {
        fputs("closed\n", client);
        return;
    }
    int fd = take_descriptor(&message);
    if (fd >= 0 && way_count < WAYS_MAX) {
        fprintf(client, "way %zu %u\n", way_count, header->type);
        ways[way_count++] = fd;
        return;
    }
    fprintf(client, "answer %u ", header->type);
    print_hex(client, record, (size_t)got);
}

static void flood(FILE *client, int master, size_t count, const uint8_t *octets, size_t length)
{
    size_t sent = 0;
    while (sent < count && is_there(master, POLLOUT)
           && send(master, octets, length, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        sent++;
    fprintf(client, "sent %zu\n", sent);
}

static void hear(FILE *client, int fd)
{
    static uint8_t octets[65536];
    ssize_t got = is_there(fd, POLLIN) ? recv(fd, octets, sizeof(octets), MSG_DONTWAIT) : -2;
    if (got > 0) {
        fputs("heard ", client);
        print_hex(client, octets, (size_t)got);
    } else {
        fputs(got == -2 ? "silence\n" : "closed\n", client);
    }
}

static void say(FILE *client, int fd, const uint8_t *octets, size_t count, int along)
{
    ssize_t sent = 0;
    for (size_t at = 0; at < count && sent >= 0 && is_there(fd, POLLOUT); at += (size_t)sent)
        sent = transmit(fd, octets + at, count - at, at == 0 ? along : -1, 0);
    fputs(sent < 0 ? "closed\n" : "said\n", client);
}

static void obey(int master, FILE *client, char *line)
{
    static uint8_t octets[LINE_OCTETS / 2];
    char verb[10] = "";
    snprintf(verb, sizeof(verb), "%.*s", (int)strcspn(line, " "), line);
    line += strcspn(line, " ");
    size_t numbers[2] = {0, 0}, wanted = 0;
    if (strcmp(verb, "bring") == 0)
        wanted = 2;
    else if (strcmp(verb, "send") != 0 && strcmp(verb, "read") != 0)
        wanted = 1;
    for (size_t i = 0; i < wanted; i++)
        numbers[i] = (size_t)strtoul(line, &line, 10);
    line += strspn(line, " ");
    size_t count = decode_hex(line, octets);
    int way = ways[numbers[0] % WAYS_MAX];
    errno = 0;
    if (strcmp(verb, "flood") == 0) {
        flood(client, master, numbers[0], octets, count);
    } else if (strcmp(verb, "say") == 0) {
        say(client, way, octets, count, -1);
    } else if (strcmp(verb, "bring") == 0) {
        say(client, way, octets, count, ways[numbers[1] % WAYS_MAX]);
    } else if (strcmp(verb, "hear") == 0) {
        hear(client, way);
    } else if (strcmp(verb, "leave") == 0) {
        close(way);
        fputs("left\n", client);
    } else {
        if (count > 0)
            transmit(master, octets, count, -1, 0);
        read_record(client, master);
    }
}

/* The client's own socket; -1: it did not come. */
static int receive_client(int stream)
{
    static uint8_t octets[HANDOFF_BUFFER];
    size_t got = 0;
    struct handoff_parcel received = {.client_fd = -1};
    struct error error;
    enum handoff_result result = HANDOFF_MORE;
    while (result == HANDOFF_MORE && is_there(stream, POLLIN))
        result = handoff_receive(stream, octets, &got, &received, &error);
    return received.client_fd;
}

static void serve(const struct role *role, int stream)
{
    static char line[LINE_OCTETS], buffer[LINE_OCTETS];
    int fd = receive_client(stream);
    close(stream);
    if (fd < 0)
        return;
    fcntl(fd, F_SETFL, 0); /* we wait for the test, in the middle of the role's loop */
    FILE *client = fdopen(fd, "r+");
    if (!client)
        return;
    setvbuf(client, buffer, _IOFBF, sizeof(buffer)); /* fstat() is a forbidden call */
    fputs("ready\n", client);
    fflush(client);
    while (fgets(line, sizeof(line), client)) {
        line[strcspn(line, "\r\n")] = '\0';
        obey(role->master.fd, client, line);
        fflush(client);
    }
    fclose(client);
}

static const struct ipc_rule *find_rule(uint16_t type)
{
    for (size_t i = 0; i < mailbox_role.order_count; i++)
        if (mailbox_role.orders[i].type == type)
            return &mailbox_role.orders[i];
    return NULL;
}

static bool on_session(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role *role = owner;
    const struct mailbox_process *process = role->state;
    if (strncmp(process->account, "thief", strlen("thief")) != 0)
        return find_rule(ROLE_SESSION)->handler(owner, packet, error);
    serve(role, ipc_packet_take(packet, 0));
    return true;
}

int main(void)
{
    struct mailbox_process process = {.mailbox = {.account_fd = -1}};
    struct ipc_rule orders[32];
    struct role_spec spec = mailbox_role;
    memcpy(orders, mailbox_role.orders, mailbox_role.order_count * sizeof(orders[0]));
    for (size_t i = 0; i < mailbox_role.order_count; i++)
        if (orders[i].type == ROLE_SESSION)
            orders[i].handler = on_session;
    spec.orders = orders;
    return role_run(&spec, &process);
}
