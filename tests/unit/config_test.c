/* Promises of common/config/config.h: every key, every mistake, and a documentation that agrees. */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/config/config_internal.h"
#include "common/config/config_value.h"
#include "common/size.h"

#define WHOLE                                                                                      \
    "hostname = mail.example.org\n"                                                                \
    "domain example.org { }\n"                                                                     \
    "accounts { source = pam }\n"                                                                  \
    "certificate mail.example.org { chain = /c key = /k }\n"                                       \
    "listen smtp { }\n"
#define LINES_OF_WHOLE 5

struct mistake_case {
    const char *text; /* behind WHOLE, so its first line is the sixth */
    unsigned line;    /* 0: no mistake */
    const char *says; /* part of the text */
};

static const struct mistake_case mistake_cases[] = {
    {"", 0, NULL},
    {"limits { recipients = 2000 }", 0, NULL},
    {"limits { recipients = 99 }", 6, "limits.recipients = \"99\": write a number from 100 to"},
    {"limits { recipients = 1k }", 6, "write a number"},
    {"limits { recipients = \"\" }", 6, "write a number"},
    {"limits { recipients = 18446744073709551716 }", 6, "write a number"},
    {"\n\nlimits {\n# comment\n message-size = 1X }", 10, "write a size from 64K to 2G"},
    {"timeouts { login = 30 }", 6, "write a duration from 100ms to 1h"},
    {"timeouts { login = 2h }", 6, "write a duration"},
    {"pop3 { delete-after-retrieval = true }", 6, "write yes or no"},
    {"plaintext-passwords = always", 6, "write loopback or never"},
    {"state = var", 6, "write a path that begins with \"/\""},
    {"log { file = ~/log }", 6, "write a path"},
    {"listen imap { addresses = { 127.0.0.1, localhost } }", 6, "write a list of IP addresses"},
    {"listen imap { addresses = { } }", 6, "empty list"},
    {"listen imap { port = 0 }", 6, "write a number from 1 to 65535"},
    {"listen gopher { }", 6, "write smtp, submission"},
    {"listen http { }", 0, NULL},
    {"listen http { addresses = { 127.0.0.2, ::1 } }", 0, NULL},
    {"listen http { addresses = { 127.0.0.1, 192.0.2.1 } }", 6, "192.0.2.1 is open to others"},
    {"listen http { addresses = ::ffff:192.0.2.1 }", 6, "is open to others"},
    {"listen http { addresses = 0.0.0.0 }", 6, "0.0.0.0 is open to others"},
    {"listen imap { port = 25 }", 6, "port 25 of 0.0.0.0 is taken by listen smtp in line 5"},
    {"listen imap { port = 25 addresses = ::1 }", 0, NULL},
    {"domain EXAMPLE.org { }", 6, "domain example.org is there already, in line 2"},
    {"domain -.org { }", 6, "write a name like example.org"},
    {"certificate \"*.example.org\" { chain = /c key = /k }", 0, NULL},
    {"certificate \"*.org.*\" { chain = /c key = /k }", 6, "write a name"},
    {"certificate a.example { chain = /c }", 6, "certificate.key is missing"},
    {"accounts { }", 6, "accounts.source is missing"},
    {"accounts { source = pam file = /f }", 6, "accounts.file means nothing with source = pam"},
    {"accounts { source = pam mailbox = /var/mail }", 6, "write a path below the home"},
    {"accounts { source = file mailbox = \"~/Maildir\" }", 6, "accounts.mailbox means nothing"},
    {"relay { networks = { 10.1.0.0/16, 127.0.0.0/8, ::1/128, fd00::/8 } }", 0, NULL},
    {"relay { networks = 10.1.0.1/16 }", 6, "write a list of networks like"},
    {"route a.example { host = h.example user = u password-file = /p }", 0, NULL},
    {"route a.example { user = u }", 6, "write password-file = PATH too"},
    {"route a.example { password-file = /p }", 6, "write user = NAME too"},
    {"route a.example { user = u password-file = /p tls = never }", 6, "leave tls = never out"},
    {"route a.example { implicit-tls = yes tls = never }", 6, "write one of them"},
    {"route a.example { host = 192.0.2.1 tls = verify }", 6,
     "write host = NAME instead of 192.0.2.1"},
    {"route a.example { host = h.example tls = verify }", 0, NULL},
    {"route a.example { protocol = lmtp }", 6, "write host = NAME too"},
    {"route a.example { protocol = lmtp host = h.example }", 0, NULL},
    {"route a.example { sender = b@c.example }\nroute a.example { }", 0, NULL},
    {"route a.example { }\nroute A.example { }", 7, "route a.example is there already, in line 6"},
    {"route a.example { sender = b.c }\nroute a.example { sender = B.c }", 7, "in line 6"},
    {"client \"*\" { without = { CONDSTORE, thread } }", 0, NULL},
    {"client \"*bird\" { version = \"1*\" without = qresync }\nclient a { without = MOVE }", 0,
     NULL},
    {"oauth { issuer = x keys = /k }", 6, "oauth needs issuer, audience and keys"},
    {"oauth { scope = x }", 6, "oauth needs issuer, audience and keys, or introspection"},
    {"oauth { introspection = \"https://i.example/x\" introspection-credentials = /c scope = x }",
     0, NULL},
    {"oauth { introspection = \"http://i.example/x\" introspection-credentials = /c scope = x }", 6,
     "write an address like https://"},
    {"oauth { introspection = \"https://u@i.example/\" introspection-credentials = /c scope = x }",
     6, "write an address like https://"},
    {"oauth { introspection = \"https://i.example\" scope = x }", 6,
     "write introspection-credentials = PATH too"},
    {"oauth { introspection-credentials = /c }", 6, "does nothing alone"},
    {"oauth { introspection = \"https://i.example\" introspection-credentials = /c keys = /k "
     "issuer = i audience = a }",
     6, "write one of them"},
    {"oauth { introspection-timeout = 31s }", 6, "30s"},
    {"client a { without = { MOVE, MOVED } }", 6, "there is no capability MOVED here"},
    {"client a { without = \"AUTH=PLAIN\" }", 6, "there is no capability AUTH=PLAIN here"},
    {"client a { version = 1 }", 6, "client.without is missing"},
    {"hostname = other.example", 6, "hostname is given twice, before in line 1"},
    {"queue { retry = { 1m, 5m } }\nqueue { retry = 1h }", 7, "given twice, before in line 6"},
    {"queue { retry = { 1m, 5m } retry += { 1h } }", 0, NULL},
    {"limits { unauthenticated-per-network = 101 }", 6, "a tenth of"},
    {"limits { connections-per-network = 5000 }", 6, "is above limits.connections (4000)"},
    {"pop3 { keep = 1d }", 6, "write delete-after-retrieval = yes too"},
    {"pop3 { keep = 1d delete-after-retrieval = yes }", 6, "write expire = 1d"},
    {"pop3 { keep = 1d delete-after-retrieval = yes expire = 1d }", 0, NULL},
    /* Those that end the list. */
    {"hostnme = x", 6, "unknown key hostnme: write hostname?"},
    {"limits { recipient = 4 }", 6, "unknown key recipient: write recipients?"},
    {"recipients = 4", 6, "recipients does not belong here: write it in limits { }"},
    {"limits { hostname = a }", 6, "write it outside of limits { }"},
    {"bogus { }", 6, "unknown key bogus"},
    {"\n\n# c\n} ", 9, "unexpected closing brace"},
    {"log {\n file = /x\n", 6, "the { that opens here is not closed"},
    {"log { file = \"/x\n }", 6, "the quotes that open here are not closed"},
    {"log { file = \"/x\\\\\" }", 0, NULL},
    {"log { file /x }", 6, "missing equal sign"},
    {"log { file = \"/${HOME}\" }", 6, "nothing is expanded here"},
    {"log { file = '/${HOME}' } # ${HOME}", 0, NULL},
    {"log { file = ${HOME} }", 6, "nothing is expanded here"},
    {"/* C */", 6, "write # before each line"},
    {"// C++", 6, "write # before each line"},
    {"state = /var//lib", 0, NULL},
    {"log { file = /a\x01 }", 6, "a control character"},
    {"domain a.example { catch-all = bob+x }", 6, "write values with + between quotes"},
    {"domain a.example { catch-all = \"bob+x\" }", 0, NULL},
    {"listen|port = 3", 6, "between quotes"},
    {"\"listen=smtp|port\" = 3", 6, "not understood"},
    {"\"\" = 3", 6, "not understood"},
    {"smtp { \" \" = { x } }", 6, "not understood"},
};

