/* Promises of common/mime: header.h, header_address.h and content.h. */
#include "tests/unit/test.h"

#include "common/mime/content.h"
#include "common/mime/header.h"
#include "common/mime/header_address.h"
#include "common/size.h"

/* --- fields --- */

static void fields_are_found_in_whatever_stands_there(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        const char *fields; /* name=body; of each, folds as they are */
    } cases[] = {
        {"A: b\r\nC: d\r\n\r\nE: f\r\n", "A= b;C= d;"},
        {"A: b\nC: d\n\nE: f\n", "A= b;C= d;"},
        {"A: b\r\n c\r\n\td\r\nE:f", "A= b\r\n c\r\n\td;E=f;"},
        {"A : b\r\nC\t :d\r\n", "A= b;C=d;"}, /* RFC 5322 4.5 */
        {"From x@y Mon Jan  1 00:00:00 2001\r\nA: b\r\n",
         "=From x@y Mon Jan  1 00:00:00 2001;A= b;"},
        {"garbage\r\n more\r\nA: b\r\n", "=garbage\r\n more;A= b;"},
        {" leading\r\nA: b\r\n", "= leading;A= b;"},
        {": no name\r\nA: b\r\n", "=: no name;A= b;"},
        {"A: b\rC: d\r\n", "A= b\rC: d;"}, /* a bare CR ends nothing */
        {"A:\r\n \r\nB: c\r\n\r\n", "A=\r\n ;B= c;"},
        {"", ""},
        {"\r\nA: b", ""},
        {"\nA: b", ""},
        {"\r", "=\r;"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct slice text = slice_of_string(cases[i].header);
        struct cursor in = cursor_of(text);
        struct header_field field;
        struct buffer found = BUFFER_WITH_LIMIT(1000);
        size_t octets = 0;
        while (header_next(&in, &field)) {
            buffer_append(&found, field.name);
            buffer_append_octet(&found, '=');
            buffer_append(&found, field.body);
            buffer_append_octet(&found, ';');
            octets += field.whole.len;
        }
        assert_slice_is(buffer_slice(&found), cases[i].fields);
        assert_int_equal(octets, (size_t)(in.at - text.ptr));
        assert_true(octets == text.len || *in.at == '\r' || *in.at == '\n');
        buffer_clear(&found);
    }
}

static void a_field_is_unfolded(void **state)
{
    (void)state;
    struct buffer text = BUFFER_WITH_LIMIT(100);
    header_unfold(SLICE("  a\r\n\tb \r\n c  "), &text);
    assert_slice_is(buffer_slice(&text), "a\tb  c");
    buffer_clear(&text);
}

/* --- addresses --- */

static void append_piece(struct buffer *text, struct slice piece)
{
    buffer_append_octet(text, '|');
    buffer_append(text, piece);
}

/* "name|route|local|domain;" of each, "name{" for a group and "}" for its end, "!" if malformed */
static void describe_addresses(struct slice body, struct buffer *text)
{
    struct header_address_reader reader;
    struct header_address address;
    header_address_reader_init(&reader, body);
    while (header_address_next(&reader, &address)) {
        if (address.malformed)
            buffer_append_octet(text, '!');
        buffer_append(text, address.name);
        if (address.kind == HEADER_ADDRESS_MAILBOX) {
            append_piece(text, address.route);
            append_piece(text, address.local_part);
            append_piece(text, address.domain);
            buffer_append_octet(text, ';');
        } else {
            buffer_append_octet(text, address.kind == HEADER_ADDRESS_GROUP ? '{' : '}');
        }
    }
    assert_false(header_address_reader_failed(&reader));
    header_address_reader_clear(&reader);
    header_address_reader_clear(&reader);
}

