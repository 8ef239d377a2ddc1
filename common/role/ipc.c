/* Records on SOCK_SEQPACKET sockets; see ipc.h. Any process. */
#include "common/role/ipc.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdalign.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utlist.h>

#include "common/disk/fd.h"
#include "common/size.h"

/* Records read from one channel before other watchers have their turn. */
enum { RECORDS_PER_TURN = 64 };

struct ipc_unsent {
    struct ipc_unsent *prev, *next;
    size_t length;
    size_t descriptor_count;
    int descriptors[IPC_DESCRIPTORS_MAX];
    alignas(max_align_t) uint8_t octets[];
};

union control {
    struct cmsghdr header;
    uint8_t octets[CMSG_SPACE(sizeof(int) * IPC_DESCRIPTORS_MAX)];
};

static void close_descriptors(int *descriptors, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fd_discard(&descriptors[i]);
}

/* --- Receiving ------------------------------------------------------------------------------- */

static void take_control(struct msghdr *message, struct ipc_packet *packet)
{
    packet->descriptor_count = 0;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
            if (packet->descriptor_count < IPC_DESCRIPTORS_MAX)
                packet->descriptors[packet->descriptor_count++] = fd;
            else
                close(fd);
        }
    }
}

/* One record into `record`. False with error->code EAGAIN where there is none. */
static bool receive(int fd, void *record, struct ipc_packet *packet, struct error *error)
{
    union control control;
    struct iovec vector = {.iov_base = record, .iov_len = IPC_RECORD_MAX};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    ssize_t got;
    do /* ECONNRESET: it died with records unread, which is said once, and before its own last ones
        */
        got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    while (got < 0 && (errno == EINTR || errno == ECONNRESET));
    if (got < 0)
        return error_errno(error, "receive");
    if (got == 0)
        return error_set(error, ERROR_TEMPORARY, "closed by peer");

    *packet = (struct ipc_packet){.record = record, .length = (size_t)got};
    take_control(&message, packet);
    const struct ipc_header *header = record;
    bool whole = (message.msg_flags & MSG_TRUNC) == 0 && packet->length >= sizeof(*header)
                 && header->length == packet->length && header->version == IPC_VERSION;
    if (whole && (message.msg_flags & MSG_CTRUNC) == 0)
        return true;
    close_descriptors(packet->descriptors, packet->descriptor_count);
    if (whole) /* the kernel had no room for the descriptors: EMFILE on our side */
        return error_set(error, ERROR_TEMPORARY, "descriptors lost on receipt");
    return error_set(error, ERROR_PEER, "malformed record of %zd octets", got);
}

static const struct ipc_rule *find_rule(const struct ipc_channel *channel, uint16_t type)
{
    for (size_t i = 0; i < channel->rule_count; i++)
        if (channel->rules[i].type == type)
            return &channel->rules[i];
    return NULL;
}

static bool handle(struct ipc_channel *channel, struct ipc_packet *packet, struct error *error)
{
    uint16_t type = ipc_packet_header(packet)->type;
    const struct ipc_rule *rule = find_rule(channel, type);
    if (!rule)
        return error_set(error, ERROR_PEER, "record type %u is not allowed", type);
    if (packet->length < rule->smallest || packet->length > rule->largest)
        return error_set(error, ERROR_PEER, "record type %u has %zu octets", type, packet->length);
    if (packet->descriptor_count != rule->descriptors)
        return error_set(error, ERROR_PEER, "record type %u has %zu descriptors", type,
                         packet->descriptor_count);
    if (rule->handler(channel->owner, packet, error))
        return true;
    return error_prefix(error, "record type %u", type);
}

static void end(struct ipc_channel *channel, const struct error *error)
{
    ipc_close(channel);
    if (channel->closed)
        channel->closed(channel->owner, channel, error);
}

/* `record` has IPC_RECORD_MAX octets. */
static void hear(struct ipc_channel *channel, uint8_t *record)
{
    for (int i = 0; i < RECORDS_PER_TURN; i++) {
        struct ipc_packet packet;
        struct error error = {0};
        if (!receive(channel->fd, record, &packet, &error)) {
            if (error.code != EAGAIN)
                end(channel, &error);
            return;
        }
        bool handled = handle(channel, &packet, &error);
        close_descriptors(packet.descriptors, packet.descriptor_count);
        if (!ipc_is_open(channel))
            return; /* the handler closed it */
        if (!handled) {
            end(channel, &error);
            return;
        }
    }
}

