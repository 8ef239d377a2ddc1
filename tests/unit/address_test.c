/* Promises of common/text/address.h: RFC 5321 4.1.2 and RFC 6531 3.3, exact. */
#include "tests/unit/test.h"

#include "common/size.h"
#include "common/text/address.h"

#define X10 "xxxxxxxxxx"
#define X60 X10 X10 X10 X10 X10 X10
#define X63 X60 "xxx"

struct path_case {
    const char *text;
    bool valid;
    const char *local_part;
    const char *domain;
};

/* The cursor must stand behind the path, or where it was. */
static void check_path(bool (*parse)(struct cursor *, struct address *, struct error *),
                       const struct path_case *expected)
{
    static const uint8_t guard[] = " SIZE=1>";
    struct buffer line = BUFFER_WITH_LIMIT(2000);
    buffer_append_string(&line, expected->text);
    size_t length = line.len;
    buffer_append(&line, slice_of(guard, sizeof(guard) - 1));
    struct cursor in = cursor_of(buffer_slice(&line));
    struct address address = {.host = ADDRESS_HOST_NONE};
    struct error error = {.kind = ERROR_NONE};
    bool valid = parse(&in, &address, &error);
    if (valid != expected->valid)
        fail_msg("\"%s\" was %s: %s", expected->text, valid ? "taken" : "refused", error.text);
    assert_ptr_equal(in.at, line.ptr + (valid ? length : 0));
    assert_slice_is(address.local_part, valid ? expected->local_part : "");
    assert_slice_is(address.domain, valid ? expected->domain : "");
    if (!valid)
        assert_int_equal(error.kind, ERROR_PEER);
    buffer_clear(&line);
}

static const struct path_case paths[] = {
    {"<a@b.example>", true, "a", "b.example"},
    {"<a.b@c>", true, "a.b", "c"},
    {"<!#$%&'*+-/=?^_`{|}~@b>", true, "!#$%&'*+-/=?^_`{|}~", "b"},
    {"<\"\"@b>", true, "\"\"", "b"},
    {"<\"a b\"@c>", true, "\"a b\"", "c"},
    {"<\"a>b@c,d\"@e>", true, "\"a>b@c,d\"", "e"},
    {"<\"a\\\"b\\\\\"@c>", true, "\"a\\\"b\\\\\"", "c"},
    {"<@x.example,@y:a@b>", true, "a", "b"}, /* RFC 5321 C */
    {"<@x:a@b>", true, "a", "b"},
    {"<a@1.2.3.4>", true, "a", "1.2.3.4"}, /* a Domain by its grammar */
    {"<a@x-y--z.example>", true, "a", "x-y--z.example"},
    {"<a@[127.0.0.1]>", true, "a", "[127.0.0.1]"},
    {"<a@[IPv6:::1]>", true, "a", "[IPv6:::1]"},
    {"<a@[ipv6:2001:DB8::ffff:1]>", true, "a", "[ipv6:2001:DB8::ffff:1]"},
    {"<j\303\266rg@b\303\274cher.example>", true, "j\303\266rg", "b\303\274cher.example"},
    {"<\"j\303\266 rg\"@b>", true, "\"j\303\266 rg\"", "b"},
    {"<" X60 "xxxx@b>", true, X60 "xxxx", "b"},
    {"<" X60 "xxxxx@b>", false, NULL, NULL}, /* 4.5.3.1.1 */
    {"<a@" X63 ".example>", true, "a", X63 ".example"},
    {"<a@" X63 "x.example>", false, NULL, NULL},                 /* RFC 1035 2.3.4 */
    {"<a@" X63 "." X63 "." X63 "." X60 "x>", false, NULL, NULL}, /* 4.5.3.1.3: 257 octets */
    {"<a@" X63 "." X63 "." X63 "." X60 ">", true, "a", X63 "." X63 "." X63 "." X60},
    {"<a@b", false, NULL, NULL},
    {"a@b>", false, NULL, NULL},
    {"<a>", false, NULL, NULL},
    {"<@b>", false, NULL, NULL},
    {"<a@>", false, NULL, NULL},
    {"<a@b.>", false, NULL, NULL},
    {"<a@.b>", false, NULL, NULL},
    {"<a@b..c>", false, NULL, NULL},
    {"<a@-b>", false, NULL, NULL},
    {"<a@b->", false, NULL, NULL},
    {"<a@b_c>", false, NULL, NULL},
    {"<.a@b>", false, NULL, NULL},
    {"<a.@b>", false, NULL, NULL},
    {"<a..b@c>", false, NULL, NULL},
    {"<a b@c>", false, NULL, NULL},
    {"<a@b c>", false, NULL, NULL},
    {"< a@b>", false, NULL, NULL},
    {"<a@b >", false, NULL, NULL},
    {"<a@b@c>", false, NULL, NULL},
    {"<a@b\r>", false, NULL, NULL}, /* smuggling */
    {"<a\n@b>", false, NULL, NULL},
    {"<\"a@b>", false, NULL, NULL},
    {"<\"a\"b@c>", false, NULL, NULL},
    {"<a\"b\"@c>", false, NULL, NULL},
    {"<\"a\tb\"@c>", false, NULL, NULL},
    {"<\"a\\\tb\"@c>", false, NULL, NULL},
    {"<\"a\\\"@c>", false, NULL, NULL},
    {"<\"a\\\303\266\"@b>", false, NULL, NULL}, /* RFC 6531 adds to qtext, not to pairs */
    {"<a\x7f@b>", false, NULL, NULL},
    {"<@x,a@b>", false, NULL, NULL},
    {"<@x,:a@b>", false, NULL, NULL},
    {"<@x>", false, NULL, NULL},
    {"<@x:>", false, NULL, NULL},
    {"<x:a@b>", false, NULL, NULL},
    {"<a@[1.2.3]>", false, NULL, NULL},
    {"<a@[1.2.3.256]>", false, NULL, NULL},
    {"<a@[1.2.3.0004]>", false, NULL, NULL},
    {"<a@[1.2.3.4.5]>", false, NULL, NULL},
    {"<a@[1.2.3.4>", false, NULL, NULL},
    {"<a@[::1]>", false, NULL, NULL},
    {"<a@[x:y]>", false, NULL, NULL},
    {"<a@[IPv6:]>", false, NULL, NULL},
    {"<\377@b>", false, NULL, NULL},             /* not UTF-8 */
    {"<a@\300\200.example>", false, NULL, NULL}, /* overlong */
    {"<\355\240\200@b>", false, NULL, NULL},     /* a surrogate */
    {"<\303@b>", false, NULL, NULL},
};

