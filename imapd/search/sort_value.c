/* The values of sort_value.h. */
#include "imapd/search/sort_value.h"

#include "common/mime/encoded_word.h"
#include "common/text/date.h"
#include "imapd/search/base_subject.h"
#include "imapd/search/search_text.h"

enum {
    SCRATCH_OCTETS = 16 << 20,
    TEXT_OCTETS = 1 << 20, /* of a field, decoded */
    KEPT_OCTETS = 1024,    /* of a value: what differs only after them is equal */
};

/* --- what the items are read for --- */

static bool needs_envelope(enum sort_kind kind)
{
    return kind != SORT_ARRIVAL && kind != SORT_SIZE;
}

static void add_item(struct sort_values *values, size_t *count, enum fetch_kind kind)
{
    values->items[*count] = (struct fetch_item){.kind = kind};
    if (*count > 0)
        values->items[*count - 1].next = &values->items[*count];
    ++*count;
}

void sort_values_init(struct sort_values *values, struct folder *folder,
                      const struct sort_program *program)
{
    bool envelope = false, date = false, size = false;
    size_t count = 0;
    *values = (struct sort_values){.program = program};
    for (size_t i = 0; i < program->count; i++) {
        enum sort_kind kind = program->keys[i].kind;
        envelope = envelope || needs_envelope(kind);
        date = date || kind == SORT_ARRIVAL || kind == SORT_DATE;
        size = size || kind == SORT_SIZE;
    }
    if (envelope)
        add_item(values, &count, FETCH_ENVELOPE);
    if (date)
        add_item(values, &count, FETCH_INTERNALDATE);
    if (size)
        add_item(values, &count, FETCH_SIZE);
    arena_init(&values->scratch, SCRATCH_OCTETS);
    fetch_values_init(&values->fetched, folder, values->items);
}

void sort_values_want_ids(struct sort_values *values)
{
    struct folder *folder = values->fetched.source.folder;
    size_t count = 1;
    while (values->items[count - 1].next)
        count++;
    fetch_values_clear(&values->fetched);
    add_item(values, &count, FETCH_REFERENCES);
    fetch_values_init(&values->fetched, folder, values->items);
}

void sort_values_clear(struct sort_values *values)
{
    if (!values->program)
        return;
    fetch_values_clear(&values->fetched);
    arena_clear(&values->scratch);
    values->program = NULL;
}

/* --- an ENVELOPE, read again --- */

struct first_address {
    struct slice name, mailbox, host; /* .ptr NULL: NIL, or no address */
};

struct envelope {
    struct slice date, subject;
    struct first_address lists[6]; /* from, sender, reply-to, to, cc, bcc */
};

/* address = "(" addr-name SP addr-adl SP addr-mailbox SP addr-host ")"    RFC 3501 9 */
static bool read_address(struct imap_parser *in, struct first_address *address)
{
    struct slice route;
    return imap_parse_octet(in, '(', "(") && imap_parse_nstring(in, &address->name)
           && imap_parse_space(in) && imap_parse_nstring(in, &route) && imap_parse_space(in)
           && imap_parse_nstring(in, &address->mailbox) && imap_parse_space(in)
           && imap_parse_nstring(in, &address->host) && imap_parse_octet(in, ')', ")");
}

/* "(" 1*address ")" / nil: the first of them */
static bool read_addresses(struct imap_parser *in, struct first_address *first)
{
    struct first_address another;
    struct slice nil;
    *first = (struct first_address){.name = {NULL, 0}};
    if (!imap_skip_octet(in, '('))
        return imap_parse_nstring(in, &nil);
    if (!read_address(in, first))
        return false;
    while (!imap_skip_octet(in, ')'))
        if (!read_address(in, &another))
            return false;
    return true;
}

static bool read_envelope(struct imap_parser *in, struct envelope *envelope)
{
    if (!imap_parse_octet(in, '(', "(") || !imap_parse_nstring(in, &envelope->date)
        || !imap_parse_space(in) || !imap_parse_nstring(in, &envelope->subject))
        return false;
    for (size_t i = 0; i < 6; i++)
        if (!imap_parse_space(in) || !read_addresses(in, &envelope->lists[i]))
            return false;
    return true;
}

/* --- values --- */

/* i;unicode-casemap has letters in their upper case (RFC 5051 2), which matters for what stands
 * between the two. */
