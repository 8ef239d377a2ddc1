/* The parser of command.h: a table of verbs, a table of parameters each for MAIL and RCPT. Pure. */
#include "smtpd/session/command.h"

#include <unistr.h>

#include "common/size.h"
#include "common/text/date.h"
#include "smtpd/session/xtext.h"

enum {
    KEYWORD = 1, /* esmtp-keyword, RFC 5321 4.1.2 */
    VALUE = 2,   /* esmtp-value, RFC 5321 4.1.2, RFC 6531 3.3 */
    NAME = 4,    /* of a host, underscores too */
    BASE64 = 8,
    MECHANISM = 16, /* sasl-mech, RFC 4422 3.1, in any case */

    SIZE_DIGITS = 20,     /* RFC 1870 3 */
    BY_DIGITS = 9,        /* RFC 2852 4 */
    HOLD_DIGITS = 9,      /* RFC 4865 4 */
    ENVID_LIMIT = 100,    /* RFC 3461 4.4 */
    ORCPT_LIMIT = 500,    /* RFC 3461 4.2 */
    MECHANISM_LIMIT = 20, /* RFC 4422 3.1 */
};

static const uint8_t classes[256] = {
    ['!' ... '*'] = VALUE,
    ['+'] = VALUE | BASE64,
    [','] = VALUE,
    ['-'] = VALUE | KEYWORD | NAME | MECHANISM,
    ['.'] = VALUE | NAME,
    ['/'] = VALUE | BASE64,
    ['0' ... '9'] = VALUE | KEYWORD | NAME | BASE64 | MECHANISM,
    [':' ... '<'] = VALUE,
    ['='] = BASE64,
    ['>' ... '@'] = VALUE,
    ['A' ... 'Z'] = VALUE | KEYWORD | NAME | BASE64 | MECHANISM,
    ['[' ... '^'] = VALUE,
    ['_'] = VALUE | NAME | MECHANISM,
    ['`'] = VALUE,
    ['a' ... 'z'] = VALUE | KEYWORD | NAME | BASE64 | MECHANISM,
    ['{' ... '~'] = VALUE,
    [0x80 ... 0xff] = VALUE,
};

/* --- Parameters of MAIL and RCPT -------------------------------------------------------------- */

/* .ptr of the value is NULL where none was given. False: not as `wants` says. */
struct parameter {
    struct slice keyword;
    bool (*parse)(struct slice value, struct smtp_command *command);
    struct smtp_reply refusal;
};

/* size-value = 1*20DIGIT. Twenty digits may pass 64 bits: too large for any limit, not bad. */
static bool parse_size(struct slice value, struct smtp_command *command)
{
    if (value.len == 0 || value.len > SIZE_DIGITS)
        return false;
    for (size_t i = 0; i < value.len; i++)
        if (!ascii_is_digit(value.ptr[i]))
            return false;
    command->mail.size = UINT64_MAX;
    slice_parse_number(value, &command->mail.size);
    return true;
}

static bool parse_body(struct slice value, struct smtp_command *command)
{
    command->mail.body_binary = slice_equal_nocase(value, SLICE("BINARYMIME"));
    command->mail.body_8bitmime =
        command->mail.body_binary || slice_equal_nocase(value, SLICE("8BITMIME"));
    return command->mail.body_8bitmime || slice_equal_nocase(value, SLICE("7BIT"));
}

static bool parse_smtputf8(struct slice value, struct smtp_command *command)
{
    command->mail.utf8 = true;
    return !value.ptr;
}

static bool parse_requiretls(struct slice value, struct smtp_command *command)
{
    command->mail.requiretls = true;
    return !value.ptr;
}

static bool take_few_digits(struct cursor *in, size_t most, uint64_t *number)
{
    struct cursor start = *in;
    return cursor_take_number(in, number) && cursor_since(in, &start).len <= most;
}

