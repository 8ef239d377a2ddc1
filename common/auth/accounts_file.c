/* Parsing and editing of the passwd-file; see accounts_file.h. */
#include "common/auth/accounts_file.h"

#include <sodium.h>

#include "common/auth/canonical.h"
#include "common/auth/password.h"
#include "common/config/config_value.h"
#include "common/login/scram_server.h"
#include "common/role/master_protocol.h"
#include "common/size.h"
#include "common/text/cursor.h"

enum { ARENA_MAX = 512 << 20, KEEP_DAYS_MAX = 36500 };

void accounts_init(struct accounts *accounts)
{
    *accounts = (struct accounts){.text = BUFFER_WITH_LIMIT(0)};
    arena_init(&accounts->arena, ARENA_MAX);
}

void accounts_clear(struct accounts *accounts)
{
    HASH_CLEAR(hh, accounts->by_address);
    if (accounts->text.ptr)
        sodium_memzero(accounts->text.ptr, accounts->text.len);
    buffer_clear(&accounts->text);
    arena_clear(&accounts->arena);
}

const struct account *accounts_find(const struct accounts *accounts, struct slice address)
{
    struct account *found = NULL;
    HASH_FIND(hh, accounts->by_address, address.ptr, address.len, found);
    return found;
}

bool account_address_is_valid(struct slice address, struct error *error)
{
    struct slice local = canonical_local_part(address);
    struct slice domain = canonical_domain(address);
    bool valid = local.len > 0 && domain.len > 0 && local.ptr[0] != '"' && domain.ptr[0] != '['
                 && slice_find_octet(local, '+') == local.len
                 && slice_find_octet(local, '/') == local.len;
    return valid ? true
                 : error_set(error, ERROR_PERMANENT,
                             "an account is a full address whose local part has no +, / or quotes");
}

bool account_quota_parse(struct slice text, uint64_t *octets)
{
    uint64_t size;
    if (slice_equal(text, SLICE("none")))
        size = ACCOUNT_QUOTA_NONE;
    else if (!config_parse_size(text, &size) || size == 0 || size == ACCOUNT_QUOTA_NONE)
        return false;
    *octets = size;
    return true;
}

static bool set_quota(struct account *account, struct slice value)
{
    return account_quota_parse(value, &account->quota_octets);
}

static bool set_delete_after_retrieval(struct account *account, struct slice value)
{
    bool yes;
    if (!config_parse_bool(value, &yes))
        return false;
    account->retrieved = yes ? (uint32_t)RETRIEVED_REMOVED : (uint32_t)RETRIEVED_KEPT;
    return true;
}

static bool set_keep_days(struct account *account, struct slice value)
{
    uint64_t days;
    if (account->retrieved != RETRIEVED_REMOVED || !slice_parse_number(value, &days) || days == 0
        || days > KEEP_DAYS_MAX)
        return false;
    account->retrieved += (uint32_t)days;
    return true;
}

static bool set_scram(struct account *account, struct slice value)
{
    struct scram_verifier verifier;
    if (!scram_verifier_parse(value, &verifier))
        return false;
    if (scram_verifier_belongs(&verifier, account->verifier))
        account->scram = value;
    return true;
}

/* What may follow the verifier: a bit for each, so that none comes twice. */
static const struct setting {
    struct slice name;
    bool (*set)(struct account *account, struct slice value);
    const char *wanted;
} settings[] = {
    {SLICE("quota"), set_quota, "a size such as 500M or 2G, or none"},
    {SLICE("delete-after-retrieval"), set_delete_after_retrieval, "yes or no"},
    {SLICE("keep-days"), set_keep_days,
     "a number of days from 1 to 36500, behind delete-after-retrieval=yes"},
    {SLICE("scram-sha-256"), set_scram, "what `staffetta account password` writes"},
};

/* Octets up to the next ':', which is stepped over. */
static struct slice take_field(struct slice *rest)
{
    size_t colon = slice_find_octet(*rest, ':');
    struct slice field = slice_range(*rest, 0, colon);
    *rest = slice_from(*rest, colon + 1);
    return field;
}

static bool parse_setting(struct account *account, struct slice field, unsigned *seen,
                          struct error *error)
{
    size_t equals = slice_find_octet(field, '=');
    struct slice name = slice_range(field, 0, equals);
    struct slice value = slice_from(field, equals + 1);
    if (equals < field.len && slice_starts_with(name, SLICE("x-")))
        return true;
    size_t i = 0;
    while (i < ARRAY_LENGTH(settings) && !slice_equal(settings[i].name, name))
        i++;
    if (i == ARRAY_LENGTH(settings) || equals == field.len)
        return error_set(error, ERROR_PERMANENT,
                         "\"%.*s\" is no setting of an account; there are quota=, "
                         "delete-after-retrieval=, keep-days=, scram-sha-256= and x-...=",
                         name.len < 60 ? (int)name.len : 60, (const char *)name.ptr);
    if (*seen & 1U << i)
        return error_set(error, ERROR_PERMANENT, "%.*s= stands twice", SLICE_PRINTF(name));
    *seen |= 1U << i;
    return settings[i].set(account, value) ? true
                                           : error_set(error, ERROR_PERMANENT, "%.*s= wants %s",
                                                       SLICE_PRINTF(name), settings[i].wanted);
}

