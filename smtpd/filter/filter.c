/* The role of filter.h. */
#include "smtpd/filter/filter.h"

#include <stdio.h>

#include "common/disk/fd.h"
#include "common/size.h"
#include "smtpd/filter/recipe.h"
#include "smtpd/queue/queue_id.h"

/* --- the question --- */

static bool take_text(struct slice *rest, size_t octets, struct slice *text)
{
    if (rest->len < octets)
        return false;
    *text = slice_range(*rest, 0, octets);
    *rest = slice_from(*rest, octets);
    return true;
}

/* "TLSv1.3 TLS_AES_256_GCM_SHA384": stands in a comment, so no parenthesis may be in it. */
static bool is_tls_text(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t octet = text.ptr[i];
        bool sign = octet == '.' || octet == '-' || octet == '_' || octet == ' ';
        if (!ascii_is_alpha(octet) && !ascii_is_digit(octet) && !sign)
            return false;
    }
    return true;
}

bool filter_parse_question(const struct ipc_packet *packet, struct recipe_question *question,
                           struct slice *body, struct error *error)
{
    const struct filter_message *record = packet->record;
    struct slice rest = ipc_packet_tail(packet, sizeof(*record));
    struct recipe_question parsed = {.flags = record->flags, .arrival = record->arrival};
    struct ip_address client;
    uint64_t id;
    size_t texts = (size_t)record->helo_octets + record->client_octets + record->tls_octets
                   + record->id_octets + record->account_octets + record->recipient_octets;
    if (texts > FILTER_TEXT_MAX || !take_text(&rest, record->helo_octets, &parsed.helo)
        || !take_text(&rest, record->client_octets, &parsed.client)
        || !take_text(&rest, record->tls_octets, &parsed.tls)
        || !take_text(&rest, record->id_octets, &parsed.id)
        || !take_text(&rest, record->account_octets, &parsed.account)
        || !take_text(&rest, record->recipient_octets, &parsed.recipient))
        return error_set(error, ERROR_PEER, "texts of a filter_message");
    if (!ip_address_parse(parsed.client, &client) || !queue_id_parse(parsed.id, &id)
        || !is_tls_text(parsed.tls))
        return error_set(error, ERROR_PEER, "client, id or tls of a filter_message");
    *question = parsed;
    *body = rest;
    return true;
}

/* --- the answers --- */

static bool answer_recipe(struct role_peer *peer, uint64_t request, const struct recipe *recipe,
                          struct error *error)
{
    struct filter_recipe record = {
        .header = {.type = FILTER_RECIPE, .request = request},
        .prefix_octets = (uint32_t)recipe->prefix.len,
        .cuts = recipe->cut_count,
        .from_count = recipe->from_count,
        .findings = recipe->findings,
    };
    const struct slice tail[] = {
        buffer_slice(&recipe->prefix),
        slice_of(recipe->cuts, recipe->cut_count * sizeof(recipe->cuts[0])),
        buffer_slice(&recipe->from),
    };
    return ipc_send(&peer->channel,
                    &(struct ipc_message){.head = &record.header,
                                          .head_octets = sizeof(record),
                                          .tail = tail,
                                          .tail_count = ARRAY_LENGTH(tail)},
                    error);
}

static bool answer_refusal(struct role_peer *peer, uint64_t request,
                           const struct recipe_refusal *refusal, struct error *error)
{
    struct slice text = slice_of_string(refusal->text);
    struct filter_refused record = {
        .header = {.type = FILTER_REFUSED, .request = request},
        .code = refusal->code,
        .text_octets = (uint16_t)text.len,
    };
    return ipc_send_record(&peer->channel, &record.header, sizeof(record), text, error);
}

/* What people know a message by. */
static void log_message_id(struct role_peer *peer, const struct recipe_question *question,
                           const struct recipe *recipe)
{
    char id[QUEUE_ID_SIZE];
    snprintf(id, sizeof(id), "%.*s", SLICE_PRINTF(question->id));
    LOG(&peer->role->log, LOG_INFO, "content", log_id("queue_id", id),
        log_bytes("message_id", recipe->message_id));
}

