/* COPY and MOVE between accounts: lists and copies the messages; see carry_internal.h. */
#include "imapd/shared/carry_internal.h"

#include "imapd/mailbox.h"

/* ---- storing ---- */

/* "OK [APPENDUID 38505 3955:3957] ..." (RFC 4315 3): without it there is no COPYUID, which is a
 * courtesy. */
static void make_code(struct carry *carry)
{
    static const struct slice word = SLICE(" OK [APPENDUID "), plain = SLICE("0123456789:, ");
    struct slice text = slice_from(buffer_slice(&carry->to.tagged), EXCHANGE_TAG.len);
    size_t end = slice_find_octet(text, ']');
    if (!slice_starts_with_nocase(text, word) || end == text.len)
        return;
    text = slice_range(text, word.len, end);
    size_t space = slice_find_octet(text, ' ');
    buffer_append(&carry->code, SLICE("COPYUID "));
    buffer_append(&carry->code, slice_range(text, 0, space));
    buffer_append_octet(&carry->code, ' ');
    sequence_set_format(&carry->done, &carry->code);
    buffer_append(&carry->code, slice_from(text, space));
    for (size_t i = 0; i < text.len; i++) /* a compromised process can say no more */
        if (slice_find_octet(plain, text.ptr[i]) == plain.len)
            carry->code.failed = true;
    if (carry->code.failed)
        buffer_reset(&carry->code);
}

static void store_phase(struct session *session, struct carry *carry)
{
    if (exchange_has_failed(&carry->to)) {
        carry_fail(session, carry);
        return;
    }
    if (!exchange_is_answered(&carry->to))
        return;
    make_code(carry);
    if (carry->move)
        carry_begin_removing(session, carry);
    else
        carry_succeed(session, carry);
}

static void begin_storing(struct session *session, struct carry *carry)
{
    if (carry->done.count == 0) {
        session_ok(session, SLICE(""), "There was nothing to do");
        return;
    }
    visit_say(carry->to.visit, SLICE("\r\n"));
    carry->phase = store_phase;
}

/* ---- a message ---- */

/* Announced to the target; now waits for "+". */
void carry_hear_target(struct visit *visit, enum answer_part part, struct slice octets)
{
    struct carry *carry = carry_of(visit);
    if (exchange_take_end(&carry->to, visit, part, octets) || part != ANSWER_TEXT)
        return;
    if (!exchange_gather(&carry->to, visit->session, octets) || octets.len == 0
        || octets.ptr[octets.len - 1] != '\n')
        return;
    if (slice_starts_with(buffer_slice(&carry->to.line), SLICE("+")))
        carry->awaits_plus = false;
    buffer_reset(&carry->to.line);
    exchange_wake(visit->session);
}

static bool find_between(struct slice line, struct slice before, uint8_t end, struct slice *found)
{
    size_t at = slice_find(line, before);
    struct slice rest = slice_from(line, at + before.len);
    size_t length = slice_find_octet(rest, end);
    *found = slice_range(rest, 0, length);
    return at < line.len && length < rest.len;
}

/* \Recent cannot be set. */
static void append_flags(struct slice flags, struct buffer *text)
{
    bool is_first = true;
    while (flags.len > 0) {
        size_t end = slice_find_octet(flags, ' ');
        struct slice word = slice_range(flags, 0, end);
        flags = slice_from(flags, end + 1);
        if (slice_equal_nocase(word, SLICE("\\Recent")))
            continue;
        if (!is_first)
            buffer_append_octet(text, ' ');
        buffer_append(text, word);
        is_first = false;
    }
}

/* append-message = SP flag-list SP date-time SP literal. The source may be compromised, and this
 * text goes to the target as the client's: so it is taken from within one line only, never with a
 * line end, which would begin another command there. False: these parts are missing, or too
 * long. */
