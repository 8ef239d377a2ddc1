/* Questions to `fetch` under way; see fetch_client.h. */
#include "smtpd/fetch/fetch_client.h"

#include <stdlib.h>

#include "common/role/turn.h"

enum {
    TRIES_MAX = 2,     /* what ends fetch twice does not come a third time */
    RETURN_MS = 10000, /* so long a fetch that died may take to come back */
};

struct fetch_inquiry {
    struct open_question question;
    struct fetch_client *client;
    unsigned tries; /* times that it was sent */
    fetch_answered *answered;
    void *owner;
    enum fetch_record type;
    uint32_t first_octets; /* of what follows the record: the domain or the URI */
    size_t octets;
    uint8_t tail[];
};

/* Out of the table first: the callback may ask and cancel. */
static void answer(struct fetch_inquiry *inquiry, enum fetch_status status, struct slice text)
{
    questions_remove(&inquiry->client->questions, &inquiry->question);
    inquiry->answered(inquiry->owner, status, text);
    free(inquiry);
}

static void give_up(struct open_question *question)
{
    answer((struct fetch_inquiry *)question, FETCH_UNKNOWN,
           SLICE("the role fetch does not answer"));
}

void fetch_client_init(struct fetch_client *client, struct role *role)
{
    client->role = role;
    client->called = false;
    questions_init(&client->questions, role->loop, give_up);
}

static void call_fetch(struct fetch_client *client)
{
    struct ipc_header wanted = {.type = MASTER_WANTED};
    if (!client->called)
        client->called = role_tell_master(client->role, &wanted, sizeof(wanted), SLICE(""));
}

static bool send_record(const struct fetch_inquiry *inquiry, struct role_peer *fetch)
{
    const struct ipc_header header = {.type = (uint16_t)inquiry->type,
                                      .request = inquiry->question.request};
    struct slice tail = slice_of(inquiry->tail, inquiry->octets);
    uint16_t first = (uint16_t)inquiry->first_octets;
    struct fetch_policy policy = {.header = header, .domain_octets = first};
    struct fetch_post post = {
        .header = header, .uri_octets = first, .body_octets = (uint32_t)(inquiry->octets - first)};
    return inquiry->type == FETCH_POLICY
               ? ipc_send_record(&fetch->channel, &policy.header, sizeof(policy), tail, NULL)
               : ipc_send_record(&fetch->channel, &post.header, sizeof(post), tail, NULL);
}

/* To that fetch. If there is none, or it does not take it: soon again, to the next one. */
static void send_question(struct fetch_inquiry *inquiry, struct role_peer *fetch)
{
    struct open_question *question = &inquiry->question;
    if (fetch && send_record(inquiry, fetch)) {
        question->by_ms = turn_now_ms() + FETCH_WAIT_MS;
        question->peer = fetch->number;
        inquiry->tries++;
    } else {
        question->by_ms = turn_now_ms() + RETURN_MS;
        call_fetch(inquiry->client);
    }
}

static struct fetch_inquiry *new_inquiry(enum fetch_record type, struct slice first,
                                         struct slice second)
{
    struct fetch_inquiry *inquiry = calloc(1, sizeof(*inquiry) + first.len + second.len);
    if (!inquiry)
        return NULL;
    inquiry->type = type;
    inquiry->first_octets = (uint32_t)first.len;
    inquiry->octets = first.len + second.len;
    memcpy(inquiry->tail, first.ptr, first.len);
    if (second.len > 0)
        memcpy(inquiry->tail + first.len, second.ptr, second.len);
    return inquiry;
}

static struct fetch_inquiry *ask(struct fetch_client *client, struct fetch_inquiry *inquiry,
                                 fetch_answered *answered, void *owner)
{
    if (!inquiry)
        return NULL;
    inquiry->client = client;
    inquiry->answered = answered;
    inquiry->owner = owner;
    if (!questions_add(&client->questions, &inquiry->question)) {
        free(inquiry);
        return NULL;
    }
    send_question(inquiry, role_find_peer(client->role, ROLE_FETCH));
    questions_look(&client->questions);
    return inquiry;
}

struct fetch_inquiry *fetch_client_ask_policy(struct fetch_client *client, const char *domain,
                                              fetch_answered *answered, void *owner)
{
    return ask(client, new_inquiry(FETCH_POLICY, slice_of_string(domain), SLICE("")), answered,
               owner);
}

struct fetch_inquiry *fetch_client_post(struct fetch_client *client, struct slice uri,
                                        struct slice report, fetch_answered *answered, void *owner)
{
    return ask(client, new_inquiry(FETCH_POST, uri, report), answered, owner);
}

void fetch_client_cancel(struct fetch_client *client, struct fetch_inquiry *inquiry)
{
    questions_remove(&client->questions, &inquiry->question);
    free(inquiry);
}

static bool on_answer(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *peer = owner;
    struct fetch_client *client = peer->data;
    const struct fetch_answer *record = packet->record;
    struct slice text = ipc_packet_tail(packet, sizeof(*record));
    if (!client || text.len != record->octets || record->status < FETCH_FOUND
        || record->status >= FETCH_STATUS_END)
        return error_set(error, ERROR_PEER, "malformed answer");
    struct open_question *question = questions_find(&client->questions, record->header.request);
    if (question) /* else cancelled, or given up */
        answer((struct fetch_inquiry *)question, record->status, text);
    return true;
}

const struct ipc_rule fetch_client_rules[FETCH_CLIENT_RULES] = {
    {FETCH_ANSWER, sizeof(struct fetch_answer), FETCH_ANSWER_MAX, 0, on_answer},
};

static void send_again(struct open_question *question, struct role_peer *fetch)
{
    struct fetch_inquiry *inquiry = (struct fetch_inquiry *)question;
    if (inquiry->tries < TRIES_MAX)
        send_question(inquiry, fetch);
    else
        question->by_ms = 0;
}

void fetch_client_up(struct fetch_client *client, struct role_peer *peer)
{
    peer->data = client;
    client->called = false;
    for (struct open_question *at = client->questions.first; at; at = at->hh.next)
        if (at->peer == 0)
            send_again(at, peer);
}

/* The next one may be here before this one's end is seen. */
void fetch_client_down(struct fetch_client *client, struct role_peer *peer)
{
    struct role_peer *other = role_find_peer(client->role, ROLE_FETCH);
    peer->data = NULL;
    for (struct open_question *at = client->questions.first; at; at = at->hh.next)
        if (at->peer == peer->number) {
            at->peer = 0;
            send_again(at, other);
        }
    questions_look(&client->questions);
}
