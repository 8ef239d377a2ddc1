/* The parser of search_key.h: one table of names, one function for each form of argument. */
#include "imapd/search/search_key.h"

#include "common/size.h"
#include "storage/maildir_name.h"

enum argument {
    NO_ARGUMENT,
    DATE_ARGUMENT,
    NUMBER_ARGUMENT,
    SECONDS_ARGUMENT,
    OBJECT_ARGUMENT,
    STRING_ARGUMENT,
    FIELD_ARGUMENT, /* header-fld-name SP astring */
    KEYWORD_ARGUMENT,
    UID_ARGUMENT,
    UID_AFTER_ARGUMENT,
    UID_BEFORE_ARGUMENT,
    MODSEQ_ARGUMENT,
    ONE_KEY,
    TWO_KEYS,
};

static const struct key_name {
    struct slice name;
    enum search_kind kind;
    enum argument argument;
    bool negated;
    uint32_t flag;      /* of SEARCH_FLAG */
    struct slice field; /* of SEARCH_HEADER, where the name says it */
} key_names[] = {
    {SLICE("ALL"), SEARCH_ALL, NO_ARGUMENT, false, 0, {0}},
    {SLICE("ANSWERED"), SEARCH_FLAG, NO_ARGUMENT, false, MAILDIR_ANSWERED, {0}},
    {SLICE("BCC"), SEARCH_HEADER, STRING_ARGUMENT, false, 0, SLICE("Bcc")},
    {SLICE("BEFORE"), SEARCH_BEFORE, DATE_ARGUMENT, false, 0, {0}},
    {SLICE("BODY"), SEARCH_BODY, STRING_ARGUMENT, false, 0, {0}},
    {SLICE("CC"), SEARCH_HEADER, STRING_ARGUMENT, false, 0, SLICE("Cc")},
    {SLICE("DELETED"), SEARCH_FLAG, NO_ARGUMENT, false, MAILDIR_TRASHED, {0}},
    {SLICE("DRAFT"), SEARCH_FLAG, NO_ARGUMENT, false, MAILDIR_DRAFT, {0}},
    {SLICE("EMAILID"), SEARCH_EMAIL_ID, OBJECT_ARGUMENT, false, 0, {0}},
    {SLICE("FLAGGED"), SEARCH_FLAG, NO_ARGUMENT, false, MAILDIR_FLAGGED, {0}},
    {SLICE("FROM"), SEARCH_HEADER, STRING_ARGUMENT, false, 0, SLICE("From")},
    {SLICE("HEADER"), SEARCH_HEADER, FIELD_ARGUMENT, false, 0, {0}},
    {SLICE("KEYWORD"), SEARCH_KEYWORD, KEYWORD_ARGUMENT, false, 0, {0}},
    {SLICE("LARGER"), SEARCH_LARGER, NUMBER_ARGUMENT, false, 0, {0}},
    {SLICE("MODSEQ"), SEARCH_MODSEQ, MODSEQ_ARGUMENT, false, 0, {0}},
    {SLICE("NOT"), SEARCH_NOT, ONE_KEY, false, 0, {0}},
    {SLICE("OLD"), SEARCH_RECENT, NO_ARGUMENT, true, 0, {0}},
    {SLICE("OLDER"), SEARCH_OLDER, SECONDS_ARGUMENT, false, 0, {0}},
    {SLICE("ON"), SEARCH_ON, DATE_ARGUMENT, false, 0, {0}},
    {SLICE("OR"), SEARCH_OR, TWO_KEYS, false, 0, {0}},
    {SLICE("RECENT"), SEARCH_RECENT, NO_ARGUMENT, false, 0, {0}},
    {SLICE("SAVEDATESUPPORTED"), SEARCH_ALL, NO_ARGUMENT, false, 0, {0}},
    {SLICE("SAVEDBEFORE"), SEARCH_SAVED_BEFORE, DATE_ARGUMENT, false, 0, {0}},
    {SLICE("SAVEDON"), SEARCH_SAVED_ON, DATE_ARGUMENT, false, 0, {0}},
    {SLICE("SAVEDSINCE"), SEARCH_SAVED_SINCE, DATE_ARGUMENT, false, 0, {0}},
    {SLICE("SEEN"), SEARCH_FLAG, NO_ARGUMENT, false, MAILDIR_SEEN, {0}},
    {SLICE("SENTBEFORE"), SEARCH_SENT_BEFORE, DATE_ARGUMENT, false, 0, {0}},
    {SLICE("SENTON"), SEARCH_SENT_ON, DATE_ARGUMENT, false, 0, {0}},
    {SLICE("SENTSINCE"), SEARCH_SENT_SINCE, DATE_ARGUMENT, false, 0, {0}},
    {SLICE("SINCE"), SEARCH_SINCE, DATE_ARGUMENT, false, 0, {0}},
    {SLICE("SMALLER"), SEARCH_SMALLER, NUMBER_ARGUMENT, false, 0, {0}},
    {SLICE("SUBJECT"), SEARCH_HEADER, STRING_ARGUMENT, false, 0, SLICE("Subject")},
    {SLICE("TEXT"), SEARCH_TEXT, STRING_ARGUMENT, false, 0, {0}},
    {SLICE("THREADID"), SEARCH_ALL, OBJECT_ARGUMENT, true, 0, {0}}, /* no message has one */
    {SLICE("TO"), SEARCH_HEADER, STRING_ARGUMENT, false, 0, SLICE("To")},
    {SLICE("UID"), SEARCH_UID, UID_ARGUMENT, false, 0, {0}},
    {SLICE("UIDAFTER"), SEARCH_UID, UID_AFTER_ARGUMENT, false, 0, {0}},
    {SLICE("UIDBEFORE"), SEARCH_UID, UID_BEFORE_ARGUMENT, false, 0, {0}},
    {SLICE("UNANSWERED"), SEARCH_FLAG, NO_ARGUMENT, true, MAILDIR_ANSWERED, {0}},
    {SLICE("UNDELETED"), SEARCH_FLAG, NO_ARGUMENT, true, MAILDIR_TRASHED, {0}},
    {SLICE("UNDRAFT"), SEARCH_FLAG, NO_ARGUMENT, true, MAILDIR_DRAFT, {0}},
    {SLICE("UNFLAGGED"), SEARCH_FLAG, NO_ARGUMENT, true, MAILDIR_FLAGGED, {0}},
    {SLICE("UNKEYWORD"), SEARCH_KEYWORD, KEYWORD_ARGUMENT, true, 0, {0}},
    {SLICE("UNSEEN"), SEARCH_FLAG, NO_ARGUMENT, true, MAILDIR_SEEN, {0}},
    {SLICE("YOUNGER"), SEARCH_YOUNGER, SECONDS_ARGUMENT, false, 0, {0}},
};