static bool has_control(struct slice line)
{
    for (size_t i = 0; i < line.len; i++)
        if (line.ptr[i] < 0x20 || line.ptr[i] == 0x7f)
            return true;
    return false;
}

static bool parse_address(struct slice field, struct canonical *address, struct error *error)
{
    struct error reason;
    if (!canonical_parse(field, address, &reason))
        return reason.kind == ERROR_TEMPORARY
                   ? error_memory(error)
                   : error_set(error, ERROR_PERMANENT,
                               "\"%.*s\" is no address; write ADDRESS:VERIFIER, followed by "
                               ":NAME=VALUE for each setting",
                               field.len < 80 ? (int)field.len : 80, (const char *)field.ptr);
    return account_address_is_valid(canonical_text(address), error);
}

/* Fills what the line says; the address goes to *address. */
static bool parse_line(struct slice line, struct canonical *address, struct account *account,
                       struct error *error)
{
    unsigned seen = 0;
    if (has_control(line))
        return error_set(error, ERROR_PERMANENT, "a control character (a line ends with LF alone)");
    struct slice rest = line;
    if (!parse_address(take_field(&rest), address, error))
        return false;
    account->verifier = take_field(&rest);
    if (password_kind(account->verifier) == PASSWORD_MALFORMED)
        return error_set(error, ERROR_PERMANENT,
                         "no password behind the address: ! or an Argon2id string of at most "
                         "256 MiB; `staffetta account password` makes one");
    /* A ':' at the end of the line begins a setting too, an empty one. */
    while (rest.ptr < line.ptr + line.len || line.ptr[line.len - 1] == ':') {
        if (!parse_setting(account, take_field(&rest), &seen, error))
            return false;
        if (rest.len == 0)
            break;
    }
    return true;
}

static bool insert(struct accounts *accounts, struct account *account,
                   const struct canonical *address, struct error *error)
{
    account->address = arena_copy(&accounts->arena, canonical_text(address));
    if (!account->address.ptr)
        return error_memory(error);
    const struct account *first = accounts_find(accounts, account->address);
    if (first)
        return error_set(error, ERROR_PERMANENT, "%.*s stands in line %llu already",
                         SLICE_PRINTF(account->address), (unsigned long long)first->line);
    HASH_ADD_KEYPTR(hh, accounts->by_address, account->address.ptr, account->address.len, account);
    return hash_table_holds(&account->hh) ? true : error_memory(error);
}

static bool is_blank_or_comment(struct slice line)
{
    struct slice text = slice_trim(line);
    return text.len == 0 || text.ptr[0] == '#';
}

static struct slice take_line(struct cursor *in)
{
    struct slice rest = cursor_rest(in);
    struct slice line = slice_range(rest, 0, slice_find_octet(rest, '\n'));
    in->at += line.len;
    cursor_skip(in, '\n');
    return line;
}

static bool parse_account(struct accounts *accounts, struct slice line, uint64_t number,
                          struct error *error)
{
    struct canonical address;
    struct account *account = arena_alloc(&accounts->arena, sizeof(*account));
    if (!account)
        return error_memory(error);
    account->line = number;
    return (parse_line(line, &address, account, error)
            && insert(accounts, account, &address, error))
           || error_prefix(error, "line %llu", (unsigned long long)number);
}

bool accounts_parse(struct accounts *accounts, struct buffer *text, struct error *error)
{
    struct cursor in = cursor_of(buffer_slice(text));
    uint64_t number = 0;
    while (!cursor_at_end(&in)) {
        struct slice line = take_line(&in);
        number++;
        if (is_blank_or_comment(line) || parse_account(accounts, line, number, error))
            continue;
        accounts_clear(accounts);
        return false;
    }
    accounts->text = *text;
    buffer_init(text, text->limit);
    return true;
}

/* The line of an account in a text: [*start, *end), its newline included. */
struct line_span {
    size_t start;
    size_t end;
    struct slice line;
};

static bool find_line(struct slice text, const struct canonical *address, struct line_span *found)
{
    struct cursor in = cursor_of(text);
    while (!cursor_at_end(&in)) {
        struct cursor start = in;
        struct slice line = take_line(&in);
        struct slice rest = line;
        struct canonical here;
        if (is_blank_or_comment(line) || !canonical_parse(take_field(&rest), &here, NULL)
            || !slice_equal(canonical_text(&here), canonical_text(address)))
            continue;
        found->start = (size_t)(start.at - text.ptr);
        found->end = (size_t)(in.at - text.ptr);
        found->line = line;
        return true;
    }
    return false;
}

