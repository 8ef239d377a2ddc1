/* imapd/syntax/parser.h, fetch_item.h, list_request.h, metadata.h, notify_request.h, search_key.h,
 * search_return.h, sequence_set.h: what parses is formatted into what parses to the same. The first
 * octet chooses the rule. */
#include <stdlib.h>

#include "common/size.h"
#include "imapd/fetch/fetch_item.h"
#include "imapd/search/search_key.h"
#include "imapd/search/search_return.h"
#include "imapd/syntax/list_request.h"
#include "imapd/syntax/notify_request.h"
#include "imapd/syntax/writer.h"

enum { ARENA_LIMIT = 1 << 18 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void fuzz_fetch(struct imap_parser *parser)
{
    struct fetch_item *item;
    if (!fetch_items_parse(parser, &item))
        return;
    for (; item; item = item->next) {
        struct imap_parser again;
        struct fetch_item *same;
        if (item->partial) /* an answer does not say how long it was to be */
            continue;
        imap_parser_init(&again, item->label, parser->arena);
        if (fetch_items_parse(&again, &same))
            check(slice_equal(same->label, item->label) && imap_parser_at_end(&again));
        else
            check(again.exhausted);
    }
}

static void fuzz_search(struct imap_parser *parser)
{
    struct search_program program;
    struct search_return returns;
    size_t first, end;
    if (!search_return_parse(parser, &returns))
        return;
    if (returns.items & SEARCH_RETURNS_PARTIAL) {
        partial_range_resolve(&returns.partial, 1000, &first, &end);
        check(first <= end && end <= 1000);
    }
    if (search_program_parse(parser, &program))
        check(program.key != NULL);
}

static void fuzz_string(struct imap_parser *parser)
{
    struct slice string, same;
    struct buffer text = BUFFER_WITH_LIMIT(1 << 20);
    if (imap_parse_astring(parser, &string)) {
        struct imap_parser again;
        imap_append_astring(&text, string);
        imap_parser_init(&again, buffer_slice(&text), parser->arena);
        check(imap_parse_astring(&again, &same) ? slice_equal(same, string) : again.exhausted);
    }
    buffer_clear(&text);
}

static void fuzz_set(struct imap_parser *parser)
{
    struct sequence_set set, same;
    struct buffer text = BUFFER_WITH_LIMIT(1 << 20);
    if (imap_parse_sequence_set(parser, &set)) {
        sequence_set_resolve(&set, 1000);
        sequence_set_format(&set, &text);
        struct cursor in = cursor_of(buffer_slice(&text));
        if (sequence_set_parse(&in, parser->arena, &same)) {
            sequence_set_resolve(&same, 1);
            check(same.count == set.count && sequence_set_size(&same) == sequence_set_size(&set));
            check(sequence_set_contains(&set, sequence_set_largest(&set)));
        }
    }
    buffer_clear(&text);
}

static void fuzz_flags(struct imap_parser *parser)
{
    struct imap_flags flags;
    unsigned items;
    struct date date;
    if (imap_parse_store_flags(parser, &flags))
        check(flags.keyword_count == 0 || flags.keywords[0].len > 0);
    imap_parse_status_items(parser, &items);
    imap_parse_date_time(parser, &date);
}

static void fuzz_list(struct imap_parser *parser)
{
    struct list_request request;
    if (list_request_parse(parser, &request))
        check(request.pattern_count > 0 && imap_parser_at_end(parser));
}

/* RFC 5465 5: whatever else, one kind of event of messages is never without the other. */
static void fuzz_notify(struct imap_parser *parser)
{
    enum { BOTH = NOTIFY_MESSAGE_NEW | NOTIFY_MESSAGE_EXPUNGE };
    struct notify_request request;
    if (!notify_request_parse(parser, &request))
        return;
    check(imap_parser_at_end(parser));
    for (size_t i = 0; i < request.group_count; i++) {
        unsigned messages = request.groups[i].events & NOTIFY_MESSAGE_EVENTS;
        check(messages == 0 || (messages & BOTH) == BOTH);
        mailbox_filter_matches(&request.groups[i].filter, SLICE("a/b/c"), true);
    }
}

/* Each entry that is asked for is told once: as it is, as NIL, or not for its length. */
static void fuzz_metadata(struct imap_parser *parser)
{
    struct metadata_request request;
    struct annotations annotations;
    struct buffer text = BUFFER_WITH_LIMIT(1 << 20);
    uint64_t longest = 0;
    annotations_init(&annotations, 1 << 16);
    check(annotations_set(&annotations, SLICE("/private/a"), SLICE("x\0y")));
    check(annotations_set(&annotations, SLICE("/private/a/b"), SLICE("\r\n\"")));
    if (metadata_request_parse_entries(parser, &request)) {
        check(request.entry_count > 0);
        metadata_write(&request, &annotations, SLICE("box"), &text, &longest);
        check(text.len == 0 || slice_ends_with(buffer_slice(&text), SLICE(")\r\n")));
        check(text.len > 0 || longest > 0 || request.depth != METADATA_ENTRY_ALONE);
    }
    annotations_clear(&annotations);
    buffer_clear(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const rules[])(struct imap_parser *) = {fuzz_fetch,  fuzz_search,  fuzz_string,
                                                          fuzz_set,    fuzz_flags,   fuzz_list,
                                                          fuzz_notify, fuzz_metadata};
    if (size < 1)
        return 0;
    struct arena arena;
    struct imap_parser parser;
    arena_init(&arena, ARENA_LIMIT);
    imap_parser_init(&parser, slice_of(data + 1, size - 1), &arena);
    rules[data[0] % ARRAY_LENGTH(rules)](&parser);
    arena_clear(&arena);
    return 0;
}
