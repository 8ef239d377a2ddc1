/*
 * The carrying of carry.h. The command is one step, which does what its phase says:
 *
 *     OPENING ──> LISTING ──> FETCHING ─(each message)─> STORING ──> [REMOVING] ──> answer
 *
 * What comes on a visit only changes the struct, and lets the step run in the next turn. The source
 * is held while the target has not said "+" to a message, or takes no more octets.
 */
#include "imapd/shared/carry.h"

#include <stdlib.h>

#include "common/config/config.h"
#include "imapd/commands/commands.h"
#include "imapd/mailbox.h"
#include "imapd/shared/visit.h"
#include "imapd/syntax/folder_argument.h"
#include "imapd/syntax/mailbox_name.h"
#include "storage/expunged.h"
#include "storage/folder_name.h"

#define TAG SLICE("c")

enum {
    LINE_OCTETS = 1 << 20, /* a response, without the octets of a literal */
    REMOVED_AT_ONCE = 500, /* messages, by one command: the line must not become too long */
    CODE_OCTETS = 1 << 22,
};

/* One of the two visits, and the answer to what was said last. */
struct carry_end {
    struct visit *visit;
    struct buffer line;   /* of a response that has not ended yet */
    struct buffer tagged; /* the last line */
    uint8_t verdict;      /* as in struct answer; 0: not yet */
    bool lost;
};

struct carry {
    bool move;
    bool is_own; /* the source is a mailbox of the client's own account, and its visit ends with us
                  */
    visit_hears *heard_before; /* else: what else is heard on it */
    struct buffer source;      /* names, as they are said */
    struct buffer target;
    void (*phase)(struct session *session, struct carry *carry);
    struct carry_end from, to;
    struct sequence_set wanted; /* by the client, as numbers or UIDs; and as he wrote it */
    struct slice wanted_text;
    struct sequence_set listed; /* UIDs */
    struct sequence_set done;   /* those that the target has */
    size_t range;               /* of `listed`, and the next UID of it; 0: its first */
    uint32_t uid;
    bool may_remove; /* MYRIGHTS said so */
    bool is_asked;   /* for the message `uid` */
    bool in_rest;    /* its octets come, and what stands behind them */
    bool is_taken;   /* it was there */
    bool awaits_plus;
    bool is_malformed; /* the source answers what is no message */
    uint64_t octets;
    struct buffer code; /* "COPYUID ..." */
    size_t removed;     /* ranges of `removing` */
    struct sequence_set removing;
    bool is_marked; /* those are \Deleted, and EXPUNGE is next */
};

static struct carry *carry_of(const struct visit *visit)
{
    return visit->session->work;
}

static void carry_step(struct session *session);

/* The step runs in the next turn. */
static void wake(struct session *session)
{
    session->waiting = false;
    turn_again(&session->mailbox->turn, &session->in_next_turn);
}

/* ---- saying ---- */

static void clear_end(struct carry_end *end)
{
    buffer_clear(&end->line);
    buffer_clear(&end->tagged);
}

static void give_back(struct session *session)
{
    struct carry *carry = session->work;
    if (carry->from.visit) {
        carry->from.visit->is_held = false;
        carry->from.visit->hears = carry->heard_before;
    }
    visit_end(carry->to.visit);
    clear_end(&carry->from);
    clear_end(&carry->to);
    buffer_clear(&carry->source);
    buffer_clear(&carry->target);
    buffer_clear(&carry->code);
}

static void begin_command(struct carry_end *end, visit_hears *hears)
{
    visit_begin_command(end->visit, TAG, hears);
    visit_say(end->visit, TAG);
    visit_say(end->visit, SLICE(" "));
    buffer_reset(&end->line);
    buffer_reset(&end->tagged);
    end->verdict = 0;
    visit_listen(end->visit);
}

static void ask_source(struct session *session, const struct buffer *command, visit_hears *hears)
{
    struct carry *carry = session->work;
    begin_command(&carry->from, hears);
    visit_say(carry->from.visit, buffer_slice(command));
    visit_say(carry->from.visit, SLICE("\r\n"));
}

