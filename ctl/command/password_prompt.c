/* Reading a password; see password_prompt.h. Runs in the command. */
#include "ctl/command/password_prompt.h"

#include <errno.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include <sodium.h>

enum { CONTROL_C = 3 };

/* Octet by octet: what stands after the line is not ours to read. */
static bool read_line(struct typed_password *password, struct error *error)
{
    password->len = 0;
    for (;;) {
        uint8_t octet;
        ssize_t got = read(STDIN_FILENO, &octet, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_errno(error, "read the password");
        if (got == 0 || octet == '\n')
            return true;
        if (octet == CONTROL_C)
            return error_set(error, ERROR_PERMANENT, "given up");
        if (password->len == sizeof(password->octets))
            return error_set(error, ERROR_PERMANENT, "the password is longer than %d octets",
                             PASSWORD_MAX);
        password->octets[password->len++] = octet;
    }
}

/* Without echo. Ctrl-C ends the line, not the program: the terminal would stay mute. */
static bool mute(struct termios *before, struct error *error)
{
    if (tcgetattr(STDIN_FILENO, before) != 0)
        return error_errno(error, "terminal");
    struct termios muted = *before;
    muted.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
    muted.c_lflag |= ECHONL;
    muted.c_cc[VEOL] = CONTROL_C;
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &muted) != 0)
        return error_errno(error, "terminal");
    return true;
}

static bool ask(const char *prompt, struct typed_password *password, struct error *error)
{
    fputs(prompt, stderr);
    fflush(stderr);
    return read_line(password, error);
}

static bool is_same(const struct typed_password *a, const struct typed_password *b)
{
    return slice_equal(slice_of(a->octets, a->len), slice_of(b->octets, b->len));
}

static bool ask_again(const struct typed_password *password, struct error *error)
{
    struct typed_password again = {.len = 0};
    bool asked = ask("Once more: ", &again, error);
    bool same = asked && is_same(password, &again);
    sodium_memzero(&again, sizeof(again));
    return same || (asked && error_set(error, ERROR_PERMANENT, "the two are not the same"));
}

static bool ask_terminal(struct typed_password *password, bool is_new, struct error *error)
{
    struct termios before;
    if (!mute(&before, error))
        return false;
    bool asked = ask("Password: ", password, error) && (!is_new || ask_again(password, error));
    bool restored = tcsetattr(STDIN_FILENO, TCSAFLUSH, &before) == 0;
    return asked && (restored || error_errno(error, "terminal"));
}

bool password_prompt(struct typed_password *password, bool is_new, struct error *error)
{
    bool read =
        isatty(STDIN_FILENO) ? ask_terminal(password, is_new, error) : read_line(password, error);
    if (read && password->len == 0)
        read = error_set(error, ERROR_PERMANENT, "the password is empty");
    if (!read)
        sodium_memzero(password, sizeof(*password));
    return read;
}
