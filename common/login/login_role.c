/* The role: state shared by its clients, and the records from its peers. */
#include "common/login/login_internal.h"

#include <sodium.h>
#include <uthash.h>
#include <utlist.h>

#include "common/size.h"

enum { REPLY_OCTETS = 16384 };

static bool prepare(struct role *role, struct error *error)
{
    struct login_server *server = role->state;
    server->role = role;
    if (sodium_init() < 0)
        return error_set(error, ERROR_TEMPORARY, "libsodium does not start");
    return tls_role_open(&server->tls, role, server->protocol->alpn, error);
}

static bool start(struct role *role, struct error *error)
{
    struct login_server *server = role->state;
    uint32_t processes = role->kind == ROLE_IMAP_LOGIN ? role->config.processes.imap_login
                                                       : role->config.processes.pop3_login;
    turn_init(&server->turn, role->loop);
    buffer_init(&server->reply, REPLY_OCTETS);
    return acceptor_open(&server->acceptor, role, processes, &login_acceptor_handler, server,
                         error);
}

static void peer_up(struct role_peer *peer)
{
    struct login_server *server = peer->role->state;
    if (peer->kind == ROLE_KEYS)
        tls_role_keys_up(&server->tls, peer);
}

/* Every question to a dead auth is answered now. */
static void peer_down(struct role_peer *peer)
{
    struct login_server *server = peer->role->state;
    if (peer->kind == ROLE_KEYS)
        tls_role_keys_down(&server->tls, peer);
    struct login_session *session, *next;
    if (peer->kind == ROLE_AUTH)
        HASH_ITER (hh, server->asking, session, next)
            login_refuse(session, LOGIN_TEMPORARY);
}

static void stop(struct role *role)
{
    struct login_server *server = role->state;
    acceptor_stop(&server->acceptor);
    struct login_session *session, *next;
    DL_FOREACH_SAFE (server->sessions, session, next)
        if (login_is_talking(session) || (role->server_stops && session->state == LOGIN_ASLEEP))
            login_say_farewell(session, LOGIN_END_SHUTDOWN, "shutdown");
    if (server->session_count == 0)
        role_exit(role);
}

static void count(struct role *role, struct role_counts *counts)
{
    counts->sessions = ((struct login_server *)role->state)->session_count;
}

static const struct ipc_rule verdicts[] = {
    {AUTH_VERDICT, sizeof(struct auth_verdict), sizeof(struct auth_verdict), 0, login_on_verdict},
    {AUTH_CHALLENGE, sizeof(struct auth_challenge),
     sizeof(struct auth_challenge) + AUTH_MESSAGE_MAX, 0, login_on_challenge},
    {AUTH_OFFER, sizeof(struct auth_offer), sizeof(struct auth_offer), 0, login_on_offer},
};

static const struct role_link links[] = {
    {ROLE_AUTH, verdicts, ARRAY_LENGTH(verdicts)},
    {ROLE_KEYS, keys_client_rules, ARRAY_LENGTH(keys_client_rules)},
};

static const struct ipc_rule orders[] = {
    {ROLE_ADMITTED, sizeof(struct role_admitted), sizeof(struct role_admitted), 1,
     login_on_admitted},
    {ROLE_NOT_ADMITTED, sizeof(struct role_not_admitted), sizeof(struct role_not_admitted), 0,
     login_on_not_admitted},
    {ROLE_ASLEEP, sizeof(struct role_asleep) + 1, sizeof(struct role_asleep) + SLEEP_RECORD_MAX, 1,
     login_on_asleep},
    {ROLE_AWAKE, sizeof(struct ipc_header), sizeof(struct ipc_header), 1, login_on_awake},
    {ROLE_NOT_AWAKE, sizeof(struct ipc_header), sizeof(struct ipc_header), 0, login_on_not_awake},
    {ROLE_RETURNED, sizeof(struct ipc_header), sizeof(struct ipc_header) + RETURNED_INPUT_MAX, 1,
     login_on_returned},
};

const struct role_spec login_role = {
    .sandbox = {.calls = SANDBOX_ACCEPT, .files = SANDBOX_NO_FILES},
    .links = links,
    .link_count = ARRAY_LENGTH(links),
    .orders = orders,
    .order_count = ARRAY_LENGTH(orders),
    .prepare = prepare,
    .start = start,
    .peer_up = peer_up,
    .peer_down = peer_down,
    .stop = stop,
    .count = count,
};