/* ---- ends ---- */

/* In the words of the process that refused; what it said under our tag the client hears under his.
 */
static void relay(struct session *session, const struct carry_end *end)
{
    struct buffer *text = &session->writer.text;
    struct slice rest = slice_from(buffer_slice(&end->tagged), TAG.len);
    if (end->tagged.failed || !slice_ends_with(rest, SLICE("\r\n"))) {
        session_no(session, SLICE("UNAVAILABLE"), "The other account's mailbox has refused it");
        return;
    }
    buffer_append(text, session->tag);
    buffer_append(text, rest);
    session_answered(session);
}

static void fail(struct session *session, const struct carry *carry)
{
    if (carry->to.lost && carry->to.visit->is_unknown)
        session_no(session, SLICE("NONEXISTENT"), "There is no such mailbox");
    else if (carry->to.verdict != 0 && carry->to.verdict != 'O')
        relay(session, &carry->to);
    else if (carry->from.verdict != 0 && carry->from.verdict != 'O')
        relay(session, &carry->from);
    else
        session_no(session, SLICE("UNAVAILABLE"), "The other account cannot be asked now");
}

static void succeed(struct session *session, struct carry *carry)
{
    struct buffer code = carry->code;
    carry->code = (struct buffer){.limit = 0};
    if (carry->move)
        session_ok(session, SLICE(""), "Moved");
    else
        session_ok(session, buffer_slice(&code), "Copied");
    buffer_clear(&code);
}

/* ---- hearing ---- */

/* False: the line is too long, and carry_step() ends the session. */
static bool gather(struct session *session, struct carry_end *end, struct slice octets)
{
    buffer_append(&end->line, octets);
    if (end->line.failed)
        wake(session);
    return !end->line.failed;
}

static void pass_line(struct session *session, struct carry_end *end)
{
    buffer_append(&session->writer.text, buffer_slice(&end->line));
    buffer_reset(&end->line);
}

static bool end_of_answer(struct visit *visit, struct carry_end *end, enum answer_part part,
                          struct slice octets)
{
    if (part == ANSWER_TAGGED)
        buffer_append(&end->tagged, octets);
    if (part == ANSWER_END)
        end->verdict = visit->answer.verdict;
    if (part == ANSWER_LOST)
        end->lost = true;
    if (part == ANSWER_END || part == ANSWER_LOST)
        wake(visit->session);
    return part == ANSWER_TAGGED || part == ANSWER_END || part == ANSWER_LOST;
}

/* The mailbox that is selected is lost, and with it the session. */
static bool is_over(struct visit *visit, enum answer_part part)
{
    struct carry *carry = carry_of(visit);
    if (part != ANSWER_LOST || carry->is_own)
        return false;
    carry->heard_before(visit, part, SLICE(""));
    return true;
}

/* News of the selected mailbox are the client's. */
static void hear_news(struct visit *visit, enum answer_part part, struct slice octets)
{
    struct carry *carry = carry_of(visit);
    if (!is_over(visit, part) && !end_of_answer(visit, &carry->from, part, octets)
        && !carry->is_own)
        buffer_append(&visit->session->writer.text, octets);
}

/* ---- removing ---- */

static void say_removal(struct session *session, struct carry *carry)
{
    struct buffer command = BUFFER_WITH_LIMIT(LINE_OCTETS);
    buffer_append(&command, carry->is_marked ? SLICE("UID EXPUNGE ") : SLICE("UID STORE "));
    sequence_set_format(&carry->removing, &command);
    if (!carry->is_marked)
        buffer_append(&command, SLICE(" +FLAGS.SILENT (\\Deleted)"));
    ask_source(session, &command, hear_news);
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
    if (carry->from.lost || (carry->from.verdict != 0 && carry->from.verdict != 'O')) {
        session_no(session, SLICE("UNAVAILABLE"),
                   "The messages are there, but could not be removed here");
        return;
    }
    if (carry->from.verdict == 0)
        return;
    carry->is_marked = !carry->is_marked;
    if (carry->is_marked || next_removal(session, carry))
        say_removal(session, carry);
    else
        succeed(session, carry);
}