/* by-mode [by-trace] = ( "N" / "R" ) [ "T" ] */
static bool take_by_mode(struct cursor *in, struct smtp_by *by)
{
    if (cursor_skip_nocase(in, SLICE("R")))
        by->mode = SMTP_BY_RETURN;
    else if (cursor_skip_nocase(in, SLICE("N")))
        by->mode = SMTP_BY_NOTIFY;
    else
        return false;
    by->trace = cursor_skip_nocase(in, SLICE("T"));
    return cursor_at_end(in);
}

/* by-value = by-time ";" by-mode [by-trace]; by-time = ["-" / "+"] 1*9DIGIT    RFC 2852 4 */
static bool parse_by(struct slice value, struct smtp_command *command)
{
    struct cursor in = cursor_of(value);
    struct smtp_by *by = &command->mail.by;
    uint64_t number;
    bool negative = cursor_skip(&in, '-');
    if (!negative)
        cursor_skip(&in, '+');
    if (!take_few_digits(&in, BY_DIGITS, &number) || !cursor_skip(&in, ';')
        || !take_by_mode(&in, by))
        return false;
    by->seconds = negative ? -(int32_t)number : (int32_t)number;
    return by->mode != SMTP_BY_RETURN || by->seconds > 0;
}

/* Only one of HOLDFOR and HOLDUNTIL may stand there. */
static bool note_hold(struct smtp_command *command, enum smtp_hold_kind kind, int64_t seconds)
{
    struct smtp_hold *hold = &command->mail.hold;
    bool first = hold->kind == SMTP_HOLD_NONE;
    *hold = (struct smtp_hold){.kind = kind, .seconds = seconds};
    return first;
}

/* future-release-integer = %x31-39 *8DIGIT */
static bool parse_hold_for(struct slice value, struct smtp_command *command)
{
    struct cursor in = cursor_of(value);
    uint64_t number;
    return value.len > 0 && value.ptr[0] != '0' && take_few_digits(&in, HOLD_DIGITS, &number)
           && cursor_at_end(&in) && note_hold(command, SMTP_HOLD_FOR, (int64_t)number);
}

/* date-time of RFC 3339 5.6 */
static bool parse_hold_until(struct slice value, struct smtp_command *command)
{
    struct date date;
    return date_parse_internet(value, &date) && note_hold(command, SMTP_HOLD_UNTIL, date.seconds);
}

static bool parse_ret(struct slice value, struct smtp_command *command)
{
    if (slice_equal_nocase(value, SLICE("FULL")))
        command->mail.ret = SMTP_RET_FULL;
    else if (slice_equal_nocase(value, SLICE("HDRS")))
        command->mail.ret = SMTP_RET_HDRS;
    else
        return false;
    return true;
}

static bool parse_envid(struct slice value, struct smtp_command *command)
{
    command->mail.envid = value;
    return value.len > 0 && value.len <= ENVID_LIMIT && xtext_is_valid(value);
}

static bool parse_mail_auth(struct slice value, struct smtp_command *command)
{
    command->mail.auth = value;
    return value.len > 0 && xtext_is_valid(value);
}

static unsigned find_notify(struct slice word)
{
    static const struct {
        struct slice word;
        unsigned bit;
    } words[] = {
        {SLICE("SUCCESS"), SMTP_NOTIFY_SUCCESS},
        {SLICE("FAILURE"), SMTP_NOTIFY_FAILURE},
        {SLICE("DELAY"), SMTP_NOTIFY_DELAY},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(words); i++)
        if (slice_equal_nocase(word, words[i].word))
            return words[i].bit;
    return 0;
}

/* notify-esmtp-value = "NEVER" / notify-list-element *( "," notify-list-element ) */
static bool parse_notify(struct slice value, struct smtp_command *command)
{
    if (slice_equal_nocase(value, SLICE("NEVER"))) {
        command->rcpt.notify = SMTP_NOTIFY_NEVER;
        return true;
    }
    struct slice rest = value;
    for (;;) {
        size_t comma = slice_find_octet(rest, ',');
        unsigned bit = find_notify(slice_range(rest, 0, comma));
        if (bit == 0)
            return false;
        command->rcpt.notify |= bit;
        if (comma == rest.len)
            return true;
        rest = slice_from(rest, comma + 1);
    }
}

