/* The http role; see http.h. */
#include "ctl/http/http.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <microhttpd.h>
#include <sodium.h>
#include <utlist.h>

#include "common/role/turn.h"
#include "common/size.h"
#include "ctl/http/metrics_text.h"

enum {
    CLIENTS = 64,
    REQUEST_OCTETS = 8192,
    ANSWER_MAX = 1 << 20,
    CENSUS_TOO_OLD_MS = 20000,
};

static const double deadline_s = 10.0; /* of a connection: it asks once */

struct http_client {
    struct http_client *prev, *next;
    struct http *http;
    int fd; /* the daemon's */
    bool taken;
    ev_timer deadline;
    struct connection_share share;
};

/* --- Answers --------------------------------------------------------------------------------- */

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *type,
                              struct slice text)
{
    /* Copied. The library takes what it does not write as writable. */
    struct MHD_Response *response = MHD_create_response_from_buffer(
        text.len, (void *)(uintptr_t)text.ptr, MHD_RESPMEM_MUST_COPY);
    if (!response)
        return MHD_NO;
    enum MHD_Result queued = MHD_NO;
    if (MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES
        && MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_YES
        && (status != MHD_HTTP_METHOD_NOT_ALLOWED
            || MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD") == MHD_YES))
        queued = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result answer_plainly(struct MHD_Connection *connection, unsigned status,
                                      const char *text)
{
    return answer(connection, status, "text/plain; charset=utf-8", slice_of_string(text));
}

static enum MHD_Result answer_metrics(struct http *http, struct MHD_Connection *connection)
{
    const struct metrics_view view = {http->has_counts ? &http->counts : NULL,
                                      http->has_census ? &http->census : NULL};
    struct buffer text = BUFFER_WITH_LIMIT(ANSWER_MAX);
    metrics_text_format(&view, &text);
    enum MHD_Result answered =
        text.failed ? answer_plainly(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "no memory\n")
                    : answer(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8",
                             buffer_slice(&text));
    buffer_clear(&text);
    return answered;
}

static enum MHD_Result answer_health(struct http *http, struct MHD_Connection *connection)
{
    struct buffer text = BUFFER_WITH_LIMIT(ANSWER_MAX);
    if (!http->has_census || turn_now_ms() - http->census_at_ms > CENSUS_TOO_OLD_MS)
        return answer_plainly(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "nothing heard\n");
    bool healthy = metrics_text_is_healthy(&http->census, &text);
    enum MHD_Result answered = healthy ? answer_plainly(connection, MHD_HTTP_OK, "ok\n")
                                       : answer(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
                                                "text/plain; charset=utf-8", buffer_slice(&text));
    buffer_clear(&text);
    return answered;
}

static const struct page {
    const char *path;
    enum MHD_Result (*answer)(struct http *http, struct MHD_Connection *connection);
} pages[] = {
    {"/metrics", answer_metrics},
    {"/healthz", answer_health},
};

/* The header of a request was read. Whatever follows it is not: the connection is closed. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_octets, void **request)
{
    (void)version;
    (void)upload;
    (void)upload_octets;
    (void)request;
    for (size_t i = 0; i < ARRAY_LENGTH(pages); i++) {
        if (strcmp(url, pages[i].path) != 0)
            continue;
        if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
            return answer_plainly(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET or HEAD\n");
        return pages[i].answer(context, connection);
    }
    return answer_plainly(connection, MHD_HTTP_NOT_FOUND, "there are /metrics and /healthz\n");
}

/* UnescapeCallback: a path is compared as it was written. */
static size_t keep_escaped(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

/* --- Connections ----------------------------------------------------------------------------- */

static void free_client(struct http_client *client)
{
    struct http *http = client->http;
    ev_timer_stop(http->role->loop, &client->deadline);
    connections_leave(&http->acceptor.connections, &client->share);
    DL_DELETE(http->clients, client);
    free(client);
    if (http->role->stopping && !http->clients)
        role_exit(http->role);
}

/* Which of ours the daemon means: it has taken that descriptor. */
static struct http_client *take_client(struct http *http, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct http_client *client;
    DL_FOREACH (http->clients, client)
        if (info && !client->taken && client->fd == info->connect_fd) {
            client->taken = true;
            return client;
        }
    return NULL;
}

/* MHD_NotifyConnectionCallback */
static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http *http = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        *socket_context = take_client(http, connection);
    else if (*socket_context)
        free_client(*socket_context);
}

/* The daemon does what it can, and says when it wants to be called again. */
static void serve(struct http *http)
{
    MHD_UNSIGNED_LONG_LONG wait_ms;
    MHD_run(http->daemon);
    ev_timer_stop(http->role->loop, &http->wanted);
    if (MHD_get_timeout(http->daemon, &wait_ms) != MHD_YES)
        return;
    ev_timer_set(&http->wanted, (double)wait_ms / 1000.0, 0.0);
    ev_timer_start(http->role->loop, &http->wanted);
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    serve(watcher->data);
}

static void on_wanted(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    serve(watcher->data);
}

/* The daemon sees the end of its socket, and forgets the connection in its next turn. One that it
 * never took it has closed. */
static void end_client(struct http_client *client)
{
    if (client->taken)
        shutdown(client->fd, SHUT_RDWR);
    else
        free_client(client);
}

static void on_deadline(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    end_client(watcher->data);
}

static struct http_client *add_client(struct http *http, struct accepted *accepted)
{
    struct http_client *client = calloc(1, sizeof(*client));
    if (!client)
        return NULL;
    client->http = http;
    client->fd = accepted->fd;
    client->share = accepted->share;
    ev_timer_init(&client->deadline, on_deadline, deadline_s, 0.0);
    client->deadline.data = client;
    ev_timer_start(http->role->loop, &client->deadline);
    DL_APPEND(http->clients, client);
    connections_hear(&http->acceptor.connections, &client->share, turn_now_ms());
    return client;
}

static void on_accepted(void *owner, struct accepted *accepted)
{
    struct http *http = owner;
    struct sockaddr_storage name;
    socklen_t length = ip_address_to_sockaddr(&accepted->client, accepted->client_port, &name);
    struct http_client *client = add_client(http, accepted);
    if (!client)
        return;
    accepted->fd = -1; /* the daemon closes it, whether it takes it or not */
    if (MHD_add_connection(http->daemon, client->fd, (struct sockaddr *)&name, length) != MHD_YES)
        free_client(client);
    serve(http);
}

static void on_refused(void *owner, const struct accepted *accepted,
                       enum connection_verdict verdict)
{
    (void)owner;
    (void)accepted;
    (void)verdict;
}

static void on_silent(void *owner, struct connection_share *share, enum connection_verdict verdict)
{
    (void)verdict;
    struct http *http = owner;
    struct http_client *client =
        (struct http_client *)(void *)((uint8_t *)share - offsetof(struct http_client, share));
    connections_leave(&http->acceptor.connections, share);
    end_client(client);
}

static const struct acceptor_handler acceptor_handler = {
    .on_accepted = on_accepted,
    .on_refused = on_refused,
    .on_silent = on_silent,
};

/* --- What is handed over --------------------------------------------------------------------- */

static bool on_counts(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    const struct role_peer *peer = owner;
    struct http *http = peer->role->state;
    memcpy(&http->counts, packet->record, sizeof(http->counts));
    http->has_counts = true;
    return true;
}

static bool on_census(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    const struct role *role = owner;
    struct http *http = role->state;
    memcpy(&http->census, packet->record, sizeof(http->census));
    http->has_census = true;
    http->census_at_ms = turn_now_ms();
    return true;
}

/* --- Birth and end --------------------------------------------------------------------------- */

static bool prepare(struct role *role, struct error *error)
{
    struct http *http = role->state;
    http->role = role;
    /* Everybody here is a stranger of one network, this machine. */
    struct config_limits *limits = &role->config.limits;
    limits->connections = limits->connections_per_network = CLIENTS;
    limits->unauthenticated_connections = limits->unauthenticated_per_network = CLIENTS;
    return sodium_init() >= 0 || error_set(error, ERROR_TEMPORARY, "libsodium does not start");
}

static bool start_daemon(struct http *http, struct error *error)
{
    unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET;
    /* Those that make room leave a little later than others take their places. */
    http->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, http, MHD_OPTION_CONNECTION_LIMIT, 4U * CLIENTS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_OCTETS, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, http, MHD_OPTION_UNESCAPE_CALLBACK, keep_escaped, NULL, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        http->daemon ? MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!info)
        return error_set(error, ERROR_TEMPORARY, "libmicrohttpd does not start");
    ev_io_init(&http->readable, on_readable, info->epoll_fd, EV_READ);
    ev_init(&http->wanted, on_wanted);
    http->readable.data = http->wanted.data = http;
    ev_io_start(http->role->loop, &http->readable);
    return true;
}

static bool start(struct role *role, struct error *error)
{
    struct http *http = role->state;
    return start_daemon(http, error)
           && acceptor_open(&http->acceptor, role, 1, &acceptor_handler, http, error);
}

static void stop(struct role *role)
{
    struct http *http = role->state;
    acceptor_stop(&http->acceptor);
    if (!http->clients)
        role_exit(role);
}

static void count(struct role *role, struct role_counts *counts)
{
    const struct http *http = role->state;
    counts->sessions = http->acceptor.connections.count;
}

static const struct ipc_rule from_journal[] = {
    {METRICS_COUNTS, sizeof(struct metrics_counts), sizeof(struct metrics_counts), 0, on_counts},
};

static const struct ipc_rule orders[] = {
    {ROLE_CENSUS, sizeof(struct role_census), sizeof(struct role_census), 0, on_census},
};

static const struct role_link links[] = {
    {ROLE_JOURNAL, from_journal, ARRAY_LENGTH(from_journal)},
};

const struct role_spec http_role = {
    .sandbox = {.calls = SANDBOX_ACCEPT, .files = SANDBOX_NO_FILES},
    .links = links,
    .link_count = ARRAY_LENGTH(links),
    .orders = orders,
    .order_count = ARRAY_LENGTH(orders),
    .prepare = prepare,
    .start = start,
    .stop = stop,
    .count = count,
};
