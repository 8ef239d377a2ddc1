/*
 * The grammar of address.h, one function an ABNF rule, and the canonical form. Reading is pure;
 * canonicalising calls libidn2 for domains that are not ASCII. Any process.
 */
#include "common/text/address.h"

#include <stdlib.h>

#include <idn2.h>
#include <unistr.h>

enum {
    ATEXT = 1,   /* RFC 5322 3.2.3, and UTF8-non-ascii of RFC 6531 3.3 */
    QTEXT = 2,   /* qtextSMTP, RFC 5321 4.1.2, and UTF8-non-ascii */
    LET_DIG = 4, /* and UTF8-non-ascii, of which a U-label is made */
    HEXDIG = 8,

    LABEL_LIMIT = 63, /* RFC 1035 2.3.4 */
};

static const uint8_t classes[256] = {
    [' '] = QTEXT,
    ['!'] = ATEXT | QTEXT,
    ['#' ... '\''] = ATEXT | QTEXT,
    ['(' ... ')'] = QTEXT,
    ['*' ... '+'] = ATEXT | QTEXT,
    [','] = QTEXT,
    ['-'] = ATEXT | QTEXT,
    ['.'] = QTEXT,
    ['/'] = ATEXT | QTEXT,
    ['0' ... '9'] = ATEXT | QTEXT | LET_DIG | HEXDIG,
    [':' ... '<'] = QTEXT,
    ['='] = ATEXT | QTEXT,
    ['>'] = QTEXT,
    ['?'] = ATEXT | QTEXT,
    ['@'] = QTEXT,
    ['A' ... 'F'] = ATEXT | QTEXT | LET_DIG | HEXDIG,
    ['G' ... 'Z'] = ATEXT | QTEXT | LET_DIG,
    ['['] = QTEXT,
    [']'] = QTEXT,
    ['^' ... '`'] = ATEXT | QTEXT,
    ['a' ... 'f'] = ATEXT | QTEXT | LET_DIG | HEXDIG,
    ['g' ... 'z'] = ATEXT | QTEXT | LET_DIG,
    ['{' ... '~'] = ATEXT | QTEXT,
    [0x80 ... 0xff] = ATEXT | QTEXT | LET_DIG,
};

/* Dot-string = Atom *("." Atom) */
static bool parse_dot_string(struct cursor *in, struct slice *text)
{
    struct cursor start = *in;
    do {
        if (cursor_take_class(in, classes, ATEXT).len == 0) {
            *in = start;
            return false;
        }
    } while (cursor_skip(in, '.'));
    *text = cursor_since(in, &start);
    return true;
}

/* quoted-pairSMTP = %d92 %d32-126 */
static bool skip_quoted_pair(struct cursor *in)
{
    if (cursor_left(in) < 2 || in->at[0] != '\\' || in->at[1] < 32 || in->at[1] > 126)
        return false;
    in->at += 2;
    return true;
}

/* Quoted-string = DQUOTE *(qtextSMTP / quoted-pairSMTP) DQUOTE */
static bool parse_quoted_string(struct cursor *in, struct slice *text)
{
    struct cursor start = *in;
    if (!cursor_skip(in, '"'))
        return false;
    do {
        cursor_take_class(in, classes, QTEXT);
    } while (skip_quoted_pair(in));
    if (!cursor_skip(in, '"')) {
        *in = start;
        return false;
    }
    *text = cursor_since(in, &start);
    return true;
}

/* sub-domain = Let-dig [Ldh-str] / U-label. How long a U-label is, its A-label says. */
static bool skip_sub_domain(struct cursor *in)
{
    struct cursor start = *in;
    while (cursor_take_class(in, classes, LET_DIG).len > 0 || cursor_skip(in, '-'))
        continue;
    struct slice label = cursor_since(in, &start);
    bool too_long = label.len > LABEL_LIMIT && slice_is_ascii(label);
    if (label.len > 0 && label.ptr[0] != '-' && label.ptr[label.len - 1] != '-' && !too_long)
        return true;
    *in = start;
    return false;
}

/* Domain = sub-domain *("." sub-domain) */
static bool parse_domain(struct cursor *in, struct slice *domain)
{
    struct cursor start = *in;
    do {
        if (!skip_sub_domain(in)) {
            *in = start;
            return false;
        }
    } while (cursor_skip(in, '.'));
    *domain = cursor_since(in, &start);
    return true;
}