/* original-recipient-address = addr-type ";" xtext; of type "utf-8" RFC 6533 3 */
static bool parse_orcpt(struct slice value, struct smtp_command *command)
{
    command->rcpt.orcpt = value;
    size_t semicolon = slice_find_octet(value, ';');
    struct slice type = slice_range(value, 0, semicolon);
    struct slice address = slice_from(value, semicolon + 1);
    struct cursor in = cursor_of(type);
    cursor_take_class(&in, classes, KEYWORD);
    if (value.len > ORCPT_LIMIT || type.len == 0 || !cursor_at_end(&in) || address.len == 0)
        return false;
    if (!slice_equal_nocase(type, SLICE("utf-8")))
        return xtext_is_valid(address);
    if (!slice_is_ascii(address))
        command->rcpt.utf8 = true;
    return !u8_check(address.ptr, address.len);
}

static const struct parameter mail_parameters[] = {
    {SLICE("SIZE"),
     parse_size,
     {501, SLICE("5.5.4"), SLICE("SIZE is a number of at most 20 digits")}},
    {SLICE("BODY"),
     parse_body,
     {501, SLICE("5.5.4"), SLICE("BODY is 7BIT, 8BITMIME or BINARYMIME")}},
    {SLICE("SMTPUTF8"), parse_smtputf8, {501, SLICE("5.5.4"), SLICE("SMTPUTF8 has no value")}},
    {SLICE("RET"), parse_ret, {501, SLICE("5.5.4"), SLICE("RET is FULL or HDRS")}},
    {SLICE("ENVID"),
     parse_envid,
     {501, SLICE("5.5.4"), SLICE("ENVID is xtext of at most 100 octets (RFC 3461 4.4)")}},
    {SLICE("AUTH"),
     parse_mail_auth,
     {501, SLICE("5.5.4"), SLICE("AUTH is an address in xtext, or <> (RFC 4954 5)")}},
    {SLICE("REQUIRETLS"),
     parse_requiretls,
     {501, SLICE("5.5.4"), SLICE("REQUIRETLS has no value")}},
    {SLICE("BY"),
     parse_by,
     {501, SLICE("5.5.4"), SLICE("BY is seconds;N or seconds;R, more than 0 with R (RFC 2852 4)")}},
    {SLICE("HOLDFOR"),
     parse_hold_for,
     {501, SLICE("5.5.4"),
      SLICE("HOLDFOR is a number of seconds, without HOLDUNTIL (RFC 4865 4)")}},
    {SLICE("HOLDUNTIL"),
     parse_hold_until,
     {501, SLICE("5.5.4"), SLICE("HOLDUNTIL is like 2030-12-31T23:59:59Z, without HOLDFOR")}},
};

static const struct parameter rcpt_parameters[] = {
    {SLICE("NOTIFY"),
     parse_notify,
     {501, SLICE("5.5.4"), SLICE("NOTIFY is NEVER, or a list of SUCCESS, FAILURE, DELAY")}},
    {SLICE("ORCPT"),
     parse_orcpt,
     {501, SLICE("5.5.4"),
      SLICE("ORCPT is a type, \";\" and xtext, at most 500 octets (RFC 3461 4.2)")}},
};

struct parameter_table {
    const struct parameter *rows;
    size_t count;
    struct smtp_reply unknown;
    struct smtp_reply twice;
    struct smtp_reply syntax;
};

static const struct parameter_table mail_table = {
    mail_parameters,
    ARRAY_LENGTH(mail_parameters),
    {555, SLICE("5.5.4"), SLICE("Unknown parameter of MAIL")},
    {501, SLICE("5.5.4"), SLICE("A parameter of MAIL is given twice")},
    {501, SLICE("5.5.4"), SLICE("Syntax: MAIL FROM:<address> [KEYWORD[=value] ...]")},
};

