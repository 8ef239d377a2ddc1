/* Questions under way in the asking role; see dns_client.h. */
#include "common/dns/dns_client.h"

#include <stdlib.h>
#include <string.h>

#include "common/hash_table.h"
#include "common/turn.h"

struct dns_inquiry {
    UT_hash_handle hh;
    uint64_t request;
    uint64_t by_ms; /* then it is answered without an answer */
    uint32_t peer;  /* of the resolver that has it; 0: none, it failed at once */
    dns_answered *answered;
    void *owner;
};

/* ---- without an answer ---- */

static void answer_failure(struct dns_client *client, struct dns_inquiry *inquiry, const char *why)
{
    const struct dns_result result = {.status = DNS_TEMPORARY, .text = slice_of_string(why)};
    HASH_DEL(client->questions, inquiry);
    inquiry->answered(inquiry->owner, &result);
    free(inquiry);
}

/* All whose time is over; the timer then waits for the next. An owner that is told may ask and
 * cancel, so each round begins at the front: requests ascend, and so do their times, but for those
 * that failed at once. */
static void on_timer(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)events;
    struct dns_client *client = watcher->data;
    uint64_t now_ms = turn_now_ms(), next_ms = UINT64_MAX;
    struct dns_inquiry *inquiry = client->questions;
    while (inquiry) {
        if (inquiry->by_ms <= now_ms) {
            answer_failure(client, inquiry,
                           inquiry->peer ? "the resolver does not answer" : "no resolver is there");
            inquiry = client->questions;
            next_ms = UINT64_MAX;
            continue;
        }
        next_ms = inquiry->by_ms < next_ms ? inquiry->by_ms : next_ms;
        inquiry = inquiry->hh.next;
    }
    ev_timer_stop(loop, watcher);
    if (next_ms == UINT64_MAX)
        return;
    ev_timer_set(watcher, (double)(next_ms - now_ms) / 1000.0 + 0.001, 0.0);
    ev_timer_start(loop, watcher);
}

static void look_at_once(struct dns_client *client)
{
    ev_timer_stop(client->role->loop, &client->timer);
    ev_timer_set(&client->timer, 0.0, 0.0);
    ev_timer_start(client->role->loop, &client->timer);
}

/* ---- asking ---- */

void dns_client_init(struct dns_client *client, struct role *role)
{
    *client = (struct dns_client){.role = role};
    ev_init(&client->timer, on_timer);
    client->timer.data = client;
}

void dns_client_clear(struct dns_client *client)
{
    while (client->questions)
        dns_cancel(client, client->questions);
    if (client->role)
        ev_timer_stop(client->role->loop, &client->timer);
}

static bool send_question(struct dns_client *client, struct dns_inquiry *inquiry,
                          enum dns_type type, struct slice name)
{
    struct role_peer *resolver = role_find_peer(client->role, ROLE_RESOLVER);
    struct dns_question question = {
        .header = {.type = DNS_QUESTION, .request = inquiry->request},
        .type = (uint16_t)type,
        .name_octets = (uint16_t)name.len,
    };
    if (!resolver
        || !ipc_send_record(&resolver->channel, &question.header, sizeof(question), name, NULL))
        return false;
    inquiry->peer = resolver->number;
    return true;
}

struct dns_inquiry *dns_ask(struct dns_client *client, enum dns_type type, struct slice name,
                            dns_answered *answered, void *owner)
{
    struct dns_inquiry *inquiry = calloc(1, sizeof(*inquiry));
    if (!inquiry)
        return NULL;
    inquiry->request = ++client->last_request;
    inquiry->by_ms = turn_now_ms() + DNS_WAIT_MS;
    inquiry->answered = answered;
    inquiry->owner = owner;
    HASH_ADD(hh, client->questions, request, sizeof(inquiry->request), inquiry);
    if (!hash_table_holds(&inquiry->hh)) {
        free(inquiry);
        return NULL;
    }
    bool is_name = name.len > 0 && name.len <= DNS_NAME_MAX;
    if (!is_name || !send_question(client, inquiry, type, name))
        inquiry->by_ms = 0;
    if (inquiry->by_ms == 0 || !ev_is_active(&client->timer))
        look_at_once(client);
    return inquiry;
}

void dns_cancel(struct dns_client *client, struct dns_inquiry *inquiry)
{
    HASH_DEL(client->questions, inquiry);
    free(inquiry);
}

/* ---- answers ---- */

static bool on_answer(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *peer = owner;
    struct dns_client *client = peer->data;
    const struct dns_answer *record = packet->record;
    struct slice tail = ipc_packet_tail(packet, sizeof(*record));
    if (!client || tail.len < record->name_octets || record->status < DNS_FOUND
        || record->status > DNS_TEMPORARY)
        return error_set(error, ERROR_PEER, "malformed answer");
    struct dns_inquiry *inquiry;
    HASH_FIND(hh, client->questions, &record->header.request, sizeof(record->header.request),
              inquiry);
    if (!inquiry)
        return true; /* cancelled, or given up */
    bool failed = record->status == DNS_BOGUS || record->status == DNS_TEMPORARY;
    struct slice last = slice_from(tail, tail.len - record->name_octets);
    struct slice none = slice_of(NULL, 0);
    const struct dns_result result = {.status = record->status,
                                      .secure = (record->flags & DNS_SECURE) != 0,
                                      .ttl = record->ttl,
                                      .count = record->records,
                                      .rdata = slice_range(tail, 0, tail.len - last.len),
                                      .name = failed ? none : last,
                                      .text = failed ? last : none};
    HASH_DEL(client->questions, inquiry);
    inquiry->answered(inquiry->owner, &result);
    free(inquiry);
    return true;
}

const struct ipc_rule dns_client_rules[DNS_CLIENT_RULES] = {
    {DNS_ANSWER, sizeof(struct dns_answer), IPC_RECORD_MAX, 0, on_answer},
};

void dns_client_up(struct dns_client *client, struct role_peer *peer)
{
    peer->data = client;
}

void dns_client_down(struct dns_client *client, struct role_peer *peer)
{
    struct dns_inquiry *inquiry, *next;
    peer->data = NULL;
    HASH_ITER (hh, client->questions, inquiry, next) {
        if (inquiry->peer == peer->number)
            inquiry->by_ms = 0;
    }
    if (client->questions)
        look_at_once(client);
}

bool dns_result_next(struct slice *rest, struct slice *rdata)
{
    uint16_t octets;
    if (rest->len < sizeof(octets))
        return false;
    memcpy(&octets, rest->ptr, sizeof(octets));
    if (rest->len - sizeof(octets) < octets)
        return false;
    *rdata = slice_range(*rest, sizeof(octets), sizeof(octets) + octets);
    *rest = slice_from(*rest, sizeof(octets) + octets);
    return true;
}
