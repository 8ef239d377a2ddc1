/* The visits of listeners.h. */
#include "imapd/shared/listeners.h"

#include <stdlib.h>

#include <utlist.h>

#include "common/config/config.h"
#include "imapd/mailbox.h"
#include "imapd/shared/shared_names.h"
#include "imapd/shared/told.h"
#include "storage/subscriptions.h"

enum {
    SET_UP_MS = 5000,
    TOLD_OCTETS = 32768, /* pending responses; beyond that an owner is not read */
    PARSING_OCTETS = 4 << 20,
};

struct listener {
    struct listener *prev, *next;
    struct listeners *listeners;
    struct exchange exchange;
    bool is_set; /* it listens */
};

void listeners_init(struct listeners *listeners, struct session *session, struct buffer *told)
{
    *listeners = (struct listeners){.session = session, .told = told};
}

static void forget(struct listeners *listeners, struct listener *listener)
{
    DL_DELETE(listeners->all, listener);
    listeners->count--;
    visit_end(listener->exchange.visit);
    exchange_clear(&listener->exchange);
    free(listener);
}

void listeners_clear(struct listeners *listeners)
{
    struct listener *listener, *next;
    DL_FOREACH_SAFE (listeners->all, listener, next)
        forget(listeners, listener);
}

/* ---- hearing ---- */

/* Below "Shared/owner/". */
static bool is_of(const struct listener *listener, struct slice name)
{
    const struct session *session = listener->listeners->session;
    return shared_names_has(session, name)
           && slice_equal(shared_names_owner(session, name),
                          slice_of_string(listener->exchange.visit->owner));
}

static void lose(struct listener *listener)
{
    listener->exchange.lost = listener->listeners->lost = true;
    session_has_news(listener->listeners->session);
}

/* After an overflow that process reports nothing more (5.8). */
static void take_response(struct listener *listener)
{
    struct session *session = listener->listeners->session;
    struct buffer *told = listener->listeners->told;
    struct slice response = buffer_slice(&listener->exchange.line);
    struct buffer name = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    struct arena arena;
    arena_init(&arena, PARSING_OCTETS);
    enum told_kind kind = told_parse(response, session_name_form(session), &arena, &name);
    if (slice_starts_with(response, SLICE("* OK [NOTIFICATIONOVERFLOW]")))
        lose(listener);
    else if (kind != TOLD_OTHER && is_of(listener, buffer_slice(&name))) {
        buffer_append(told, response);
        listener->exchange.visit->is_held = told->len > TOLD_OCTETS;
        session_has_news(session);
    }
    arena_clear(&arena);
    buffer_clear(&name);
    buffer_reset(&listener->exchange.line);
}

/* No answer ends it; a response that is too long ends the visit. */
static void hear_news(struct visit *visit, enum answer_part part, struct slice octets)
{
    struct listener *listener = visit->hearer;
    struct exchange *exchange = &listener->exchange;
    if (exchange->lost)
        return;
    if (part != ANSWER_TEXT && part != ANSWER_LITERAL) {
        lose(listener);
        return;
    }
    buffer_append(&exchange->line, octets);
    if (exchange->line.failed)
        lose(listener);
    else if (answer_is_between_lines(&visit->answer))
        take_response(listener);
}

/* STATUS of all comes before the answer (RFC 5465 3.1). */
static void hear_answer(struct visit *visit, enum answer_part part, struct slice octets)
{
    struct listener *listener = visit->hearer;
    struct exchange *exchange = &listener->exchange;
    if (exchange_take_end(exchange, visit, part, octets)
        || !exchange_gather(exchange, visit->session, octets))
        return;
    if (answer_is_between_lines(&visit->answer))
        take_response(listener);
    visit->is_held = false; /* otherwise it would wait for the answer */
}

/* ---- the owners concerned ---- */

static bool is_top(const struct session *session, struct slice name)
{
    return shared_names_owner(session, name).len == 0;
}

/* "Shared/alice@example.org" itself: all of hers. */
static bool is_owner_level(const struct session *session, struct slice name)
{
    size_t top = strlen(session->mailbox->config->imap.shared.text) + 1;
    return name.len == top + shared_names_owner(session, name).len;
}

struct group_names {
    struct buffer text;
    bool all; /* of the owner */
};

