/*
 * BURL (RFC 4468): octets of the message come from a mailbox of this server instead of from the
 * client. Auth sees to it that they come for the account that has logged in, and the mailbox that
 * the URL lets it in (common/role/url_reading.h); then they go the way of a BDAT chunk. Runs in
 * smtpd-submission.
 *
 *     on_burl ──> AUTH_READ ──> on_admitted ──URL──> the mailbox's line ──> octets, as a chunk
 *                     └ AUTH_NOT_READ, ROLE_NOT_ADMITTED   └ DENIED and so on: the message is off
 */
#include <stdlib.h>

#include "common/auth/auth_protocol.h"
#include "common/disk/fd.h"
#include "common/role/url_reading.h"
#include "common/size.h"
#include "common/text/cursor.h"
#include "smtpd/session/burl_url.h"
#include "smtpd/session/session_internal.h"

enum { INPUT_OCTETS = 65536, OUTPUT_OCTETS = 2 * URL_READING_URL_MAX };

/* The stream from the mailbox; it outlives its session's interest until the end of the turn. */
struct session_burl {
    struct stream stream;
    struct session *session; /* NULL: not any more */
    struct deferred freeing;
    bool lost; /* nothing comes any more */
};

bool session_offers_burl(const struct session *session)
{
    const struct config *config = session_config(session);
    if (!session_is_submission(session) || session->account.len == 0)
        return false;
    for (size_t i = 0; i < config->listen_count; i++)
        if (config->listens[i].service == CONFIG_IMAP || config->listens[i].service == CONFIG_IMAPS)
            return true;
    return false;
}

/* ---- the end ---- */

static void on_free(struct deferred *deferred)
{
    free((uint8_t *)deferred - offsetof(struct session_burl, freeing));
}

void session_end_burl(struct session *session)
{
    struct session_burl *burl = session->burl;
    if (!burl)
        return;
    session->burl = NULL;
    burl->session = NULL;
    stream_clear(&burl->stream);
    turn_defer(&session->server->turn, &burl->freeing);
}

/* "If the URL fetch fails, the server will fail the entire transaction" (3.2). */
static void refuse(struct session *session, struct smtp_reply reply)
{
    session_end_wait(session);
    session_end_message(session, reply);
}

static struct smtp_reply unavailable(void)
{
    return SMTP_REPLY(451, "4.4.1", "The mailbox cannot be read now; try again later");
}

void session_lose_owner(struct session *session)
{
    refuse(session, unavailable());
}

/* ---- the command ---- */

static struct smtp_reply not_now(const struct session *session)
{
    if (session->state == SESSION_MAIL)
        return SMTP_REPLY(554, "5.5.0", "No recipients have been specified");
    return SMTP_REPLY(503, "5.5.1", "Say MAIL and RCPT first");
}

/* By its name, or the submitter's domain: as the mailbox does (imapd/fetch/url_message.c). */
static bool is_here(const struct session *session, struct slice host)
{
    struct slice account = buffer_slice(&session->account);
    size_t at = slice_find_octet(account, '@');
    return slice_equal_nocase(host, slice_of_string(session_config(session)->hostname))
           || (at < account.len && slice_equal_nocase(host, slice_from(account, at + 1)));
}

/* False: it was refused. */
static bool look_at(struct session *session, const struct smtp_burl *command, struct buffer *owner)
{
    struct burl_url url;
    if (command->url.len > URL_READING_URL_MAX - 2 || !burl_url_parse(command->url, &url, owner))
        refuse(session, SMTP_REPLY(554, "5.6.6", "This is no URL of a message (RFC 5092)"));
    else if (!is_here(session, url.host) || !url.has_urlauth)
        refuse(session, SMTP_REPLY(554, "5.7.8",
                                   "URLs have to be this server's own, with URLAUTH (RFC 4467)"));
    else
        return true;
    return false;
}

static bool ask(struct session *session, struct slice owner)
{
    const struct slice tail[] = {buffer_slice(&session->account), owner};
    struct auth_read question = {.header = {.type = AUTH_READ},
                                 .token = session->token,
                                 .account_octets = (uint32_t)tail[0].len,
                                 .owner_octets = (uint32_t)tail[1].len};
    return session_ask(session, &(struct session_question){.wait = SESSION_WAIT_OWNER,
                                                           .peer = ROLE_AUTH,
                                                           .head = &question.header,
                                                           .head_octets = sizeof(question),
                                                           .tail = tail,
                                                           .tail_count = ARRAY_LENGTH(tail)});
}

static void begin(struct session *session, const struct smtp_burl *command, struct slice owner)
{
    struct transaction *transaction = session->transaction;
    transaction->url = arena_copy(&transaction->arena, command->url);
    session_begin_chunks(session);
    session->last_chunk = command->last;
    session_enter(session, SESSION_URL);
    if (!transaction->url.ptr || !ask(session, owner))
        refuse(session, unavailable());
}

