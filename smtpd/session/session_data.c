/*
 * DATA and BDAT: the octets of the message come in. What fits into FILTER_INLINE_MAX stays in
 * memory; beyond that it goes to a file that queue lends. Of BODY=BINARYMIME (RFC 3030 3) binary
 * parts become base64 first: what we keep and send on is 8bit. Runs in smtpd-session.
 */
#include "common/disk/fd.h"
#include "smtpd/filter/filter_protocol.h"
#include "smtpd/queue/queue_protocol.h"
#include "smtpd/session/session_internal.h"

static struct smtp_data_rules rules_of(const struct config *config)
{
    return (struct smtp_data_rules){.size_limit = config->limits.message_size_octets,
                                    .line_limit = config->limits.text_line_octets,
                                    .keep_bare = config->smtp.bare_line_ends == CONFIG_BARE_KEEP};
}

static void set_message_deadline(struct session *session)
{
    session->message_until_ms = turn_now_ms() + session_config(session)->timeouts.smtp_message_ms;
}

static void begin_message(struct session *session)
{
    set_message_deadline(session);
    buffer_init(&session->transaction->body, FILTER_INLINE_MAX);
    session->chunk_refusal = (struct smtp_reply){.code = 0};
}

/* --- Refusing --------------------------------------------------------------------------------- */

void session_refuse_message(struct session *session, struct smtp_reply reply)
{
    struct transaction *transaction = session->transaction;
    if (transaction->refusal.code != 0)
        return;
    reply.text = arena_copy(&transaction->arena, reply.text);
    reply.enhanced = arena_copy(&transaction->arena, reply.enhanced);
    transaction->refusal = reply;
    buffer_clear(&transaction->body);
    fd_discard(&transaction->spool_fd);
    fd_discard(&transaction->read_fd);
}

void session_refuse_data(struct session *session, struct smtp_reply reply)
{
    size_t behind = stream_input(&session->stream).len;
    session_refuse(session, reply);
    if (behind == 0 || session->state == SESSION_CLOSING)
        return;
    LOG(session_log(session), LOG_WARNING, "data_not_awaited", log_id("session", session->name),
        log_text("client", session->client_text), log_number("octets", (int64_t)behind));
    session_close(session, SMTP_REPLY(421, "4.7.0", "DATA was refused, but more followed it"),
                  "data not awaited");
}

/* --- DATA and BDAT ---------------------------------------------------------------------------- */

static struct smtp_reply no_recipients(const struct session *session)
{
    if (session->state == SESSION_MAIL)
        return SMTP_REPLY(554, "5.5.1", "No valid recipients");
    if (session->state == SESSION_CHUNKS)
        return SMTP_REPLY(503, "5.5.1", "The message has begun with BDAT");
    return SMTP_REPLY(503, "5.5.1", "Say MAIL and RCPT first");
}

void session_on_data(struct session *session, struct smtp_command *command)
{
    (void)command;
    if (session->state != SESSION_RCPT) {
        session_refuse_data(session, no_recipients(session));
        return;
    }
    if (session->transaction->binary) {
        session_refuse_data(session, SMTP_REPLY(503, "5.5.1", "BINARYMIME needs BDAT"));
        return;
    }
    struct smtp_data_rules rules = rules_of(session_config(session));
    smtp_data_begin(&session->data, &rules);
    begin_message(session);
    session_enter(session, SESSION_DATA);
    session_reply(session, SMTP_REPLY(354, "", "End with <CR><LF>.<CR><LF>"));
}

/* BDAT that cannot be taken: its octets still come, then the reply. */
static void swallow_chunk(struct session *session, uint64_t octets, struct smtp_reply reply)
{
    struct smtp_data_rules rules = rules_of(session_config(session));
    smtp_data_begin_chunked(&session->data, &rules);
    smtp_data_begin_chunk(&session->data, octets);
    set_message_deadline(session);
    session->after_chunk = session->state;
    session->chunk_refusal = reply;
    session_enter(session, SESSION_CHUNK);
}

void session_begin_chunks(struct session *session)
{
    if (session->state != SESSION_RCPT)
        return;
    struct smtp_data_rules rules = rules_of(session_config(session));
    smtp_data_begin_chunked(&session->data, &rules);
    begin_message(session);
}

void session_begin_chunk(struct session *session, uint64_t octets)
{
    struct binary_body *binary = session->transaction->binary;
    if (binary)
        binary->chunk_left = octets;
    /* What it becomes has the size that it gets. */
    smtp_data_begin_chunk(&session->data, binary ? UINT64_MAX : octets);
    session_enter(session, SESSION_CHUNK);
}