static void mistakes_have_line_and_advice(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(mistake_cases); i++) {
        const struct mistake_case *wanted = &mistake_cases[i];
        struct config config;
        struct config_mistakes mistakes = {0};
        char text[1024];
        snprintf(text, sizeof(text), WHOLE "%s\n", wanted->text);
        bool parsed = config_parse(slice_of_string(text), &config, &mistakes);
        if (parsed != (wanted->line == 0) || mistakes.count != (wanted->line > 0)
            || (!parsed
                && (mistakes.items[0].line != wanted->line
                    || !strstr(mistakes.items[0].text, wanted->says)))) {
            config_mistakes_print(&mistakes, wanted->text);
            fail_msg("\"%s\" should give line %u: %s", wanted->text, wanted->line,
                     wanted->says ? wanted->says : "no mistake");
        }
        config_mistakes_clear(&mistakes);
        config_clear(&config);
    }
}

static void all_mistakes_at_once_in_order(void **state)
{
    (void)state;
    struct config config;
    struct config_mistakes mistakes = {0};
    assert_false(config_parse(SLICE("listen imaps { port = x }\n"
                                    "accounts { source = nis }\n"
                                    "hostname = a_b\n"
                                    "limits { recipients = 1 connections = 0\n"
                                    "bogus = 1 }\n"
                                    "hostname = c\n"),
                              &config, &mistakes));
    static const unsigned lines[] = {1, 2, 3, 4, 4, 5};
    assert_int_equal(mistakes.count, ARRAY_LENGTH(lines));
    for (size_t i = 0; i < ARRAY_LENGTH(lines); i++)
        assert_int_equal(mistakes.items[i].line, lines[i]);
    config_mistakes_clear(&mistakes);
    config_mistakes_clear(&mistakes);
    config_clear(&config);
    config_clear(&config);
}

