/* The two texts of MTA-STS; see sts_policy.h. Pure. */
#include "smtpd/fetch/sts_policy.h"

#include <string.h>

#include "common/dns/dns_client.h"
#include "common/size.h"
#include "common/text/cursor.h"

enum {
    TXT_MAX = 4096,
    EXTENSION_NAME_MAX = 32,
    DIGITS_MAX = 10, /* of max_age */
    LABEL_MAX = 63,
};

static bool is_alphanumeric(uint8_t octet)
{
    return ascii_is_alpha(octet) || ascii_is_digit(octet);
}

static void skip_space(struct cursor *in)
{
    while (cursor_skip(in, ' ') || cursor_skip(in, '\t'))
        ;
}

/* sts-ext-name = (ALPHA / DIGIT) *31(ALPHA / DIGIT / "_" / "-" / ".")    RFC 8461 3.1, 3.2 */
static bool take_name(struct cursor *in, struct slice *name)
{
    struct cursor start = *in;
    uint8_t octet;
    while (cursor_peek(in, &octet)
           && (is_alphanumeric(octet)
               || (in->at != start.at && (octet == '_' || octet == '-' || octet == '.'))))
        in->at++;
    *name = cursor_since(in, &start);
    if (name->len > 0 && name->len <= EXTENSION_NAME_MAX)
        return true;
    *in = start;
    return false;
}

/* ---- the record ---- */

/* sts-field-delim = *WSP ";" *WSP    RFC 8461 3.1 */
static bool skip_delimiter(struct cursor *in)
{
    struct cursor start = *in;
    skip_space(in);
    if (cursor_skip(in, ';')) {
        skip_space(in);
        return true;
    }
    *in = start;
    return false;
}

/* sts-ext-value = 1*(%x21-3A / %x3C / %x3E-7E)    RFC 8461 3.1 */
static bool take_value(struct cursor *in, struct slice *value)
{
    struct cursor start = *in;
    uint8_t octet;
    while (cursor_peek(in, &octet) && octet > ' ' && octet < 0x7f && octet != ';' && octet != '=')
        in->at++;
    *value = cursor_since(in, &start);
    return value->len > 0;
}

/* sts-id = %s"id=" 1*32(ALPHA / DIGIT)    RFC 8461 3.1 */
static bool is_id(struct slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if (!is_alphanumeric(value.ptr[i]))
            return false;
    return value.len > 0 && value.len <= STS_ID_MAX;
}

/* sts-text-record = sts-version 1*(sts-field-delim sts-field) [sts-field-delim]    RFC 8461 3.1
 * The cursor stands after sts-version. */
static bool parse_fields(struct cursor *in, char id[STS_ID_MAX + 1])
{
    id[0] = '\0';
    while (skip_delimiter(in) && !cursor_at_end(in)) {
        struct slice name, value;
        if (!take_name(in, &name) || !cursor_skip(in, '=') || !take_value(in, &value))
            return false;
        if (!slice_equal(name, SLICE("id")) || id[0] != '\0')
            continue;
        if (!is_id(value))
            return false;
        memcpy(id, value.ptr, value.len);
        id[value.len] = '\0';
    }
    return cursor_at_end(in) && id[0] != '\0';
}

bool sts_find_id(struct slice rdata, char id[STS_ID_MAX + 1])
{
    struct buffer fields = BUFFER_WITH_LIMIT(TXT_MAX);
    bool found = dns_find_versioned_txt(rdata, SLICE("v=STSv1"), &fields);
    struct cursor in = cursor_of(buffer_slice(&fields));
    found = found && parse_fields(&in, id);
    buffer_clear(&fields);
    return found;
}

/* ---- the policy ---- */

static const struct {
    struct slice name;
    enum sts_mode mode;
} modes[] = {
    {SLICE("none"), STS_MODE_NONE},
    {SLICE("testing"), STS_MODE_TESTING},
    {SLICE("enforce"), STS_MODE_ENFORCE},
};

const char *sts_mode_name(enum sts_mode mode)
{
    return (const char *)modes[mode].name.ptr;
}

static bool parse_mode(struct slice value, enum sts_mode *mode)
{
    for (size_t i = 0; i < ARRAY_LENGTH(modes); i++)
        if (slice_equal(value, modes[i].name)) {
            *mode = modes[i].mode;
            return true;
        }
    return false;
}

