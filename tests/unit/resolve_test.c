/* Promises of common/auth/resolve.h and directory.h: what an address means, and to whom. */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "common/auth/resolve.h"
#include "common/disk/fd.h"
#include "common/size.h"

static const char accounts_text[] = "alice@demo.test:!\n"
                                    "bob@demo.test:!\n"
                                    "carol@other.test:!:quota=1G\n";

static const char demo_aliases[] = "sales: alice, bob\n"
                                   "boss: sales, carol@other.test, alice\n"
                                   "root: postmaster\n"
                                   "bob: bob, alice\n"
                                   "away: Zoe@Gmail.Example\n"
                                   "split: alice, away, Zoe@gmail.example, \"a\\ b\"@x.example\n"
                                   "gone: nobody\n"
                                   "half: alice, nobody\n"
                                   "list+owner: carol@other.test\n"
                                   "list: alice\n"
                                   "only: alice\n";

static const char other_aliases[] = "*: carol\n"
                                    "alice@other.test: alice@demo.test\n";

static const char senders[] = "carol@other.test: boss@demo.test, @demo.test\n"
                              "bob: info, x@elsewhere.example\n";

/* A directory of files, and what is loaded from it. */
struct fixture {
    char path[64];
    struct config config;
    struct config_domain domains[4];
    struct config_accounts accounts[1];
    char paths[4][128];
    struct directory directory;
};

static void put(const struct fixture *fixture, const char *name, const char *text)
{
    char path[128];
    struct error error;
    snprintf(path, sizeof(path), "%s/%s", fixture->path, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && fd_write_all(fd, slice_of_string(text), &error));
    assert_true(fd_close(&fd, &error));
}