static void add_name(const struct session *session, struct slice owner, struct slice name,
                     struct group_names *names)
{
    if (!slice_equal(shared_names_owner(session, name), owner) || is_owner_level(session, name))
        return;
    if (names->text.len > 0)
        buffer_append_octet(&names->text, ' ');
    exchange_append_name(session, name, &names->text);
}

static void add_names(const struct session *session, struct slice owner,
                      const struct mailbox_filter *filter, struct group_names *names)
{
    for (size_t i = 0; i < filter->shared_count; i++) {
        struct slice name = filter->shared[i];
        bool is_above = is_top(session, name)
                        || (is_owner_level(session, name)
                            && slice_equal(shared_names_owner(session, name), owner));
        names->all = names->all || (is_above && filter->kind == FILTER_SUBTREE);
        if (!is_above)
            add_name(session, owner, name, names);
    }
}

/* What is subscribed to there may be there. */
static void add_subscribed(const struct session *session, struct slice owner,
                           struct group_names *names)
{
    struct slice rest = buffer_slice(&session->mailbox->subscriptions.text), name;
    while (subscriptions_next(&rest, &name))
        if (shared_names_has(session, name))
            add_name(session, owner, name, names);
}

static void append_group(const char *filter, struct slice names, unsigned events,
                         struct buffer *text)
{
    buffer_append_format(text, " (%s ", filter);
    if (names.len > 0) {
        buffer_append_octet(text, '(');
        buffer_append(text, names);
        buffer_append(text, SLICE(") "));
    }
    notify_events_format(events, text);
    buffer_append_octet(text, ')');
}

/* The events are of groups, in any order; of the server and of subscriptions he says nothing. */
static void append_groups(const struct session *session, const struct notify_request *request,
                          struct slice owner, struct buffer *text)
{
    enum { NOT_HIS = NOTIFY_SUBSCRIPTION_CHANGE | NOTIFY_SERVER_METADATA };
    for (size_t i = 0; i < request->group_count; i++) {
        const struct mailbox_filter *filter = &request->groups[i].filter;
        struct group_names names = {.text = BUFFER_WITH_LIMIT(EXCHANGE_LINE_OCTETS)};
        unsigned events = request->groups[i].events & ~(unsigned)NOT_HIS;
        if (filter->kind == FILTER_SUBSCRIBED)
            add_subscribed(session, owner, &names);
        else
            add_names(session, owner, filter, &names);
        if (events && names.all)
            append_group("personal", SLICE(""), events, text);
        if (events && names.text.len > 0)
            append_group(filter->kind == FILTER_SUBTREE ? "subtree" : "mailboxes",
                         buffer_slice(&names.text), events, text);
        buffer_clear(&names.text);
    }
}

bool listeners_want_names(const struct session *session, const struct notify_request *request)
{
    for (size_t i = 0; i < request->group_count; i++) {
        const struct mailbox_filter *filter = &request->groups[i].filter;
        for (size_t name = 0; name < filter->shared_count; name++)
            if (is_top(session, filter->shared[name]))
                return true;
    }
    return false;
}

/* ---- beginning ---- */

static bool is_there(const struct listeners *listeners, struct slice owner)
{
    const struct listener *listener;
    DL_FOREACH (listeners->all, listener)
        if (slice_equal(slice_of_string(listener->exchange.visit->owner), owner))
            return true;
    return false;
}

static struct listener *add(struct listeners *listeners, struct slice owner, struct error *error)
{
    struct listener *listener = calloc(1, sizeof(*listener));
    struct visit *visit = listener ? visit_begin(listeners->session, owner) : NULL;
    if (!visit) {
        free(listener);
        error_memory(error);
        return NULL;
    }
    listener->listeners = listeners;
    exchange_init(&listener->exchange);
    listener->exchange.visit = visit;
    visit->hearer = listener;
    visit_set_deadline(visit, SET_UP_MS);
    DL_APPEND(listeners->all, listener);
    listeners->count++;
    return listener;
}