static bool find_account_line(struct slice text, struct slice written, struct line_span *found,
                              struct error *error)
{
    struct canonical address;
    if (!parse_address(written, &address, error))
        return false;
    return find_line(text, &address, found)
               ? true
               : error_set(error, ERROR_NOT_FOUND, "there is no account %.*s",
                           SLICE_PRINTF(written));
}

static bool check_verifier(struct slice verifier, struct error *error)
{
    return password_kind(verifier) != PASSWORD_MALFORMED
               ? true
               : error_set(error, ERROR_PERMANENT, "the verifier is no Argon2id string");
}

static bool check_new_account(struct slice old, struct slice written, struct slice verifier,
                              struct slice quota, struct error *error)
{
    struct canonical address;
    struct line_span span;
    uint64_t octets;
    if (!parse_address(written, &address, error) || !check_verifier(verifier, error))
        return false;
    if (written.ptr[0] == '#')
        return error_set(error, ERROR_PERMANENT, "an account cannot begin with #, as comments do");
    if (quota.len > 0 && !account_quota_parse(quota, &octets))
        return error_set(error, ERROR_PERMANENT, "quota wants %s", settings[0].wanted);
    return find_line(old, &address, &span) ? error_set(
               error, ERROR_EXISTS, "there is an account %.*s already", SLICE_PRINTF(written))
                                           : true;
}

bool accounts_text_add(struct slice old, struct slice address, struct slice verifier,
                       struct slice quota, struct buffer *text, struct error *error)
{
    if (!check_new_account(old, address, verifier, quota, error))
        return false;
    buffer_append(text, old);
    if (old.len > 0 && old.ptr[old.len - 1] != '\n')
        buffer_append_octet(text, '\n');
    buffer_append(text, address);
    buffer_append_octet(text, ':');
    buffer_append(text, verifier);
    buffer_append(text, quota.len > 0 ? SLICE(":quota=") : SLICE(""));
    buffer_append(text, quota);
    buffer_append_octet(text, '\n');
    return true;
}

bool accounts_text_set_verifier(struct slice old, struct slice address, struct slice verifier,
                                struct buffer *text, struct error *error)
{
    struct line_span span;
    if (!check_verifier(verifier, error) || !find_account_line(old, address, &span, error))
        return false;
    size_t before = slice_find_octet(span.line, ':') + 1;
    struct slice behind = slice_from(span.line, before);
    behind = slice_from(behind, slice_find_octet(behind, ':'));
    buffer_append(text, slice_range(old, 0, span.start));
    buffer_append(text, slice_range(span.line, 0, before));
    buffer_append(text, verifier);
    buffer_append(text, behind);
    buffer_append_octet(text, '\n');
    buffer_append(text, slice_from(old, span.end));
    return true;
}

static bool check_setting(struct slice setting, struct error *error)
{
    bool valid = slice_find_octet(setting, '=') < setting.len && !has_control(setting)
                 && slice_find_octet(setting, ':') == setting.len;
    return valid ? true
                 : error_set(error, ERROR_PERMANENT, "write NAME=VALUE, or NAME= to take it out");
}

/* The settings of a line, each with its ':' before it, one of them exchanged. */
static void append_settings(struct slice rest, struct slice setting, struct buffer *text)
{
    struct slice name = slice_range(setting, 0, slice_find_octet(setting, '=') + 1);
    struct slice left = setting.len > name.len ? setting : slice_of(NULL, 0);
    while (rest.len > 0) {
        struct slice field = take_field(&rest);
        struct slice kept = field;
        if (slice_starts_with(field, name)) {
            kept = left;
            left.len = 0;
        }
        if (kept.len > 0)
            buffer_append_octet(text, ':');
        buffer_append(text, kept);
    }
    if (left.len > 0)
        buffer_append_octet(text, ':');
    buffer_append(text, left);
}

bool accounts_text_set(struct slice old, struct slice address, struct slice setting,
                       struct buffer *text, struct error *error)
{
    struct line_span span;
    if (!check_setting(setting, error) || !find_account_line(old, address, &span, error))
        return false;
    struct slice rest = span.line;
    take_field(&rest);
    take_field(&rest);
    buffer_append(text, slice_range(old, 0, span.start));
    buffer_append(text, slice_range(span.line, 0, (size_t)(rest.ptr - span.line.ptr)));
    if (rest.len > 0 || span.line.ptr[span.line.len - 1] == ':')
        buffer_truncate(text, text->len - 1);
    append_settings(rest, setting, text);
    buffer_append_octet(text, '\n');
    buffer_append(text, slice_from(old, span.end));
    return true;
}

bool accounts_text_remove(struct slice old, struct slice address, struct buffer *text,
                          struct error *error)
{
    struct line_span span;
    if (!find_account_line(old, address, &span, error))
        return false;
    buffer_append(text, slice_range(old, 0, span.start));
    buffer_append(text, slice_from(old, span.end));
    return true;
}
