/* Questions to `fetch` under way; see sts_client.h. */
#include "smtpd/fetch/sts_client.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/turn.h"

enum {
    TRIES_MAX = 2,     /* what ends fetch twice does not come a third time */
    RETURN_MS = 10000, /* so long a fetch that died may take to come back */
};

struct sts_inquiry {
    struct open_question question;
    struct sts_client *client;
    unsigned tries; /* times that it was sent */
    char domain[DNS_NAME_MAX + 1];
    sts_answered *answered;
    void *owner;
};

/* Out of the table first: whoever is told may ask and cancel. */
static void answer(struct sts_inquiry *inquiry, enum fetch_status status, struct slice text)
{
    questions_remove(&inquiry->client->questions, &inquiry->question);
    inquiry->answered(inquiry->owner, status, text);
    free(inquiry);
}

static void give_up(struct open_question *question)
{
    answer((struct sts_inquiry *)question, FETCH_UNKNOWN, SLICE("the role fetch does not answer"));
}

void sts_client_init(struct sts_client *client, struct role *role)
{
    client->role = role;
    client->called = false;
    questions_init(&client->questions, role->loop, give_up);
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
static void send_question(struct sts_inquiry *inquiry, struct role_peer *fetch)
{
    struct open_question *question = &inquiry->question;
    struct slice domain = slice_of_string(inquiry->domain);
    struct fetch_policy record = {
        .header = {.type = FETCH_POLICY, .request = question->request},
        .domain_octets = (uint16_t)domain.len,
    };
    if (fetch && ipc_send_record(&fetch->channel, &record.header, sizeof(record), domain, NULL)) {
        question->by_ms = turn_now_ms() + STS_WAIT_MS;
        question->peer = fetch->number;
        inquiry->tries++;
    } else {
        question->by_ms = turn_now_ms() + RETURN_MS;
        call_fetch(inquiry->client);
    }
}

struct sts_inquiry *sts_ask(struct sts_client *client, const char *domain, sts_answered *answered,
                            void *owner)
{
    struct sts_inquiry *inquiry = calloc(1, sizeof(*inquiry));
    if (!inquiry)
        return NULL;
    inquiry->client = client;
    snprintf(inquiry->domain, sizeof(inquiry->domain), "%s", domain);
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

void sts_cancel(struct sts_client *client, struct sts_inquiry *inquiry)
{
    questions_remove(&client->questions, &inquiry->question);
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
    struct open_question *question = questions_find(&client->questions, record->header.request);
    if (question) /* else cancelled, or given up */
        answer((struct sts_inquiry *)question, record->status, text);
    return true;
}

const struct ipc_rule sts_client_rules[STS_CLIENT_RULES] = {
    {FETCH_ANSWER, sizeof(struct fetch_answer), FETCH_ANSWER_MAX, 0, on_answer},
};

static void send_again(struct open_question *question, struct role_peer *fetch)
{
    struct sts_inquiry *inquiry = (struct sts_inquiry *)question;
    if (inquiry->tries < TRIES_MAX)
        send_question(inquiry, fetch);
    else
        question->by_ms = 0;
}

void sts_client_up(struct sts_client *client, struct role_peer *peer)
{
    peer->data = client;
    client->called = false;
    for (struct open_question *at = client->questions.first; at; at = at->hh.next)
        if (at->peer == 0)
            send_again(at, peer);
}

/* The next one may be here before this one's end is seen. */
void sts_client_down(struct sts_client *client, struct role_peer *peer)
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
