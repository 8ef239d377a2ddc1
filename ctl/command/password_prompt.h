/*
 * A password for the command line: from the terminal, without echo, or the first line of standard
 * input where that is none. Never from an argument, which everybody on the machine can read.
 */
#ifndef CTL_COMMAND_PASSWORD_PROMPT_H
#define CTL_COMMAND_PASSWORD_PROMPT_H

#include "common/auth/password.h"

/* What was typed, without its newline; the caller wipes. */
struct typed_password {
    uint8_t octets[PASSWORD_MAX];
    size_t len;
};

/* `is_new`: a terminal is asked twice. ERROR_PERMANENT: empty, too long, given up, or not the same
 * twice. Blocks. */
bool password_prompt(struct typed_password *password, bool is_new, struct error *error);

#endif