static void paths_are_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(paths); i++) {
        check_path(address_parse_reverse_path, &paths[i]);
        check_path(address_parse_forward_path, &paths[i]);
    }
}

static void null_and_postmaster_have_their_side(void **state)
{
    (void)state;
    check_path(address_parse_reverse_path, &(struct path_case){"<>", true, "", ""});
    check_path(address_parse_forward_path, &(struct path_case){"<>", false, NULL, NULL});
    check_path(address_parse_forward_path,
               &(struct path_case){"<PostMaster>", true, "PostMaster", ""});
    check_path(address_parse_reverse_path, &(struct path_case){"<postmaster>", false, NULL, NULL});
}

static void ipv6_literals_are_exact(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *canonical; /* NULL: refused */
    } cases[] = {
        {"[IPv6:1:2:3:4:5:6:7:8]", "[IPv6:1:2:3:4:5:6:7:8]"},
        {"[IPv6:0001:0:0:0:0:0:0:00AB]", "[IPv6:1::ab]"},
        {"[IPv6:1:2:3:4:5:6:1.2.3.4]", "[IPv6:1:2:3:4:5:6:102:304]"},
        {"[IPv6:1:2:3:4:5:6::]", "[IPv6:1:2:3:4:5:6::]"},
        {"[IPv6:::1:2:3:4:5:6]", "[IPv6:::1:2:3:4:5:6]"},
        {"[IPv6:1:2:3::4:5:6]", "[IPv6:1:2:3::4:5:6]"},
        {"[IPv6:::]", "[IPv6:::]"},
        {"[IPv6:1::]", "[IPv6:1::]"},
        {"[IPv6:::ffff:010.0.0.1]", "[IPv6:::ffff:10.0.0.1]"},
        {"[IPv6:1:2:3:4::1.2.3.4]", "[IPv6:1:2:3:4::102:304]"},
        {"[IPv6:1:2:3:4:5:6:7::]", NULL}, /* "::" for one group */
        {"[IPv6:1:2:3:4:5::1.2.3.4]", NULL},
        {"[IPv6:1:2:3:4:5:6:7]", NULL},
        {"[IPv6:1:2:3:4:5:6:7:8:9]", NULL},
        {"[IPv6:1:2:3:4:5:6:7:1.2.3.4]", NULL},
        {"[IPv6:1.2.3.4]", NULL},
        {"[IPv6:1::2::3]", NULL},
        {"[IPv6::1]", NULL},
        {"[IPv6:1:]", NULL},
        {"[IPv6::::]", NULL},
        {"[IPv6:1:::2]", NULL},
        {"[IPv6:12345::]", NULL},
        {"[IPv6:g::]", NULL},
        {"[IPv6:fe80::1%lo]", NULL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct address host;
        struct buffer canonical = BUFFER_WITH_LIMIT(ADDRESS_CANONICAL_LIMIT);
        bool valid = address_parse_host(slice_of_string(cases[i].text), &host, NULL);
        if (valid != (cases[i].canonical != NULL))
            fail_msg("%s was %s", cases[i].text, valid ? "taken" : "refused");
        if (valid) {
            assert_int_equal(host.host, ADDRESS_HOST_LITERAL);
            assert_true(address_canonicalise_domain(&host, &canonical, NULL));
            assert_slice_is(buffer_slice(&canonical), cases[i].canonical);
        }
        buffer_clear(&canonical);
    }
}