static const struct {
    const char *body;
    const char *addresses;
} address_cases[] = {
    {"john@example.org", "||john|example.org;"},
    {" John Doe <jdoe@machine.example> ", "John Doe||jdoe|machine.example;"},
    {"\"Joe Q. Public\" <john.q.public@example.com>", "Joe Q. Public||john.q.public|example.com;"},
    {"Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
     "Mary Smith||mary|x.test;||jdoe|example.org;Who?||one|y.test;"},
    {"<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" <sysservices@example.net>",
     "||boss|nil.test;Giant; \"Big\" Box||sysservices|example.net;"},
    {"A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
     "A Group{Ed Jones||c|a.test;||joe|where.test;John||jdoe|one.test;}"},
    {"Undisclosed recipients:;", "Undisclosed recipients{}"},
    /* RFC 5322 A.5 */
    {"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "Pete||pete|silly.test;"},
    {"A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n"
     "         joe@example.org,\r\n  John <jdoe@one.test> (my dear friend); (the end of the group)",
     "A Group{Chris Jones||c|public.example;||joe|example.org;John||jdoe|one.test;}"},
    {"(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;", "Hidden recipients{}"},
    /* RFC 5322 A.6 */
    {"Joe Q. Public <john.q.public@example.com>", "Joe Q. Public||john.q.public|example.com;"},
    {"Mary Smith <@node.test:mary@example.net>, , jdoe@test   . example",
     "Mary Smith|@node.test|mary|example.net;||jdoe|test.example;"},
    {"<@a.test,,@b.test:x@c.test>", "|@a.test,@b.test|x|c.test;"},
    {"john . doe (comment) @ example . org", "||john.doe|example.org;"},
    {"\"john doe\"@example.org", "||john doe|example.org;"},
    {"\" \".x@[127.0.0.1]", "|| .x|[127.0.0.1];"},
    {"jdoe@example.org (John Doe)", "John Doe||jdoe|example.org;"},
    {"<jdoe@example.org> (John (the) \\(Doe)", "John (the) (Doe||jdoe|example.org;"},
    {"a..b.@docomo.example", "||a..b.|docomo.example;"}, /* they exist */
    {"J\xc3\xbcrgen <j\xc3\xbc@\xc3\xbc.test>", "J\xc3\xbcrgen||j\xc3\xbc|\xc3\xbc.test;"},
    {"=?utf-8?q?J=C3=BC?= <a@b>", "=?utf-8?q?J=C3=BC?=||a|b;"},
    {"a@b; c@d;", "||a|b;||c|d;"}, /* separators of Outlook */
    /* names that want quotes */
    {"a@b <c@d>, e@f", "a@b||c|d;||e|f;"},
    {"Info [x] <a@b> (c), \"q\" @ (<z>) <@r:a@b>", "Info [x]||a|b;\"q\" @ (<z>)|@r|a|b;"},
    {"x@y <a@b> <c@d>, x@y <a b@c>", "!||x@y <a@b> <c@d>|;!||x@y <a b@c>|;"},
    {"", ""},
    {" , ;,(x)", ""},
    /* what is none */
    {"root", "!||root|;"},
    {"two words, c@d", "!two words|||;||c|d;"},
    {"a@", "!||a|;"},
    {"@b", "!|||b;"},
    {"<>", "!|||;"},
    {"a@b c@d, e@f", "!||a@b c@d|;||e|f;"},
    {"<alice@x> <mallory@y>", "!||alice|x;"},
    {"\"open <a@b>, c@d", "!open <a@b>, c@d|||;"},
    {"a@b, (open, c@d", "||a|b;"},
    {"G: a@b, c@d", "G{||a|b;||c|d;!}"},
    {"G: H: a@b;", "G{!||H: a@b|;}"},
    {"<a@b", "!||a|b;"},
    {"x <a b@c>, d@e", "!x||a|;||d|e;"},
    {")))", "!||)))|;"},
    {"a@[1.2", "||a|[1.2;"},
    {"\\", "!||\\|;"},
};

static void addresses_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(address_cases); i++) {
        struct buffer text = BUFFER_WITH_LIMIT(10000);
        describe_addresses(slice_of_string(address_cases[i].body), &text);
        assert_slice_is(buffer_slice(&text), address_cases[i].addresses);
        buffer_clear(&text);
    }
}

/* Each of these would take hours if a part of it were read again for every octet. */
static void hostile_addresses_take_linear_time(void **state)
{
    (void)state;
    static const char *const parts[] = {"(", "\"", "a,",  "a<", "<@a,", "[",  ":",    "a.",
                                        "@", "\\", "a:;", "a ", "()",   "=?", "a@b<", "a@b<@c,"};
    for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
        struct buffer body = BUFFER_WITH_LIMIT(4 << 20);
        struct buffer text = BUFFER_WITH_LIMIT(32 << 20);
        while (body.len < 2 << 20)
            buffer_append_string(&body, parts[i]);
        describe_addresses(buffer_slice(&body), &text);
        assert_false(text.failed);
        buffer_clear(&text);
        buffer_clear(&body);
    }
}

/* --- Content-Type and its kin --- */

static void types_are_split(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *type, *subtype; /* NULL: none */
    } cases[] = {
        {"text/plain", "text", "plain"},
        {" Text/HTML; charset=x", "Text", "HTML"},
        {"(a) text (b) / (c) plain (d); x=y", "text", "plain"},
        {"application/vnd.x+xml", "application", "vnd.x+xml"},
        {"text/plain charset=x", "text", "plain"},
        {"text", NULL, NULL},
        {"text/", NULL, NULL},
        {"/plain", NULL, NULL},
        {"", NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct content_type type;
        bool valid = content_type_parse(slice_of_string(cases[i].body), &type);
        assert_int_equal(valid, cases[i].type != NULL);
        if (valid) {
            assert_slice_is(type.type, cases[i].type);
            assert_slice_is(type.subtype, cases[i].subtype);
        }
    }
}