/* Domain, RFC 5321 4.1.2 */
static bool is_domain(struct slice name)
{
    size_t label = 0;
    for (size_t i = 0; i < name.len; i++) {
        bool is_dot = name.ptr[i] == '.';
        if (!is_dot && !is_alphanumeric(name.ptr[i]) && name.ptr[i] != '-')
            return false;
        if (is_dot && label == 0)
            return false;
        label = is_dot ? 0 : label + 1;
        if (label > LABEL_MAX)
            return false;
    }
    return label > 0 && name.len <= DNS_NAME_MAX;
}

/* sts-policy-mx-value = ["*."] Domain    RFC 8461 3.2 */
static bool is_pattern(struct slice value)
{
    return is_domain(slice_starts_with(value, SLICE("*.")) ? slice_from(value, 2) : value);
}

/* A field, and where its line ends; the last one needs no end. Extensions may hold any text, UTF-8
 * too, but no control character.
 * sts-policy-field-delim = ":" *WSP; sts-policy-term = LF / CRLF    RFC 8461 3.2 */
static bool take_field(struct slice *text, struct slice *name, struct slice *value)
{
    size_t end = slice_find_octet(*text, '\n');
    struct slice line = slice_range(*text, 0, end);
    *text = slice_from(*text, end + 1);
    if (slice_ends_with(line, SLICE("\r")))
        line.len--;
    struct cursor in = cursor_of(line);
    if (!take_name(&in, name) || !cursor_skip(&in, ':'))
        return false;
    *value = slice_trim(cursor_rest(&in));
    for (size_t i = 0; i < value->len; i++)
        if ((value->ptr[i] < ' ' && value->ptr[i] != '\t') || value->ptr[i] == 0x7f)
            return false;
    return value->len > 0;
}

/* Empty lines at the end are not in the grammar, but in the world. */
static struct slice without_empty_end(struct slice text)
{
    while (text.len > 0 && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r'))
        text.len--;
    return text;
}

/* Which fields a policy has; of those that may be there once the first counts. */
struct found {
    bool version, mode, max_age, mx;
};

static bool read_field(struct slice name, struct slice value, struct sts_policy *policy,
                       struct found *found)
{
    uint64_t number = 0;
    if (slice_equal(name, SLICE("version")) && !found->version) {
        found->version = slice_equal(value, SLICE("STSv1"));
        return found->version;
    }
    if (slice_equal(name, SLICE("mode")) && !found->mode) {
        found->mode = parse_mode(value, &policy->mode);
        return found->mode;
    }
    if (slice_equal(name, SLICE("max_age")) && !found->max_age) {
        found->max_age = value.len <= DIGITS_MAX && slice_parse_number(value, &number);
        policy->max_age_s = number < STS_MAX_AGE_MOST ? (uint32_t)number : STS_MAX_AGE_MOST;
        return found->max_age;
    }
    if (slice_equal(name, SLICE("mx"))) {
        found->mx = true;
        return is_pattern(value);
    }
    return true;
}

bool sts_policy_parse(struct slice text, struct sts_policy *policy)
{
    struct found found = {.version = false};
    struct slice rest = without_empty_end(text), name, value;
    *policy = (struct sts_policy){.text = rest};
    if (text.len > STS_POLICY_MAX)
        return false;
    while (rest.len > 0)
        if (!take_field(&rest, &name, &value) || !read_field(name, value, policy, &found))
            return false;
    return found.version && found.mode && found.max_age
           && (found.mx || policy->mode == STS_MODE_NONE);
}

static bool fits(struct slice pattern, struct slice host)
{
    if (!slice_starts_with(pattern, SLICE("*.")))
        return slice_equal_nocase(pattern, host);
    size_t label = slice_find_octet(host, '.');
    return label > 0 && slice_equal_nocase(slice_from(pattern, 1), slice_from(host, label));
}

bool sts_policy_allows(const struct sts_policy *policy, struct slice host)
{
    struct slice rest = policy->text, name, value;
    while (rest.len > 0 && take_field(&rest, &name, &value))
        if (slice_equal(name, SLICE("mx")) && fits(value, host))
            return true;
    return false;
}