static void configure(struct fixture *fixture)
{
    static const char *const names[] = {"accounts", "demo", "other", "senders"};
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        snprintf(fixture->paths[i], sizeof(fixture->paths[i]), "%s/%s", fixture->path, names[i]);
    fixture->accounts[0] =
        (struct config_accounts){.source = CONFIG_SOURCE_FILE, .file = {fixture->paths[0], 1}};
    fixture->domains[0] =
        (struct config_domain){.name = "demo.test", .aliases = {fixture->paths[1], 1}};
    fixture->domains[1] =
        (struct config_domain){.name = "other.test", .aliases = {fixture->paths[2], 1}};
    fixture->domains[2] = (struct config_domain){.name = "third.test", .catch_all = {"bob", 1}};
    fixture->domains[3] =
        (struct config_domain){.name = "fourth.test", .catch_all = {"Catch@gmail.example", 1}};
    fixture->config = (struct config){
        .accounts = fixture->accounts,
        .accounts_count = 1,
        .domains = fixture->domains,
        .domain_count = 4,
        .limits.alias_expansion = 100,
        .submission.sender_map = {fixture->paths[3], 1},
    };
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    assert_true(sodium_init() >= 0);
    make_test_directory(fixture->path, sizeof(fixture->path));
    put(fixture, "accounts", accounts_text);
    put(fixture, "demo", demo_aliases);
    put(fixture, "other", other_aliases);
    put(fixture, "senders", senders);
    configure(fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    directory_clear(&fixture->directory);
    for (size_t i = 0; i < ARRAY_LENGTH(fixture->paths); i++)
        unlink(fixture->paths[i]);
    rmdir(fixture->path);
    free(fixture);
    return 0;
}

/* Stands in for NSS. */
static bool look_up(const char *name, struct system_user *user, struct error *error)
{
    static const struct system_user eve = {1001, 1001, "eve", "/home/eve"};
    if (strcmp(name, "slow") == 0)
        return error_set(error, ERROR_TEMPORARY, "no answer");
    if (name[0] && strcmp(name, eve.name) != 0)
        return error_set(error, ERROR_NOT_FOUND, "no such user");
    *user = eve;
    return true;
}

static bool load(struct fixture *fixture, struct error *error)
{
    static const struct directory_means means = {.opener = directory_open_by_path,
                                                 .look_up = look_up};
    return directory_load(&fixture->directory, &fixture->config, &means, error);
}

static void recipients(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    assert_true(load(fixture, &error));
    static const struct {
        const char *address;
        enum resolve_verdict verdict;
        const char *accounts; /* joined by blanks */
    } cases[] = {
        {"alice@demo.test", RESOLVE_TARGETS, "alice@demo.test"},
        {"ALICE@Demo.Test", RESOLVE_TARGETS, "alice@demo.test"},
        {"\"alice\"@demo.test", RESOLVE_TARGETS, "alice@demo.test"},
        {"alice+lists@demo.test", RESOLVE_TARGETS, "alice@demo.test"},
        {"sales@demo.test", RESOLVE_TARGETS, "alice@demo.test bob@demo.test"},
        {"Sales+x@demo.test", RESOLVE_TARGETS, "alice@demo.test bob@demo.test"},
        {"boss@demo.test", RESOLVE_TARGETS, "alice@demo.test bob@demo.test carol@other.test"},
        {"bob@demo.test", RESOLVE_TARGETS, "bob@demo.test alice@demo.test"},
        {"list+owner@demo.test", RESOLVE_TARGETS, "carol@other.test"},
        {"list+x@demo.test", RESOLVE_TARGETS, "alice@demo.test"},
        {"half@demo.test", RESOLVE_TARGETS, "alice@demo.test"},
        {"whoever@other.test", RESOLVE_TARGETS, "carol@other.test"},
        {"alice@other.test", RESOLVE_TARGETS, "alice@demo.test"},
        {"any.one@third.test", RESOLVE_TARGETS, "bob@demo.test alice@demo.test"},
        {"postmaster@demo.test", RESOLVE_TARGETS, "alice@demo.test"},
        {"POSTMASTER", RESOLVE_TARGETS, "alice@demo.test"},
        {"root@demo.test", RESOLVE_TARGETS, "alice@demo.test"},
        {"postmaster@other.test", RESOLVE_TARGETS, "carol@other.test"},
        {"carol@demo.test", RESOLVE_UNKNOWN, ""},
        {"gone@demo.test", RESOLVE_UNKNOWN, ""},
        {"away@demo.test", RESOLVE_TARGETS, "<Zoe@gmail.example>"},
        {"split@demo.test", RESOLVE_TARGETS,
         "alice@demo.test <Zoe@gmail.example> <\"a b\"@x.example>"},
        {"x@fourth.test", RESOLVE_TARGETS, "<Catch@gmail.example>"},
        {"alice@elsewhere.example", RESOLVE_FOREIGN, ""},
        {"alice@[127.0.0.1]", RESOLVE_FOREIGN, ""},
        {"alice", RESOLVE_MALFORMED, ""},
        {"", RESOLVE_MALFORMED, ""},
        {"@demo.test", RESOLVE_MALFORMED, ""},
    };
    struct arena arena;
    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct resolution resolution;
        struct buffer text = BUFFER_WITH_LIMIT(1000);
        arena_reset(&arena);
        resolve_recipient(&fixture->directory, slice_of_string(cases[i].address), 10, 0, &arena,
                          &resolution);
        for (size_t j = 0; j < resolution.count; j++) {
            buffer_append(&text, j ? SLICE(" ") : SLICE(""));
            const struct resolve_target *target = &resolution.targets[j];
            buffer_append_format(&text, target->is_foreign ? "<%.*s>" : "%.*s",
                                 SLICE_PRINTF(target->name));
        }
        if (resolution.verdict != cases[i].verdict)
            fail_msg("%s: verdict %d", cases[i].address, (int)resolution.verdict);
        if (resolution.verdict == RESOLVE_TARGETS)
            assert_slice_is(buffer_slice(&text), cases[i].accounts);
        buffer_clear(&text);
    }
    arena_clear(&arena);
}

static void too_many_accounts_is_said(void **state)
{
    struct fixture *fixture = *state;
    struct error error;
    assert_true(load(fixture, &error));
    struct arena arena;
    struct resolution resolution;
    arena_init(&arena, 1 << 20);
    resolve_recipient(&fixture->directory, SLICE("boss@demo.test"), 2, 0, &arena, &resolution);
    assert_int_equal(resolution.verdict, RESOLVE_LOOP);
    assert_non_null(strstr(resolution.text.text, "more than 2 addresses"));
    arena_clear(&arena);
}