static void spellings_have_one_canonical_form(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *canonical; /* NULL: no IDNA name */
    } cases[] = {
        {"John@Example.ORG", "John@example.org"},
        {"\"John\"@example.org", "John@example.org"},
        {"\"J\\ohn\"@example.org", "John@example.org"},
        {"\"a b\"@c", "\"a b\"@c"},
        {"\"a\\ b\"@c", "\"a b\"@c"},
        {"\"a.b\"@c", "a.b@c"},
        {"\"a..b\"@c", "\"a..b\"@c"},
        {"\"\"@c", "\"\"@c"},
        {"\"\\\\\\\"\"@c", "\"\\\\\\\"\"@c"},
        {"a@[010.1.2.3]", "a@[10.1.2.3]"},
        {"a@b\303\274cher.example", "a@xn--bcher-kva.example"},
        {"a@B\303\234CHER.Example", "a@xn--bcher-kva.example"},
        {"a@XN--bcher-KVA.example", "a@xn--bcher-kva.example"},
        {"a@stra\303\237e.example", "a@xn--strae-oqa.example"},
        {"j\303\266rg@b\303\274cher.example", "j\303\266rg@xn--bcher-kva.example"},
        {"a@\342\230\240.example", NULL},   /* U+2620, disallowed by RFC 5892 */
        {"a@b\342\204\200c.example", NULL}, /* U+2100 is "a/c" */
        {"a@\340\245\215.example", NULL},   /* begins with a combining mark */
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct address address;
        struct error error = {.kind = ERROR_NONE};
        assert_true(address_parse_mailbox(slice_of_string(cases[i].text), &address, &error));
        struct buffer form = BUFFER_WITH_LIMIT(ADDRESS_CANONICAL_LIMIT);
        if (address_canonicalise(&address, &form, &error) != (cases[i].canonical != NULL))
            fail_msg("%s: %.*s %s", cases[i].text, SLICE_PRINTF(buffer_slice(&form)), error.text);
        assert_slice_is(buffer_slice(&form), cases[i].canonical ? cases[i].canonical : "");
        buffer_clear(&form);
    }
}

static void formatting_gives_back_what_came_in(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(paths); i++) {
        struct cursor in = cursor_of(slice_of_string(paths[i].text));
        struct address address;
        if (!address_parse_reverse_path(&in, &address, NULL))
            continue;
        struct buffer text = BUFFER_WITH_LIMIT(ADDRESS_PATH_LIMIT);
        address_format_path(&address, &text);
        struct address again;
        in = cursor_of(buffer_slice(&text));
        assert_true(address_parse_reverse_path(&in, &again, NULL));
        assert_slice_equal(again.local_part, address.local_part);
        assert_slice_equal(again.domain, address.domain);
        assert_true(ip_address_equal(&again.ip, &address.ip));
        buffer_clear(&text);
    }
}

static void no_room_is_a_temporary_failure(void **state)
{
    (void)state;
    struct address address;
    assert_true(address_parse_mailbox(SLICE("abc@d.example"), &address, NULL));
    struct buffer out = BUFFER_WITH_LIMIT(8);
    buffer_append(&out, SLICE("x="));
    struct error error;
    assert_false(address_canonicalise(&address, &out, &error));
    assert_int_equal(error.kind, ERROR_TEMPORARY);
    assert_slice_is(buffer_slice(&out), "x=");
    buffer_clear(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_exact),
        cmocka_unit_test(null_and_postmaster_have_their_side),
        cmocka_unit_test(ipv6_literals_are_exact),
        cmocka_unit_test(spellings_have_one_canonical_form),
        cmocka_unit_test(formatting_gives_back_what_came_in),
        cmocka_unit_test(no_room_is_a_temporary_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