/* Within the handler of another channel's record, which is still needed. */
static __attribute__((noinline)) void hear_within(struct ipc_channel *channel)
{
    alignas(max_align_t) uint8_t record[IPC_RECORD_MAX];
    hear(channel, record);
}

/* One record for all channels of a process: on the stack every call would touch all of its pages
 * (-fstack-clash-protection), and they would be the process's for ever. The loop's thread only. */
static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    alignas(max_align_t) static uint8_t record[IPC_RECORD_MAX];
    static bool in_use;
    if (in_use) {
        hear_within(watcher->data);
        return;
    }
    in_use = true;
    hear(watcher->data, record);
    in_use = false;
}

/* --- Sending --------------------------------------------------------------------------------- */

static bool transmit(int fd, const struct iovec *vectors, size_t count, const int *descriptors,
                     size_t descriptor_count)
{
    union control control;
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)vectors, .msg_iovlen = count};
    if (descriptor_count > 0) {
        memset(&control, 0, sizeof(control));
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * descriptor_count);
        struct cmsghdr *part = CMSG_FIRSTHDR(&message);
        part->cmsg_level = SOL_SOCKET;
        part->cmsg_type = SCM_RIGHTS;
        part->cmsg_len = CMSG_LEN(sizeof(int) * descriptor_count);
        memcpy(CMSG_DATA(part), descriptors, sizeof(int) * descriptor_count);
    }
    ssize_t sent;
    do
        sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent >= 0;
}

/* Fills the header and the vectors; false if the record is too long. */
static bool assemble(const struct ipc_message *message, struct iovec *vectors, size_t *length,
                     struct error *error)
{
    assert(message->head_octets >= sizeof(struct ipc_header));
    assert(message->tail_count <= IPC_TAIL_MAX);
    assert(message->descriptor_count <= IPC_DESCRIPTORS_MAX);
    *length = message->head_octets;
    vectors[0] = (struct iovec){message->head, message->head_octets};
    for (size_t i = 0; i < message->tail_count; i++) {
        vectors[i + 1] =
            (struct iovec){(void *)(uintptr_t)message->tail[i].ptr, message->tail[i].len};
        if (!size_add(*length, message->tail[i].len, length))
            *length = SIZE_MAX;
    }
    if (*length > IPC_RECORD_MAX)
        return error_set(error, ERROR_PERMANENT, "record of %zu octets is too long", *length);
    message->head->version = IPC_VERSION;
    message->head->length = (uint32_t)*length;
    return true;
}

static bool is_full(int code)
{
    return code == EAGAIN || code == ENOBUFS || code == ENOMEM;
}

/* The peer: its last records are to be read, and then the readable side closes. */
static bool is_gone(int code)
{
    return code == EPIPE || code == ECONNRESET;
}

static struct ipc_unsent *keep(const struct iovec *vectors, size_t count, size_t length,
                               const struct ipc_message *message)
{
    struct ipc_unsent *unsent = malloc(sizeof(*unsent) + length);
    if (!unsent)
        return NULL;
    *unsent = (struct ipc_unsent){.length = length};
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        if (vectors[i].iov_len)
            memcpy(unsent->octets + at, vectors[i].iov_base, vectors[i].iov_len);
        at += vectors[i].iov_len;
    }
    for (size_t i = 0; i < message->descriptor_count; i++) {
        int copy = fcntl(message->descriptors[i], F_DUPFD_CLOEXEC, 0);
        if (copy < 0) {
            close_descriptors(unsent->descriptors, unsent->descriptor_count);
            free(unsent);
            return NULL;
        }
        unsent->descriptors[unsent->descriptor_count++] = copy;
    }
    return unsent;
}

static void free_unsent(struct ipc_channel *channel, struct ipc_unsent *unsent)
{
    DL_DELETE(channel->unsent, unsent);
    channel->unsent_octets -= unsent->length;
    close_descriptors(unsent->descriptors, unsent->descriptor_count);
    free(unsent);
}

static void on_writable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)events;
    struct ipc_channel *channel = watcher->data;
    while (channel->unsent) {
        struct ipc_unsent *first = channel->unsent;
        struct iovec vector = {first->octets, first->length};
        if (!transmit(channel->fd, &vector, 1, first->descriptors, first->descriptor_count)
            && !is_gone(errno)) {
            if (is_full(errno))
                return;
            struct error error;
            error_errno(&error, "send");
            end(channel, &error);
            return;
        }
        free_unsent(channel, first);
    }
    ev_io_stop(loop, watcher);
}

