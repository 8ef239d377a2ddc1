/* Promises of storage/acl.h and storage/foreign/foreign_acl.h: a list gives what it says, no more.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/size.h"
#include "storage/acl.h"
#include "storage/foreign/foreign_acl.h"
#include "storage/text_file.h"

static void letters_and_rights(void **state)
{
    (void)state;
    static const struct {
        const char *letters;
        bool parses;
        const char *formatted;
    } cases[] = {
        {"", true, ""},        {"aetxkpiwsrl", true, "lrswipkxtecda"}, /* RFC 4314 2.1 */
        {"c", true, "kxc"},                                            /* 2.1.1 */
        {"d", true, "ted"},    {"x", true, "xc"},
        {"lre", true, "lred"}, {"lrQ", false, NULL},
        {"lr ", false, NULL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer text = BUFFER_WITH_LIMIT(100);
        unsigned rights;
        assert_int_equal(acl_rights_parse(slice_of_string(cases[i].letters), &rights),
                         cases[i].parses);
        if (cases[i].parses) {
            acl_rights_format(rights, &text);
            assert_true(slice_equal(buffer_slice(&text), slice_of_string(cases[i].formatted)));
        }
        buffer_clear(&text);
    }
}

static void a_list_gives_what_it_says(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        const char *account;
        unsigned rights;
    } cases[] = {
        {"", "bob@x", 0},
        {"lr bob@x\n", "bob@x", ACL_LOOKUP | ACL_READ},
        {"lr bob@x\n", "bo@x", 0},
        {"lr bob@x\n", "bob@xy", 0},
        {"l anyone\nr bob@x\n", "bob@x", ACL_LOOKUP | ACL_READ},
        {"l anyone\nr bob@x\n", "carol@x", ACL_LOOKUP},
        {"lr anyone\nr -bob@x\n", "bob@x", ACL_LOOKUP}, /* 2: negative rights win */
        {"r -bob@x\nlr anyone\n", "bob@x", ACL_LOOKUP},
        {"lr bob@x\nr -anyone\n", "bob@x", ACL_LOOKUP},
        {"lrQ bob@x\n", "bob@x", 0}, /* no line of ours gives nothing */
        {"bob@x lr\nlr\nlr \n\nr bob@x", "bob@x", ACL_READ},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct acl acl;
        acl_init(&acl);
        buffer_append_string(&acl.text, cases[i].list);
        assert_int_equal(acl_rights_of(&acl, slice_of_string(cases[i].account)), cases[i].rights);
        acl_clear(&acl);
    }
}

static void set(struct acl *acl, const char *identifier, bool negative, unsigned rights, bool done)
{
    const struct acl_entry entry = {slice_of_string(identifier), negative, rights};
    assert_int_equal(acl_set(acl, &entry, NULL), done);
}

static void entries_are_replaced(void **state)
{
    (void)state;
    struct acl acl;
    acl_init(&acl);
    set(&acl, "bob@x", false, ACL_LOOKUP | ACL_READ, true);
    set(&acl, "bob@x", true, ACL_READ, true);
    set(&acl, "anyone", false, ACL_LOOKUP, true);
    set(&acl, "bob@x", false, ACL_SEEN, true);
    assert_int_equal(acl_find(&acl, SLICE("bob@x"), false), ACL_SEEN);
    assert_int_equal(acl_find(&acl, SLICE("bob@x"), true), ACL_READ);
    set(&acl, "bob@x", false, 0, true);
    set(&acl, "bob@x", true, 0, true);
    assert_true(slice_equal(buffer_slice(&acl.text), SLICE("l anyone\n")));
    set(&acl, "", false, ACL_READ, false);
    set(&acl, "a b", false, ACL_READ, false);
    set(&acl, "a\nl bob", false, ACL_READ, false);
    set(&acl, "-a", false, ACL_READ, false);
    assert_true(slice_equal(buffer_slice(&acl.text), SLICE("l anyone\n")));
    acl_clear(&acl);
}

static void dovecots_lists_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *entry;
    } cases[] = {
        {"user=bob@x.example lrs\n", "lrs bob@x.example\n"},
        {"user=Bob lr\n", "lr bob@x.example\n"}, /* without a domain: the owner's */
        {"anyone lr\n", "lr anyone\n"},
        {"authenticated l\n", "l anyone\n"},
        {"-user=bob w\n", "w -bob@x.example\n"},
        {"user=bob lr\nuser=bob s\n", "lrs bob@x.example\n"},
        {"owner lrwstipekxa\n", ""},
        {"user=alice lr\n", ""}, /* the owner himself */
        {"group=staff lr\n", ""},
        {"group-override=staff lr\n", ""},
        {"user=bob lr :lookup read\n", ""}, /* rights with names */
        {"user=bob\n", ""},
        {"user= lr\n", "lr @x.example\n"}, /* nobody */
        {"\"user=a b\" lr\n", ""},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct acl acl;
        acl_init(&acl);
        foreign_acl_parse(slice_of_string(cases[i].line), SLICE("alice@x.example"), &acl);
        assert_true(slice_equal(buffer_slice(&acl.text), slice_of_string(cases[i].entry)));
        acl_clear(&acl);
    }
}

static int make_directory(char *path, size_t size)
{
    make_test_directory(path, size);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

/* What Dovecot said holds until the rights are first changed; then ours does, even if it is empty.
 */
static void files(void **state)
{
    (void)state;
    char path[64];
    int fd = make_directory(path, sizeof(path));
    struct acl acl;
    struct error error;
    acl_init(&acl);
    assert_true(acl_load(fd, SLICE("alice@x"), &acl, &error));
    assert_int_equal(acl.text.len, 0);
    assert_true(text_file_replace(fd, "dovecot-acl", SLICE("user=bob lr\n"), &error));
    assert_true(acl_load(fd, SLICE("alice@x"), &acl, &error));
    assert_int_equal(acl_rights_of(&acl, SLICE("bob@x")), ACL_LOOKUP | ACL_READ);
    set(&acl, "bob@x", false, 0, true);
    assert_true(acl_store(fd, &acl, &error));
    assert_true(acl_load(fd, SLICE("alice@x"), &acl, &error));
    assert_int_equal(acl_rights_of(&acl, SLICE("bob@x")), 0);
    /* What cannot be read gives nothing, and is no empty list. */
    assert_int_equal(unlinkat(fd, "staffetta-acl", 0), 0);
    assert_int_equal(symlinkat("dovecot-acl", fd, "staffetta-acl"), 0);
    assert_false(acl_load(fd, SLICE("alice@x"), &acl, &error));
    assert_int_equal(acl.text.len, 0);
    assert_int_equal(unlinkat(fd, "staffetta-acl", 0), 0);
    assert_int_equal(unlinkat(fd, "dovecot-acl", 0), 0);
    close(fd);
    rmdir(path);
    acl_clear(&acl);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_and_rights),
        cmocka_unit_test(a_list_gives_what_it_says),
        cmocka_unit_test(entries_are_replaced),
        cmocka_unit_test(dovecots_lists_are_read),
        cmocka_unit_test(files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
