/* Questions of LIST to other accounts' processes; see shared_items.h. */
#include "imapd/shared/shared_items.h"

#include "common/config/config.h"
#include "imapd/mailbox.h"
#include "imapd/shared/shared_names.h"
#include "imapd/shared/told.h"
#include "storage/acl.h"

enum {
    ALL_MS = 5000,   /* of one LIST; after that it waits for no owner */
    OWNER_MS = 2000, /* a hanging one leaves time for the others */
    PARSING_OCTETS = 4 << 20,
};

void shared_items_init(struct shared_items *items, struct session *session, struct slice status,
                       struct slice metadata)
{
    *items = (struct shared_items){.session = session, .status = status, .metadata = metadata};
    exchange_init(&items->exchange);
    buffer_init(&items->unanswered, 2 * MASTER_ACCOUNT_MAX);
}

void shared_items_clear(struct shared_items *items)
{
    visit_end(items->exchange.visit);
    items->exchange.visit = NULL;
    exchange_clear(&items->exchange);
    buffer_clear(&items->unanswered);
}

/* ---- hearing ---- */

/* The response is complete: it goes to the client, once, if it answers the question. */
static void take_response(struct shared_items *items)
{
    struct session *session = items->session;
    struct slice response = buffer_slice(&items->exchange.line);
    struct buffer name = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    struct arena arena;
    arena_init(&arena, PARSING_OCTETS);
    enum told_kind kind = told_parse(response, session_name_form(session), &arena, &name);
    if (kind == items->expected && kind != TOLD_OTHER
        && slice_equal(buffer_slice(&name), items->name)) {
        buffer_append(&session->writer.text, response);
        items->expected = TOLD_OTHER;
    }
    arena_clear(&arena);
    buffer_clear(&name);
    buffer_reset(&items->exchange.line);
}

static void hear(struct visit *visit, enum answer_part part, struct slice octets)
{
    struct shared_items *items = visit->hearer;
    if (exchange_has_response(&items->exchange, visit, part, octets))
        take_response(items);
}

/* ---- asking ---- */

/* LIST goes on without this owner; an owner who no longer shares anything is not a failure. */
static void give_up_owner(struct shared_items *items, struct slice owner)
{
    const struct session *session = items->session;
    const struct visit *visit = items->exchange.visit;
    if (!items->exchange.lost || !visit->is_unknown)
        LOG(session->mailbox->log, LOG_WARNING, "shared_left_out",
            log_hex("session", session->number), log_bytes("owner", owner));
    buffer_reset(&items->unanswered);
    buffer_append(&items->unanswered, owner);
    visit_end(items->exchange.visit);
    items->exchange.visit = NULL;
}

static unsigned time_for_one(const struct shared_items *items, uint64_t left_ms)
{
    uint64_t write_ms = items->session->mailbox->config->timeouts.write_ms;
    uint64_t most = write_ms < OWNER_MS ? write_ms : OWNER_MS;
    return (unsigned)(left_ms < most ? left_ms : most);
}

/* There is a visit to that owner, and time left. */
static bool go_to(struct shared_items *items, struct slice owner)
{
    struct visit *visit = items->exchange.visit;
    uint64_t now = turn_now_ms();
    if (items->until_ms == 0)
        items->until_ms = now + ALL_MS;
    if (slice_equal(buffer_slice(&items->unanswered), owner))
        return false;
    if (visit && slice_equal(slice_of_string(visit->owner), owner) && now < items->until_ms)
        return true;
    visit_end(visit);
    items->exchange.lost = false;
    items->exchange.visit = now < items->until_ms ? visit_begin(items->session, owner) : NULL;
    if (!items->exchange.visit) {
        give_up_owner(items, owner);
        return false;
    }
    items->exchange.visit->hearer = items;
    items->exchange.visit->hears = hear; /* it may never be open */
    visit_set_deadline(items->exchange.visit, time_for_one(items, items->until_ms - now));
    return true;
}

static void ask(struct shared_items *items, enum told_kind kind)
{
    struct buffer command = BUFFER_WITH_LIMIT(EXCHANGE_LINE_OCTETS);
    bool is_status = kind == TOLD_STATUS;
    items->expected = kind;
    buffer_append(&command, is_status ? SLICE("STATUS ") : SLICE("GETMETADATA "));
    exchange_append_name(items->session, items->name, &command);
    buffer_append_octet(&command, ' ');
    buffer_append(&command, is_status ? items->status : items->metadata);
    exchange_ask(&items->exchange, &command, hear);
    buffer_clear(&command);
}

bool shared_items_ask(struct shared_items *items, struct slice name, unsigned rights,
                      session_step *then)
{
    enum { ANNOTATING = ACL_READ | ACL_SEEN | ACL_WRITE | ACL_INSERT | ACL_POST };
    bool wants_metadata = items->metadata.len > 0 && (rights & ANNOTATING);
    items->wants_status = items->status.len > 0 && (rights & ACL_READ);
    items->name = name;
    if ((!wants_metadata && !items->wants_status)
        || !go_to(items, shared_names_owner(items->session, name)))
        return false;
    if (wants_metadata) {
        ask(items, TOLD_METADATA);
    } else {
        items->wants_status = false;
        ask(items, TOLD_STATUS);
    }
    items->is_asking = true;
    session_wait(items->session, then);
    return true;
}

bool shared_items_step(struct shared_items *items, session_step *then)
{
    struct exchange *exchange = &items->exchange;
    bool is_over = exchange->lost || exchange->line.failed;
    bool goes_on = !is_over && (!exchange_is_answered(exchange) || items->wants_status);
    if (is_over)
        give_up_owner(items, shared_names_owner(items->session, items->name));
    if (goes_on && exchange_is_answered(exchange)) {
        items->wants_status = false;
        ask(items, TOLD_STATUS);
    }
    items->is_asking = goes_on;
    if (goes_on) {
        session_wait(items->session, then);
        visit_go_on(exchange->visit);
    } else {
        session_continue(items->session, then);
    }
    return goes_on;
}
