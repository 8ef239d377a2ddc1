/* Questions to `fetch` under way; see sts_client.h. */
#include "smtpd/fetch/sts_client.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/hash_table.h"
#include "common/turn.h"

enum {
    TRIES_MAX = 2,     /* what ends fetch twice does not come a third time */
    RETURN_MS = 10000, /* so long a fetch may take to come, or to come back */
};

struct sts_inquiry {
    UT_hash_handle hh;
    uint64_t request;
    uint64_t by_ms; /* then it is answered without an answer */
    uint32_t peer;  /* of the fetch that has it; 0: none */
    unsigned tries; /* times that it was sent */
    char domain[DNS_NAME_MAX + 1];
    sts_answered *answered;
    void *owner;
};

static void answer(struct sts_client *client, struct sts_inquiry *inquiry, enum fetch_status status,
                   struct slice text)
{
    HASH_DEL(client->questions, inquiry);
    inquiry->answered(inquiry->owner, status, text);
    free(inquiry);
}

static struct sts_inquiry *find_first_due(const struct sts_client *client)
{
    struct sts_inquiry *first = client->questions;
    for (struct sts_inquiry *at = first; at; at = at->hh.next)
        if (at->by_ms < first->by_ms)
            first = at;
    return first;
}

/* One a turn of the loop: an owner that is told may ask and cancel. */
static void on_timer(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)events;
    struct sts_client *client = watcher->data;
    struct sts_inquiry *first = find_first_due(client);
    uint64_t now_ms = turn_now_ms();
    if (!first)
        return;
    bool is_due = first->by_ms <= now_ms;
    double wait_s = is_due ? 0.0 : (double)(first->by_ms - now_ms) / 1000.0 + 0.001;
    if (is_due)
        answer(client, first, FETCH_UNKNOWN, SLICE("the role fetch does not answer"));
    ev_timer_stop(loop, watcher); /* who asked meanwhile started it */
    ev_timer_set(watcher, wait_s, 0.0);
    ev_timer_start(loop, watcher);
}

static void look_at_once(struct sts_client *client)
{
    ev_timer_stop(client->role->loop, &client->timer);
    ev_timer_set(&client->timer, 0.0, 0.0);
    ev_timer_start(client->role->loop, &client->timer);
}

void sts_client_init(struct sts_client *client, struct role *role)
{
    *client = (struct sts_client){.role = role};
    ev_init(&client->timer, on_timer);
    client->timer.data = client;
}

static void call_fetch(struct sts_client *client)
{
    struct ipc_header wanted = {.type = MASTER_WANTED};
    if (!client->called)
        client->called = role_tell_master(client->role, &wanted, sizeof(wanted), SLICE(""));
}

/* To that fetch; where there is none, or it does not take it, the next one has a short time to
 * come.
 */
static void send_question(struct sts_client *client, struct sts_inquiry *inquiry,
                          struct role_peer *fetch)
{
    struct slice domain = slice_of_string(inquiry->domain);
    struct fetch_policy question = {
        .header = {.type = FETCH_POLICY, .request = inquiry->request},
        .domain_octets = (uint16_t)domain.len,
    };
    if (fetch
        && ipc_send_record(&fetch->channel, &question.header, sizeof(question), domain, NULL)) {
        inquiry->by_ms = turn_now_ms() + STS_WAIT_MS;
        inquiry->peer = fetch->number;
        inquiry->tries++;
    } else {
        inquiry->by_ms = turn_now_ms() + RETURN_MS;
        call_fetch(client);
    }
}

struct sts_inquiry *sts_ask(struct sts_client *client, const char *domain, sts_answered *answered,
                            void *owner)
{
    struct sts_inquiry *inquiry = calloc(1, sizeof(*inquiry));
    if (!inquiry)
        return NULL;
    inquiry->request = ++client->last_request;
    snprintf(inquiry->domain, sizeof(inquiry->domain), "%s", domain);
    inquiry->answered = answered;
    inquiry->owner = owner;
    HASH_ADD(hh, client->questions, request, sizeof(inquiry->request), inquiry);
    if (!hash_table_holds(&inquiry->hh)) {
        free(inquiry);
        return NULL;
    }
    send_question(client, inquiry, role_find_peer(client->role, ROLE_FETCH));
    look_at_once(client);
    return inquiry;
}

void sts_cancel(struct sts_client *client, struct sts_inquiry *inquiry)
{
    HASH_DEL(client->questions, inquiry);
    free(inquiry);
}

static bool on_answer(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *peer = owner;
    struct sts_client *client = peer->data;
    const struct fetch_answer *record = packet->record;
    struct slice text = ipc_packet_tail(packet, sizeof(*record));
    if (!client || text.len != record->octets || record->status < FETCH_FOUND
        || record->status > FETCH_UNKNOWN)
        return error_set(error, ERROR_PEER, "malformed answer");
    struct sts_inquiry *inquiry;
    HASH_FIND(hh, client->questions, &record->header.request, sizeof(record->header.request),
              inquiry);
    if (inquiry) /* else cancelled, or given up */
        answer(client, inquiry, record->status, text);
    return true;
}

const struct ipc_rule sts_client_rules[STS_CLIENT_RULES] = {
    {FETCH_ANSWER, sizeof(struct fetch_answer), FETCH_ANSWER_MAX, 0, on_answer},
};

static void send_again(struct sts_client *client, struct sts_inquiry *inquiry,
                       struct role_peer *fetch)
{
    if (inquiry->tries < TRIES_MAX)
        send_question(client, inquiry, fetch);
    else
        inquiry->by_ms = 0;
}

void sts_client_up(struct sts_client *client, struct role_peer *peer)
{
    peer->data = client;
    client->called = false;
    for (struct sts_inquiry *at = client->questions; at; at = at->hh.next)
        if (at->peer == 0)
            send_again(client, at, peer);
}

/* The next one may be here before this one's end is seen. */
void sts_client_down(struct sts_client *client, struct role_peer *peer)
{
    struct role_peer *other = role_find_peer(client->role, ROLE_FETCH);
    peer->data = NULL;
    for (struct sts_inquiry *at = client->questions; at; at = at->hh.next)
        if (at->peer == peer->number) {
            at->peer = 0;
            send_again(client, at, other);
        }
    if (client->questions)
        look_at_once(client);
}