static bool announce(struct carry *carry, struct slice line)
{
    struct buffer text = BUFFER_WITH_LIMIT(EXCHANGE_LINE_OCTETS);
    struct slice flags, date;
    bool whole = find_between(line, SLICE("FLAGS ("), ')', &flags)
                 && find_between(line, SLICE("INTERNALDATE \""), '"', &date);
    if (whole) {
        buffer_append(&text, SLICE(" ("));
        append_flags(flags, &text);
        buffer_append(&text, SLICE(") \""));
        buffer_append(&text, date);
        buffer_append_format(&text, "\" {%llu}\r\n", (unsigned long long)carry->octets);
        whole = !text.failed;
    }
    if (whole)
        visit_say(carry->to.visit, buffer_slice(&text));
    buffer_clear(&text);
    return whole;
}

static bool is_refused(const struct carry *carry)
{
    return carry->to.lost || exchange_is_answered(&carry->to);
}

/* A line is whole, or ends in a literal: the message that was asked for, or news. */
static void take_line(struct visit *visit, struct carry *carry)
{
    struct slice line = buffer_slice(&carry->from.line);
    bool announces = !answer_is_between_lines(&visit->answer);
    if (carry->in_rest) {
        carry->in_rest = announces;
    } else if (announces && slice_find(line, SLICE("BODY[] {")) < line.len && !carry->is_taken) {
        carry->in_rest = carry->is_taken = true;
        carry->octets = visit->answer.literal_left;
        if (!is_refused(carry)) {
            carry->is_malformed = !announce(carry, line);
            carry->awaits_plus = visit->is_held = true;
            if (carry->is_malformed)
                exchange_wake(visit->session);
        }
    } else if (!carry->is_own) {
        carry_pass_line(visit->session, &carry->from);
    }
    buffer_reset(&carry->from.line);
}

static void hear_message(struct visit *visit, enum answer_part part, struct slice octets)
{
    struct carry *carry = carry_of(visit);
    if (carry_is_over(visit, part) || exchange_take_end(&carry->from, visit, part, octets))
        return;
    if (part == ANSWER_LITERAL) {
        if (!carry->in_rest && !carry->is_own)
            buffer_append(&visit->session->writer.text, octets);
        if (!carry->in_rest || is_refused(carry))
            return;
        visit_say(carry->to.visit, octets);
        visit->is_held = visit_is_full(carry->to.visit);
        return;
    }
    if (exchange_gather(&carry->from, visit->session, octets) && octets.len > 0
        && octets.ptr[octets.len - 1] == '\n')
        take_line(visit, carry);
}

/* False: that was the last one. */
static bool next_uid(struct carry *carry)
{
    const struct sequence_set *set = &carry->listed;
    if (carry->range < set->count && carry->uid == 0) {
        carry->uid = set->ranges[carry->range].first;
    } else if (carry->range < set->count && carry->uid < set->ranges[carry->range].last) {
        carry->uid++;
    } else {
        carry->range++;
        carry->uid = carry->range < set->count ? set->ranges[carry->range].first : 0;
    }
    return carry->range < set->count;
}

static void ask_message(struct carry *carry)
{
    struct buffer command = BUFFER_WITH_LIMIT(100);
    buffer_append_format(&command, "UID FETCH %u (FLAGS INTERNALDATE BODY.PEEK[])", carry->uid);
    carry->is_asked = true;
    carry->in_rest = carry->is_taken = carry->awaits_plus = false;
    exchange_ask(&carry->from, &command, hear_message);
    buffer_clear(&command);
}

/* RFC 3501 6.4.8: with UIDs, removed messages are skipped. */
static bool settle_message(struct session *session, struct carry *carry)
{
    if (!carry->is_taken && !session->by_uid) {
        session_no(session, SLICE("EXPUNGEISSUED"), "Some of the messages are gone");
        return false;
    }
    if (carry->is_taken && !sequence_set_add(&carry->done, carry->uid)) {
        session_no(session, SLICE("LIMIT"), "The arguments need too much memory");
        return false;
    }
    carry->is_asked = false;
    return true;
}

