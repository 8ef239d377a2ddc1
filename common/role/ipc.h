/*
 * Records between two of our processes on a SOCK_SEQPACKET socket: typed, versioned, length-checked
 * structs of at most IPC_RECORD_MAX octets, with up to IPC_DESCRIPTORS_MAX descriptors.
 *
 * A channel has one table of the records that its peer may send. Anything else (an unknown type, a
 * wrong size, version or number of descriptors, a handler that returns false) ends the channel with
 * ERROR_PEER, never the receiver. Sends never block and never drop: records that the socket does
 * not take are queued, up to IPC_QUEUE_MAX octets. A sender should stop reading its own source
 * while ipc_is_congested().
 *
 * Do not free a channel inside its own handlers: call ipc_close(), and free it at the end of the
 * turn.
 */
#ifndef COMMON_ROLE_IPC_H
#define COMMON_ROLE_IPC_H

#include <ev.h>

#include "common/error.h"
#include "common/slice.h"

enum {
    IPC_VERSION = 1,
    IPC_RECORD_MAX = 131072, /* a socket takes 212 960 at most, see docs/architecture.md */
    IPC_DESCRIPTORS_MAX = 4,
    IPC_QUEUE_MAX = 64 << 20,
    IPC_CONGESTED = 1 << 20, /* octets queued above which ipc_is_congested() says so */
};

/* Every record begins with this. The sender fills type and request, ipc_send the rest. */
struct ipc_header {
    uint16_t type;    /* of the record, as its protocol's header file numbers it; never 0 */
    uint16_t version; /* IPC_VERSION */
    uint32_t length;  /* of the whole record in octets, this header included */
    uint64_t request; /* an answer repeats that of its question; 0: no answer is expected */
};

/* A record as its handler sees it. Borrowed: valid until the handler returns. */
struct ipc_packet {
    const void *record; /* begins with the header, aligned for any struct */
    size_t length;      /* octets, at least rule->smallest, at most rule->largest */
    int descriptors[IPC_DESCRIPTORS_MAX]; /* a handler that keeps one sets it to -1 here; the
                                             others are closed when it returns */
    size_t descriptor_count;
};

static inline const struct ipc_header *ipc_packet_header(const struct ipc_packet *packet)
{
    return packet->record;
}

/* The octets after the fixed part. */
static inline struct slice ipc_packet_tail(const struct ipc_packet *packet, size_t fixed)
{
    return slice_from(slice_of(packet->record, packet->length), fixed);
}

/* Takes ownership of a descriptor of the packet. */
static inline int ipc_packet_take(struct ipc_packet *packet, size_t place)
{
    int fd = packet->descriptors[place];
    packet->descriptors[place] = -1;
    return fd;
}

/* Called for each record. False with *error filled: the record is malformed or not allowed now; the
 * channel is closed. */
typedef bool ipc_handler(void *owner, struct ipc_packet *packet, struct error *error);

struct ipc_rule {
    uint16_t type;
    size_t smallest; /* octets of the whole record; at least sizeof(struct ipc_header) */
    size_t largest;
    size_t descriptors; /* the exact number */
    ipc_handler *handler;
};

struct ipc_channel;
struct ipc_unsent;

/* Called once, after the channel was closed for another reason than ipc_close(). error->kind is
 * ERROR_PEER if the peer broke the rules; else the peer is gone (text "closed by peer") or the
 * socket failed. */
typedef void ipc_closed(void *owner, struct ipc_channel *channel, const struct error *error);

struct ipc_channel {
    int fd; /* -1: closed */
    struct ev_loop *loop;
    ev_io readable;
    ev_io writable;
    const struct ipc_rule *rules;
    size_t rule_count;
    void *owner;
    ipc_closed *closed;
    struct ipc_unsent *unsent; /* oldest first */
    size_t unsent_octets;
};

/* Takes fd and starts to read from it. The rules are static. */
void ipc_open(struct ipc_channel *channel, struct ev_loop *loop, int fd);
void ipc_set_rules(struct ipc_channel *channel, const struct ipc_rule *rules, size_t count);
void ipc_set_owner(struct ipc_channel *channel, void *owner, ipc_closed *closed);

/* From now on, in each turn of the loop, the records of this channel are handled before those of
 * other channels. So they are known here before a peer that got the same news can speak of them. */
void ipc_hear_first(struct ipc_channel *channel);

/* Handles records that have already arrived, as many as one turn allows. Not from handlers of the
 * same channel. */
void ipc_hear_now(struct ipc_channel *channel);

/* Closes without calling `closed`. Unsent records are dropped. May run twice. */
void ipc_close(struct ipc_channel *channel);

static inline bool ipc_is_open(const struct ipc_channel *channel)
{
    return channel->fd >= 0;
}

static inline bool ipc_is_congested(const struct ipc_channel *channel)
{
    return channel->unsent_octets > IPC_CONGESTED;
}

/* A record to send: a struct that begins with a header, octets after it, descriptors. All borrowed;
 * the descriptors are duplicated if the record is queued. */
struct ipc_message {
    struct ipc_header *head;
    size_t head_octets;
    const struct slice *tail;
    size_t tail_count; /* at most IPC_TAIL_MAX */
    const int *descriptors;
    size_t descriptor_count;
};

enum { IPC_TAIL_MAX = 12 };

/* False: the channel is closed, there is no memory, or the queue is full (ERROR_TEMPORARY), or the
 * record is too long (ERROR_PERMANENT). Records arrive in the order they were sent. */
bool ipc_send(struct ipc_channel *channel, const struct ipc_message *message, struct error *error);

/* The usual case: a struct and one run of octets, no descriptor. */
bool ipc_send_record(struct ipc_channel *channel, struct ipc_header *head, size_t head_octets,
                     struct slice tail, struct error *error);

/* Blocking versions, for a role before its loop runs and for questions to keys, which may block.
 * `record` is an aligned buffer of at least IPC_RECORD_MAX octets. False with ERROR_TEMPORARY if
 * the peer closed or nothing came within timeout_ms (-1: for ever), ERROR_PEER if malformed. */
bool ipc_send_blocking(int fd, const struct ipc_message *message, struct error *error);
bool ipc_receive_blocking(int fd, void *record, int timeout_ms, struct ipc_packet *packet,
                          struct error *error);

/* A pair of connected SOCK_SEQPACKET descriptors, close-on-exec, non-blocking. */
bool ipc_pair(int pair[2], struct error *error);

#endif