/* Snum = 1*3DIGIT, 0 to 255 */
static bool parse_snum(struct cursor *in, uint8_t *value)
{
    struct cursor start = *in;
    uint64_t number;
    if (cursor_take_number(in, &number) && in->at - start.at <= 3 && number <= 255) {
        *value = (uint8_t)number;
        return true;
    }
    *in = start;
    return false;
}

/* IPv4-address-literal = Snum 3("." Snum) */
static bool parse_ipv4(struct cursor *in, uint8_t ip[4])
{
    struct cursor start = *in;
    for (size_t i = 0; i < 4; i++) {
        if ((i > 0 && !cursor_skip(in, '.')) || !parse_snum(in, &ip[i])) {
            *in = start;
            return false;
        }
    }
    return true;
}

/* IPv6-hex = 1*4HEXDIG */
static bool parse_ipv6_hex(struct cursor *in, uint8_t group[2])
{
    struct cursor start = *in;
    struct slice digits = cursor_take_class(in, classes, HEXDIG);
    if (digits.len == 0 || digits.len > 4) {
        *in = start;
        return false;
    }
    unsigned value = 0;
    for (size_t i = 0; i < digits.len; i++) {
        uint8_t digit = ascii_lower(digits.ptr[i]);
        value = value << 4 | (unsigned)(ascii_is_digit(digit) ? digit - '0' : digit - 'a' + 10);
    }
    group[0] = (uint8_t)(value >> 8);
    group[1] = (uint8_t)value;
    return true;
}

/* How many groups stand here, up to the end or the "::"; an IPv4 address at the end is two. */
static size_t take_ipv6_groups(struct cursor *in, uint8_t groups[16])
{
    size_t count = 0;
    while (count < 8) {
        struct cursor start = *in;
        if (count > 0 && !cursor_skip(in, ':'))
            break;
        if (count <= 6 && parse_ipv4(in, groups + 2 * count))
            return count + 2;
        if (!parse_ipv6_hex(in, groups + 2 * count)) {
            *in = start; /* before the ":", which may be half of a "::" */
            break;
        }
        count++;
    }
    return count;
}

/* IPv6-addr = IPv6-full / IPv6-comp / IPv6v4-full / IPv6v4-comp. "::" is two groups at least. */
static bool parse_ipv6(struct cursor *in, uint8_t ip[16])
{
    struct cursor start = *in;
    uint8_t head[16];
    uint8_t tail[16];
    size_t head_count = take_ipv6_groups(in, head);
    bool compressed = cursor_skip_nocase(in, SLICE("::"));
    size_t tail_count = compressed ? take_ipv6_groups(in, tail) : 0;
    if (compressed ? head_count + tail_count > 6 : head_count != 8) {
        *in = start;
        return false;
    }
    memset(ip, 0, 16);
    memcpy(ip, head, 2 * head_count);
    memcpy(ip + 16 - 2 * tail_count, tail, 2 * tail_count);
    return true;
}

/* address-literal = "[" ( IPv4-address-literal / "IPv6:" IPv6-addr ) "]"    RFC 5321 4.1.3 */
static bool parse_address_literal(struct cursor *in, struct address *address)
{
    struct cursor start = *in;
    if (!cursor_skip(in, '['))
        return false;
    bool ipv6 = cursor_skip_nocase(in, SLICE("IPv6:"));
    struct ip_address ip = {.family = ipv6 ? IP_V6 : IP_V4};
    if ((ipv6 ? parse_ipv6(in, ip.octets) : parse_ipv4(in, ip.octets)) && cursor_skip(in, ']')) {
        address->host = ADDRESS_HOST_LITERAL;
        address->ip = ip;
        address->domain = cursor_since(in, &start);
        return true;
    }
    *in = start;
    return false;
}

static bool parse_host(struct cursor *in, struct address *address)
{
    if (parse_address_literal(in, address))
        return true;
    if (!parse_domain(in, &address->domain))
        return false;
    address->host = ADDRESS_HOST_DOMAIN;
    return true;
}

/* Mailbox = Local-part "@" ( Domain / address-literal ) */
static bool parse_mailbox(struct cursor *in, struct address *address)
{
    struct cursor start = *in;
    bool local_part =
        parse_dot_string(in, &address->local_part) || parse_quoted_string(in, &address->local_part);
    if (local_part && cursor_skip(in, '@') && parse_host(in, address))
        return true;
    *in = start;
    return false;
}

/* A-d-l = At-domain *( "," At-domain ), At-domain = "@" Domain; RFC 5321 C: to be ignored. */
static bool skip_source_route(struct cursor *in)
{
    struct cursor start = *in;
    struct slice ignored;
    do {
        if (!cursor_skip(in, '@') || !parse_domain(in, &ignored)) {
            *in = start;
            return false;
        }
    } while (cursor_skip(in, ','));
    if (cursor_skip(in, ':'))
        return true;
    *in = start;
    return false;
}

