/* Promises of ctl/master/upgrade.h: what a master inherits is what the one before said, whatever
 * words a later version adds. The rest: tests/e2e/test_upgrade.py. */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/size.h"
#include "ctl/master/upgrade.h"

static int open_something(void)
{
    int fd = open("/dev/null", O_RDONLY);
    assert_true(fd >= 0);
    return fd;
}

static void test_words(void **state)
{
    (void)state;
    char texts[4][32];
    int fds[4];
    for (int i = 0; i < 4; i++)
        fds[i] = open_something();
    snprintf(texts[0], sizeof(texts[0]), "listen=%d", fds[0]);
    snprintf(texts[1], sizeof(texts[1]), "listen=%d", fds[1]);
    snprintf(texts[2], sizeof(texts[2]), "control=%d", fds[2]);
    snprintf(texts[3], sizeof(texts[3]), "previous=%d", fds[3]);
    char *words[] = {(char[]){"inherit"},     texts[0], texts[1],
                     (char[]){"later=7,8,9"}, texts[2], texts[3]};
    struct inheritance inheritance;
    assert_true(inheritance_parse(ARRAY_LENGTH(words), words, &inheritance));
    assert_int_equal(inheritance.listener_count, 2);
    assert_int_equal(inheritance.listeners[1], fds[1]);
    assert_int_equal(inheritance.control_fd, fds[2]);
    assert_int_equal(inheritance.previous_fd, fds[3]);
    assert_int_equal(inheritance.client_fd, -1);
    for (int i = 0; i < 4; i++) /* no role is born with them */
        assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
    inheritance_clear(&inheritance);
    inheritance_clear(&inheritance);
    for (int i = 0; i < 4; i++)
        assert_int_equal(fcntl(fds[i], F_GETFD), -1);
}

static void test_nothing_is_inherited(void **state)
{
    (void)state;
    struct inheritance inheritance;
    assert_true(inheritance_parse(0, NULL, &inheritance));
    assert_int_equal(inheritance.listener_count, 0);
    assert_int_equal(inheritance.control_fd, -1);
}

static void test_nonsense(void **state)
{
    (void)state;
    static const char *const nonsense[] = {"listen=", "listen=x", "listen=-1", "listen=1000000",
                                           "control=99999999999999999999"};
    struct inheritance inheritance;
    for (size_t i = 0; i < ARRAY_LENGTH(nonsense); i++) {
        char text[32];
        snprintf(text, sizeof(text), "%s", nonsense[i]);
        char *words[] = {(char[]){"inherit"}, text};
        assert_false(inheritance_parse(2, words, &inheritance));
    }
    char *other[] = {(char[]){"what"}};
    assert_false(inheritance_parse(1, other, &inheritance));
    assert_int_equal(upgrade_try("/nowhere/at/all"), EXIT_FAILURE);
}

/* As its argument list, from a child that becomes echo(1) in the place of the master before. */
static void read_words_of_executed(const struct inheritance *inheritance, char *text, size_t size)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        upgrade_go_back("/etc/staffetta.conf", inheritance, "why");
        _exit(EXIT_FAILURE);
    }
    assert_true(pid > 0);
    close(ends[1]);
    ssize_t got = read(ends[0], text, size - 1);
    assert_true(got >= 0);
    text[got] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_words_reach_the_executable(void **state)
{
    (void)state;
    char text[200], expected[200];
    int listener = open_something();
    struct inheritance inheritance = {.listeners = {listener},
                                      .listener_count = 1,
                                      .control_fd = -1,
                                      .client_fd = -1,
                                      .previous_fd = open("/bin/echo", O_RDONLY | O_CLOEXEC)};
    snprintf(expected, sizeof(expected), "/etc/staffetta.conf inherit listen=%d\n", listener);
    read_words_of_executed(&inheritance, text, sizeof(text));
    assert_string_equal(text, expected);
    inheritance_clear(&inheritance);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_nothing_is_inherited),
        cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_words_reach_the_executable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
