/* Parsing and evaluation of filters; see mailbox_filter.h. */
#include "imapd/syntax/mailbox_filter.h"

#include "common/size.h"
#include "imapd/syntax/folder_argument.h"

static const struct filter_word {
    struct slice name;
    enum mailbox_filter_kind kind;
} words[] = {
    {SLICE("selected"), FILTER_SELECTED},
    {SLICE("selected-delayed"), FILTER_SELECTED_DELAYED},
    {SLICE("inboxes"), FILTER_PERSONAL},
    {SLICE("personal"), FILTER_PERSONAL},
    {SLICE("subscribed"), FILTER_SUBSCRIBED},
    {SLICE("subtree"), FILTER_SUBTREE},
    {SLICE("subtree-one"), FILTER_SUBTREE_ONE},
    {SLICE("mailboxes"), FILTER_MAILBOXES},
};

static bool add_shared(struct imap_parser *parser, struct mailbox_filter *filter, struct slice name)
{
    if (!filter->shared)
        filter->shared =
            arena_alloc_array(parser->arena, FILTER_NAMES_MAX, sizeof(*filter->shared));
    if (!filter->shared || filter->shared_count == FILTER_NAMES_MAX)
        return imap_parser_exhaust(parser);
    filter->shared[filter->shared_count++] = name;
    return true;
}

static bool parse_name(struct imap_parser *parser, struct mailbox_filter *filter)
{
    struct folder_argument folder;
    if (filter->name_count == FILTER_NAMES_MAX)
        return imap_parser_exhaust(parser);
    if (!folder_argument_parse(parser, &folder))
        return false;
    if (folder.is_shared)
        return add_shared(parser, filter, folder.name);
    if (!folder.problem)
        filter->names[filter->name_count++] = folder.name;
    return true;
}

/* one-or-more-mailbox = mailbox / "(" mailbox *(SP mailbox) ")" */
static bool parse_names(struct imap_parser *parser, struct mailbox_filter *filter)
{
    filter->names = arena_alloc_array(parser->arena, FILTER_NAMES_MAX, sizeof(*filter->names));
    if (!filter->names)
        return imap_parser_exhaust(parser);
    if (!imap_skip_octet(parser, '('))
        return parse_name(parser, filter);
    do {
        if (!parse_name(parser, filter))
            return false;
    } while (imap_skip_octet(parser, ' '));
    return imap_parse_octet(parser, ')', "a mailbox name or \")\"");
}

bool mailbox_filter_parse(struct imap_parser *parser, unsigned allowed,
                          struct mailbox_filter *filter)
{
    enum { NAMED = FILTER_SUBTREE | FILTER_SUBTREE_ONE | FILTER_MAILBOXES };
    *filter = (struct mailbox_filter){.name_count = 0};
    for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
        if (!(words[i].kind & allowed) || !imap_skip_word(parser, words[i].name))
            continue;
        filter->kind = words[i].kind;
        return !(filter->kind & NAMED) || (imap_parse_space(parser) && parse_names(parser, filter));
    }
    return imap_parser_fail(parser, "which mailboxes are meant");
}

static bool is_meant(const struct mailbox_filter *filter, struct slice given, struct slice name)
{
    if (slice_equal(name, given))
        return true;
    if (filter->kind == FILTER_MAILBOXES || !slice_starts_with(name, given)
        || name.ptr[given.len] != '/')
        return false;
    struct slice below = slice_from(name, given.len + 1);
    return filter->kind == FILTER_SUBTREE || slice_find_octet(below, '/') == below.len;
}

bool mailbox_filter_matches(const struct mailbox_filter *filter, struct slice name,
                            bool is_subscribed)
{
    if (filter->kind == FILTER_PERSONAL)
        return true;
    if (filter->kind == FILTER_SUBSCRIBED)
        return is_subscribed;
    for (size_t i = 0; i < filter->name_count; i++)
        if (is_meant(filter, filter->names[i], name))
            return true;
    return false;
}