static bool parse_key(struct imap_parser *parser, unsigned depth, struct search_key **key);

static struct search_key *new_key(struct imap_parser *parser, enum search_kind kind)
{
    struct search_key *key = arena_alloc(parser->arena, sizeof(*key));
    if (key)
        key->kind = kind;
    else
        imap_parser_exhaust(parser);
    return key;
}

static struct search_key *negate(struct imap_parser *parser, struct search_key *key)
{
    struct search_key *not = new_key(parser, SEARCH_NOT);
    if (not )
        not ->keys = key;
    return not ;
}

static bool parse_keyword(struct imap_parser *parser, struct search_key *key)
{
    if (!imap_parse_atom(parser, &key->text))
        return imap_parser_fail(parser, "a keyword");
    if (slice_equal_nocase(key->text, SLICE("$Forwarded"))) {
        key->kind = SEARCH_FLAG;
        key->flag = MAILDIR_PASSED;
    }
    return true;
}

/* objectid = 1*255(ALPHA / DIGIT / "_" / "-")    RFC 8474 7 */
static bool parse_object_id(struct imap_parser *parser, struct slice *id)
{
    enum { LONGEST = 255 };
    if (!imap_parse_atom(parser, id) || id->len > LONGEST)
        return imap_parser_fail(parser, "an object identifier");
    for (size_t i = 0; i < id->len; i++) {
        uint8_t octet = id->ptr[i];
        if (octet != '_' && (octet == '.' || !imap_is(octet, IMAP_WORD)))
            return imap_parser_fail(parser, "an object identifier");
    }
    return true;
}