static void fetch_phase(struct session *session, struct carry *carry)
{
    struct visit *from = carry->from.visit;
    from->is_held = !is_refused(carry) && (carry->awaits_plus || visit_is_full(carry->to.visit));
    visit_go_on(from);
    if (session->work != carry)
        return; /* it was lost */
    if (exchange_has_failed(&carry->from)
        || (carry->is_asked && exchange_is_answered(&carry->from) && is_refused(carry))) {
        carry_fail(session, carry);
        return;
    }
    if (carry->is_asked && (!exchange_is_answered(&carry->from) || !settle_message(session, carry)))
        return;
    if (is_refused(carry))
        carry_fail(session, carry);
    else if (next_uid(carry))
        ask_message(carry);
    else
        begin_storing(session, carry);
}

void carry_begin_fetching(struct session *session, struct carry *carry)
{
    if (sequence_set_size(&carry->listed) > session->limit) {
        session_over_limit(session, "Too many messages to copy, try a smaller subset");
        return;
    }
    exchange_begin(&carry->to, carry_hear_target);
    visit_say(carry->to.visit, SLICE("APPEND "));
    visit_say(carry->to.visit, buffer_slice(&carry->target));
    carry->phase = fetch_phase;
    exchange_wake(session);
}

/* ---- which messages ---- */

/* "* 12 FETCH (UID 5 RFC822.SIZE 44)" or "* 5 UIDFETCH (RFC822.SIZE 44)"; news have no size. */
static bool take_listed(struct carry *carry, struct slice line)
{
    if (slice_find(line, SLICE("FETCH (")) == line.len
        || slice_find(line, SLICE("RFC822.SIZE ")) == line.len)
        return false;
    size_t at = slice_find(line, SLICE("UIDFETCH (")) < line.len
                    ? SLICE("* ").len
                    : slice_find(line, SLICE("UID ")) + SLICE("UID ").len;
    uint64_t uid = 0;
    for (; at < line.len && line.ptr[at] >= '0' && line.ptr[at] <= '9' && uid < UINT32_MAX; at++)
        uid = uid * 10 + (line.ptr[at] - '0');
    if (uid == 0 || uid > UINT32_MAX)
        return false;
    sequence_set_add(&carry->listed, (uint32_t)uid); /* list_phase() sees if it is full */
    return true;
}

static void hear_list(struct visit *visit, enum answer_part part, struct slice octets)
{
    struct carry *carry = carry_of(visit);
    if (carry_is_over(visit, part) || exchange_take_end(&carry->from, visit, part, octets))
        return;
    if (!exchange_gather(&carry->from, visit->session, octets) || octets.len == 0
        || octets.ptr[octets.len - 1] != '\n' || !answer_is_between_lines(&visit->answer))
        return;
    if (!take_listed(carry, buffer_slice(&carry->from.line)))
        carry_pass_line(visit->session, &carry->from);
    buffer_reset(&carry->from.line);
}

/* Where messages were left out (RFC 9738) it is too many. */
static void list_phase(struct session *session, struct carry *carry)
{
    struct slice tagged = buffer_slice(&carry->from.tagged);
    if (exchange_has_failed(&carry->from))
        carry_fail(session, carry);
    else if (exchange_is_answered(&carry->from)
             && slice_find(tagged, SLICE("MESSAGELIMIT")) < tagged.len)
        session_over_limit(session, "Too many messages to copy, try a smaller subset");
    else if (exchange_is_answered(&carry->from) && carry->listed.full)
        session_no(session, SLICE("LIMIT"), "The messages need too much memory");
    else if (exchange_is_answered(&carry->from))
        carry_begin_fetching(session, carry);
}

void carry_begin_listing(struct session *session, struct carry *carry)
{
    struct buffer command = BUFFER_WITH_LIMIT(EXCHANGE_LINE_OCTETS);
    buffer_append(&command, session->by_uid ? SLICE("UID FETCH ") : SLICE("FETCH "));
    buffer_append(&command, carry->wanted_text);
    buffer_append(&command, SLICE(" (UID RFC822.SIZE)"));
    carry->phase = list_phase;
    exchange_ask(&carry->from, &command, hear_list);
    buffer_clear(&command);
}
