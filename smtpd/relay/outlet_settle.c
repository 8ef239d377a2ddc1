/* Settles an outlet's messages and sets its wait after failures; see outlet.h and connection.h.
 * relay. */
#include <stdio.h>

#include <sodium.h>
#include <utlist.h>

#include "smtpd/queue/outcome/outcome_text.h"
#include "smtpd/queue/queue_protocol.h"
#include "smtpd/relay/connection.h"
#include "smtpd/relay/relay.h"

enum {
    WAIT_MOST_MS = 1800 * 1000, /* after failures */
    WAIT_DOUBLINGS = 5,
    AHEAD = 2, /* messages per connection with PIPELINING */
};

unsigned outlet_window(const struct outlet *outlet)
{
    if (!outlet)
        return 1;
    unsigned most = outlet->allowed * (outlet->pipelines ? AHEAD : 1);
    return most < RELAY_WINDOW_MAX ? most : RELAY_WINDOW_MAX;
}

/* Waits the first time of queue.retry, doubled with each further failure up to 30 min, varied by a
 * fifth: many destinations that failed together (the line was down) are not retried together. */
void outlet_wait_after_failure(struct outlet *outlet)
{
    unsigned doublings = outlet->failures < WAIT_DOUBLINGS ? outlet->failures : WAIT_DOUBLINGS;
    uint64_t first_ms = outlet->relay->role->config.queue.retry.items_ms[0];
    uint64_t wait_ms = (first_ms < WAIT_MOST_MS ? first_ms : WAIT_MOST_MS) << doublings;
    if (wait_ms > WAIT_MOST_MS)
        wait_ms = WAIT_MOST_MS;
    wait_ms = wait_ms * 4 / 5 + randombytes_uniform((uint32_t)wait_ms * 2 / 5);
    outlet->failures++;
    outlet->allowed = 1;
    outlet->wait_until_ms = turn_now_ms() + wait_ms;
}

void outlet_succeed(struct outlet *outlet)
{
    outlet->failures = 0;
    outlet->wait_until_ms = 0;
    if (outlet->allowed < outlet->most)
        outlet->allowed++;
}

void outlet_finish(struct outlet *outlet, struct outgoing *message, const struct peer *peer)
{
    outlet->under_way--;
    outlet->unused_since_ms = turn_now_ms();
    relay_finish(outlet->relay, message, peer);
}

void outlet_settle_and_finish(struct outlet *outlet, struct outgoing *message,
                              const struct outcome *outcome)
{
    outgoing_settle_rest(message, outcome);
    outlet_finish(outlet, message, NULL);
}

void outlet_settle_waiting(struct outlet *outlet, const struct outcome *outcome)
{
    while (outlet->waiting) {
        struct outgoing *message = outlet->waiting;
        DL_DELETE(outlet->waiting, message);
        outlet->waiting_count--;
        outlet_settle_and_finish(outlet, message, outcome);
    }
}

static void format_failure(const char *code, const char *words, struct buffer *text)
{
    char line[OUTCOME_WORDS_MAX + 1];
    snprintf(line, sizeof(line), "%s %s", code, words);
    outcome_text_format(&(struct outcome_text){.words = slice_of_string(line)}, text);
}

void outlet_fail_waiting(struct outlet *outlet, enum relay_status status, const char *code,
                         const char *words)
{
    struct buffer text = BUFFER_WITH_LIMIT(RELAY_TEXT_MAX);
    format_failure(code, words, &text);
    outlet_settle_waiting(outlet, &(struct outcome){.status = status, .text = buffer_slice(&text)});
    buffer_clear(&text);
}

/* RFC 8689 5: a report is not lost because no server supports REQUIRETLS; it is sent like any other
 * message. */
void outlet_release_reports(struct outlet *outlet)
{
    struct outgoing *message, *next;
    DL_FOREACH_SAFE (outlet->waiting, message, next) {
        if (message->reverse_path.len > 0)
            continue;
        DL_DELETE(outlet->waiting, message);
        outlet->waiting_count--;
        outlet->under_way--;
        message->requires_tls = false;
        message->flags &= ~(uint32_t)QUEUE_REQUIRETLS;
        outlet_take(outlet->relay, message);
    }
}
