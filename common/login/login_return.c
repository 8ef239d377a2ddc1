/*
 * UNAUTHENTICATE (RFC 8437, common/role/master_protocol.h): a carried connection comes back from
 * its user's process, and its client is unauthenticated again. Runs in imapd-login.
 *
 * Whatever the client has said after the command is for us to read, in the order in which it was
 * said: what the user's process had read and gives back, what lies in the socket between us, whose
 * two ends are ours now, what has come since. What that process has said goes to the client before
 * any answer of ours. So: the far end is emptied until nothing is left on this side, and closed;
 * this side then sees its end after the last octet for the client.
 *
 * A process that gives back some other descriptor only has us read that, as the client that it
 * could itself have made say anything until now; while it keeps the right one the client waits,
 * until timeouts.login. The session gets another number, so it cannot come back a second time.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/disk/fd.h"
#include "common/login/login_internal.h"

enum {
    OCTETS_MAX = 1 << 20, /* two sockets' worth, and more than what streams hold before them */
    READ_OCTETS = 16384,
};

struct login_return {
    struct login_session *session;
    int far_fd; /* of what `user` carries to */
    struct buffer octets;
    struct deferred emptying;
};

void login_forget_return(struct login_session *session)
{
    struct login_return *back = session->back;
    if (!back)
        return;
    turn_cancel(&back->emptying);
    fd_discard(&back->far_fd);
    if (back->octets.ptr)
        explicit_bzero(back->octets.ptr, back->octets.len);
    buffer_clear(&back->octets);
    free(back);
    session->back = NULL;
}

/* Nobody again, and what was said after the command is read in a turn of its own. */
static void talk_again(struct login_session *session)
{
    struct login_server *server = session->server;
    connections_forget_who(&server->acceptor.connections, &session->share);
    login_enter(session, LOGIN_TALKING);
    login_set_deadline(session);
    server->protocol->returned(session);
    turn_again(&server->turn, &session->stepping);
}

void login_end_return(struct login_session *session)
{
    struct error error;
    stream_clear(&session->user);
    bool kept = stream_put_before(&session->client, buffer_slice(&session->back->octets), &error);
    login_forget_return(session);
    if (kept)
        talk_again(session);
    else
        login_close(session, error.text);
}

/* False: it ends, or is no socket, or brings more than can be. */
static bool read_far_end(struct login_return *back)
{
    uint8_t octets[READ_OCTETS];
    ssize_t got;
    do {
        got = recv(back->far_fd, octets, sizeof(octets), MSG_DONTWAIT);
        if (got > 0)
            buffer_append(&back->octets, slice_of(octets, (size_t)got));
    } while ((got > 0 && !back->octets.failed) || (got < 0 && errno == EINTR));
    explicit_bzero(octets, sizeof(octets));
    return got < 0 && errno == EAGAIN;
}

/* What still waits on our side is written when there is room, and read then. */
static void empty(struct deferred *deferred)
{
    struct login_return *back =
        (void *)((uint8_t *)deferred - offsetof(struct login_return, emptying));
    struct login_session *session = back->session;
    bool is_written = stream_output_empty(&session->user);
    bool has_ended = stream_at_end(&session->client); /* so we have said it too */
    if (!read_far_end(back) && !has_ended)
        login_close(session, "the way back is broken");
    else if (is_written)
        fd_discard(&back->far_fd);
    else
        turn_again(&session->server->turn, &back->emptying);
}

static struct login_return *new_return(struct login_session *session, struct slice octets)
{
    struct login_return *back = calloc(1, sizeof(*back));
    if (!back)
        return NULL;
    back->session = session;
    back->far_fd = -1;
    back->emptying.run = empty;
    buffer_init(&back->octets, OCTETS_MAX);
    buffer_append(&back->octets, octets);
    return back;
}

static void log_returned(const struct login_session *session, uint64_t before)
{
    LOG(&session->server->role->log, LOG_INFO, "unauthenticated", log_id("session", session->name),
        log_hex("before", before));
}

bool login_on_returned(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role *role = owner;
    struct ipc_header head = *ipc_packet_header(packet);
    struct login_session *session = login_find_served(role->state, head.request);
    if (!session || session->state != LOGIN_CARRYING || session->sleep
        || !session->server->protocol->returned)
        return true; /* the client has left */
    login_stop_naming(session);
    login_number(session);
    session->back = new_return(session, ipc_packet_tail(packet, sizeof(head)));
    if (!session->back) {
        login_close(session, "out of memory");
        return true;
    }
    session->back->far_fd = ipc_packet_take(packet, 0);
    log_returned(session, head.request);
    session->login_until = turn_now_ms() + login_config(session)->timeouts.login_ms;
    stream_carry_no_more(&session->client);
    login_enter(session, LOGIN_RETURNING);
    login_set_deadline(session);
    turn_again(&session->server->turn, &session->back->emptying);
    return true;
}