static const struct {
    const char *text;
    const char *parameters; /* name=value; of each */
} parameter_cases[] = {
    {"charset=us-ascii", "charset=us-ascii;"},
    {" charset = \"utf-8\" ; format=flowed", "charset=utf-8;format=flowed;"},
    {"charset=us-ascii (Plain text)", "charset=us-ascii;"}, /* RFC 2045 5.1 */
    {"name=\"a;b \\\"c\\\\\"; x=y", "name=a;b \"c\\;x=y;"},
    {"name=\"two\r\n lines\"", "name=two lines;"},
    {"filename=two words.txt; x=y", "filename=two words.txt;x=y;"},
    {"boundary=----=_Part:1", "boundary=----=_Part:1;"},
    {";; x=y;", "x=y;"},
    {"noequals; x=y", "x=y;"},
    {"=y; x=z", "x=z;"},
    {"x=", "x=;"},
    {"x=\"open; y=z", "x=open; y=z;"},
    /* RFC 2231 3, 4 */
    {"URL*0=\"ftp://\"; URL*1=\"cs.utk.edu/pub\"", "URL=ftp://cs.utk.edu/pub;"},
    {"URL*1=b; x=y; url*0=a", "x=y;url=ab;"},
    {"title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun",
     "title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun;"},
    {"title*0*=us-ascii'en'This%20is%20even%20more%20; title*1*=%2A%2A%2Afun%2A%2A%2A%20;"
     " title*2=\"isn't it!\"",
     "title*=us-ascii'en'This%20is%20even%20more%20%2A%2A%2Afun%2A%2A%2A%20isn%27t%20it!;"},
    {"t*0=a%; t*1*=%20", "t*=''a%25%20;"},
    {"t*0=a; t*2=c", "t=a;t*2=c;"}, /* a section is missing */
    {"t*0=a; t*0=b", "t=a;t*0=b;"},
    {"t*x=a; *0=b", "t*x=a;*0=b;"},
    {"t*18446744073709551615=a", "t*18446744073709551615=a;"},
    {"", ""},
};

static void parameters_are_read(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 10000);
    for (size_t i = 0; i < ARRAY_LENGTH(parameter_cases); i++) {
        struct content_parameters parameters;
        struct buffer text = BUFFER_WITH_LIMIT(1000);
        arena_reset(&arena);
        assert_true(content_parameters_parse(slice_of_string(parameter_cases[i].text), &arena,
                                             &parameters));
        for (size_t n = 0; n < parameters.count; n++) {
            buffer_append(&text, parameters.list[n].name);
            buffer_append_octet(&text, '=');
            buffer_append(&text, parameters.list[n].value);
            buffer_append_octet(&text, ';');
        }
        assert_slice_is(buffer_slice(&text), parameter_cases[i].parameters);
        buffer_clear(&text);
    }
    arena_clear(&arena);
}

static void a_parameter_is_found_in_either_form(void **state)
{
    (void)state;
    struct arena arena;
    struct content_parameters parameters;
    struct slice value;
    arena_init(&arena, 10000);
    assert_true(content_parameters_parse(
        SLICE("x*=utf-8'de'%C3%BC%zz; Boundary*=''plain; boundary=\"first\""), &arena,
        &parameters));
    assert_true(content_parameters_find(&parameters, SLICE("X"), &arena, &value));
    assert_slice_is(value, "\xc3\xbc%zz");
    assert_true(content_parameters_find(&parameters, SLICE("boundary"), &arena, &value));
    assert_slice_is(value, "first");
    assert_false(content_parameters_find(&parameters, SLICE("bound"), &arena, &value));
    arena_clear(&arena);
}

static void too_many_parameters_are_left_out(void **state)
{
    (void)state;
    struct arena arena;
    struct content_parameters parameters;
    struct buffer text = BUFFER_WITH_LIMIT(1 << 20);
    arena_init(&arena, 1 << 20);
    for (unsigned n = 0; n < 10000; n++)
        buffer_append_format(&text, "t*%u=x;", n);
    assert_true(content_parameters_parse(buffer_slice(&text), &arena, &parameters));
    assert_int_equal(parameters.count, 1);
    assert_int_equal(parameters.list[0].value.len, CONTENT_PARAMETERS_LIMIT);
    arena_clear(&arena);
    buffer_clear(&text);
}

static void languages_are_listed(void **state)
{
    (void)state;
    struct cursor in = cursor_of(SLICE(" en, (x) fr-CA ,, de"));
    struct slice tag;
    assert_true(content_language_next(&in, &tag));
    assert_slice_is(tag, "en");
    assert_true(content_language_next(&in, &tag));
    assert_slice_is(tag, "fr-CA");
    assert_true(content_language_next(&in, &tag));
    assert_slice_is(tag, "de");
    assert_false(content_language_next(&in, &tag));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_found_in_whatever_stands_there),
        cmocka_unit_test(a_field_is_unfolded),
        cmocka_unit_test(addresses_are_read),
        cmocka_unit_test(hostile_addresses_take_linear_time),
        cmocka_unit_test(types_are_split),
        cmocka_unit_test(parameters_are_read),
        cmocka_unit_test(a_parameter_is_found_in_either_form),
        cmocka_unit_test(too_many_parameters_are_left_out),
        cmocka_unit_test(languages_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