/* Path = "<" [ A-d-l ":" ] Mailbox ">" */
static bool parse_path(struct cursor *in, struct address *address)
{
    struct cursor start = *in;
    if (cursor_skip(in, '<')) {
        skip_source_route(in);
        if (parse_mailbox(in, address) && cursor_skip(in, '>'))
            return true;
    }
    *in = start;
    return false;
}

/* What the grammar leaves open: sizes, and that octets above 127 are UTF-8 (RFC 6531 3.3). */
static bool check_sizes(struct slice text, size_t limit, struct address *address,
                        struct error *error)
{
    if (address->local_part.len > ADDRESS_LOCAL_PART_LIMIT)
        return error_set(error, ERROR_PEER, "local part longer than %d octets",
                         ADDRESS_LOCAL_PART_LIMIT);
    if (address->domain.len > ADDRESS_DOMAIN_LIMIT)
        return error_set(error, ERROR_PEER, "domain longer than %d octets", ADDRESS_DOMAIN_LIMIT);
    if (text.len > limit)
        return error_set(error, ERROR_PEER, "path longer than %d octets", ADDRESS_PATH_LIMIT);
    address->utf8 = !slice_is_ascii(text);
    if (address->utf8 && u8_check(text.ptr, text.len))
        return error_set(error, ERROR_PEER, "address is not valid UTF-8");
    return true;
}

/* Hands over what was parsed since `start`, or puts the cursor back there. */
static bool finish_path(struct cursor *in, struct cursor start, struct address *parsed,
                        struct address *address, struct error *error)
{
    if (check_sizes(cursor_since(in, &start), ADDRESS_PATH_LIMIT, parsed, error)) {
        *address = *parsed;
        return true;
    }
    *in = start;
    return false;
}

bool address_parse_reverse_path(struct cursor *in, struct address *address, struct error *error)
{
    struct cursor start = *in;
    struct address parsed = {.host = ADDRESS_HOST_NONE};
    if (!cursor_skip_nocase(in, SLICE("<>")) && !parse_path(in, &parsed))
        return error_set(error, ERROR_PEER,
                         "wanted is an address in angle brackets, <name@example.org>");
    return finish_path(in, start, &parsed, address, error);
}

bool address_parse_forward_path(struct cursor *in, struct address *address, struct error *error)
{
    struct cursor start = *in;
    struct address parsed = {.host = ADDRESS_HOST_NONE};
    if (cursor_skip_nocase(in, SLICE("<postmaster>")))
        parsed.local_part = slice_range(cursor_since(in, &start), 1, strlen("<postmaster"));
    else if (!parse_path(in, &parsed))
        return error_set(error, ERROR_PEER,
                         "wanted is an address in angle brackets, <name@example.org>");
    return finish_path(in, start, &parsed, address, error);
}

bool address_parse_mailbox(struct slice text, struct address *address, struct error *error)
{
    struct cursor in = cursor_of(text);
    struct address parsed = {.host = ADDRESS_HOST_NONE};
    if (!parse_mailbox(&in, &parsed) || !cursor_at_end(&in))
        return error_set(error, ERROR_PEER, "not an address");
    if (!check_sizes(text, ADDRESS_LIMIT, &parsed, error))
        return false;
    *address = parsed;
    return true;
}

bool address_parse_host(struct slice text, struct address *address, struct error *error)
{
    struct cursor in = cursor_of(text);
    struct address parsed = {.host = ADDRESS_HOST_NONE};
    if (!parse_host(&in, &parsed) || !cursor_at_end(&in))
        return error_set(error, ERROR_PEER, "neither a domain nor an address literal");
    if (!check_sizes(text, ADDRESS_DOMAIN_LIMIT, &parsed, error))
        return false;
    *address = parsed;
    return true;
}

void address_format(const struct address *address, struct buffer *out)
{
    buffer_append(out, address->local_part);
    if (address->host != ADDRESS_HOST_NONE) {
        if (address->local_part.len > 0)
            buffer_append_octet(out, '@');
        buffer_append(out, address->domain);
    }
}

void address_format_path(const struct address *address, struct buffer *out)
{
    buffer_append_octet(out, '<');
    address_format(address, out);
    buffer_append_octet(out, '>');
}

