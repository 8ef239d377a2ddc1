/* The APPEND of upload.h. */
#include "imapd/shared/upload.h"

#include "imapd/mailbox.h"
#include "imapd/shared/shared_names.h"

enum { PIECE_OCTETS = 65536 };

void upload_end(struct upload *upload)
{
    if (!upload->session)
        return;
    visit_end(upload->exchange.visit);
    upload->exchange.visit = NULL;
    exchange_clear(&upload->exchange);
    message_file_close(&upload->file);
}

/* "+" is awaited after an announcement; any other response before the answer is discarded. */
static void hear(struct visit *visit, enum answer_part part, struct slice octets)
{
    struct upload *upload = visit->hearer;
    if (exchange_take_end(&upload->exchange, visit, part, octets) || part != ANSWER_TEXT
        || !exchange_gather(&upload->exchange, visit->session, octets)
        || !answer_is_between_lines(&visit->answer))
        return;
    if (slice_starts_with(buffer_slice(&upload->exchange.line), SLICE("+")))
        upload->awaits_plus = false;
    buffer_reset(&upload->exchange.line);
    exchange_wake(visit->session);
}

bool upload_begin(struct upload *upload, struct session *session, const struct intake *intake,
                  struct slice name, session_step *then)
{
    struct buffer wire = BUFFER_WITH_LIMIT(EXCHANGE_LINE_OCTETS);
    *upload =
        (struct upload){.session = session, .message = intake->first, .file = MESSAGE_FILE_CLOSED};
    exchange_init(&upload->exchange);
    upload->exchange.visit = visit_begin(session, shared_names_owner(session, name));
    if (!upload->exchange.visit) {
        session_no(session, SLICE("UNAVAILABLE"), "The other account cannot be asked now");
        return false;
    }
    upload->exchange.visit->hearer = upload;
    visit_bound_silence(upload->exchange.visit, true);
    buffer_append(&wire, SLICE("APPEND "));
    exchange_append_name(session, name, &wire);
    exchange_begin(&upload->exchange, hear);
    visit_say_text(upload->exchange.visit, buffer_slice(&wire), false);
    buffer_clear(&wire);
    session_wait(session, then);
    return true;
}

/* ---- saying ---- */

/* append-message = [SP flag-list] [SP date-time] SP literal */
static bool announce(struct upload *upload, struct error *error)
{
    const struct intake_message *message = upload->message;
    struct buffer text = BUFFER_WITH_LIMIT(EXCHANGE_LINE_OCTETS);
    struct date date = {.seconds = message->internal_date};
    char written[DATE_TEXT_OCTETS];
    if (!maildir_append_open(&message->append, &upload->file, error))
        return false;
    buffer_append_octet(&text, ' ');
    imap_append_flag_list(&message->flags, &text);
    buffer_append(&text, SLICE(" \""));
    buffer_append(&text, slice_of(written, date_format_internal(&date, written)));
    buffer_append_format(&text, "\" {%llu}\r\n", (unsigned long long)upload->file.crlf_octets);
    bool formed = !text.failed || error_memory(error);
    if (formed)
        visit_say(upload->exchange.visit, buffer_slice(&text));
    upload->said = 0;
    upload->awaits_plus = true;
    buffer_clear(&text);
    return formed;
}

static bool say_piece(struct upload *upload, struct error *error)
{
    uint8_t piece[PIECE_OCTETS];
    size_t got;
    if (!message_file_read(&upload->file, upload->said, piece, sizeof(piece), &got, error))
        return false;
    visit_say(upload->exchange.visit, slice_of(piece, got));
    upload->said += got;
    if (got > 0 && upload->said < upload->file.crlf_octets)
        return true;
    message_file_close(&upload->file);
    upload->message = upload->message->next;
    if (!upload->message)
        visit_say(upload->exchange.visit, SLICE("\r\n"));
    return true;
}

static bool say_more(struct upload *upload, struct error *error)
{
    bool said = true;
    while (said && upload->message && !upload->awaits_plus
           && !visit_is_full(upload->exchange.visit))
        said = upload->file.fd >= 0 ? say_piece(upload, error) : announce(upload, error);
    return said;
}

void upload_step(struct upload *upload, session_step *then)
{
    struct session *session = upload->session;
    struct exchange *exchange = &upload->exchange;
    struct error error;
    session_wait(session, then);
    if (exchange->lost && exchange->visit->is_unknown)
        session_no(session, SLICE("NONEXISTENT"), "There is no such mailbox");
    else if (exchange->lost || exchange->line.failed
             || (exchange->verdict == VERDICT_OK && upload->message))
        session_no(session, SLICE("UNAVAILABLE"), "The other account cannot be asked now");
    else if (exchange_is_answered(exchange))
        exchange_relay(exchange, session);
    else if (!say_more(upload, &error))
        session_failed(session, &error, "The message cannot be read now");
    else
        visit_go_on(exchange->visit);
}