static const struct parameter_table rcpt_table = {
    rcpt_parameters,
    ARRAY_LENGTH(rcpt_parameters),
    {555, SLICE("5.5.4"), SLICE("Unknown parameter of RCPT")},
    {501, SLICE("5.5.4"), SLICE("A parameter of RCPT is given twice")},
    {501, SLICE("5.5.4"), SLICE("Syntax: RCPT TO:<address> [KEYWORD[=value] ...]")},
};

static bool refuse(struct smtp_reply *refusal, struct smtp_reply reply)
{
    *refusal = reply;
    return false;
}

/* esmtp-param = esmtp-keyword ["=" esmtp-value]. A value is never empty. */
static bool take_parameter(struct cursor *in, struct slice *keyword, struct slice *value)
{
    *keyword = cursor_take_class(in, classes, KEYWORD);
    *value = slice_of(NULL, 0);
    if (keyword->len == 0 || keyword->ptr[0] == '-')
        return false;
    if (!cursor_skip(in, '='))
        return true;
    *value = cursor_take_class(in, classes, VALUE);
    return value->len > 0;
}

static size_t find_parameter(const struct parameter_table *table, struct slice keyword)
{
    size_t row = 0;
    while (row < table->count && !slice_equal_nocase(keyword, table->rows[row].keyword))
        row++;
    return row;
}

/* *(SP esmtp-param), to the end of the line */
static bool parse_parameters(struct cursor *in, const struct parameter_table *table,
                             struct smtp_command *command, struct smtp_reply *refusal)
{
    uint32_t seen = 0;
    while (!cursor_at_end(in)) {
        struct slice keyword;
        struct slice value;
        if (!cursor_skip(in, ' ') || !take_parameter(in, &keyword, &value))
            return refuse(refusal, table->syntax);
        size_t row = find_parameter(table, keyword);
        if (row == table->count)
            return refuse(refusal, table->unknown);
        if ((seen & 1U << row) != 0)
            return refuse(refusal, table->twice);
        seen |= 1U << row;
        if (!table->rows[row].parse(value, command))
            return refuse(refusal, table->rows[row].refusal);
    }
    return true;
}

/* --- Arguments, one function a form ----------------------------------------------------------- */

static bool refuse_path(struct smtp_command *command, struct slice enhanced,
                        struct smtp_reply *refusal)
{
    struct smtp_reply reply = {501, enhanced, slice_of_string(command->error.text)};
    return refuse(refusal, reply);
}

/* "MAIL FROM:" Reverse-path [SP Mail-parameters] */
static bool parse_mail(struct cursor *in, struct smtp_command *command, struct smtp_reply *refusal)
{
    if (!cursor_skip_nocase(in, SLICE("FROM:")))
        return refuse(refusal, mail_table.syntax);
    cursor_skip(in, ' ');
    if (!address_parse_reverse_path(in, &command->mail.reverse_path, &command->error))
        return refuse_path(command, SLICE("5.1.7"), refusal);
    if (!parse_parameters(in, &mail_table, command, refusal))
        return false;
    if (command->mail.reverse_path.utf8 && !command->mail.utf8)
        return refuse(refusal,
                      SMTP_REPLY(553, "5.6.7", "This address needs SMTPUTF8 (RFC 6531 3.5)"));
    return true;
}

/* "RCPT TO:" ( "<Postmaster>" / Forward-path ) [SP Rcpt-parameters] */
static bool parse_rcpt(struct cursor *in, struct smtp_command *command, struct smtp_reply *refusal)
{
    if (!cursor_skip_nocase(in, SLICE("TO:")))
        return refuse(refusal, rcpt_table.syntax);
    cursor_skip(in, ' ');
    if (!address_parse_forward_path(in, &command->rcpt.forward_path, &command->error))
        return refuse_path(command, SLICE("5.1.3"), refusal);
    command->rcpt.utf8 = command->rcpt.forward_path.utf8;
    return parse_parameters(in, &rcpt_table, command, refusal);
}