bool ipc_send(struct ipc_channel *channel, const struct ipc_message *message, struct error *error)
{
    struct iovec vectors[1 + IPC_TAIL_MAX];
    size_t length;
    if (!ipc_is_open(channel))
        return error_set(error, ERROR_TEMPORARY, "peer is away");
    if (!assemble(message, vectors, &length, error))
        return false;
    size_t count = 1 + message->tail_count;
    if (!channel->unsent) {
        if (transmit(channel->fd, vectors, count, message->descriptors, message->descriptor_count))
            return true;
        if (!is_full(errno)) /* the readable side will find out and close */
            return error_errno(error, "send");
    }
    if (channel->unsent_octets + length > IPC_QUEUE_MAX)
        return error_set(error, ERROR_TEMPORARY, "peer does not read");
    struct ipc_unsent *unsent = keep(vectors, count, length, message);
    if (!unsent)
        return error_memory(error);
    DL_APPEND(channel->unsent, unsent);
    channel->unsent_octets += length;
    ev_io_start(channel->loop, &channel->writable);
    return true;
}

bool ipc_send_record(struct ipc_channel *channel, struct ipc_header *head, size_t head_octets,
                     struct slice tail, struct error *error)
{
    struct ipc_message message = {
        .head = head, .head_octets = head_octets, .tail = &tail, .tail_count = 1};
    return ipc_send(channel, &message, error);
}

/* --- Life ------------------------------------------------------------------------------------ */

void ipc_open(struct ipc_channel *channel, struct ev_loop *loop, int fd)
{
    *channel = (struct ipc_channel){.fd = fd, .loop = loop};
    ev_io_init(&channel->readable, on_readable, fd, EV_READ);
    ev_io_init(&channel->writable, on_writable, fd, EV_WRITE);
    channel->readable.data = channel;
    channel->writable.data = channel;
    ev_io_start(loop, &channel->readable);
}

void ipc_set_rules(struct ipc_channel *channel, const struct ipc_rule *rules, size_t count)
{
    channel->rules = rules;
    channel->rule_count = count;
}

void ipc_set_owner(struct ipc_channel *channel, void *owner, ipc_closed *closed)
{
    channel->owner = owner;
    channel->closed = closed;
}

void ipc_hear_first(struct ipc_channel *channel)
{
    ev_io_stop(channel->loop, &channel->readable);
    ev_set_priority(&channel->readable, EV_MAXPRI);
    ev_io_start(channel->loop, &channel->readable);
}

void ipc_hear_now(struct ipc_channel *channel)
{
    if (ipc_is_open(channel))
        on_readable(channel->loop, &channel->readable, EV_READ);
}

void ipc_close(struct ipc_channel *channel)
{
    if (!ipc_is_open(channel))
        return;
    ev_io_stop(channel->loop, &channel->readable);
    ev_io_stop(channel->loop, &channel->writable);
    fd_discard(&channel->fd);
    struct ipc_unsent *unsent, *next;
    DL_FOREACH_SAFE (channel->unsent, unsent, next)
        free_unsent(channel, unsent);
}

bool ipc_pair(int pair[2], struct error *error)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return error_errno(error, "socketpair");
    return true;
}

/* --- Blocking -------------------------------------------------------------------------------- */

static bool wait_for(int fd, short events, int timeout_ms, struct error *error)
{
    struct pollfd poller = {.fd = fd, .events = events};
    int ready;
    do
        ready = poll(&poller, 1, timeout_ms);
    while (ready < 0 && errno == EINTR);
    if (ready < 0)
        return error_errno(error, "poll");
    if (ready == 0)
        return error_set(error, ERROR_TEMPORARY, "no answer within %d ms", timeout_ms);
    return true;
}

bool ipc_send_blocking(int fd, const struct ipc_message *message, struct error *error)
{
    struct iovec vectors[1 + IPC_TAIL_MAX];
    size_t length;
    if (!assemble(message, vectors, &length, error))
        return false;
    while (!transmit(fd, vectors, 1 + message->tail_count, message->descriptors,
                     message->descriptor_count)) {
        if (errno != EAGAIN)
            return error_errno(error, "send");
        if (!wait_for(fd, POLLOUT, 1000, error))
            return false;
    }
    return true;
}

bool ipc_receive_blocking(int fd, void *record, int timeout_ms, struct ipc_packet *packet,
                          struct error *error)
{
    return wait_for(fd, POLLIN, timeout_ms, error) && receive(fd, record, packet, error);
}