static void what_is_missing(void **state)
{
    (void)state;
    static const char *const parts[] = {"hostname is missing", "no domain", "no accounts",
                                        "nothing to listen on"};
    struct config config;
    struct config_mistakes mistakes = {0};
    assert_false(config_parse(SLICE(""), &config, &mistakes));
    assert_int_equal(mistakes.count, ARRAY_LENGTH(parts));
    for (size_t i = 0; i < ARRAY_LENGTH(parts); i++)
        assert_non_null(strstr(mistakes.items[i].text, parts[i]));
    config_mistakes_clear(&mistakes);
    config_clear(&config);

    assert_false(config_parse(SLICE("hostname = h listen pop3s { } domain d { }"
                                    "accounts { source = pam }"),
                              &config, &mistakes));
    assert_int_equal(mistakes.count, 1);
    assert_non_null(strstr(mistakes.items[0].text, "listen pop3s needs a certificate"));
    config_mistakes_clear(&mistakes);
    config_clear(&config);
}

static void values_arrive(void **state)
{
    (void)state;
    struct config config;
    struct config_mistakes mistakes = {0};
    assert_true(
        config_parse(SLICE("hostname = Mail.Example.ORG\n"
                           "domain Example.org { aliases = /a catch-all = bob }\n"
                           "domain example.net { }\n"
                           "domain example.com { }\n"
                           "accounts { source = pam }\n"
                           "accounts { source = file file = /f quota = 2G }\n"
                           "certificate a.example { chain = /c key = \"/k y\" }\n"
                           "listen smtp { port = 10025 addresses = { 127.0.0.1, ::1, ::2 } }\n"
                           "listen submissions { }\n"
                           "listen smtp { port = 26 }\n"
                           "limits { message-size = 1M network-ipv4 = 32 }\n"
                           "timeouts { login = 1500ms }\n"
                           "queue { retry = { 1s, 2s } }\n"
                           "pop3 { login-delay = 1m }\n"
                           "smtp { bare-line-ends = keep }\n"
                           "uid-base = 70000\n"),
                     &config, &mistakes));
    assert_string_equal(config.hostname, "mail.example.org");
    assert_int_equal(config.domain_count, 3);
    assert_string_equal(config.domains[0].name, "example.org");
    assert_string_equal(config.domains[0].aliases.text, "/a");
    assert_int_equal(config.domains[0].aliases.line, 2);
    assert_string_equal(config.domains[0].catch_all.text, "bob");
    assert_null(config.domains[1].aliases.text);
    assert_ptr_equal(config_find_domain(&config, SLICE("EXAMPLE.COM")), &config.domains[2]);
    assert_null(config_find_domain(&config, SLICE("example.co")));
    assert_int_equal(config.accounts_count, 2);
    assert_string_equal(config.accounts[0].mailbox.text, "~/Maildir");
    assert_int_equal(config.accounts[1].source, CONFIG_SOURCE_FILE);
    assert_int_equal(config.accounts[1].quota_octets, 2ULL << 30);
    assert_string_equal(config.accounts[1].mail.text, "/var/lib/staffetta/mail");
    assert_string_equal(config.certificates[0].key.text, "/k y");
    assert_int_equal(config.listen_count, 3);
    assert_int_equal(config.listens[0].port, 10025);
    assert_int_equal(config.listens[0].addresses.count, 3);
    assert_int_equal(config.listens[1].port, 465);
    assert_int_equal(config.listens[1].addresses.count, 2);
    assert_int_equal(config.listens[2].line, 10);
    assert_true(config_has_service(&config, CONFIG_SUBMISSIONS));
    assert_false(config_has_service(&config, CONFIG_IMAP));
    assert_int_equal(config.limits.message_size_octets, 1 << 20);
    assert_int_equal(config.limits.recipients, 1000);
    assert_int_equal(config.limits.network_ipv4_bits, 32);
    assert_int_equal(config.timeouts.login_ms, 1500);
    assert_int_equal(config.queue.retry.count, 2);
    assert_int_equal(config.queue.retry.items_ms[1], 2000);
    assert_int_equal(config.queue.lifetime_ms, 5ULL * 86400 * 1000);
    assert_true(config.pop3.expire_ms == CONFIG_NEVER);
    assert_int_equal(config.smtp.bare_line_ends, CONFIG_BARE_KEEP);
    assert_int_equal(config.uid_base, 70000);
    assert_null(config.log.file.text);
    config_clear(&config);
}

