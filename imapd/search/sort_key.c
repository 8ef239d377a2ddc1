/* The criteria of sort_key.h. */
#include "imapd/search/sort_key.h"

#include <stdlib.h>

#include "common/size.h"

static const struct {
    struct slice name;
    enum sort_kind kind;
} names[] = {
    {SLICE("ARRIVAL"), SORT_ARRIVAL},
    {SLICE("CC"), SORT_CC},
    {SLICE("DATE"), SORT_DATE},
    {SLICE("FROM"), SORT_FROM},
    {SLICE("SIZE"), SORT_SIZE},
    {SLICE("SUBJECT"), SORT_SUBJECT},
    {SLICE("TO"), SORT_TO},
    {SLICE("DISPLAYFROM"), SORT_DISPLAYFROM},
    {SLICE("DISPLAYTO"), SORT_DISPLAYTO},
};

/* ["REVERSE" SP] sort-key */
static bool parse_criterion(struct imap_parser *parser, struct sort_key *key)
{
    key->reverse = imap_skip_word(parser, SLICE("REVERSE"));
    if (key->reverse && !imap_parse_space(parser))
        return false;
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        if (!imap_skip_word(parser, names[i].name))
            continue;
        key->kind = names[i].kind;
        return true;
    }
    return imap_parser_fail(parser, "a sort key that we know");
}

bool sort_program_parse(struct imap_parser *parser, struct sort_program *program)
{
    struct cursor start = parser->in;
    program->count = 0;
    bool parsed = imap_parse_octet(parser, '(', "sort criteria in parentheses");
    while (parsed) {
        if (program->count == SORT_KEYS_MAX)
            parsed = imap_parser_fail(parser, "fewer sort criteria");
        parsed = parsed && parse_criterion(parser, &program->keys[program->count++]);
        if (!parsed || !imap_skip_octet(parser, ' '))
            break;
    }
    if (parsed && imap_parse_octet(parser, ')', "a sort key or \")\""))
        return true;
    parser->in = start;
    return false;
}

static int compare_values(const struct sort_value *a, const struct sort_value *b)
{
    size_t common = a->text.len < b->text.len ? a->text.len : b->text.len;
    int order = common > 0 ? memcmp(a->text.ptr, b->text.ptr, common) : 0;
    if (order == 0)
        order = (a->text.len > b->text.len) - (a->text.len < b->text.len);
    return order != 0 ? order : (a->number > b->number) - (a->number < b->number);
}

static int compare_entries(const void *a, const void *b, void *context)
{
    const struct sort_entry *left = a;
    const struct sort_entry *right = b;
    const struct sort_program *program = context;
    for (size_t i = 0; i < program->count; i++) {
        int order = compare_values(&left->values[i], &right->values[i]);
        if (order != 0)
            return program->keys[i].reverse ? -order : order;
    }
    return (left->position > right->position) - (left->position < right->position);
}

void sort_entries(struct sort_entry *entries, size_t count, const struct sort_program *program)
{
    struct sort_program copy = *program; /* qsort_r wants it writable */
    if (count > 1)
        qsort_r(entries, count, sizeof(entries[0]), compare_entries, &copy);
}
