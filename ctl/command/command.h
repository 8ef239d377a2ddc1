/*
 * The `staffetta` command: one table of verbs, one file for each group of them. A verb gets the
 * arguments after its name; its result is the exit status.
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
    COMMAND_FAILED = 1, /* the reason is on standard error */
    COMMAND_USAGE = 2,  /* wrong arguments; the usage is on standard error */
};

struct command {
    const char *config_path; /* absolute; if that file does not exist, as it was given */
    const char *verb;
    int count; /* arguments after the verb */
    char **arguments;
};

/* Reads the configuration named by -c. On failure all mistakes are on standard error. The caller
 * clears *config in any case. */
bool command_read_config(const struct command *command, struct config *config);

/* Reads the configuration, ignores mistakes and prints nothing: to find the control socket of a
 * running server even while its file is being edited. False: the file cannot be read. */
bool command_read_config_as_it_is(const struct command *command, struct config *config);

/* Reads the configuration and does all checks of check.h. Mistakes and warnings are on standard
 * error, in the order of their lines. False: there was a mistake. */
bool command_check(const struct command *command, enum check_when when);

/* Prints "staffetta VERB: TEXT" on standard error; COMMAND_FAILED. If the text begins with "usage:
 * ", which a role answers to wrong arguments, prints it as it is; COMMAND_USAGE. */
enum command_status command_fail(const struct command *command, const struct error *error);

/* Prints "usage: staffetta VERB ARGUMENTS" on standard error; COMMAND_USAGE. */
enum command_status command_usage(const struct command *command, const char *arguments);

/* Sends the verb and its arguments to the control socket at `path`, and copies the answer to
 * standard output. ERROR_NOT_FOUND: no server runs. (verb_control.c, as the next three.) */
bool command_ask(const struct command *command, const char *path, struct error *error);
/* command_ask() with the answer copied to `out`. */
bool command_ask_into(const struct command *command, const char *path, FILE *out,
                      struct error *error);
bool command_server_runs(const char *path);

/* Asks, reads the answer up to "ok", and returns the socket for the rest; -1 on failure. */
int command_ask_for_socket(const struct command *command, const char *path, struct error *error);

/* verb_run.c: checks, then becomes the master. Its path is
 * "<directory of this executable>/libexec/master". */
bool command_find_master(char path[PATH_MAX], struct error *error);
enum command_status verb_run(const struct command *command);

/* verb_check.c: [--running] the server runs, so its ports are taken. */
enum command_status verb_check(const struct command *command);

/* verb_account.c, verb_alias.c: the passwd-file and the alias files. */
enum command_status verb_account(const struct command *command);
enum command_status verb_alias(const struct command *command);

/* verb_backup.c: a copy of queue, history and files in a directory, and back. */
enum command_status verb_backup(const struct command *command);
enum command_status verb_restore(const struct command *command);

/* verb_control.c: commands to the running server. verb_ask_role: for queue or journal, which checks
 * the arguments. */
enum command_status verb_reload(const struct command *command);
enum command_status verb_status(const struct command *command);
enum command_status verb_stop(const struct command *command);
enum command_status verb_upgrade(const struct command *command); /* to the version it is of */
enum command_status verb_ask_role(const struct command *command);

/* verb_upkeep.c: has the account's mailbox process check the account, or give it new UIDVALIDITY
 * numbers after a backup was restored. */
enum command_status verb_upkeep(const struct command *command);

/* verb_import.c: imports mail into an account, and exports it. */
enum command_status verb_import(const struct command *command);
enum command_status verb_export(const struct command *command);

/* verb_queue.c: what the queue answers; `show` adds what the journal knows of the attempts. */
enum command_status verb_queue(const struct command *command);
/* Prints the journal's history of messages, then their state in the queue. */
enum command_status verb_why(const struct command *command);

/* verb_sendmail.c: a replacement for sendmail(8); its exit status is one of sysexits.h.
 * command->arguments[-1] exists too. */
int verb_sendmail(const struct command *command);

#endif