static void some_combinations_are_doubtful(void **state)
{
    (void)state;
    static const struct mistake_case cases[] = {
        {"relay { networks = { 10.0.0.0/8, 198.51.100.0/24 } }", 6,
         "198.51.100.0/24 is a public network"},
        {"relay { networks = 10.0.0.0/7 }", 6, "10.0.0.0/7 is a public network"},
        {"relay { networks = ::/0 }", 6, "::/0 is a public network"},
        {"relay { networks = 100.64.0.0/10 }", 6, "is a public network"},
        {"route \"*\" { }\nroute a.example { }", 7, "route a.example is never taken: route * in"},
        {"route .example { }\nroute a.example { sender = b.c }", 7, "never taken: route .example"},
        {"route \"*\" { sender = b.c }\nroute a.example { sender = B.C }", 7, "never taken"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        char text[1000];
        struct config config;
        struct config_mistakes mistakes = {0};
        snprintf(text, sizeof(text), "%s%s\n", WHOLE, cases[i].text);
        if (!config_parse(slice_of_string(text), &config, &mistakes) || mistakes.count != 1
            || mistakes.items[0].line != cases[i].line
            || mistakes.items[0].severity != CONFIG_WARNING
            || !strstr(mistakes.items[0].text, cases[i].says)) {
            config_mistakes_print(&mistakes, cases[i].text);
            fail_msg("not warned of: %s", cases[i].text);
        }
        config_mistakes_clear(&mistakes);
        config_clear(&config);
    }
}

static void networks_have_their_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        bool has;
    } cases[] = {
        {"10.1.2.3", true}, {"10.2.0.0", false}, {"::1", true},     {"::2", false},
        {"0.0.0.1", false}, {"a01::", false},    {"fd12::5", true},
    };
    struct config config;
    struct config_mistakes mistakes = {0};
    assert_true(config_parse(SLICE(WHOLE "relay { networks = { 10.1.0.0/16, ::1, fd00::/8 } }\n"),
                             &config, &mistakes));
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct ip_address address;
        assert_true(ip_address_parse(slice_of_string(cases[i].address), &address));
        assert_int_equal(config_networks_have(&config.relay.networks, &address), cases[i].has);
    }
    assert_false(config_networks_have(&config.relay.networks, &(struct ip_address){0}));
    config_clear(&config);
}

