/* Passes a client that logged in to its user's process, or carries its octets there; see
 * login_internal.h. */
#include "common/login/login_internal.h"

#include <unistd.h>

#include <uthash.h>

#include "common/disk/fd.h"
#include "common/role/handoff.h"

static void on_user_input(struct stream *stream)
{
    struct login_session *session = stream->owner;
    if (session->state == LOGIN_RETURNING)
        login_end_return(session);
    else if (session->state == LOGIN_CARRYING) /* its end: nothing more can come for the client */
        login_close(session, "logged out");
}

static void on_user_deadline(struct stream *stream)
{
    (void)stream; /* none is set: the user's process watches the client's time */
}

static void on_user_closed(struct stream *stream, const struct error *why)
{
    struct login_session *session = stream->owner;
    login_close(session, why ? why->text : "logged out");
}

/* So that the master can name it. Without memory it never sleeps. */
void login_begin_serving(struct login_session *session)
{
    struct login_server *server = session->server;
    if (session->served)
        return;
    HASH_ADD(hh, server->served, number, sizeof(session->number), session);
    session->served = hash_table_holds(&session->hh);
}

struct login_session *login_find_served(struct login_server *server, uint64_t number)
{
    struct login_session *session;
    HASH_FIND(hh, server->served, &number, sizeof(number), session);
    return session;
}

static void carry(struct login_session *session, int fd)
{
    static const struct stream_handler handler = {
        .on_input = on_user_input, .on_deadline = on_user_deadline, .on_closed = on_user_closed};
    struct stream_limits limits = session->client.limits;
    limits.output += stream_input(&session->client).len;
    stream_init(&session->user, &session->server->turn, fd, &handler, &limits);
    session->user.owner = session;
    login_enter(session, LOGIN_CARRYING);
    login_begin_serving(session);
    login_set_deadline(session);
    stream_carry(&session->client, &session->user);
    stream_carry(&session->user, &session->client);
    if (stream_at_end(&session->client))
        stream_end_output(&session->user);
}

/* Gives the client to the process of its user. In the clear all of it, if nothing waits to be
 * written. */
bool login_hand_over(struct login_session *session, int fd, struct error *error)
{
    struct stream *client = &session->client;
    struct slice input = slice_range(stream_input(client), 0, HANDOFF_INPUT_MAX);
    bool whole = !session->secured && stream_output_empty(client) && !stream_at_end(client)
                 && input.len == stream_input(client).len;
    struct login_sleep *sleep = session->sleep;
    struct handoff_parcel parcel = {.tag = sleep ? slice_of(sleep->record, sleep->record_octets)
                                                 : login_protocol_of(session)->tag(session),
                                    .input = input,
                                    .client_fd = whole ? client->fd : -1,
                                    .resumed = sleep != NULL,
                                    .left_ms = sleep ? login_sleep_left_ms(sleep) : 0};
    if (!handoff_send(fd, &parcel, error))
        return false;
    stream_consume(client, input.len);
    login_stop_asking(session);
    login_forget_sleep(session);
    login_protocol_of(session)->forget(session);
    connections_authenticate(&session->server->acceptor.connections, &session->share);
    if (!whole) {
        carry(session, fd);
        return true;
    }
    close(fd);
    login_drop(session);
    return true;
}

bool login_on_admitted(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role *role = owner;
    struct login_session *session =
        login_find_asking(role->state, ipc_packet_header(packet)->request);
    if (!session)
        return true; /* the client has left; closing our end tells the user's process */
    int fd = ipc_packet_take(packet, 0);
    struct error why = {0};
    if (login_hand_over(session, fd, &why))
        return true;
    fd_discard(&fd);
    LOG(login_log(session), LOG_ERROR, "not_handed_over", log_id("session", session->name),
        log_failure(&why));
    login_refuse(session, LOGIN_TEMPORARY);
    return true;
}

bool login_on_not_admitted(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role *role = owner;
    const struct role_not_admitted *answer = packet->record;
    struct login_session *session = login_find_asking(role->state, answer->header.request);
    if (session)
        login_refuse(session,
                     answer->reason == NOT_ADMITTED_IN_USE ? LOGIN_IN_USE : LOGIN_TEMPORARY);
    return true;
}
