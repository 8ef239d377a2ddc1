/*
 * Promises of common/auth/pam_check.h, by pam_wrapper: PAM reads its services from a directory of
 * ours, and pam_matrix knows the users. Linked with libpam_wrapper before libpam.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/auth/pam_check.h"
#include "common/disk/fd.h"
#include "common/size.h"

#ifndef PAM_MODULES
#define PAM_MODULES "/usr/lib/x86_64-linux-gnu/pam_wrapper"
#endif

struct fixture {
    char directory[64];
    char services[96];
    char users[96];
};

static void put(const char *path, const char *text)
{
    struct error error;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && fd_write_all(fd, slice_of_string(text), &error));
    assert_true(fd_close(&fd, &error));
}

static void put_service(const struct fixture *fixture, const char *name, const char *account)
{
    char path[160];
    char text[512];
    snprintf(path, sizeof(path), "%s/%s", fixture->services, name);
    snprintf(text, sizeof(text),
             "auth required " PAM_MODULES "/pam_matrix.so passdb=%s\n"
             "account required %s passdb=%s\n",
             fixture->users, account, fixture->users);
    put(path, text);
}

static int set_up(void **state)
{
    static struct fixture fixture;
    make_test_directory(fixture.directory, sizeof(fixture.directory));
    snprintf(fixture.services, sizeof(fixture.services), "%s/services", fixture.directory);
    snprintf(fixture.users, sizeof(fixture.users), "%s/users", fixture.directory);
    assert_int_equal(mkdir(fixture.services, 0700), 0);
    put(fixture.users, "alice:secret:staffetta\n"
                       "alice:secret:closed\n"
                       "alice:secret:expired\n"
                       "bob:other:elsewhere\n");
    put_service(&fixture, "staffetta", PAM_MODULES "/pam_matrix.so");
    put_service(&fixture, "closed", "pam_deny.so");
    put_service(&fixture, "broken", "pam_no_such_module.so");
    put_service(&fixture, "other", "pam_deny.so"); /* or libpam complains of its absence */
    setenv("PAM_WRAPPER", "1", 1);
    /* By this word pam_wrapper knows not to load libpam in a way the sanitizers cannot live with.
     */
    setenv("LD_PRELOAD", "libasan.so", 1);
    setenv("PAM_WRAPPER_SERVICE_DIR", fixture.services, 1);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    const struct fixture *fixture = *state;
    static const char *const names[] = {"staffetta", "closed", "broken", "other"};
    char path[160];
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", fixture->services, names[i]);
        unlink(path);
    }
    rmdir(fixture->services);
    unlink(fixture->users);
    rmdir(fixture->directory);
    return 0;
}

static void verdicts(void **state)
{
    (void)state;
    uint8_t longest[600];
    memset(longest, 'x', sizeof(longest));
    const struct {
        const char *service;
        const char *user;
        struct slice password;
        enum pam_verdict verdict;
    } cases[] = {
        {"staffetta", "alice", SLICE("secret"), PAM_CHECK_RIGHT},
        {"staffetta", "alice", SLICE("Secret"), PAM_CHECK_WRONG},
        {"staffetta", "alice", SLICE(""), PAM_CHECK_WRONG},
        {"staffetta", "alice", SLICE("secret\0x"), PAM_CHECK_WRONG},
        {"staffetta", "alice", slice_of(longest, sizeof(longest)), PAM_CHECK_WRONG},
        {"staffetta", "nobody-of-that-name", SLICE("secret"), PAM_CHECK_WRONG},
        {"staffetta", "bob", SLICE("other"), PAM_CHECK_FORBIDDEN}, /* right, but not for mail */
        {"closed", "alice", SLICE("secret"), PAM_CHECK_FORBIDDEN},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct error error = {0};
        const struct pam_request request = {
            .service = cases[i].service,
            .user = cases[i].user,
            .password = cases[i].password,
            .remote = "192.0.2.1",
        };
        enum pam_verdict verdict = pam_check(&request, &error);
        if (verdict != cases[i].verdict)
            fail_msg("case %zu: verdict %d (%s)", i, (int)verdict, error.text);
        assert_int_equal(error.text[0] == '\0', verdict == PAM_CHECK_RIGHT);
    }
}

static void a_broken_service_is_temporary_or_refused(void **state)
{
    (void)state;
    struct error error = {0};
    const struct pam_request request = {
        .service = "broken", .user = "alice", .password = SLICE("secret")};
    assert_int_not_equal(pam_check(&request, &error), PAM_CHECK_RIGHT);
    assert_true(error.text[0] != '\0');
}

/* PAM's own delay would block a worker for seconds. */
static void a_wrong_password_is_no_wait(void **state)
{
    (void)state;
    struct error error;
    struct timespec start;
    struct timespec end;
    const struct pam_request request = {
        .service = "staffetta", .user = "alice", .password = SLICE("wrong")};
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 0; i < 5; i++)
        assert_int_equal(pam_check(&request, &error), PAM_CHECK_WRONG);
    clock_gettime(CLOCK_MONOTONIC, &end);
    assert_true(end.tv_sec - start.tv_sec < 5);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),
        cmocka_unit_test(a_broken_service_is_temporary_or_refused),
        cmocka_unit_test(a_wrong_password_is_no_wait),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
