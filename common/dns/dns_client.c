/* Questions under way in the asking role; see dns_client.h. */
#include "common/dns/dns_client.h"

#include <stdlib.h>
#include <string.h>

#include "common/dns/answer.h"
#include "common/role/turn.h"

struct dns_inquiry {
    struct open_question question;
    struct dns_client *client;
    bool is_name; /* false: nothing was asked */
    dns_answered *answered;
    void *owner;
};

/* Out of the table first: the callback may ask and cancel. */
static void answer(struct dns_inquiry *inquiry, const struct dns_result *result)
{
    questions_remove(&inquiry->client->questions, &inquiry->question);
    inquiry->answered(inquiry->owner, result);
    free(inquiry);
}

static void give_up(struct open_question *question)
{
    struct dns_inquiry *inquiry = (struct dns_inquiry *)question;
    const char *why = !inquiry->is_name ? "it is no name that the DNS can be asked for"
                      : question->peer  ? "the resolver does not answer"
                                        : "no resolver is there";
    const struct dns_result result = {.status = DNS_TEMPORARY, .text = slice_of_string(why)};
    answer(inquiry, &result);
}

/* ---- asking ---- */

void dns_client_init(struct dns_client *client, struct role *role)
{
    client->role = role;
    questions_init(&client->questions, role->loop, give_up);
}

static bool send_question(struct dns_client *client, struct open_question *question,
                          enum dns_type type, struct slice name)
{
    struct role_peer *resolver = role_find_peer(client->role, ROLE_RESOLVER);
    struct dns_question record = {
        .header = {.type = DNS_QUESTION, .request = question->request},
        .type = (uint16_t)type,
        .name_octets = (uint16_t)name.len,
    };
    if (!resolver
        || !ipc_send_record(&resolver->channel, &record.header, sizeof(record), name, NULL))
        return false;
    question->peer = resolver->number;
    return true;
}

struct dns_inquiry *dns_ask(struct dns_client *client, enum dns_type type, struct slice name,
                            dns_answered *answered, void *owner)
{
    struct dns_inquiry *inquiry = calloc(1, sizeof(*inquiry));
    if (!inquiry)
        return NULL;
    *inquiry = (struct dns_inquiry){.client = client, .answered = answered, .owner = owner};
    inquiry->is_name = dns_name_is_valid(name); /* else the resolver would end its sender */
    if (!questions_add(&client->questions, &inquiry->question)) {
        free(inquiry);
        return NULL;
    }
    if (inquiry->is_name && send_question(client, &inquiry->question, type, name))
        inquiry->question.by_ms = turn_now_ms() + DNS_WAIT_MS;
    if (inquiry->question.by_ms == 0 || !ev_is_active(&client->questions.timer))
        questions_look(&client->questions);
    return inquiry;
}

void dns_cancel(struct dns_client *client, struct dns_inquiry *inquiry)
{
    questions_remove(&client->questions, &inquiry->question);
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
    struct open_question *question = questions_find(&client->questions, record->header.request);
    if (!question)
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
    answer((struct dns_inquiry *)question, &result);
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
    peer->data = NULL;
    for (struct open_question *at = client->questions.first; at; at = at->hh.next)
        if (at->peer == peer->number)
            at->by_ms = 0;
    questions_look(&client->questions);
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