/* Appends what the local part means, without quotes and escapes: "john" for "\"jo\\hn\"". */
static void append_unquoted(const struct address *address, struct buffer *out)
{
    struct slice text = address->local_part;
    if (text.len == 0 || text.ptr[0] != '"') {
        buffer_append(out, text);
        return;
    }
    for (size_t i = 1; i + 1 < text.len; i++) {
        if (text.ptr[i] == '\\')
            i++;
        buffer_append_octet(out, text.ptr[i]);
    }
}

static void append_quoted(struct slice text, struct buffer *out)
{
    struct cursor in = cursor_of(text);
    uint8_t octet;
    buffer_append_octet(out, '"');
    for (; cursor_peek(&in, &octet); in.at++) {
        if (octet == '"' || octet == '\\')
            buffer_append_octet(out, '\\');
        buffer_append_octet(out, octet);
    }
    buffer_append_octet(out, '"');
}

/* RFC 5321 4.1.2: quotes that are not needed do not change the address. */
static void append_canonical_local_part(const struct address *address, struct buffer *out)
{
    struct buffer meaning = BUFFER_WITH_LIMIT(ADDRESS_LOCAL_PART_LIMIT);
    append_unquoted(address, &meaning);
    struct cursor in = cursor_of(buffer_slice(&meaning));
    struct slice atoms;
    if (parse_dot_string(&in, &atoms) && cursor_at_end(&in))
        buffer_append(out, atoms);
    else
        append_quoted(buffer_slice(&meaning), out);
    if (meaning.failed)
        out->failed = true;
    buffer_clear(&meaning);
}

static void append_lower(struct slice text, struct buffer *out)
{
    struct cursor in = cursor_of(text);
    uint8_t octet;
    for (; cursor_peek(&in, &octet); in.at++)
        buffer_append_octet(out, ascii_lower(octet));
}

static void append_literal(const struct ip_address *ip, struct buffer *out)
{
    char text[IP_ADDRESS_TEXT_SIZE];
    buffer_append_string(out, ip->family == IP_V6 ? "[IPv6:" : "[");
    buffer_append_string(out, ip_address_format(ip, text));
    buffer_append_octet(out, ']');
}

/* UTS 46 maps some letters to ASCII punctuation (U+2100 is "a/c"), so what comes out must be a
 * Domain again. IDN2_USE_STD3_ASCII_RULES is no help: libidn2 2.3.3 then drops such a letter. */
static bool append_a_labels(struct slice domain, struct buffer *out, struct error *error)
{
    uint8_t text[ADDRESS_DOMAIN_LIMIT + 1];
    memcpy(text, domain.ptr, domain.len);
    text[domain.len] = '\0';
    char *ascii = NULL;
    int status = idn2_to_ascii_8z((const char *)text, &ascii, IDN2_NONTRANSITIONAL);
    if (status == IDN2_MALLOC)
        return error_memory(error);
    if (status != IDN2_OK)
        return error_set(error, ERROR_PEER, "not an internationalised domain name: %s",
                         idn2_strerror(status));
    struct address parsed = {.host = ADDRESS_HOST_NONE};
    bool valid = address_parse_host(slice_of_string(ascii), &parsed, error);
    if (valid)
        append_lower(parsed.domain, out);
    free(ascii);
    return valid;
}

static bool append_canonical_domain(const struct address *address, struct buffer *out,
                                    struct error *error)
{
    if (address->host == ADDRESS_HOST_LITERAL)
        append_literal(&address->ip, out);
    else if (!slice_is_ascii(address->domain))
        return append_a_labels(address->domain, out, error);
    else
        append_lower(address->domain, out);
    return true;
}

/* Takes back what was appended since `before` where that was not all. */
static bool finish_append(struct buffer *out, size_t before, bool valid, struct error *error)
{
    if (valid && out->failed)
        valid = error_set(error, ERROR_TEMPORARY, "no room for an address");
    if (!valid)
        buffer_truncate(out, before);
    return valid;
}

bool address_canonicalise(const struct address *address, struct buffer *out, struct error *error)
{
    size_t before = out->len;
    if (address->host == ADDRESS_HOST_NONE) {
        append_lower(address->local_part, out); /* <Postmaster>, or nothing */
        return finish_append(out, before, true, error);
    }
    append_canonical_local_part(address, out);
    buffer_append_octet(out, '@');
    bool valid = append_canonical_domain(address, out, error);
    return finish_append(out, before, valid, error);
}

bool address_canonicalise_domain(const struct address *address, struct buffer *out,
                                 struct error *error)
{
    size_t before = out->len;
    bool valid = append_canonical_domain(address, out, error);
    return finish_append(out, before, valid, error);
}