static bool answer_question(struct role_peer *peer, uint64_t request,
                            struct recipe_question *question, struct error *error)
{
    const struct config *config = &peer->role->config;
    struct recipe recipe;
    struct recipe_refusal refusal;
    question->hostname = config->hostname;
    question->domain = config->domains[0].name;
    question->header_limit = config->limits.header_size_octets;
    question->received_limit = config->limits.received;
    recipe_init(&recipe);
    bool made = recipe_make(question, &recipe, &refusal);
    bool answered = made ? answer_recipe(peer, request, &recipe, error)
                         : answer_refusal(peer, request, &refusal, error);
    if (made && recipe.message_id.len > 0)
        log_message_id(peer, question, &recipe);
    recipe_clear(&recipe);
    return answered;
}

static bool on_message(void *owner, struct ipc_packet *packet, struct error *error)
{
    const struct filter_message *record = packet->record;
    struct recipe_question question;
    if (!filter_parse_question(packet, &question, &question.header, error))
        return false;
    if (question.header.len != record->body_octets)
        return error_set(error, ERROR_PEER, "body_octets of FILTER_MESSAGE");
    question.header_is_whole = true;
    return answer_question(owner, record->header.request, &question, error);
}

/* As much of the file as may be header, and one octet more to see that it goes on. */
static bool read_header(int fd, uint64_t octets, uint64_t limit, struct buffer *header,
                        struct error *error)
{
    size_t wanted = (size_t)(octets <= limit ? octets : limit + 1);
    size_t got;
    buffer_init(header, wanted);
    if (!buffer_reserve(header, wanted))
        return error_memory(error);
    if (!fd_pread_full(fd, header->ptr, wanted, 0, &got, error))
        return false;
    buffer_commit(header, got);
    return got == wanted || error_set(error, ERROR_TEMPORARY, "the file ends early");
}

static bool on_message_file(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *peer = owner;
    const struct filter_message *record = packet->record;
    struct recipe_question question;
    struct slice behind;
    struct buffer header = BUFFER_WITH_LIMIT(0);
    struct error why = {0};
    if (!filter_parse_question(packet, &question, &behind, error))
        return false;
    if (behind.len > 0)
        return error_set(error, ERROR_PEER, "length of FILTER_MESSAGE_FILE");
    bool answered;
    if (read_header(packet->descriptors[0], record->body_octets,
                    peer->role->config.limits.header_size_octets, &header, &why)) {
        question.header = buffer_slice(&header);
        question.header_is_whole = header.len == record->body_octets;
        answered = answer_question(peer, record->header.request, &question, error);
    } else {
        static const struct recipe_refusal refusal = {
            451, "4.3.0 The message cannot be read back, please try again later"};
        LOG(&peer->role->log, LOG_ERROR, "body_unreadable", log_bytes("queue_id", question.id),
            log_failure(&why));
        answered = answer_refusal(peer, record->header.request, &refusal, error);
    }
    buffer_clear(&header);
    return answered;
}

static const struct ipc_rule questions[] = {
    {FILTER_MESSAGE, sizeof(struct filter_message),
     sizeof(struct filter_message) + FILTER_TEXT_MAX + FILTER_INLINE_MAX, 0, on_message},
    {FILTER_MESSAGE_FILE, sizeof(struct filter_message),
     sizeof(struct filter_message) + FILTER_TEXT_MAX, 1, on_message_file},
};

static const struct role_link links[] = {
    {ROLE_SMTP, questions, ARRAY_LENGTH(questions)},
    {ROLE_SUBMISSION, questions, ARRAY_LENGTH(questions)},
};

const struct role_spec filter_role = {
    .sandbox = {.calls = SANDBOX_LOOP, .files = SANDBOX_NO_FILES},
    .links = links,
    .link_count = ARRAY_LENGTH(links),
};
