/* TLS reports by HTTPS; see tls_post.h. relay. */
#include "smtpd/relay/tls_post.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/text/https_url.h"
#include "smtpd/queue/outcome/outcome_text.h"
#include "smtpd/relay/relay.h"
#include "smtpd/tls_report/tls_record.h"

/* One recipient, for as long as fetch has it. */
struct tls_post {
    struct relay *relay;
    struct outgoing *message;
    size_t recipient;
};

bool tls_post_is_wanted(const struct outgoing *message)
{
    return slice_starts_with(message->destination_name, SLICE("https://"));
}

static void settle(struct outgoing *message, size_t recipient, enum relay_status status,
                   struct slice said)
{
    char words[OUTCOME_WORDS_MAX + 1];
    struct buffer text = BUFFER_WITH_LIMIT(RELAY_TEXT_MAX);
    const char *code = status == RELAY_DONE        ? "2.0.0"
                       : status == RELAY_TEMPORARY ? "4.4.0"
                                                   : "5.4.0";
    snprintf(words, sizeof(words), "%s %.*s", code, SLICE_PRINTF(said));
    outcome_text_format(
        &(struct outcome_text){.words = slice_of_string(words), .peer = message->destination_name},
        &text);
    outgoing_settle(message, recipient,
                    &(struct outcome){.status = status, .text = buffer_slice(&text)});
    buffer_clear(&text);
}

static enum relay_status status_of(enum fetch_status status)
{
    if (status == FETCH_POSTED)
        return RELAY_DONE;
    return status == FETCH_REFUSED ? RELAY_PERMANENT : RELAY_TEMPORARY;
}

static void on_answer(void *owner, enum fetch_status status, struct slice text)
{
    struct tls_post *post = owner;
    struct outgoing *message = post->message;
    settle(message, post->recipient, status_of(status), text);
    if (message->unsettled == 0)
        relay_finish(post->relay, message, NULL);
    free(post);
}

static bool is_possible(const struct outgoing *message, size_t recipient)
{
    struct https_url ignored;
    struct slice uri = message->recipients[recipient].address;
    return uri.len <= FETCH_URI_MAX && https_url_parse(uri, &ignored) && message->body.len > 0
           && message->body.len <= FETCH_BODY_MAX;
}

static bool begin_post(struct relay *relay, struct outgoing *message, size_t recipient)
{
    struct tls_post *post = calloc(1, sizeof(*post));
    if (!post)
        return false;
    *post = (struct tls_post){.relay = relay, .message = message, .recipient = recipient};
    if (fetch_client_post(&relay->fetch, message->recipients[recipient].address, message->body,
                          on_answer, post))
        return true;
    free(post);
    return false;
}

void tls_post_take(struct relay *relay, struct outgoing *message)
{
    for (size_t i = 0; i < message->recipient_count; i++)
        if (!is_possible(message, i))
            settle(message, i, RELAY_PERMANENT, SLICE("this is no report, or no address for one"));
        else if (!begin_post(relay, message, i))
            settle(message, i, RELAY_TEMPORARY, SLICE("no memory"));
    if (message->unsettled == 0) /* no answer comes before this returns */
        relay_finish(relay, message, NULL);
}