static void begin_removing(struct session *session, struct carry *carry)
{
    /* "the server MUST send COPYUID in an untagged OK before the EXPUNGE responses" (RFC 6851 4.3)
     */
    if (carry->code.len > 0)
        writer_untagged(&session->writer, WRITER_OK, buffer_slice(&carry->code), "Moved");
    carry->phase = remove_phase;
    next_removal(session, carry);
    say_removal(session, carry);
}

/* ---- storing ---- */

/* "OK [APPENDUID 38505 3955:3957] ..." (RFC 4315 3): without it there is no COPYUID, which is a
 * courtesy. */
static void make_code(struct carry *carry)
{
    static const struct slice word = SLICE(" OK [APPENDUID "), plain = SLICE("0123456789:, ");
    struct slice text = slice_from(buffer_slice(&carry->to.tagged), TAG.len);
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
    for (size_t i = 0; i < text.len; i++) /* what a captured process says is no more than that */
        if (slice_find_octet(plain, text.ptr[i]) == plain.len)
            carry->code.failed = true;
    if (carry->code.failed)
        buffer_reset(&carry->code);
}

static void store_phase(struct session *session, struct carry *carry)
{
    if (carry->to.lost || (carry->to.verdict != 0 && carry->to.verdict != 'O')) {
        fail(session, carry);
        return;
    }
    if (carry->to.verdict == 0)
        return;
    make_code(carry);
    if (carry->move)
        begin_removing(session, carry);
    else
        succeed(session, carry);
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

/* Announced there, it is waited for "+". */
static void hear_target(struct visit *visit, enum answer_part part, struct slice octets)
{
    struct carry *carry = carry_of(visit);
    if (end_of_answer(visit, &carry->to, part, octets) || part != ANSWER_TEXT)
        return;
    if (!gather(visit->session, &carry->to, octets) || octets.len == 0
        || octets.ptr[octets.len - 1] != '\n')
        return;
    if (slice_starts_with(buffer_slice(&carry->to.line), SLICE("+")))
        carry->awaits_plus = false;
    buffer_reset(&carry->to.line);
    wake(visit->session);
}

static bool find_between(struct slice line, struct slice before, uint8_t end, struct slice *found)
{
    size_t at = slice_find(line, before);
    struct slice rest = slice_from(line, at + before.len);
    size_t length = slice_find_octet(rest, end);
    *found = slice_range(rest, 0, length);
    return at < line.len && length < rest.len;
}

/* \Recent is no flag that one can give. */
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

/* append-message = SP flag-list SP date-time SP literal. What a captured process says goes to the
 * target in the client's name: so only from within this line, and never its end, which would begin
 * another command there. False: it has no such things, or they are too long. */
static bool announce(struct carry *carry, struct slice line)
{
    struct buffer text = BUFFER_WITH_LIMIT(LINE_OCTETS);
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
    return carry->to.lost || carry->to.verdict != 0;
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
                wake(visit->session);
        }
    } else if (!carry->is_own) {
        pass_line(visit->session, &carry->from);
    }
    buffer_reset(&carry->from.line);
}

