/* After a connection has failed: chooses the next address, or settles the messages; see
 * connection.h. relay. */
#include <stdio.h>

#include <utlist.h>

#include "smtpd/relay/connection.h"
#include "smtpd/relay/relay.h"

enum {
    PLACES_LEAST = 2, /* RFC 5321 5.1: places tried in one attempt, however long it takes */
    PATIENCE = 20,    /* times relay.connect; after that no further place is tried */
};

static const char *name_demand(const char *by)
{
    static const struct {
        struct slice by;
        const char *words;
    } demands[] = {
        {SLICE("dane"), " (the host's TLSA records demand TLS)"},
        {SLICE("mta-sts"),
         " (the domain's MTA-STS policy demands TLS with a certificate for that host)"},
        {SLICE("requiretls"), " (the message demands REQUIRETLS)"},
        {SLICE("route"), " (the route in the configuration demands it)"},
    };
    for (size_t i = 0; i < sizeof(demands) / sizeof(demands[0]); i++)
        if (slice_equal(slice_of_string(by), demands[i].by))
            return demands[i].words;
    return "";
}

/* Writes what failed and, if TLS did, what demands it. */
static void tell_why(const struct connection *connection, const struct peer_failure *why,
                     struct outcome *outcome, struct buffer *text)
{
    char words[sizeof(why->words) + 100];
    bool is_bad_tls = why->kind == PEER_BAD_TLS, is_unfit = why->is_unfit;
    snprintf(words, sizeof(words), "%s%s", why->words,
             is_bad_tls ? name_demand(is_unfit ? "requiretls" : connection->settings.demanded_by)
                        : "");
    if (why->reply.len > 0)
        outcome->flags = RELAY_PEER_SAID;
    char code[sizeof(why->code)];
    snprintf(code, sizeof(code), "%c%s", outcome->status == RELAY_PERMANENT ? '5' : '4',
             is_bad_tls && is_unfit ? ".7.10" : why->code + 1);
    peer_append_outcome(&connection->settings, slice_of_string(code), words,
                        buffer_slice(&why->reply), text);
    outcome->text = buffer_slice(text);
}

/* RFC 8689 4.2.1: permanent only if no server supports it. An unreachable one may, and temporary
 * failures are tried again (RFC 5321 4.5.4.1). */
static enum relay_status status_of(const struct connection *connection)
{
    return connection->after_unfit && !connection->after_other ? RELAY_PERMANENT : RELAY_TEMPORARY;
}

/* If a host could not be reached in either family, both of its places are skipped. */
static size_t place_behind(const struct connection *connection, const struct peer_failure *why)
{
    return connection->place + 1 + (why->kind == PEER_UNREACHABLE && connection->peer.tried_other);
}

/* The next attempt begins with the place after this connection's, if time ran out before it; else
 * it asks the DNS again, which varies the order of equal hosts and of addresses. */
static void leave_target(const struct connection *connection, size_t next)
{
    struct outlet *outlet = connection->outlet;
    outlet->best_place = next;
    if (connection->target == outlet->target && next < connection->target->place_count)
        return;
    target_release(outlet->target);
    outlet->target = NULL;
    outlet->best_place = 0;
}

/* This attempt has tried every place it had time for. The waiting messages are settled, unless
 * other connections can carry them. */
static void fail_outlet(struct connection *connection, const struct peer_failure *why)
{
    size_t next = place_behind(connection, why);
    struct outlet *outlet = connection->outlet;
    if (outlet->connection_count > outlet->opening) {
        /* The server accepts the connections that exist and no more. */
        outlet->allowed = outlet->connection_count - outlet->opening;
        return;
    }
    if (outlet->opening > 1)
        return; /* others are still being tried */
    struct buffer text = BUFFER_WITH_LIMIT(RELAY_TEXT_MAX);
    connection->after_other |= next < connection->target->place_count;
    struct outcome outcome = {.status = status_of(connection)};
    tell_why(connection, why, &outcome, &text);
    if (!connection->after_unfit) /* that is a matter of the message */
        outlet_wait_after_failure(outlet);
    struct outgoing *message;
    DL_FOREACH (outlet->waiting, message)
        transcript_join(&message->transcript, &connection->peer.opening);
    if (outcome.status == RELAY_PERMANENT)
        outlet_release_reports(outlet);
    outlet_settle_waiting(outlet, &outcome);
    buffer_clear(&text);
    leave_target(connection, next);
}

/* A domain may have dozens of addresses, each silent until its timeout. */
static bool has_time(const struct connection *connection)
{
    uint64_t patience_ms = PATIENCE * connection->outlet->relay->role->config.relay.connect_ms;
    return connection->places < PLACES_LEAST || turn_now_ms() - connection->since_ms < patience_ms;
}

/* Tries the same place in the clear if TLS failed and is optional (RFC 7435 3: protection where
 * possible, delivery otherwise); else the next place. False: there is none. */
static bool try_next(const struct connection *connection, const struct peer_failure *why)
{
    struct outlet *outlet = connection->outlet;
    if (outlet->waiting_count == 0 || outlet->relay->role->stopping
        || connection->target != outlet->target)
        return false;
    if (why->kind == PEER_BAD_TLS && connection->settings.tls == PEER_TLS_MAY)
        return connection_open_after(connection, connection->place, why->words);
    size_t next = place_behind(connection, why);
    return next < connection->target->place_count && has_time(connection)
           && connection_open_after(connection, next, "");
}

/* A server that greets and then accepts nothing is treated like one that does not answer: the next
 * attempt begins with the place after it, if there is one. */
static void leave_place(const struct connection *connection)
{
    struct outlet *outlet = connection->outlet;
    outlet->failures++;
    if (connection->target == outlet->target && outlet->best_place == connection->place)
        outlet->best_place = (connection->place + 1) % outlet->target->place_count;
}

void connection_on_closed(struct peer *peer, const struct peer_failure *why)
{
    struct connection *connection = peer->owner;
    struct outlet *outlet = connection->outlet;
    if (why)
        connection_log(connection, why);
    if (why && why->kind == PEER_BAD_TLS && !connection->is_ready)
        connection_count_tls(connection, why);
    if (why && why->is_unfit)
        connection->after_unfit = true;
    else if (why)
        connection->after_other = true;
    bool goes_on = why && !connection->is_ready && try_next(connection, why);
    if (why && !connection->is_ready && !goes_on)
        fail_outlet(connection, why);
    else if (why && connection->is_ready && peer->transactions == 0)
        leave_place(connection);
    connection_end(connection);
    outlet_work_later(outlet);
}