/* [entry-name SP entry-type-req SP] mod-sequence-valzer    RFC 7162 7, search-modseq-ext. A message
 * has one MODSEQ for all of its flags, "as if the entry name had not been specified" (3.1.5). */
static bool parse_modseq(struct imap_parser *parser, struct search_key *key)
{
    struct slice entry;
    uint8_t first;
    bool has_entry = cursor_peek(&parser->in, &first) && first == '"';
    if (has_entry && (!imap_parse_string(parser, &entry) || !imap_parse_space(parser)))
        return false;
    if (has_entry && !imap_skip_word(parser, SLICE("all")) && !imap_skip_word(parser, SLICE("priv"))
        && !imap_skip_word(parser, SLICE("shared")))
        return imap_parser_fail(parser, "all, priv or shared");
    return (!has_entry || imap_parse_space(parser)) && imap_parse_modseq(parser, &key->modseq);
}

/* UIDAFTER, UIDBEFORE: uniqueid    RFC 9738 5. Without the one that is named. */
static bool parse_bound(struct imap_parser *parser, bool is_after, struct sequence_set *set)
{
    uint32_t uid;
    if (!imap_parse_nz_number(parser, &uid))
        return false;
    sequence_set_init(set, parser->arena);
    if (uid == (is_after ? UINT32_MAX : 1))
        return true;
    return (is_after ? sequence_set_add_range(set, uid + 1, UINT32_MAX)
                     : sequence_set_add_range(set, 1, uid - 1))
           || imap_parser_exhaust(parser);
}

/* `count` keys, each after a space */
static bool parse_operands(struct imap_parser *parser, unsigned depth, unsigned count,
                           struct search_key **end)
{
    for (unsigned i = 0; i < count; i++) {
        if (!imap_parse_space(parser) || !parse_key(parser, depth, end))
            return false;
        end = &(*end)->next;
    }
    return true;
}

/* astring. UTF-8 in quotes is taken from any client, as RFC 9051 9 has it: many send words so,
 * though RFC 3501 9 wants a literal. */
static bool parse_text(struct imap_parser *parser, struct slice *text)
{
    bool enabled = parser->utf8;
    parser->utf8 = true;
    bool parsed = imap_parse_astring(parser, text);
    parser->utf8 = enabled;
    return parsed;
}

static bool parse_argument(struct imap_parser *parser, enum argument argument, unsigned depth,
                           struct search_key *key)
{
    if (argument == NO_ARGUMENT)
        return true;
    if (argument == ONE_KEY || argument == TWO_KEYS)
        return parse_operands(parser, depth, argument == ONE_KEY ? 1 : 2, &key->keys);
    if (!imap_parse_space(parser))
        return false;
    switch (argument) {
    case DATE_ARGUMENT:
        return imap_parse_date(parser, &key->day);
    case NUMBER_ARGUMENT:
        return imap_parse_number64(parser, &key->octets);
    case SECONDS_ARGUMENT:
        return imap_parse_nz_number(parser, &key->seconds);
    case OBJECT_ARGUMENT:
        return parse_object_id(parser, &key->text);
    case STRING_ARGUMENT:
        return parse_text(parser, &key->text);
    case FIELD_ARGUMENT:
        return imap_parse_astring(parser, &key->field) && imap_parse_space(parser)
               && parse_text(parser, &key->text);
    case MODSEQ_ARGUMENT:
        return parse_modseq(parser, key);
    case KEYWORD_ARGUMENT:
        return parse_keyword(parser, key);
    case UID_AFTER_ARGUMENT:
    case UID_BEFORE_ARGUMENT:
        return parse_bound(parser, argument == UID_AFTER_ARGUMENT, &key->set);
    default:
        return imap_parse_sequence_set(parser, &key->set);
    }
}

static bool parse_named(struct imap_parser *parser, const struct key_name *name, unsigned depth,
                        struct search_key **key)
{
    *key = new_key(parser, name->kind);
    if (!*key)
        return false;
    (*key)->flag = name->flag;
    (*key)->field = name->field;
    if (!parse_argument(parser, name->argument, depth, *key))
        return false;
    if (name->negated)
        *key = negate(parser, *key);
    return *key != NULL;
}

