/*
 * A client whose session is asleep (docs/architecture.md, Hibernation): holds its connection and
 * the record of its session until it sends something; see login_internal.h.
 */
#include "common/login/login_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "common/role/handoff.h"

void login_forget_sleep(struct login_session *session)
{
    if (!session->sleep)
        return;
    fd_discard(&session->sleep->other_fd);
    free(session->sleep);
    session->sleep = NULL;
}

/* Has the master start, or find, the user's process. */
static void wake(struct login_session *session)
{
    if (session->sleep->waking)
        return;
    session->sleep->waking = true;
    login_set_deadline(session);
    login_tell_master(session, MASTER_WAKE);
}

void login_on_input_asleep(struct login_session *session)
{
    if (stream_input(&session->client).len > 0)
        wake(session);
    else if (stream_at_end(&session->client))
        login_close(session, "client");
}

/* ---- to rest ---- */

static struct login_sleep *new_sleep(const struct role_asleep *order, struct slice record)
{
    struct login_sleep *sleep = malloc(sizeof(*sleep) + record.len);
    if (!sleep)
        return NULL;
    sleep->other_fd = -1;
    sleep->waking = false;
    sleep->left_until = turn_now_ms() + order->left_ms;
    sleep->record_octets = record.len;
    memcpy(sleep->record, record.ptr, record.len);
    return sleep;
}

uint32_t login_sleep_left_ms(const struct login_sleep *sleep)
{
    return login_milliseconds_until(sleep->left_until);
}

/* Nothing can be read from it now, not even its end. */
static bool is_quiet(int fd)
{
    uint8_t octet;
    return recv(fd, &octet, sizeof(octet), MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static bool carries_nothing(const struct login_session *session)
{
    return stream_output_empty(&session->client) && stream_output_empty(&session->user)
           && stream_input(&session->client).len == 0 && !stream_at_end(&session->client)
           && is_quiet(session->user.fd) && is_quiet(session->sleep->other_fd);
}

/* Nothing carries any more; the client's next octet is ours to see. */
static void fall_asleep(struct login_session *session)
{
    stream_clear(&session->user);
    fd_discard(&session->sleep->other_fd);
    login_enter(session, LOGIN_ASLEEP);
    login_set_deadline(session);
}

/* A connection that is carried comes to rest. What is not at rest goes on: in both ways octets wait
 * where the next process will find them. */
static void rest(struct login_session *session, struct login_sleep *sleep, int fd)
{
    session->sleep = sleep;
    sleep->other_fd = fd;
    if (carries_nothing(session)) {
        fall_asleep(session);
    } else {
        sleep->waking = true;
        login_tell_master(session, MASTER_WAKE);
    }
}

/* One in the clear comes back from its user's process; it may do so beyond any limit. */
static struct login_session *take_back(struct login_server *server, const struct role_asleep *order,
                                       int fd)
{
    struct accepted accepted = {
        .fd = fd, .client = order->client.address, .client_port = order->client.port};
    connections_enter(&server->acceptor.connections, &accepted.client, &accepted.share);
    struct login_session *session = login_new_session(server, &accepted);
    if (!session) {
        connections_leave(&server->acceptor.connections, &accepted.share);
        return NULL;
    }
    session->number = order->client.session;
    snprintf(session->name, sizeof(session->name), "%" PRIx64, session->number);
    session->state = LOGIN_ASLEEP;
    connections_authenticate(&server->acceptor.connections, &session->share);
    login_begin_serving(session);
    return session;
}

static void lose(struct role *role, uint64_t number)
{
    struct ipc_header gone = {.type = MASTER_GONE, .request = number};
    role_tell_master(role, &gone, sizeof(gone), slice_of(NULL, 0));
}

bool login_on_asleep(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role *role = owner;
    struct login_server *server = role->state;
    const struct role_asleep *order = packet->record;
    struct login_session *session = login_find_served(server, order->client.session);
    struct login_sleep *sleep = new_sleep(order, ipc_packet_tail(packet, sizeof(*order)));
    bool carried = (order->flags & SLEEPS_CARRIED) != 0;
    if (!sleep || carried != (session != NULL) || (session && session->sleep)) {
        lose(role, order->client.session); /* the client has left, or does now */
        free(sleep);
        return true;
    }
    int fd = ipc_packet_take(packet, 0);
    if (carried) {
        rest(session, sleep, fd);
    } else if ((session = take_back(server, order, fd))) {
        session->sleep = sleep;
        login_set_deadline(session);
    } else {
        lose(role, order->client.session);
        fd_discard(&fd);
        free(sleep);
    }
    if (session && role->server_stops && session->state == LOGIN_ASLEEP)
        login_say_farewell(session, LOGIN_END_SHUTDOWN, "shutdown");
    return true;
}

/* ---- awake again ---- */

/* What never came to rest: its other end goes to the user's process. */
static bool pass_on(struct login_session *session, int fd, struct error *error)
{
    struct login_sleep *sleep = session->sleep;
    struct handoff_parcel parcel = {.tag = slice_of(sleep->record, sleep->record_octets),
                                    .client_fd = sleep->other_fd,
                                    .resumed = true,
                                    .carried = true,
                                    .left_ms = login_sleep_left_ms(sleep)};
    if (!handoff_send(fd, &parcel, error))
        return false;
    login_forget_sleep(session);
    close(fd);
    return true;
}

bool login_on_awake(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role *role = owner;
    struct login_session *session =
        login_find_served(role->state, ipc_packet_header(packet)->request);
    if (!session || !session->sleep)
        return true; /* the client has left; closing our end tells the user's process */
    int fd = ipc_packet_take(packet, 0);
    struct error why = {0};
    bool resting = session->state == LOGIN_ASLEEP;
    if (resting ? login_hand_over(session, fd, &why) : pass_on(session, fd, &why))
        return true;
    fd_discard(&fd);
    LOG(login_log(session), LOG_ERROR, "not_handed_over", log_id("session", session->name),
        log_failure(&why));
    login_say_farewell(session, LOGIN_END_LOST, "not woken");
    return true;
}

bool login_on_not_awake(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role *role = owner;
    struct login_session *session =
        login_find_served(role->state, ipc_packet_header(packet)->request);
    if (session && session->sleep)
        login_say_farewell(session, LOGIN_END_LOST, "not woken");
    return true;
}