void session_on_bdat(struct session *session, struct smtp_command *command)
{
    if (session->state != SESSION_RCPT && session->state != SESSION_CHUNKS) {
        swallow_chunk(session, command->bdat.octets, no_recipients(session));
        return;
    }
    session_begin_chunks(session);
    session->last_chunk = command->bdat.last;
    session_begin_chunk(session, command->bdat.octets);
}

/* --- Keeping ---------------------------------------------------------------------------------- */

static void refuse_for_space(struct session *session, const struct error *error)
{
    LOG(session_log(session), LOG_ERROR, "spool_failed", log_id("session", session->name),
        log_id("queue_id", session->transaction->id_text), log_failure(error));
    session_refuse_message(session, SMTP_REPLY(452, "4.3.1", "Not enough space; try again later"));
}

/* What is in memory goes to the file. */
static void flush_body(struct session *session)
{
    struct transaction *transaction = session->transaction;
    struct error error = {.kind = ERROR_NONE};
    if (fd_write_all(transaction->spool_fd, buffer_slice(&transaction->body), &error))
        buffer_reset(&transaction->body);
    else
        refuse_for_space(session, &error);
}

static void ask_for_spool(struct session *session)
{
    struct transaction *transaction = session->transaction;
    struct ipc_header question = {.type = QUEUE_SPOOL};
    transaction->request = session_new_request(session);
    bool asked = session_ask(session, &(struct session_question){.wait = SESSION_WAIT_SPOOL,
                                                                 .peer = ROLE_QUEUE,
                                                                 .head = &question,
                                                                 .head_octets = sizeof(question),
                                                                 .request = transaction->request});
    if (!asked)
        session_lose_spool(session);
}

void session_on_spooled(struct session *session, int write_fd, int read_fd)
{
    struct transaction *transaction = session->transaction;
    transaction->spooled = true;
    transaction->spool_fd = write_fd;
    transaction->read_fd = read_fd;
    flush_body(session);
}

void session_lose_spool(struct session *session)
{
    session->transaction->request = 0; /* the queue that knew it is gone */
    session_refuse_message(session, SMTP_REPLY(451, "4.3.0", "The queue was lost; try again soon"));
}

/* Octets of a refused message, or of a chunk that is not wanted, go nowhere. */
static bool keeps_octets(const struct session *session)
{
    return session->chunk_refusal.code == 0 && session->transaction->refusal.code == 0;
}

/* How much may be kept at once now. 0: not before queue has lent a file. */
static size_t make_room(struct session *session)
{
    if (!keeps_octets(session))
        return SIZE_MAX;
    struct transaction *transaction = session->transaction;
    /* BDAT may need a last CRLF. */
    size_t limit = FILTER_INLINE_MAX - (session->data.chunked ? 2 : 0);
    if (transaction->body.len < limit)
        return limit - transaction->body.len;
    if (transaction->spooled)
        flush_body(session);
    else
        ask_for_spool(session);
    if (session->wait != SESSION_WAIT_NOTHING)
        return 0;
    return keeps_octets(session) ? limit : SIZE_MAX;
}

static void keep_piece(struct session *session, struct slice piece)
{
    if (!keeps_octets(session))
        return;
    struct transaction *transaction = session->transaction;
    buffer_append(&transaction->body, piece);
    transaction->octets += piece.len;
    if (transaction->body.failed)
        session_refuse_message(session, SMTP_REPLY(451, "4.3.0", "Out of memory; try again later"));
}

/* --- The octets ------------------------------------------------------------------------------- */

/* The rest goes to the file, which from now on nobody can write to: queue proves it by a lease. */
static void finish_file(struct session *session)
{
    struct transaction *transaction = session->transaction;
    struct error error = {.kind = ERROR_NONE};
    flush_body(session);
    if (transaction->refusal.code == 0 && !fd_close(&transaction->spool_fd, &error))
        refuse_for_space(session, &error);
    buffer_clear(&transaction->body);
}

static void end_message(struct session *session)
{
    if (session->transaction->spooled && session->transaction->refusal.code == 0)
        finish_file(session);
    session_enter(session, SESSION_SUBMIT);
    session_submit(session);
}

/* RFC 3030 2: each chunk has a reply, the last one that of the message. One that is refused ends
 * the transaction, so that those after it are refused too. */
static void end_chunk(struct session *session)
{
    session_end_burl(session);
    if (session->chunk_refusal.code != 0) {
        session_enter(session, session->after_chunk);
        session_refuse(session, session->chunk_refusal);
    } else if (session->last_chunk) {
        keep_piece(session, smtp_data_end_chunks(&session->data));
        end_message(session);
    } else if (session->data.fault != SMTP_DATA_FINE || session->transaction->refusal.code != 0) {
        session_enter(session, SESSION_SUBMIT);
        session_submit(session);
    } else {
        session_enter(session, SESSION_CHUNKS);
        session_reply(session, SMTP_REPLY(250, "2.0.0", "Go on"));
    }
}