/* "NEW" is (RECENT UNSEEN). */
static bool make_new(struct imap_parser *parser, struct search_key **key)
{
    struct search_key *seen = new_key(parser, SEARCH_FLAG);
    struct search_key *unseen = seen ? negate(parser, seen) : NULL;
    struct search_key *recent = unseen ? new_key(parser, SEARCH_RECENT) : NULL;
    *key = recent ? new_key(parser, SEARCH_AND) : NULL;
    if (!*key)
        return false;
    seen->flag = MAILDIR_SEEN;
    recent->next = unseen;
    (*key)->keys = recent;
    return true;
}

static bool parse_word_key(struct imap_parser *parser, unsigned depth, struct search_key **key)
{
    struct slice word;
    if (!imap_parse_word(parser, &word))
        return imap_parser_fail(parser, "a search key");
    if (slice_equal_nocase(word, SLICE("NEW")))
        return make_new(parser, key);
    for (size_t i = 0; i < ARRAY_LENGTH(key_names); i++) {
        if (slice_equal_nocase(word, key_names[i].name))
            return parse_named(parser, &key_names[i], depth, key);
    }
    return imap_parser_fail(parser, "a search key that we know");
}

/* search-key *(SP search-key); one alone needs no AND */
static bool parse_keys(struct imap_parser *parser, unsigned depth, struct search_key **key)
{
    struct search_key *first = NULL;
    struct search_key **end = &first;
    do {
        if (!parse_key(parser, depth, end) || !*end)
            return false;
        end = &(*end)->next;
    } while (imap_skip_octet(parser, ' '));
    *key = first->next ? new_key(parser, SEARCH_AND) : first;
    if (*key && *key != first)
        (*key)->keys = first;
    return *key != NULL;
}

static bool parse_set_key(struct imap_parser *parser, struct search_key **key)
{
    *key = new_key(parser, SEARCH_SEQUENCE);
    return *key && imap_parse_sequence_set(parser, &(*key)->set);
}

/* search-key = "ALL" / ... / sequence-set / "(" search-key *(SP search-key) ")" */
static bool parse_key(struct imap_parser *parser, unsigned depth, struct search_key **key)
{
    uint8_t first;
    if (depth == SEARCH_DEPTH_MAX)
        return imap_parser_fail(parser, "search keys less deep in each other");
    if (imap_skip_octet(parser, '('))
        return parse_keys(parser, depth + 1, key)
               && imap_parse_octet(parser, ')', "a search key or \")\"");
    if (cursor_peek(&parser->in, &first) && (ascii_is_digit(first) || first == '*' || first == '$'))
        return parse_set_key(parser, key);
    return parse_word_key(parser, depth + 1, key);
}

bool search_program_parse(struct imap_parser *parser, struct search_program *program)
{
    struct cursor start = parser->in;
    program->charset = SLICE("");
    bool parsed = !imap_skip_word(parser, SLICE("CHARSET"))
                  || (imap_parse_space(parser) && imap_parse_astring(parser, &program->charset)
                      && imap_parse_space(parser));
    parsed = parsed && parse_keys(parser, 0, &program->key);
    if (!parsed)
        parser->in = start;
    return parsed;
}

bool search_criteria_parse(struct imap_parser *parser, struct search_program *program)
{
    struct cursor start = parser->in;
    bool parsed = imap_parse_astring(parser, &program->charset) && imap_parse_space(parser)
                  && parse_keys(parser, 0, &program->key);
    if (!parsed)
        parser->in = start;
    return parsed;
}

bool search_key_has(const struct search_key *key, enum search_kind kind)
{
    if (key->kind == kind)
        return true;
    for (const struct search_key *each = key->keys; each; each = each->next)
        if (search_key_has(each, kind))
            return true;
    return false;
}

bool search_key_names_numbers(const struct search_key *key)
{
    if (key->kind == SEARCH_SEQUENCE && key->set.count > 0)
        return true;
    for (const struct search_key *each = key->keys; each; each = each->next)
        if (search_key_names_numbers(each))
            return true;
    return false;
}