/* Domain / address-literal. Names with underscores are no Domain, but Windows has them; the name is
 * only written down. No enhanced code: RFC 2034 4 leaves EHLO and HELO out. */
static bool parse_helo(struct cursor *in, struct smtp_command *command, struct smtp_reply *refusal)
{
    struct address host;
    command->argument = cursor_rest(in);
    bool named = cursor_take_class(in, classes, NAME).len > 0 && cursor_at_end(in)
                 && command->argument.len <= ADDRESS_DOMAIN_LIMIT;
    if (named || (address_parse_host(command->argument, &host, NULL) && !host.utf8))
        return true;
    return refuse(refusal, SMTP_REPLY(501, "",
                                      "Wanted is the client's domain, or its address as [192.0.2.1]"
                                      " or [IPv6:2001:db8::1]"));
}

/* "BDAT" SP chunk-size [SP "LAST"] */
static bool parse_bdat(struct cursor *in, struct smtp_command *command, struct smtp_reply *refusal)
{
    if (cursor_take_number(in, &command->bdat.octets)) {
        command->bdat.last = cursor_skip_nocase(in, SLICE(" LAST"));
        if (cursor_at_end(in))
            return true;
    }
    return refuse(refusal, SMTP_REPLY(501, "5.5.4", "Syntax: BDAT octets [LAST]"));
}

/* "BURL" SP absolute-URI [SP end-marker]    RFC 4468 3.5; a URI has no spaces */
static bool parse_burl(struct cursor *in, struct smtp_command *command, struct smtp_reply *refusal)
{
    struct slice rest = cursor_rest(in);
    size_t space = slice_find_octet(rest, ' ');
    struct slice behind = slice_from(rest, space);
    command->burl.url = slice_range(rest, 0, space);
    command->burl.last = slice_equal_nocase(behind, SLICE(" LAST"));
    if (space > 0 && (behind.len == 0 || command->burl.last))
        return true;
    return refuse(refusal, SMTP_REPLY(501, "5.5.4", "Syntax: BURL URL [LAST]"));
}

/* "AUTH" SP sasl-mech [SP initial-response]; sasl-mech = 1*20(ALPHA / DIGIT / "-" / "_") */
static bool parse_auth(struct cursor *in, struct smtp_command *command, struct smtp_reply *refusal)
{
    command->auth.mechanism = cursor_take_class(in, classes, MECHANISM);
    command->auth.initial = slice_of(NULL, 0);
    size_t length = command->auth.mechanism.len;
    bool valid = length > 0 && length <= MECHANISM_LIMIT;
    if (valid && cursor_skip(in, ' ')) {
        command->auth.initial = cursor_take_class(in, classes, BASE64);
        valid = command->auth.initial.len > 0;
    }
    if (valid && cursor_at_end(in))
        return true;
    return refuse(refusal, SMTP_REPLY(501, "5.5.4", "Syntax: AUTH mechanism [initial-response]"));
}

/* String, which nobody reads on: of a VRFY 252 says nothing, of an EXPN 502. */
static bool parse_text(struct cursor *in, struct smtp_command *command, struct smtp_reply *refusal)
{
    command->argument = cursor_rest(in);
    if (command->argument.len > 0)
        return true;
    return refuse(refusal, SMTP_REPLY(501, "5.5.4", "This command needs an argument"));
}

static bool parse_any(struct cursor *in, struct smtp_command *command, struct smtp_reply *refusal)
{
    (void)refusal;
    command->argument = cursor_rest(in);
    return true;
}

static bool parse_none(struct cursor *in, struct smtp_command *command, struct smtp_reply *refusal)
{
    (void)command;
    if (cursor_at_end(in))
        return true;
    return refuse(refusal, SMTP_REPLY(501, "5.5.4", "This command has no argument"));
}