static void many_items_keep_their_values(void **state)
{
    (void)state;
    struct buffer text = BUFFER_WITH_LIMIT(1 << 20);
    buffer_append_string(&text, WHOLE);
    for (unsigned i = 0; i < 2000; i++)
        buffer_append_format(&text, "domain d%u.example { catch-all = u%u }\n", i, i);
    struct config config;
    struct config_mistakes mistakes = {0};
    assert_true(config_parse(buffer_slice(&text), &config, &mistakes));
    assert_int_equal(config.domain_count, 2001);
    assert_string_equal(config.domains[1].catch_all.text, "u0");
    assert_string_equal(config.domains[2000].catch_all.text, "u1999");
    assert_int_equal(config.domains[2000].line, LINES_OF_WHOLE + 2000);
    config_clear(&config);
    buffer_clear(&text);
}

static void a_descriptor_carries_the_text_unchangeable(void **state)
{
    (void)state;
    char path[] = "/tmp/config_test.XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, WHOLE, sizeof(WHOLE) - 1), sizeof(WHOLE) - 1);
    struct error error = {0};
    int fd = config_open(path, &error);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), -1);
    struct config config;
    struct config_mistakes mistakes = {0};
    for (int round = 0; round < 2; round++) {
        assert_true(config_parse_fd(fd, &config, &mistakes));
        assert_string_equal(config.hostname, "mail.example.org");
        config_clear(&config);
    }
    close(fd);
    close(file);
    unlink(path);
    assert_int_equal(config_open(path, &error), -1);
    assert_int_equal(error.kind, ERROR_NOT_FOUND);
    assert_false(config_parse_fd(fd, &config, &mistakes));
    assert_int_equal(mistakes.count, 1);
    config_mistakes_clear(&mistakes);
    config_clear(&config);
}