/* Once for each owner. */
static bool begin_one(struct listeners *listeners, const struct notify_request *request,
                      struct slice owner, struct error *error)
{
    struct buffer groups = BUFFER_WITH_LIMIT(EXCHANGE_LINE_OCTETS);
    struct buffer command = BUFFER_WITH_LIMIT(EXCHANGE_LINE_OCTETS + 100);
    struct session *session = listeners->session;
    bool begun = true;
    if (owner.len == 0 || slice_equal(owner, slice_of_string(session->mailbox->account))
        || is_there(listeners, owner))
        return true;
    append_groups(session, request, owner, &groups);
    if (groups.len > 0 && listeners->count == LISTENERS_MAX) {
        begun = error_set(error, ERROR_PERMANENT, "more than %d accounts", LISTENERS_MAX);
    } else if (groups.len > 0) {
        struct listener *listener = add(listeners, owner, error);
        begun = listener != NULL;
        buffer_append(&command,
                      request->wants_status ? SLICE("NOTIFY SET STATUS") : SLICE("NOTIFY SET"));
        buffer_append(&command, buffer_slice(&groups));
        if (begun)
            exchange_ask(&listener->exchange, &command, hear_answer);
    }
    buffer_clear(&groups);
    buffer_clear(&command);
    return begun;
}

/* Lines "rights SP name LF". */
static bool begin_all(struct listeners *listeners, const struct notify_request *request,
                      struct slice shared, struct error *error)
{
    struct slice line;
    while (subscriptions_next(&shared, &line)) {
        struct slice name = slice_from(line, slice_find_octet(line, ' ') + 1);
        if (!begin_one(listeners, request, shared_names_owner(listeners->session, name), error))
            return false;
    }
    return true;
}

static bool begin_subscribed(struct listeners *listeners, const struct notify_request *request,
                             struct error *error)
{
    const struct session *session = listeners->session;
    struct slice rest = buffer_slice(&session->mailbox->subscriptions.text), name;
    while (subscriptions_next(&rest, &name))
        if (shared_names_has(session, name)
            && !begin_one(listeners, request, shared_names_owner(session, name), error))
            return false;
    return true;
}

bool listeners_begin(struct listeners *listeners, const struct notify_request *request,
                     struct slice shared, struct error *error)
{
    const struct session *session = listeners->session;
    if (!session->mailbox->config->imap.shared.text || session->visitor)
        return true;
    for (size_t i = 0; i < request->group_count; i++) {
        const struct mailbox_filter *filter = &request->groups[i].filter;
        if (filter->kind == FILTER_SUBSCRIBED && !begin_subscribed(listeners, request, error))
            return false;
        for (size_t name = 0; name < filter->shared_count; name++) {
            struct slice owner = shared_names_owner(session, filter->shared[name]);
            if (!begin_one(listeners, request, owner, error))
                return false;
        }
    }
    return !listeners_want_names(session, request) || begin_all(listeners, request, shared, error);
}

/* ---- until all listen ---- */

/* From now on responses are read whenever they arrive. */
static void begin_listening(struct listener *listener)
{
    struct visit *visit = listener->exchange.visit;
    listener->is_set = true;
    visit_set_deadline(visit, 0);
    visit_begin_command(visit, EXCHANGE_TAG, hear_news);
    visit_listen(visit);
    visit_go_on(visit);
}

/* Owners who share nothing with the client are skipped (RFC 5465 6: nonexistent mailboxes). */
static bool settle(struct listeners *listeners, struct listener *listener, struct error *error)
{
    const struct exchange *exchange = &listener->exchange;
    if (exchange->lost && exchange->visit->is_unknown) {
        forget(listeners, listener);
        return true;
    }
    if (exchange->lost || exchange->line.failed)
        return error_set(error, ERROR_TEMPORARY, "another account cannot be asked");
    if (exchange->verdict != VERDICT_OK)
        return error_set(error, ERROR_PERMANENT, "another account's process has refused");
    begin_listening(listener);
    return true;
}

enum listeners_result listeners_step(struct listeners *listeners, struct error *error)
{
    struct listener *listener, *next;
    bool waits = false;
    DL_FOREACH_SAFE (listeners->all, listener, next) {
        const struct exchange *exchange = &listener->exchange;
        bool is_answered =
            exchange->lost || exchange->line.failed || exchange_is_answered(exchange);
        if (!listener->is_set && is_answered && !settle(listeners, listener, error))
            return LISTENERS_FAILED;
        waits = waits || (!is_answered && !listener->is_set);
    }
    return waits ? LISTENERS_WAIT : LISTENERS_READY;
}

void listeners_go_on(struct listeners *listeners)
{
    struct listener *listener;
    DL_FOREACH (listeners->all, listener) {
        if (!listener->exchange.visit->is_held)
            continue;
        listener->exchange.visit->is_held = false;
        visit_go_on(listener->exchange.visit);
    }
}
