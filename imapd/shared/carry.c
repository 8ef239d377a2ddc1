/*
 * COPY and MOVE between accounts; see carry.h. The command is one step, run by phase:
 *
 *     OPENING ──> LISTING ──> FETCHING ─(each message)─> STORING ──> [REMOVING] ──> answer
 *
 * Input of a visit only changes the struct, and lets the step run in the next turn. The source is
 * held while the target has not sent "+" for a message, or takes no more octets.
 */
#include "imapd/shared/carry.h"

#include "common/config/config.h"
#include "imapd/commands/commands.h"
#include "imapd/mailbox.h"
#include "imapd/shared/carry_internal.h"
#include "imapd/shared/shared_names.h"
#include "imapd/syntax/folder_argument.h"
#include "imapd/syntax/mailbox_name.h"
#include "storage/expunged.h"
#include "storage/folder_name.h"

enum { CODE_OCTETS = 1 << 22 };

static void carry_step(struct session *session);

/* ---- ends ---- */

static void give_back(struct session *session)
{
    struct carry *carry = session->work;
    if (carry->from.visit) {
        carry->from.visit->is_held = false;
        carry->from.visit->hears = carry->heard_before;
    }
    visit_end(carry->to.visit);
    exchange_clear(&carry->from);
    exchange_clear(&carry->to);
    buffer_clear(&carry->source);
    buffer_clear(&carry->target);
    buffer_clear(&carry->code);
}

void carry_fail(struct session *session, const struct carry *carry)
{
    if (carry->to.lost && carry->to.visit->is_unknown)
        session_no(session, SLICE("NONEXISTENT"), "There is no such mailbox");
    else if (exchange_is_refused(&carry->to))
        exchange_relay(&carry->to, session);
    else if (exchange_is_refused(&carry->from))
        exchange_relay(&carry->from, session);
    else
        session_no(session, SLICE("UNAVAILABLE"), "The other account cannot be asked now");
}

void carry_succeed(struct session *session, struct carry *carry)
{
    struct buffer code = carry->code;
    carry->code = (struct buffer){.limit = 0};
    if (carry->move)
        session_ok(session, SLICE(""), "Moved");
    else
        session_ok(session, buffer_slice(&code), "Copied");
    buffer_clear(&code);
}

/* ---- news of the source ---- */

void carry_pass_line(struct session *session, struct exchange *from)
{
    buffer_append(&session->writer.text, buffer_slice(&from->line));
    buffer_reset(&from->line);
}

/* The selected mailbox is lost, and with it the session. */
bool carry_is_over(struct visit *visit, enum answer_part part)
{
    struct carry *carry = carry_of(visit);
    if (part != ANSWER_LOST || carry->is_own)
        return false;
    carry->heard_before(visit, part, SLICE(""));
    return true;
}

/* News of the selected mailbox goes to the client. */
void carry_hear_news(struct visit *visit, enum answer_part part, struct slice octets)
{
    struct carry *carry = carry_of(visit);
    if (!carry_is_over(visit, part) && !exchange_take_end(&carry->from, visit, part, octets)
        && !carry->is_own)
        buffer_append(&visit->session->writer.text, octets);
}

/* ---- opening ---- */

/* "* MYRIGHTS name rights" */
static void hear_rights(struct visit *visit, enum answer_part part, struct slice octets)
{
    struct carry *carry = carry_of(visit);
    if (carry_is_over(visit, part) || exchange_take_end(&carry->from, visit, part, octets))
        return;
    if (!exchange_gather(&carry->from, visit->session, octets))
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
        carry_pass_line(visit->session, &carry->from);
    buffer_reset(&carry->from.line);
}

static void rights_phase(struct session *session, struct carry *carry)
{
    if (exchange_has_failed(&carry->from))
        carry_fail(session, carry);
    else if (exchange_is_answered(&carry->from) && !carry->may_remove)
        session_no(session, SLICE("NOPERM"), "You have no right to remove messages there");
    else if (exchange_is_answered(&carry->from))
        carry_begin_listing(session, carry);
}

/* SELECT in the visit to our own account; its responses are discarded. */
static void open_phase(struct session *session, struct carry *carry)
{
    if (exchange_has_failed(&carry->from))
        carry_fail(session, carry);
    else if (exchange_is_answered(&carry->from))
        carry_begin_fetching(session, carry);
}

static void open_source(struct carry *carry)
{
    struct buffer command = BUFFER_WITH_LIMIT(EXCHANGE_LINE_OCTETS);
    buffer_append(&command, carry->is_own ? (carry->move ? SLICE("SELECT ") : SLICE("EXAMINE "))
                                          : SLICE("MYRIGHTS "));
    buffer_append(&command, buffer_slice(&carry->source));
    carry->phase = carry->is_own ? open_phase : rights_phase;
    exchange_ask(&carry->from, &command, carry->is_own ? carry_hear_news : hear_rights);
    buffer_clear(&command);
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

/* ---- the command ---- */

/* The name by which another process, or ours on a visit, knows it. */
static void append_name(const struct session *session, struct slice name, bool is_shared,
                        struct buffer *text)
{
    struct buffer whole = BUFFER_WITH_LIMIT(4 * MAILBOX_NAME_MAX);
    if (!is_shared) {
        buffer_append_string(&whole, session->mailbox->config->imap.shared.text);
        buffer_append_octet(&whole, '/');
        buffer_append_string(&whole, session->mailbox->account);
        buffer_append_octet(&whole, '/');
    }
    buffer_append(&whole, name);
    exchange_append_name(session, buffer_slice(&whole), text);
    buffer_clear(&whole);
}

/* Whose it is: "Shared/owner/name", or ours. */
static struct slice owner_of(const struct session *session, const struct folder_argument *folder)
{
    return folder->is_shared ? shared_names_owner(session, folder->name)
                             : slice_of_string(session->mailbox->account);
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
    if (!carry->to.visit)
        return false;
    carry->to.visit->hears = carry_hear_target; /* it may never be open */
    visit_bound_silence(carry->from.visit, true);
    visit_bound_silence(carry->to.visit, true);
    return true;
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
    exchange_init(&carry->from);
    exchange_init(&carry->to);
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
            open_source(carry);
        else
            carry_begin_listing(session, carry);
    }
}