static void hear_message(struct visit *visit, enum answer_part part, struct slice octets)
{
    struct carry *carry = carry_of(visit);
    if (is_over(visit, part) || end_of_answer(visit, &carry->from, part, octets))
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
    if (gather(visit->session, &carry->from, octets) && octets.len > 0
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

static void ask_message(struct session *session, struct carry *carry)
{
    struct buffer command = BUFFER_WITH_LIMIT(100);
    buffer_append_format(&command, "UID FETCH %u (FLAGS INTERNALDATE BODY.PEEK[])", carry->uid);
    carry->is_asked = true;
    carry->in_rest = carry->is_taken = carry->awaits_plus = false;
    ask_source(session, &command, hear_message);
    buffer_clear(&command);
}

/* RFC 3501 6.4.8: by UID what is gone is passed over. */
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
    if (carry->from.lost || (carry->is_asked && carry->from.verdict != 0 && is_refused(carry))
        || (carry->from.verdict != 0 && carry->from.verdict != 'O')) {
        fail(session, carry);
        return;
    }
    if (carry->is_asked && (carry->from.verdict == 0 || !settle_message(session, carry)))
        return;
    if (is_refused(carry))
        fail(session, carry);
    else if (next_uid(carry))
        ask_message(session, carry);
    else
        begin_storing(session, carry);
}

static void begin_fetching(struct session *session, struct carry *carry)
{
    if (sequence_set_size(&carry->listed) > session->limit) {
        session_over_limit(session, "Too many messages to copy, try a smaller subset");
        return;
    }
    begin_command(&carry->to, hear_target);
    visit_say(carry->to.visit, SLICE("APPEND "));
    visit_say(carry->to.visit, buffer_slice(&carry->target));
    carry->phase = fetch_phase;
    wake(session);
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
    if (is_over(visit, part) || end_of_answer(visit, &carry->from, part, octets))
        return;
    if (!gather(visit->session, &carry->from, octets) || octets.len == 0
        || octets.ptr[octets.len - 1] != '\n' || !answer_is_between_lines(&visit->answer))
        return;
    if (!take_listed(carry, buffer_slice(&carry->from.line)))
        pass_line(visit->session, &carry->from);
    buffer_reset(&carry->from.line);
}

/* Where messages were left out (RFC 9738) it is too many. */
static void list_phase(struct session *session, struct carry *carry)
{
    struct slice tagged = buffer_slice(&carry->from.tagged);
    if (carry->from.lost || (carry->from.verdict != 0 && carry->from.verdict != 'O'))
        fail(session, carry);
    else if (carry->from.verdict != 0 && slice_find(tagged, SLICE("MESSAGELIMIT")) < tagged.len)
        session_over_limit(session, "Too many messages to copy, try a smaller subset");
    else if (carry->from.verdict != 0 && carry->listed.full)
        session_no(session, SLICE("LIMIT"), "The messages need too much memory");
    else if (carry->from.verdict != 0)
        begin_fetching(session, carry);
}

static void begin_listing(struct session *session, struct carry *carry)
{
    struct buffer command = BUFFER_WITH_LIMIT(LINE_OCTETS);
    buffer_append(&command, session->by_uid ? SLICE("UID FETCH ") : SLICE("FETCH "));
    buffer_append(&command, carry->wanted_text);
    buffer_append(&command, SLICE(" (UID RFC822.SIZE)"));
    carry->phase = list_phase;
    ask_source(session, &command, hear_list);
    buffer_clear(&command);
}

/* ---- opening ---- */

/* "* MYRIGHTS name rights" */
static void hear_rights(struct visit *visit, enum answer_part part, struct slice octets)
{
    struct carry *carry = carry_of(visit);
    if (is_over(visit, part) || end_of_answer(visit, &carry->from, part, octets))
        return;
    if (!gather(visit->session, &carry->from, octets))
        return;
    struct slice line = buffer_slice(&carry->from.line);
    if (!slice_ends_with(line, SLICE("\r\n")))
        return;
    size_t space = line.len;
    while (space > 0 && line.ptr[space - 1] != ' ')
        space--;
    struct slice letters = slice_range(line, space, line.len - 2);
    if (slice_starts_with(line, SLICE("* MYRIGHTS "))) /* "d" stands for one of the two at least */
        carry->may_remove = slice_find_octet(letters, 't') < letters.len
                            && slice_find_octet(letters, 'e') < letters.len;
    else
        pass_line(visit->session, &carry->from);
    buffer_reset(&carry->from.line);
}

static void rights_phase(struct session *session, struct carry *carry)
{
    if (carry->from.lost || (carry->from.verdict != 0 && carry->from.verdict != 'O'))
        fail(session, carry);
    else if (carry->from.verdict != 0 && !carry->may_remove)
        session_no(session, SLICE("NOPERM"), "You have no right to remove messages there");
    else if (carry->from.verdict != 0)
        begin_listing(session, carry);
}

/* SELECT in the visit of our own account; what it says is for nobody. */
static void open_phase(struct session *session, struct carry *carry)
{
    if (carry->from.lost || (carry->from.verdict != 0 && carry->from.verdict != 'O'))
        fail(session, carry);
    else if (carry->from.verdict != 0)
        begin_fetching(session, carry);
}

static void carry_step(struct session *session)
{
    struct carry *carry = session->work;
    session_wait(session, carry_step);
    if (carry->is_malformed || carry->from.line.failed || carry->to.line.failed)
        session_bye(session, "The other account's mailbox speaks no IMAP; log in again");
    else
        carry->phase(session, carry);
}

static void open_source(struct session *session, struct carry *carry)
{
    struct buffer command = BUFFER_WITH_LIMIT(LINE_OCTETS);
    buffer_append(&command, carry->is_own ? (carry->move ? SLICE("SELECT ") : SLICE("EXAMINE "))
                                          : SLICE("MYRIGHTS "));
    buffer_append(&command, buffer_slice(&carry->source));
    carry->phase = carry->is_own ? open_phase : rights_phase;
    ask_source(session, &command, carry->is_own ? hear_news : hear_rights);
    buffer_clear(&command);
}

/* ---- the command ---- */

static void append_name(const struct session *session, struct slice name, bool is_shared,
                        struct buffer *text)
{
    struct buffer whole = BUFFER_WITH_LIMIT(4 * MAILBOX_NAME_MAX);
    struct buffer wire = BUFFER_WITH_LIMIT(4 * MAILBOX_NAME_MAX);
    if (!is_shared) {
        buffer_append_string(&whole, session->mailbox->config->imap.shared.text);
        buffer_append_octet(&whole, '/');
        buffer_append_string(&whole, session->mailbox->account);
        buffer_append_octet(&whole, '/');
    }
    buffer_append(&whole, name);
    mailbox_name_format(buffer_slice(&whole), session_name_form(session), &wire);
    imap_append_mailbox(text, buffer_slice(&wire), session_name_form(session));
    buffer_clear(&whole);
    buffer_clear(&wire);
}

/* Whose it is: "Shared/owner/name", or ours. */
static struct slice owner_of(const struct session *session, const struct folder_argument *folder)
{
    if (!folder->is_shared)
        return slice_of_string(session->mailbox->account);
    size_t top = strlen(session->mailbox->config->imap.shared.text);
    struct slice name = slice_from(folder->name, top + 1);
    return slice_range(name, 0, slice_find_octet(name, '/'));
}

/* The messages of our own view. */
static bool list_own(struct session *session, struct imap_parser *arguments, struct carry *carry)
{
    size_t index;
    if (!session_resolve(session, arguments, &carry->wanted))
        return false;
    struct view_walk walk = view_walk_begin(&carry->wanted, session->by_uid);
    while (view_walk_next(&session->view, &walk, &index))
        if (!sequence_set_add(&carry->listed, session->view.slots[index].uid))
            return imap_parser_exhaust(arguments);
    return true;
}

static bool parse(struct session *session, struct imap_parser *arguments, struct carry *carry,
                  struct folder_argument *folder)
{
    if (!imap_parse_space(arguments))
        return false;
    struct cursor start = arguments->in;
    if (!imap_parse_sequence_set(arguments, &carry->wanted))
        return false;
    carry->wanted_text = arena_copy(&session->arena, cursor_since(&arguments->in, &start));
    if (!carry->wanted_text.ptr)
        return imap_parser_exhaust(arguments);
    return imap_parse_space(arguments) && folder_argument_parse(arguments, folder)
           && imap_parse_end(arguments) && (!carry->is_own || list_own(session, arguments, carry));
}

/* False: the command was ended. */
static bool check(struct session *session, const struct carry *carry,
                  const struct folder_argument *folder)
{
    bool is_read_only = carry->is_own ? session->view.read_only : session->visit->is_examined;
    if (folder->problem && !folder->is_shared)
        session_no(session, SLICE("CANNOT"), folder->problem);
    else if (folder->is_shared
             && slice_equal(owner_of(session, folder), slice_of_string(session->mailbox->account)))
        session_no(session, SLICE("NONEXISTENT"), folder->problem);
    else if (folder->is_expunged)
        session_no(session, SLICE("CANNOT"), FOLDER_ARGUMENT_EXPUNGED);
    else if (carry->move && is_read_only)
        session_no(session, SLICE("READ-ONLY"), "The mailbox was examined, not selected");
    else if (carry->is_own && expunged_holds(session->view.folder->directory))
        session_no(session, SLICE("CANNOT"), "Move it to a mailbox of yours first");
    else
        return true;
    return false;
}

static bool name_both(const struct session *session, struct carry *carry,
                      const struct folder_argument *folder)
{
    append_name(session, folder->name, folder->is_shared, &carry->target);
    if (!carry->is_own) {
        buffer_append(&carry->source, buffer_slice(&session->visit->selected));
        return !carry->target.failed && !carry->source.failed;
    }
    struct buffer name = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    bool named = folder_name_from_directory(session->view.folder->directory, &name);
    append_name(session, buffer_slice(&name), false, &carry->source);
    buffer_clear(&name);
    return named && !carry->target.failed && !carry->source.failed;
}

static bool begin_visits(struct session *session, struct carry *carry, struct slice owner)
{
    carry->from.visit = carry->is_own
                            ? visit_begin(session, slice_of_string(session->mailbox->account))
                            : session->visit;
    session->forwarded =
        carry->from.visit; /* and so ends with the command, unless it is selected */
    carry->to.visit = carry->from.visit ? visit_begin(session, owner) : NULL;
    if (carry->from.visit)
        carry->heard_before = carry->from.visit->hears;
    if (carry->to.visit)
        carry->to.visit->hears = hear_target; /* it may never be open */
    return carry->to.visit != NULL;
}

static struct carry *new_carry(struct session *session)
{
    struct carry *carry = session_alloc(session, sizeof(*carry));
    if (!carry)
        return NULL;
    carry->move = session->command->handler == command_move;
    carry->is_own = session->state == SESSION_SELECTED;
    buffer_init(&carry->source, 8 * MAILBOX_NAME_MAX);
    buffer_init(&carry->target, 8 * MAILBOX_NAME_MAX);
    buffer_init(&carry->code, CODE_OCTETS);
    buffer_init(&carry->from.line, LINE_OCTETS);
    buffer_init(&carry->from.tagged, LINE_OCTETS);
    buffer_init(&carry->to.line, LINE_OCTETS);
    buffer_init(&carry->to.tagged, LINE_OCTETS);
    sequence_set_init(&carry->listed, &session->arena);
    sequence_set_init(&carry->done, &session->arena);
    session->work = carry;
    session->on_end = give_back;
    return carry;
}

void carry_begin(struct session *session, struct imap_parser *arguments)
{
    struct folder_argument folder = {.is_shared = false};
    struct carry *carry = new_carry(session);
    if (!carry)
        return;
    if (!parse(session, arguments, carry, &folder)) {
        session_bad_arguments(session, arguments);
    } else if (check(session, carry, &folder)) {
        if (!name_both(session, carry, &folder)
            || !begin_visits(session, carry, owner_of(session, &folder))) {
            session_no(session, SLICE("UNAVAILABLE"), "The other account cannot be asked now");
            return;
        }
        session_wait(session, carry_step);
        if (carry->is_own || carry->move)
            open_source(session, carry);
        else
            begin_listing(session, carry);
    }
}

void carry_on_drained(struct session *session)
{
    const struct carry *carry = session->work;
    if (session->on_end == give_back && carry->to.visit)
        visit_go_on(carry->to.visit);
}