/* --- BINARYMIME ------------------------------------------------------------------------------- */

enum { ENCODED_AT_ONCE = 16384, ENCODED_OCTETS = 4 << 20 }; /* a header may be held, 1 MiB */

bool session_begin_binary(struct session *session)
{
    struct transaction *transaction = session->transaction;
    const struct config_limits *config = &session_config(session)->limits;
    const struct mime_limits limits = {.depth = config->mime_depth, .parts = config->mime_parts};
    struct binary_body *binary = arena_alloc(&transaction->arena, sizeof(*binary));
    if (!binary)
        return false;
    binary_encode_init(&binary->encode, &limits);
    buffer_init(&binary->encoded, ENCODED_OCTETS);
    transaction->binary = binary;
    return true;
}

void session_end_binary(struct transaction *transaction)
{
    if (!transaction->binary)
        return;
    binary_encode_clear(&transaction->binary->encode);
    buffer_clear(&transaction->binary->encoded);
}

static void note_problem(struct session *session, enum binary_problem problem)
{
    struct binary_body *binary = session->transaction->binary;
    const struct slice text = slice_of_string(binary_problem_text(problem));
    if (problem == BINARY_NO_MEMORY || binary->encoded.failed)
        session_refuse_message(session, SMTP_REPLY(451, "4.3.0", "Out of memory; try again later"));
    else if (problem != BINARY_FINE)
        session_refuse_message(
            session, (struct smtp_reply){.code = 554, .enhanced = SLICE("5.6.0"), .text = text});
}

static void encode_some(struct session *session, struct cursor *in)
{
    struct binary_body *binary = session->transaction->binary;
    struct slice piece = slice_range(cursor_rest(in), 0, ENCODED_AT_ONCE);
    if (piece.len > binary->chunk_left)
        piece.len = (size_t)binary->chunk_left;
    binary->chunk_left -= piece.len;
    in->at += piece.len;
    if (keeps_octets(session))
        note_problem(session, binary_encode_feed(&binary->encode, piece, &binary->encoded));
}

static void end_encoding(struct session *session)
{
    struct binary_body *binary = session->transaction->binary;
    binary->ended = true;
    if (keeps_octets(session))
        note_problem(session, binary_encode_finish(&binary->encode, &binary->encoded));
}

/* What was encoded goes the way of any other message. */
static void keep_encoded(struct session *session, size_t room)
{
    struct binary_body *binary = session->transaction->binary;
    struct slice encoded = slice_from(buffer_slice(&binary->encoded), binary->taken);
    struct cursor window = cursor_of(slice_range(encoded, 0, room));
    struct cursor start = window;
    struct slice piece;
    smtp_data_next(&session->data, &window, &piece);
    keep_piece(session, piece);
    binary->taken += cursor_since(&window, &start).len;
    if (binary->taken == binary->encoded.len) {
        buffer_reset(&binary->encoded);
        binary->taken = 0;
    }
}

static bool take_binary(struct session *session, struct cursor *in)
{
    struct binary_body *binary = session->transaction->binary;
    struct cursor start = *in;
    size_t room;
    while ((room = make_room(session)) > 0) {
        if (binary->taken < binary->encoded.len) {
            keep_encoded(session, room);
        } else if (binary->chunk_left > 0 && cursor_at_end(in)) {
            break;
        } else if (binary->chunk_left > 0) {
            encode_some(session, in);
        } else if (session->last_chunk && !binary->ended) {
            end_encoding(session);
        } else {
            end_chunk(session);
            return true;
        }
    }
    return cursor_since(in, &start).len > 0;
}

/* --- The octets, in pieces -------------------------------------------------------------------- */

static struct cursor cut_to(const struct cursor *in, size_t room)
{
    size_t left = cursor_left(in);
    return (struct cursor){in->at, in->at + (left < room ? left : room)};
}

bool session_take_data(struct session *session, struct cursor *in)
{
    struct cursor start = *in;
    size_t room;
    if (session->chunk_refusal.code == 0 && session->transaction->binary)
        return take_binary(session, in);
    while ((room = make_room(session)) > 0) {
        struct cursor window = cut_to(in, room);
        struct slice piece;
        enum parse_result result = smtp_data_next(&session->data, &window, &piece);
        in->at = window.at;
        keep_piece(session, piece);
        if (result == PARSE_DONE && session->state == SESSION_DATA)
            end_message(session);
        else if (result == PARSE_DONE)
            end_chunk(session);
        if (result == PARSE_DONE)
            return true;
        if (piece.len == 0 && cursor_at_end(in))
            break;
    }
    return cursor_since(in, &start).len > 0;
}