static void circles_are_named(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *demo;
        const char *other;
        const char *text; /* NULL: no circle */
    } cases[] = {
        {"a: b\nb: a\n", "", "line 1: aliases go in circles: a@demo.test -> b@demo.test -> a@"},
        {"a: a\n", "", "a@demo.test -> a@demo.test"},
        {"alice: alice, bob\n", "", NULL},
        {"former: former, bob\n", "", NULL},
        {"a: b, c\nb: c\nc: alice\n", "", NULL},
        {"a: b+x\nb: a\n", "", "a@demo.test -> b@demo.test -> a@demo.test"},
        {"*: nobody\n", "", NULL}, /* leads nowhere, but ends */
        {"a: b@other.test\n", "b: a@demo.test\n", "a@demo.test"},
        {"a: *\n", "", "never to * or @domain"},
        {"a@gmail.example: alice\n", "", "is no domain with this alias file"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct error error = {0};
        put(fixture, "demo", cases[i].demo);
        put(fixture, "other", cases[i].other);
        bool loaded = load(fixture, &error);
        if (loaded != (cases[i].text == NULL)
            || (cases[i].text && !strstr(error.text, cases[i].text)))
            fail_msg("case %zu: %s", i, error.text);
        directory_clear(&fixture->directory);
    }
}

static void long_chains_end(void **state)
{
    struct fixture *fixture = *state;
    struct buffer text = BUFFER_WITH_LIMIT(1 << 20);
    struct error error;
    for (int i = 0; i < 1000; i++)
        buffer_append_format(&text, "a%d: a%d\n", i, i + 1);
    buffer_append_string(&text, "a1000: alice\n");
    buffer_append_octet(&text, '\0');
    put(fixture, "demo", (const char *)text.ptr);
    assert_false(load(fixture, &error));
    assert_non_null(strstr(error.text, "more than 50 aliases in a row"));
    buffer_clear(&text);
}

static void logins(void **state)
{
    struct fixture *fixture = *state;
    struct error error;
    assert_true(load(fixture, &error));
    static const struct {
        const char *name;
        const char *account; /* NULL: none */
        const char *counted_as;
    } cases[] = {
        {"alice", "alice@demo.test", "alice@demo.test"},
        {"Alice@DEMO.test", "alice@demo.test", "alice@demo.test"},
        {"carol@other.test", "carol@other.test", "carol@other.test"},
        {"carol", NULL, "carol@demo.test"},
        {"sales", NULL, "sales@demo.test"}, /* an alias is no account */
        {"alice+x", NULL, "alice+x@demo.test"},
        {"alice@gmail.example", NULL, "alice@gmail.example"},
        {"a b", NULL, "a b"},
        {"", NULL, ""},
    };
    struct arena arena;
    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct directory_account account;
        struct slice counted_as;
        bool found = resolve_login(&fixture->directory, slice_of_string(cases[i].name), 0, &arena,
                                   &account, &counted_as, &error);
        assert_int_equal(found, cases[i].account != NULL);
        if (found)
            assert_slice_is(account.name, cases[i].account);
        else
            assert_int_equal(error.kind, ERROR_NOT_FOUND);
        assert_slice_is(counted_as, cases[i].counted_as);
    }
    arena_clear(&arena);
}