static bool keep_folded(struct slice utf8, struct arena *arena, struct slice *kept)
{
    struct buffer folded = BUFFER_WITH_LIMIT(64 + 64 * utf8.len);
    search_fold(utf8, &folded);
    for (size_t i = 0; i < folded.len; i++)
        if (folded.ptr[i] >= 'a' && folded.ptr[i] <= 'z')
            folded.ptr[i] = (uint8_t)(folded.ptr[i] - 'a' + 'A');
    size_t length = folded.len < KEPT_OCTETS ? folded.len : KEPT_OCTETS;
    *kept = arena_copy(arena, slice_range(buffer_slice(&folded), 0, length));
    bool done = !folded.failed && kept->ptr;
    buffer_clear(&folded);
    return done;
}

static bool keep_subject(struct slice subject, struct arena *arena, struct slice *kept,
                         bool *is_reply)
{
    struct buffer text = BUFFER_WITH_LIMIT(TEXT_OCTETS);
    base_subject_decode(subject, &text);
    bool done =
        !text.failed && keep_folded(base_subject_find(buffer_slice(&text), is_reply), arena, kept);
    buffer_clear(&text);
    return done;
}

static bool keep_decoded(struct slice field, struct arena *arena, struct slice *kept)
{
    struct buffer text = BUFFER_WITH_LIMIT(TEXT_OCTETS);
    encoded_word_decode(field, &text);
    bool done = !text.failed && keep_folded(buffer_slice(&text), arena, kept);
    buffer_clear(&text);
    return done;
}

/* "the addr-name ... if it is present ... otherwise addr-mailbox "@" addr-host" (RFC 5957 3) */
static bool keep_display(const struct first_address *address, struct arena *arena,
                         struct slice *kept)
{
    struct buffer text = BUFFER_WITH_LIMIT(TEXT_OCTETS);
    if (address->name.len > 0) {
        encoded_word_decode(address->name, &text);
    } else {
        encoded_word_decode(address->mailbox, &text);
        buffer_append_string(&text, address->host.len > 0 ? "@" : "");
        encoded_word_decode(address->host, &text);
    }
    bool done = !text.failed && keep_folded(buffer_slice(&text), arena, kept);
    buffer_clear(&text);
    return done;
}

/* RFC 5256 2.2 */
static int64_t sent_date(const struct envelope *envelope, int64_t internal_date)
{
    struct date date;
    return envelope->date.ptr && date_parse_message(envelope->date, &date) ? date.seconds
                                                                           : internal_date;
}

static bool make_value(const struct sort_values *values, enum sort_kind kind,
                       const struct envelope *envelope, struct arena *arena,
                       struct sort_value *value, bool *is_reply)
{
    enum { FROM = 0, TO = 3, CC = 4 };
    uint64_t octets = values->fetched.facts.crlf_octets;
    switch (kind) {
    case SORT_ARRIVAL:
        value->number = values->fetched.facts.internal_date;
        return true;
    case SORT_DATE:
        value->number = sent_date(envelope, values->fetched.facts.internal_date);
        return true;
    case SORT_SIZE:
        message_source_octets(&values->fetched.source, &octets);
        value->number = (int64_t)octets;
        return true;
    case SORT_SUBJECT:
        return keep_subject(envelope->subject, arena, &value->text, is_reply);
    case SORT_FROM:
        return keep_decoded(envelope->lists[FROM].mailbox, arena, &value->text);
    case SORT_TO:
        return keep_decoded(envelope->lists[TO].mailbox, arena, &value->text);
    case SORT_CC:
        return keep_decoded(envelope->lists[CC].mailbox, arena, &value->text);
    case SORT_DISPLAYFROM:
        return keep_display(&envelope->lists[FROM], arena, &value->text);
    case SORT_DISPLAYTO:
        return keep_display(&envelope->lists[TO], arena, &value->text);
    }
    return false;
}

enum source_result sort_values_find(struct sort_values *values, uint32_t uid, struct arena *arena,
                                    struct sort_entry *entry, bool *is_reply, struct error *error)
{
    const struct sort_program *program = values->program;
    struct envelope envelope = {.date = {NULL, 0}};
    struct imap_parser parser;
    if (values->fetched.source.uid != uid)
        fetch_values_turn_to(&values->fetched, uid);
    enum source_result result = fetch_values_prepare(&values->fetched, error);
    if (result != SOURCE_DONE)
        return result;
    arena_reset(&values->scratch);
    imap_parser_init(&parser, values->fetched.texts[INDEX_ENVELOPE], &values->scratch);
    bool made = !values->fetched.texts[INDEX_ENVELOPE].ptr || read_envelope(&parser, &envelope);
    struct sort_value *all = arena_alloc_array(arena, program->count, sizeof(*all));
    made = made && all;
    *is_reply = false;
    for (size_t i = 0; i < program->count && made; i++)
        made = make_value(values, program->keys[i].kind, &envelope, arena, &all[i], is_reply);
    entry->values = all;
    if (made)
        return SOURCE_DONE;
    error_memory(error);
    return SOURCE_FAILED;
}