void session_on_burl(struct session *session, struct smtp_command *command)
{
    struct buffer owner = BUFFER_WITH_LIMIT(AUTH_NAME_MAX);
    if (!session_offers_burl(session))
        session_refuse(session, SMTP_REPLY(502, "5.5.1", "This command is not implemented"));
    else if (session->state != SESSION_RCPT && session->state != SESSION_CHUNKS)
        session_refuse(session, not_now(session));
    else if (look_at(session, &command->burl, &owner))
        begin(session, &command->burl, buffer_slice(&owner));
    buffer_clear(&owner);
}

/* Nobody is told whether there is such an owner. */
static struct smtp_reply denied(void)
{
    return SMTP_REPLY(554, "5.7.0", "IMAP URL authorization failed");
}

void session_on_not_read(struct session *session, bool permanent)
{
    refuse(session, permanent ? denied() : unavailable());
}

/* ---- the mailbox ---- */

/* Less than was promised has come. */
static void lose(struct session *session)
{
    session_end_burl(session);
    if (session->state == SESSION_URL) {
        refuse(session, unavailable());
        return;
    }
    session_refuse_message(session, unavailable());
    session_enter(session, SESSION_SUBMIT);
    session_submit(session);
}

static bool is_line(struct slice line, const char *wanted)
{
    return slice_equal(line, slice_of_string(wanted));
}

/* "{" octets "}" CRLF */
static bool parse_size(struct slice line, uint64_t *octets)
{
    struct cursor in = cursor_of(line);
    return cursor_skip(&in, '{') && cursor_take_number(&in, octets) && cursor_skip(&in, '}')
           && slice_equal(cursor_rest(&in), SLICE("\r\n"));
}

static void take_line(struct session *session, struct slice line)
{
    uint64_t octets, most = session_config(session)->limits.message_size_octets;
    if (is_line(line, URL_READING_DENIED)) {
        refuse(session, denied());
    } else if (is_line(line, URL_READING_MISSING)) {
        refuse(session, SMTP_REPLY(554, "5.6.6", "IMAP URL resolution failed: no such message"));
    } else if (!parse_size(line, &octets)) { /* URL_READING_LATER, or a compromised owner */
        refuse(session, unavailable());
    } else if (octets > most || session->transaction->octets > most - octets) {
        refuse(session,
               SMTP_REPLY(554, "5.3.4", "Message too big for system (limits.message-size)"));
    } else {
        session_end_wait(session);
        session_begin_chunk(session, octets);
    }
}

static void await_line(struct session *session)
{
    struct stream *stream = &session->burl->stream;
    struct slice input = stream_input(stream);
    size_t end = slice_find_octet(input, '\n');
    if (end < input.len) {
        stream_consume(stream, end + 1);
        take_line(session, slice_range(input, 0, end + 1)); /* it may end the stream */
    } else if (input.len > URL_READING_LINE_MAX || stream_at_end(stream)) {
        lose(session);
    }
}

bool session_take_burl(struct session *session)
{
    struct stream *stream = &session->burl->stream;
    struct cursor in = cursor_of(stream_input(stream));
    struct cursor start = in;
    bool stepped = session_take_data(session, &in);
    if (!session->burl)
        return true; /* that was all of it */
    stream_consume(stream, cursor_since(&in, &start).len);
    if (stepped || session->wait != SESSION_WAIT_NOTHING)
        return stepped;
    if (!session->burl->lost && !stream_at_end(stream))
        return false;
    lose(session);
    return true;
}

static void on_input(struct stream *stream)
{
    struct session_burl *burl = stream->owner;
    struct session *session = burl->session;
    if (!session)
        return;
    if (session->state == SESSION_URL)
        await_line(session);
    session_step(session);
}

static void on_closed(struct stream *stream, const struct error *why)
{
    (void)why;
    struct session_burl *burl = stream->owner;
    struct session *session = burl->session;
    if (!session)
        return;
    burl->lost = true;
    if (session->state == SESSION_URL)
        lose(session);
    session_step(session);
}

/* The session has one of its own. */
static void on_deadline(struct stream *stream)
{
    (void)stream;
}

static const struct stream_handler handler = {
    .on_input = on_input,
    .on_deadline = on_deadline,
    .on_closed = on_closed,
};

void session_on_admitted(struct session *session, int fd)
{
    const struct config_timeouts *timeouts = &session_config(session)->timeouts;
    const struct stream_limits limits = {.input = INPUT_OCTETS,
                                         .high_water = OUTPUT_OCTETS,
                                         .output = 2 * OUTPUT_OCTETS,
                                         .stalled_ms = (unsigned)timeouts->write_ms};
    struct session_burl *burl = calloc(1, sizeof(*burl));
    if (!burl) {
        fd_discard(&fd);
        refuse(session, unavailable());
        return;
    }
    burl->session = session;
    burl->freeing.run = on_free;
    session->burl = burl;
    session->wait = SESSION_WAIT_MAILBOX;
    stream_init(&burl->stream, &session->server->turn, fd, &handler, &limits);
    burl->stream.owner = burl;
    stream_write(&burl->stream, session->transaction->url);
    stream_write(&burl->stream, SLICE("\r\n"));
}
