/*
 * The `staffetta` command: one table of verbs, one file for each group of them. A verb is run with
 * what stands behind its name; its result is the exit status.
 */
#ifndef CTL_COMMAND_COMMAND_H
#define CTL_COMMAND_COMMAND_H

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>

#include "common/config/config.h"
#include "common/error.h"
#include "ctl/check/check.h"

enum command_status {
    COMMAND_DONE = 0,
    COMMAND_FAILED = 1, /* said on standard error */
    COMMAND_USAGE = 2,  /* asked in a way that means nothing */
};

struct command {
    const char *config_path; /* absolute, or as it was given where that file does not exist */
    const char *verb;
    int count; /* of arguments behind the verb */
    char **arguments;
};

/* Reads the configuration that -c names. On failure all mistakes are on standard error. The caller
 * clears *config in any case. */
bool command_read_config(const struct command *command, struct config *config);

/* The same in silence and whatever is wrong with it: where a running house is reached has long been
 * settled, even if its file is being edited. False if the file cannot even be read. */
bool command_read_config_as_it_is(const struct command *command, struct config *config);

/* Reads the configuration and looks at all that it names. All mistakes and warnings, in the order
 * of their lines, are on standard error; false if there was a mistake. */
bool command_check(const struct command *command, enum check_when when);

/* "staffetta VERB: TEXT" on standard error; COMMAND_FAILED. A role that was asked in a way that
 * means nothing answers "usage: ...", which goes out as it is; COMMAND_USAGE. */
enum command_status command_fail(const struct command *command, const struct error *error);

/* "usage: staffetta VERB ARGUMENTS" on standard error; COMMAND_USAGE. */
enum command_status command_usage(const struct command *command, const char *arguments);

/* Sends the verb and its arguments to the house that answers on that socket; what it says goes to
 * standard output. ERROR_NOT_FOUND: nobody answers. (verb_control.c, as the next
 * three.) */
bool command_ask(const struct command *command, const char *path, struct error *error);
/* The same, but what it says goes there. */
bool command_ask_into(const struct command *command, const char *path, FILE *out,
                      struct error *error);
bool command_house_runs(const char *path);

/* Asks, and gives back the socket, on which whatever comes behind "ok" is still to be read; -1 on
 * failure. */
int command_ask_for_socket(const struct command *command, const char *path, struct error *error);

/* verb_run.c: checks, then becomes the master. Its path is
 * "<directory of this executable>/libexec/master". */
bool command_find_master(char path[PATH_MAX], struct error *error);
enum command_status verb_run(const struct command *command);

/* verb_check.c: [--running] the house runs, so its ports are taken. */
enum command_status verb_check(const struct command *command);

/* verb_account.c, verb_alias.c: the passwd-file and the alias files. */
enum command_status verb_account(const struct command *command);
enum command_status verb_alias(const struct command *command);

/* verb_backup.c: a copy of queue, history and files in a directory, and back. */
enum command_status verb_backup(const struct command *command);
enum command_status verb_restore(const struct command *command);

/* verb_control.c: what the running house answers. verb_ask_role: the role that knows (queue,
 * journal) has the arguments and says what is wrong with them. */
enum command_status verb_reload(const struct command *command);
enum command_status verb_status(const struct command *command);
enum command_status verb_stop(const struct command *command);
enum command_status verb_upgrade(const struct command *command); /* to the version it is of */
enum command_status verb_ask_role(const struct command *command);

/* verb_upkeep.c: of an account that is in use, by its mailbox: looks it through, or gives it new
 * numbers after a backup was put back. */
enum command_status verb_upkeep(const struct command *command);

/* verb_import.c: mail into an account, and out of it. */
enum command_status verb_import(const struct command *command);
enum command_status verb_export(const struct command *command);

/* verb_queue.c: what the queue answers; `show` adds what the journal knows of the attempts. */
enum command_status verb_queue(const struct command *command);
/* What the journal knows of messages, and behind it what of them is in the queue. */
enum command_status verb_why(const struct command *command);

/* verb_sendmail.c: for programs that look for sendmail; its exit status is of sysexits.h. The word
 * before the first argument is there too. */
int verb_sendmail(const struct command *command);

#endif