/* --- Verbs ------------------------------------------------------------------------------------ */

static const struct {
    struct slice word;
    enum smtp_verb verb;
    bool (*parse)(struct cursor *in, struct smtp_command *command, struct smtp_reply *refusal);
} verbs[] = {
    {SLICE("EHLO"), SMTP_EHLO, parse_helo},    {SLICE("HELO"), SMTP_HELO, parse_helo},
    {SLICE("MAIL"), SMTP_MAIL, parse_mail},    {SLICE("RCPT"), SMTP_RCPT, parse_rcpt},
    {SLICE("DATA"), SMTP_DATA, parse_none},    {SLICE("BDAT"), SMTP_BDAT, parse_bdat},
    {SLICE("RSET"), SMTP_RSET, parse_none},    {SLICE("VRFY"), SMTP_VRFY, parse_text},
    {SLICE("EXPN"), SMTP_EXPN, parse_text},    {SLICE("HELP"), SMTP_HELP, parse_any},
    {SLICE("NOOP"), SMTP_NOOP, parse_any},     {SLICE("QUIT"), SMTP_QUIT, parse_none},
    {SLICE("BURL"), SMTP_BURL, parse_burl},    {SLICE("STARTTLS"), SMTP_STARTTLS, parse_none},
    {SLICE("AUTH"), SMTP_AUTH, parse_auth},    {SLICE("SEND"), SMTP_OBSOLETE, parse_any},
    {SLICE("SOML"), SMTP_OBSOLETE, parse_any}, {SLICE("SAML"), SMTP_OBSOLETE, parse_any},
    {SLICE("TURN"), SMTP_OBSOLETE, parse_any}, {SLICE("GET"), SMTP_HTTP, parse_any},
    {SLICE("POST"), SMTP_HTTP, parse_any},     {SLICE("PUT"), SMTP_HTTP, parse_any},
    {SLICE("HEAD"), SMTP_HTTP, parse_any},     {SLICE("CONNECT"), SMTP_HTTP, parse_any},
    {SLICE("OPTIONS"), SMTP_HTTP, parse_any},
};

static bool has_octet_of_no_line(struct slice line)
{
    return slice_find_octet(line, '\r') < line.len || slice_find_octet(line, '\n') < line.len
           || slice_find_octet(line, '\0') < line.len;
}

/* RFC 5321 4.1.1: white space before the CRLF is to be tolerated. */
static struct slice trim_end(struct slice line)
{
    while (line.len > 0 && (line.ptr[line.len - 1] == ' ' || line.ptr[line.len - 1] == '\t'))
        line.len--;
    return line;
}

bool smtp_command_parse(struct slice line, struct smtp_command *command, struct smtp_reply *refusal)
{
    *command = (struct smtp_command){.verb = SMTP_UNKNOWN};
    if (has_octet_of_no_line(line))
        return refuse(refusal, SMTP_REPLY(500, "5.5.2", "A CR, LF or NUL inside a command"));
    line = trim_end(line);
    struct cursor in = cursor_of(line);
    struct slice word = slice_range(line, 0, slice_find_octet(line, ' '));
    in.at += word.len;
    cursor_skip(&in, ' ');
    for (size_t i = 0; i < ARRAY_LENGTH(verbs); i++) {
        if (slice_equal_nocase(word, verbs[i].word)) {
            command->verb = verbs[i].verb;
            return verbs[i].parse(&in, command, refusal);
        }
    }
    return refuse(refusal, SMTP_REPLY(500, "5.5.1", "Unknown command"));
}

void smtp_command_append_orcpt(struct slice orcpt, struct buffer *out)
{
    if (slice_starts_with_nocase(orcpt, SLICE("utf-8;"))) {
        buffer_append(out, orcpt);
        return;
    }
    size_t address = slice_find_octet(orcpt, ';') + 1;
    buffer_append(out, slice_range(orcpt, 0, address));
    xtext_decode(slice_from(orcpt, address), out);
}
