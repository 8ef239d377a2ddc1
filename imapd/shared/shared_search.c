/* Questions of ESEARCH to other accounts' processes; see shared_search.h. */
#include "imapd/shared/shared_search.h"

#include "imapd/mailbox.h"
#include "imapd/shared/shared_names.h"
#include "imapd/shared/told.h"
#include "imapd/syntax/folder_argument.h"
#include "storage/subscriptions.h"

enum {
    NAMES_OCTETS = 1 << 19,
    OWNER_MS = 60000, /* reading all messages of an owner takes long */
    PARSING_OCTETS = 4 << 20,
};

void shared_search_init(struct shared_search *search, struct session *session, struct slice program)
{
    *search = (struct shared_search){.session = session, .program = program};
    buffer_init(&search->names, NAMES_OCTETS);
    buffer_init(&search->owners, NAMES_OCTETS);
    exchange_init(&search->exchange);
}

void shared_search_clear(struct shared_search *search)
{
    visit_end(search->exchange.visit);
    search->exchange.visit = NULL;
    exchange_clear(&search->exchange);
    buffer_clear(&search->names);
    buffer_clear(&search->owners);
}

/* ---- which ---- */

bool shared_search_wants_names(const struct mailbox_filter *filter)
{
    return filter->kind != FILTER_MAILBOXES && filter->shared_count > 0;
}

static void add(struct shared_search *search, struct slice name)
{
    buffer_append(&search->names, name);
    buffer_append_octet(&search->names, '\n');
}

static void add_subscribed(struct shared_search *search)
{
    struct slice rest = buffer_slice(&search->session->mailbox->subscriptions.text), name;
    while (subscriptions_next(&rest, &name))
        if (shared_names_has(search->session, name))
            add(search, name);
}

/* Lines "rights SP name LF". */
static void add_below(struct shared_search *search, const struct mailbox_filter *filter,
                      struct slice shared)
{
    const struct mailbox_filter theirs = {
        .kind = filter->kind, .names = filter->shared, .name_count = filter->shared_count};
    struct slice line;
    while (subscriptions_next(&shared, &line)) {
        struct slice name = slice_from(line, slice_find_octet(line, ' ') + 1);
        if (mailbox_filter_matches(&theirs, name, false))
            add(search, name);
    }
}

void shared_search_add(struct shared_search *search, const struct mailbox_filter *filter,
                       struct slice shared)
{
    if (search->session->visitor)
        return;
    if (filter->kind == FILTER_SUBSCRIBED)
        add_subscribed(search);
    else if (filter->kind != FILTER_MAILBOXES)
        add_below(search, filter, shared);
    else
        for (size_t i = 0; i < filter->shared_count; i++)
            add(search, filter->shared[i]);
}

/* The name is stored as sent. */
void shared_search_add_selected(struct shared_search *search)
{
    struct session *session = search->session;
    struct imap_parser parser;
    struct folder_argument folder;
    imap_parser_init(&parser, buffer_slice(&session->visit->selected), &session->arena);
    parser.utf8 = session_name_form(session) == MAILBOX_NAME_UTF8;
    if (folder_argument_parse(&parser, &folder))
        add(search, folder.name);
}

/* ---- hearing ---- */

static void take_response(struct shared_search *search)
{
    struct session *session = search->session;
    struct slice response = buffer_slice(&search->exchange.line);
    struct buffer name = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    struct arena arena;
    arena_init(&arena, PARSING_OCTETS);
    bool is_found =
        told_parse_search(response, session->tag, session_name_form(session), &arena, &name);
    if (is_found && shared_names_has(session, buffer_slice(&name))
        && slice_equal(shared_names_owner(session, buffer_slice(&name)),
                       slice_of_string(search->exchange.visit->owner)))
        buffer_append(&session->writer.text, response);
    arena_clear(&arena);
    buffer_clear(&name);
    buffer_reset(&search->exchange.line);
}

static void hear(struct visit *visit, enum answer_part part, struct slice octets)
{
    struct shared_search *search = visit->hearer;
    if (exchange_has_response(&search->exchange, visit, part, octets))
        take_response(search);
}

/* ---- asking ---- */

static bool is_line_of(struct slice lines, struct slice wanted)
{
    struct slice line;
    while (subscriptions_next(&lines, &line))
        if (slice_equal(line, wanted))
            return true;
    return false;
}

/* The next owner not asked yet; empty: none. */
static struct slice next_owner(const struct shared_search *search)
{
    const struct session *session = search->session;
    struct slice rest = buffer_slice(&search->names), name;
    while (subscriptions_next(&rest, &name)) {
        struct slice owner = shared_names_owner(session, name);
        if (owner.len > 0 && !slice_equal(owner, slice_of_string(session->mailbox->account))
            && !is_line_of(buffer_slice(&search->owners), owner))
            return owner;
    }
    return SLICE("");
}

/* Filters of so many names as one may have. */
static void append_names(const struct shared_search *search, struct slice owner,
                         struct buffer *text)
{
    struct slice rest = buffer_slice(&search->names), name;
    size_t count = 0;
    while (subscriptions_next(&rest, &name)) {
        if (!slice_equal(shared_names_owner(search->session, name), owner))
            continue;
        if (count % FILTER_NAMES_MAX == 0)
            buffer_append_string(text, count ? ") mailboxes (" : "mailboxes (");
        else
            buffer_append_octet(text, ' ');
        exchange_append_name(search->session, name, text);
        count++;
    }
    buffer_append_octet(text, ')');
}

static enum shared_search_result ask(struct shared_search *search, struct slice owner)
{
    struct exchange *exchange = &search->exchange;
    struct buffer command = BUFFER_WITH_LIMIT(2 * EXCHANGE_LINE_OCTETS);
    visit_end(exchange->visit);
    exchange->lost = false;
    exchange->visit = visit_begin(search->session, owner);
    if (!exchange->visit)
        return SHARED_SEARCH_FAILED;
    exchange->visit->hearer = search;
    visit_set_deadline(exchange->visit, OWNER_MS);
    buffer_append(&command, SLICE("ESEARCH IN ("));
    append_names(search, owner, &command);
    buffer_append(&command, SLICE(") "));
    buffer_append(&command, search->program);
    buffer_append(&search->owners, owner);
    buffer_append_octet(&search->owners, '\n');
    bool formed = !command.failed && !search->owners.failed
                  && exchange_ask_as(exchange, search->session->tag, &command, hear);
    buffer_clear(&command);
    search->is_asking = formed;
    if (!formed)
        return SHARED_SEARCH_FAILED;
    session_wait(search->session, search->session->step);
    return SHARED_SEARCH_WAITS;
}

enum shared_search_result shared_search_step(struct shared_search *search)
{
    const struct exchange *exchange = &search->exchange;
    bool is_unknown = search->is_asking && exchange->lost && exchange->visit->is_unknown;
    if (search->names.failed)
        return SHARED_SEARCH_FAILED;
    if (search->is_asking && !is_unknown) {
        if (exchange_has_failed(exchange) || exchange->line.failed)
            return SHARED_SEARCH_FAILED;
        if (!exchange_is_answered(exchange)) {
            session_wait(search->session, search->session->step);
            visit_go_on(exchange->visit);
            return SHARED_SEARCH_WAITS;
        }
    }
    struct slice owner = next_owner(search);
    return owner.len > 0 ? ask(search, owner) : SHARED_SEARCH_DONE;
}