static void values_and_their_formats(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool size;
        const char *formatted; /* NULL: refused */
    } cases[] = {
        {"50M", true, "50M"},      {"1024", true, "1K"},
        {"1025", true, "1025"},    {"0", true, "0"},
        {"2048G", true, "2T"},     {"", true, NULL},
        {"5m", true, NULL},        {"-1", true, NULL},
        {"1.5G", true, NULL},      {"K", true, NULL},
        {"16777216T", true, NULL}, {"90s", false, "90s"},
        {"60s", false, "1m"},      {"0", false, "0"},
        {"24h", false, "1d"},      {"1500ms", false, "1500ms"},
        {"5", false, NULL},        {"5 m", false, NULL},
        {"5M", false, NULL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        char text[CONFIG_VALUE_TEXT_SIZE];
        uint64_t value = 7;
        struct slice written = slice_of_string(cases[i].text);
        bool good = cases[i].size ? config_parse_size(written, &value)
                                  : config_parse_duration(written, &value);
        assert_int_equal(good, cases[i].formatted != NULL);
        if (!good)
            assert_int_equal(value, 7);
        else
            assert_string_equal(cases[i].size ? config_format_size(value, text)
                                              : config_format_duration(value, text),
                                cases[i].formatted);
    }
}

static void host_names(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        {"a", true},
        {"mail.example.org", true},
        {"xn--bcher-kva.example", true},
        {"", false},
        {"a.", false},
        {".a", false},
        {"a..b", false},
        {"-a.b", false},
        {"a-.b", false},
        {"a_b.c", false},
        {"b\xc3\xbc.de", false},
        {"a b", false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        assert_int_equal(config_is_host_name(slice_of_string(cases[i].text)), cases[i].good);
    char label[65];
    memset(label, 'a', 64);
    assert_false(config_is_host_name(slice_of(label, 64)));
    assert_true(config_is_host_name(slice_of(label, 63)));
}

/* "| `key` | values | default | meaning |", as far as the table can tell. */
static void format_row(const struct config_key *key, char row[512])
{
    char values[CONFIG_KEY_VALUES_SIZE];
    int length = snprintf(row, 512, "| `%s` | %s | ", key->name, config_key_values(key, values));
    if (key->fallback)
        snprintf(row + length, 512 - (size_t)length, "`%s` | ", key->fallback);
    else if (key->required)
        snprintf(row + length, 512 - (size_t)length, "required | ");
}

static void documentation_agrees(void **state)
{
    (void)state;
    FILE *file = fopen("docs/configuration.md", "r");
    if (!file)
        skip();
    char line[1024];
    for (size_t i = 0; i < CONFIG_SECTIONS; i++)
        for (size_t k = 0; k < config_sections[i].key_count; k++) {
            char row[512];
            format_row(&config_sections[i].keys[k], row);
            do {
                if (!fgets(line, sizeof(line), file))
                    fail_msg("docs/configuration.md lacks %s", row);
            } while (strncmp(line, "| `", 3) != 0);
            if (strncmp(line, row, strlen(row)) != 0)
                fail_msg("docs/configuration.md: is %sshould be %s", line, row);
        }
    while (fgets(line, sizeof(line), file))
        assert_int_not_equal(strncmp(line, "| `", 3), 0);
    fclose(file);
}

static void the_example_is_right(void **state)
{
    (void)state;
    struct config config;
    struct config_mistakes mistakes = {0};
    int fd = config_open("conf/staffetta.conf", NULL);
    if (fd < 0)
        skip();
    assert_true(config_parse_fd(fd, &config, &mistakes));
    config_clear(&config);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_have_line_and_advice),
        cmocka_unit_test(all_mistakes_at_once_in_order),
        cmocka_unit_test(what_is_missing),
        cmocka_unit_test(values_arrive),
        cmocka_unit_test(some_combinations_are_doubtful),
        cmocka_unit_test(networks_have_their_addresses),
        cmocka_unit_test(many_items_keep_their_values),
        cmocka_unit_test(a_descriptor_carries_the_text_unchangeable),
        cmocka_unit_test(values_and_their_formats),
        cmocka_unit_test(host_names),
        cmocka_unit_test(documentation_agrees),
        cmocka_unit_test(the_example_is_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
