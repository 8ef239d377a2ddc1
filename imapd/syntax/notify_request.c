/* The grammar of notify_request.h. */
#include "imapd/syntax/notify_request.h"

#include "common/size.h"
#include "imapd/fetch/fetch_item.h"

const char notify_events[] = "MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange "
                             "MailboxMetadataChange ServerMetadataChange";

static const struct event_word {
    struct slice name;
    unsigned event;
} event_words[] = {
    {SLICE("MessageNew"), NOTIFY_MESSAGE_NEW},
    {SLICE("MessageExpunge"), NOTIFY_MESSAGE_EXPUNGE},
    {SLICE("FlagChange"), NOTIFY_FLAG_CHANGE},
    {SLICE("MailboxName"), NOTIFY_MAILBOX_NAME},
    {SLICE("SubscriptionChange"), NOTIFY_SUBSCRIPTION_CHANGE},
    {SLICE("MailboxMetadataChange"), NOTIFY_MAILBOX_METADATA},
    {SLICE("ServerMetadataChange"), NOTIFY_SERVER_METADATA},
};

void notify_events_format(unsigned events, struct buffer *text)
{
    const char *separator = "(";
    for (size_t i = 0; i < ARRAY_LENGTH(event_words); i++) {
        if (!(events & event_words[i].event))
            continue;
        buffer_append_string(text, separator);
        buffer_append(text, event_words[i].name);
        separator = " ";
    }
    buffer_append_string(text, events ? ")" : "NONE");
}

static bool is_of_selected(const struct notify_group *group)
{
    return group->filter.kind & (FILTER_SELECTED | FILTER_SELECTED_DELAYED);
}

/* ---- events ---- */

/* "MessageNew" [SP "(" fetch-att *(SP fetch-att) ")"]: the list is kept as sent. */
static bool parse_message_data(struct imap_parser *parser, struct slice *data)
{
    struct cursor in = parser->in;
    struct fetch_item *items;
    uint8_t octet;
    if (!cursor_skip(&in, ' ') || !cursor_peek(&in, &octet) || octet != '(')
        return true;
    struct cursor start = in;
    parser->in = in;
    if (!fetch_items_parse(parser, &items))
        return false;
    *data = arena_copy(parser->arena, cursor_since(&parser->in, &start));
    return data->ptr || imap_parser_exhaust(parser);
}

static bool parse_event(struct imap_parser *parser, struct notify_request *request,
                        struct notify_group *group)
{
    struct slice name, ignored;
    unsigned event = 0;
    if (!imap_parse_atom(parser, &name))
        return imap_parser_fail(parser, "an event");
    for (size_t i = 0; i < ARRAY_LENGTH(event_words); i++)
        if (slice_equal_nocase(event_words[i].name, name))
            event = event_words[i].event;
    group->events |= event;
    request->knows_all_events &= event != 0;
    if (event != NOTIFY_MESSAGE_NEW)
        return true;
    return parse_message_data(parser, is_of_selected(group) ? &request->message_data : &ignored);
}

/* 5: MessageNew and MessageExpunge go together, FlagChange goes with them; 6.1: of the selected
 * mailbox there are no other events. */
static bool check_events(struct imap_parser *parser, const struct notify_group *group)
{
    unsigned both = NOTIFY_MESSAGE_NEW | NOTIFY_MESSAGE_EXPUNGE;
    unsigned messages = group->events & NOTIFY_MESSAGE_EVENTS;
    if (messages != 0 && (messages & both) != both)
        return imap_parser_fail(parser, "MessageNew and MessageExpunge together");
    if (is_of_selected(group) && group->events != messages)
        return imap_parser_fail(parser, "events of messages for the selected mailbox");
    return true;
}

/* events = ("(" event *(SP event) ")") / "NONE" */
static bool parse_events(struct imap_parser *parser, struct notify_request *request,
                         struct notify_group *group)
{
    if (imap_skip_word(parser, SLICE("NONE")))
        return true;
    if (!imap_parse_octet(parser, '(', "events in parentheses, or NONE"))
        return false;
    do {
        if (!parse_event(parser, request, group))
            return false;
    } while (imap_skip_octet(parser, ' '));
    return imap_parse_octet(parser, ')', "an event or \")\"") && check_events(parser, group);
}

/* ---- all of it ---- */

/* event-group = "(" filter-mailboxes SP events ")" */
static bool parse_group(struct imap_parser *parser, struct notify_request *request)
{
    struct notify_group *group = &request->groups[request->group_count];
    if (request->group_count == NOTIFY_GROUPS_MAX)
        return imap_parser_exhaust(parser);
    *group = (struct notify_group){.events = 0};
    if (!imap_parse_octet(parser, '(', "a group of events")
        || !mailbox_filter_parse(parser, ~(unsigned)FILTER_SUBTREE_ONE, &group->filter)
        || !imap_parse_space(parser) || !parse_events(parser, request, group)
        || !imap_parse_octet(parser, ')', "\")\""))
        return false;
    for (size_t i = 0; is_of_selected(group) && i < request->group_count; i++)
        if (is_of_selected(&request->groups[i]))
            return imap_parser_fail(parser, "the selected mailbox once");
    request->group_count++;
    return true;
}

bool notify_request_parse(struct imap_parser *parser, struct notify_request *request)
{
    *request = (struct notify_request){.knows_all_events = true};
    if (!imap_parse_space(parser))
        return false;
    if (imap_skip_word(parser, SLICE("NONE")))
        return imap_parse_end(parser);
    if (!imap_skip_word(parser, SLICE("SET")) || !imap_parse_space(parser))
        return imap_parser_fail(parser, "SET or NONE");
    request->wants_status = imap_skip_word(parser, SLICE("STATUS"));
    request->groups = arena_alloc_array(parser->arena, NOTIFY_GROUPS_MAX, sizeof(*request->groups));
    if (!request->groups)
        return imap_parser_exhaust(parser);
    if (request->wants_status && !imap_parse_space(parser))
        return false;
    do {
        if (!parse_group(parser, request))
            return false;
    } while (imap_skip_octet(parser, ' '));
    return imap_parse_end(parser);
}