static void who_may_send_as_what(void **state)
{
    struct fixture *fixture = *state;
    struct error error;
    assert_true(load(fixture, &error));
    static const struct {
        const char *account;
        const char *address;
        bool allowed;
    } cases[] = {
        {"alice@demo.test", "alice@demo.test", true},
        {"alice@demo.test", "Alice+news@demo.test", true},
        {"alice@demo.test", "only@demo.test", true},   /* leads to her alone */
        {"alice@demo.test", "sales@demo.test", false}, /* to others too */
        {"alice@demo.test", "half@demo.test", false},
        {"alice@demo.test", "away@demo.test", false}, /* to somebody elsewhere */
        {"alice@demo.test", "carol@other.test", false},
        {"alice@demo.test", "alice@gmail.example", false},
        {"carol@other.test", "whoever@other.test", true}, /* her catch-all */
        {"carol@other.test", "boss@demo.test", true},     /* the sender map */
        {"carol@other.test", "alice@demo.test", true},
        {"bob@demo.test", "info@demo.test", true},
        {"bob@demo.test", "info@other.test", true},
        {"bob@demo.test", "x@elsewhere.example", true},
        {"bob@demo.test", "y@elsewhere.example", false},
        {"bob@demo.test", "info@elsewhere.example", false},
        {"alice@demo.test", "not an address", false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        if (resolve_may_send(&fixture->directory, slice_of_string(cases[i].account),
                             slice_of_string(cases[i].address), 0, &error)
            != cases[i].allowed)
            fail_msg("%s as %s", cases[i].account, cases[i].address);
}

struct heard {
    unsigned taken;
    unsigned refused;
    char text[240];
};

static void listen_to(void *context, const struct directory_news *news)
{
    struct heard *heard = context;
    *(news->refused ? &heard->refused : &heard->taken) += 1;
    if (news->refused)
        snprintf(heard->text, sizeof(heard->text), "%s", news->error.text);
}

static bool has_account(const struct fixture *fixture, struct slice name)
{
    struct directory_account account;
    return directory_find_account(&fixture->directory, name, 0, &account, NULL);
}

static void changes_are_seen_and_mistakes_refused(void **state)
{
    struct fixture *fixture = *state;
    struct error error;
    struct heard heard = {0};
    assert_true(load(fixture, &error));
    put(fixture, "accounts", "alice@demo.test:!\ndave@demo.test:!\n");
    directory_refresh(&fixture->directory, listen_to, &heard);
    assert_int_equal(heard.refused, 0);
    assert_true(has_account(fixture, SLICE("dave@demo.test")));
    assert_false(has_account(fixture, SLICE("bob@demo.test")));

    put(fixture, "accounts", "alice@demo.test:!\nbroken\n");
    memset(&heard, 0, sizeof(heard));
    directory_refresh(&fixture->directory, listen_to, &heard);
    assert_int_equal(heard.refused, 1);
    assert_non_null(strstr(heard.text, "accounts: line 2"));
    assert_true(has_account(fixture, SLICE("dave@demo.test")));

    put(fixture, "demo", "a: b\nb: a\n");
    unlink(fixture->paths[2]);
    memset(&heard, 0, sizeof(heard));
    directory_refresh(&fixture->directory, listen_to, &heard);
    assert_true(heard.refused >= 2);
    assert_true(has_account(fixture, SLICE("dave@demo.test")));
}

static void a_missing_file_stops_the_start(void **state)
{
    struct fixture *fixture = *state;
    struct error error;
    unlink(fixture->paths[0]);
    assert_false(load(fixture, &error));
    assert_int_equal(error.kind, ERROR_NOT_FOUND);
}

static void mail_has_a_place(void **state)
{
    struct fixture *fixture = *state;
    struct error error;
    struct master_home home;
    char path[MASTER_PATH_MAX + 1];
    struct directory_account account;
    fixture->accounts[0].quota_octets = 7;
    assert_true(load(fixture, &error));
    fixture->directory.sources[0].uid = 4711;
    assert_true(directory_find_account(&fixture->directory, SLICE("carol@other.test"), 0, &account,
                                       &error));
    assert_true(directory_find_home(&fixture->directory, &account, &home, path, &error));
    assert_string_equal(path, "other.test/carol/Maildir");
    assert_int_equal(home.place, 0);
    assert_int_equal(home.uid, 4711);
    assert_int_equal(home.quota_octets, 1 << 30);
    assert_true(
        directory_find_account(&fixture->directory, SLICE("bob@demo.test"), 0, &account, &error));
    assert_true(directory_find_home(&fixture->directory, &account, &home, path, &error));
    assert_int_equal(home.quota_octets, 7);
}

static void system_users_have_one_name_in_all_domains(void **state)
{
    struct fixture *fixture = *state;
    struct error error;
    struct arena arena;
    struct resolution resolution;
    struct directory_account account;
    struct slice counted_as;
    struct master_home home;
    char path[MASTER_PATH_MAX + 1];
    fixture->accounts[0] =
        (struct config_accounts){.source = CONFIG_SOURCE_PAM, .mailbox = {"~/Maildir", 1}};
    put(fixture, "demo", "sales: eve, slow\n");
    put(fixture, "other", "");
    fixture->domains[2].catch_all.text = NULL;
    assert_true(load(fixture, &error));
    arena_init(&arena, 1 << 20);
    static const struct {
        const char *address;
        enum resolve_verdict verdict;
    } cases[] = {
        {"eve@demo.test", RESOLVE_TARGETS},         {"Eve+x@other.test", RESOLVE_TARGETS},
        {"postmaster@other.test", RESOLVE_TARGETS}, {"adam@demo.test", RESOLVE_UNKNOWN},
        {"slow@demo.test", RESOLVE_TEMPORARY},      {"sales@demo.test", RESOLVE_TEMPORARY},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        arena_reset(&arena);
        resolve_recipient(&fixture->directory, slice_of_string(cases[i].address), 10, 0, &arena,
                          &resolution);
        assert_int_equal(resolution.verdict, cases[i].verdict);
        if (resolution.verdict == RESOLVE_TARGETS)
            assert_slice_is(resolution.targets[0].name, "eve");
    }
    assert_true(resolve_login(&fixture->directory, SLICE("eve@other.test"), 0, &arena, &account,
                              &counted_as, &error));
    assert_slice_is(account.name, "eve");
    assert_slice_is(counted_as, "eve");
    assert_true(directory_find_home(&fixture->directory, &account, &home, path, &error));
    assert_string_equal(path, "home/eve/Maildir");
    assert_int_equal(home.place, PLACE_FILESYSTEM);
    assert_true(
        resolve_may_send(&fixture->directory, SLICE("eve"), SLICE("eve@other.test"), 0, &error));
    assert_false(
        resolve_may_send(&fixture->directory, SLICE("eve"), SLICE("adam@other.test"), 0, &error));
    arena_clear(&arena);
}

/* What `auth` does: it learns from others. */
static void an_unknown_name_is_wanted_then_learned(void **state)
{
    (void)state;
    struct error error;
    struct system_users *users = system_users_new(NULL, &error);
    struct system_user user;
    char wanted[SYSTEM_USER_NAME_MAX + 1];
    static const struct system_user eve = {1001, 1001, "eve", "/home/eve"};
    assert_non_null(users);
    assert_false(system_users_take_wanted(users, wanted));
    assert_false(system_users_find(users, SLICE("eve"), 0, &user, &error));
    assert_int_equal(error.kind, ERROR_TEMPORARY);
    assert_true(system_users_take_wanted(users, wanted));
    assert_string_equal(wanted, "eve");
    assert_false(system_users_take_wanted(users, wanted));
    system_users_learn(users, SLICE("eve"), &eve, 0);
    system_users_learn(users, SLICE("adam"), NULL, 0);
    assert_true(system_users_find(users, SLICE("eve"), 59999, &user, &error));
    assert_string_equal(user.home, "/home/eve");
    assert_false(system_users_find(users, SLICE("adam"), 59999, &user, &error));
    assert_int_equal(error.kind, ERROR_NOT_FOUND);
    assert_false(system_users_find(users, SLICE("eve"), 60000, &user, &error));
    assert_int_equal(error.kind, ERROR_TEMPORARY);
    system_users_free(users);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(recipients, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_many_accounts_is_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(circles_are_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_chains_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(logins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_may_send_as_what, set_up, tear_down),
        cmocka_unit_test_setup_teardown(changes_are_seen_and_mistakes_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_missing_file_stops_the_start, set_up, tear_down),
        cmocka_unit_test_setup_teardown(mail_has_a_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(system_users_have_one_name_in_all_domains, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_unknown_name_is_wanted_then_learned, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
