/* MOVE between accounts: removes the copied messages from the source; see carry_internal.h. */
#include "imapd/shared/carry_internal.h"

enum { REMOVED_AT_ONCE = 500 /* messages, by one command: the line must not become too long */ };

static void say_removal(struct carry *carry)
{
    struct buffer command = BUFFER_WITH_LIMIT(EXCHANGE_LINE_OCTETS);
    buffer_append(&command, carry->is_marked ? SLICE("UID EXPUNGE ") : SLICE("UID STORE "));
    sequence_set_format(&carry->removing, &command);
    if (!carry->is_marked)
        buffer_append(&command, SLICE(" +FLAGS.SILENT (\\Deleted)"));
    exchange_ask(&carry->from, &command, carry_hear_news);
    buffer_clear(&command);
}

/* False: all are removed. */
static bool next_removal(struct session *session, struct carry *carry)
{
    sequence_set_init(&carry->removing, &session->arena);
    for (size_t i = 0; i < REMOVED_AT_ONCE && carry->removed < carry->done.count; i++) {
        const struct sequence_range *range = &carry->done.ranges[carry->removed++];
        sequence_set_add_range(&carry->removing, range->first, range->last);
    }
    return carry->removing.count > 0;
}

static void remove_phase(struct session *session, struct carry *carry)
{
    if (exchange_has_failed(&carry->from)) {
        session_no(session, SLICE("UNAVAILABLE"),
                   "The messages are there, but could not be removed here");
        return;
    }
    if (!exchange_is_answered(&carry->from))
        return;
    carry->is_marked = !carry->is_marked;
    if (carry->is_marked || next_removal(session, carry))
        say_removal(carry);
    else
        carry_succeed(session, carry);
}

void carry_begin_removing(struct session *session, struct carry *carry)
{
    /* "the server MUST send COPYUID in an untagged OK before the EXPUNGE responses" (RFC 6851 4.3)
     */
    if (carry->code.len > 0)
        writer_untagged(&session->writer, WRITER_OK, buffer_slice(&carry->code), "Moved");
    carry->phase = remove_phase;
    next_removal(session, carry);
    say_removal(carry);
}
