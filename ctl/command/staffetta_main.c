/* The `staffetta` command: finds the verb and runs it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "ctl/command/command.h"

#define DEFAULT_CONFIG "/etc/staffetta/staffetta.conf"
#define VERSION "0.1"

static enum command_status verb_help(const struct command *command);
static enum command_status verb_version(const struct command *command);
static enum command_status verb_as_sendmail(const struct command *command);

static const struct verb {
    const char *name;
    enum command_status (*run)(const struct command *command);
    const char *arguments;
    const char *does;
} verbs[] = {
    {"run", verb_run, "", "check, then serve in the foreground until SIGTERM"},
    {"check", verb_check, "[--running]", "find mistakes in the configuration and what it names"},
    {"reload", verb_reload, "", "read configuration, accounts and certificates again"},
    {"status", verb_status, "", "processes, sessions and the queue"},
    {"stop", verb_stop, "", "end what runs"},
    {"upgrade", verb_upgrade, "", "let this version take the place of the one that runs"},
    {"queue", verb_queue, "[ACTION] ...",
     "list or show what waits; retry, hold, release, remove, bounce it"},
    {"why", verb_why, "ID|ADDRESS", "what became of a message, oldest first"},
    {"statistics", verb_ask_role, "[OPTIONS]", "mail of the last days: [--days N] [--json|--csv]"},
    {"backup", verb_backup, "DIRECTORY", "copy queue, history, configuration and accounts"},
    {"restore", verb_restore, "DIRECTORY", "put that back, while nothing runs"},
    {"fsck", verb_upkeep, "ACCOUNT", "look an account's mail through, mend it, say what was done"},
    {"restored", verb_upkeep, "ACCOUNT", "new numbers for mail that was put back from a backup"},
    {"import", verb_import, "ACCOUNT ...",
     "bring mail in: maildir DIRECTORY, mbox FILE FOLDER, imap://..."},
    {"export", verb_export, "ACCOUNT ...", "write mail out: maildir DIRECTORY, mbox DIRECTORY"},
    {"account", verb_account, "ACTION ...",
     "add, password, set, remove, show, list: virtual accounts"},
    {"alias", verb_alias, "ACTION ...", "add, remove, list: aliases"},
    {"sendmail", verb_as_sendmail, "[OPTIONS] ...",
     "take a message on standard input, as other sendmails do"},
    {"help", verb_help, "", "print this"},
    {"version", verb_version, "", "print the version"},
};

static enum command_status verb_help(const struct command *command)
{
    (void)command;
    printf("usage: staffetta [-c FILE] VERB [ARGUMENTS]\n\n");
    for (size_t i = 0; i < ARRAY_LENGTH(verbs); i++)
        printf("  %-10s %-12s %s\n", verbs[i].name, verbs[i].arguments, verbs[i].does);
    printf("\n  -c FILE   the configuration; without it %s\n", DEFAULT_CONFIG);
    return COMMAND_DONE;
}

static enum command_status verb_version(const struct command *command)
{
    (void)command;
    puts("staffetta " VERSION);
    return COMMAND_DONE;
}

/* Its statuses are those of sysexits.h, and go out as they are. */
static enum command_status verb_as_sendmail(const struct command *command)
{
    return (enum command_status)verb_sendmail(command);
}

static enum command_status refuse(const char *what)
{
    fprintf(stderr, "staffetta: %s; `staffetta help` lists the verbs\n", what);
    return COMMAND_USAGE;
}

/* What is typed before anything is known of the verbs. */
static const char *as_verb(const char *word)
{
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return "help";
    return strcmp(word, "--version") == 0 ? "version" : word;
}

static enum command_status run_verb(struct command *command)
{
    for (size_t i = 0; i < ARRAY_LENGTH(verbs); i++)
        if (strcmp(verbs[i].name, command->verb) == 0)
            return verbs[i].run(command);
    return refuse("there is no such verb");
}

static enum command_status run_arguments(int argc, char **argv)
{
    int next = 1;
    const char *given = DEFAULT_CONFIG;
    if (next < argc && strcmp(argv[next], "-c") == 0) {
        if (next + 1 >= argc)
            return refuse("-c wants a file behind it");
        given = argv[next + 1];
        next += 2;
    }
    if (next >= argc)
        return refuse("a verb is missing");
    /* Absolute, so that the master and its checks find it wherever they stand. */
    char *absolute = realpath(given, NULL);
    struct command command = {.config_path = absolute ? absolute : given,
                              .verb = as_verb(argv[next]),
                              .count = argc - next - 1,
                              .arguments = argv + next + 1};
    enum command_status status = run_verb(&command);
    free(absolute);
    return status;
}

/* Called by these names it has no verb and no -c of ours. */
static const struct {
    const char *name;
    char *option; /* instead of all arguments; NULL: those that were given */
} other_names[] = {
    {"sendmail", NULL},
    {"mailq", (char[]){"-bp"}},
    {"newaliases", (char[]){"-bi"}},
};

static int run_as_sendmail(size_t name, int argc, char **argv)
{
    char *option[] = {other_names[name].option, NULL};
    bool fixed = option[0] != NULL;
    const struct command command = {.config_path = DEFAULT_CONFIG,
                                    .verb = "sendmail",
                                    .count = fixed ? 1 : argc - 1,
                                    .arguments = fixed ? option : argv + 1};
    return verb_sendmail(&command);
}

int main(int argc, char **argv)
{
    const char *called = argc > 0 ? argv[0] : "";
    const char *slash = strrchr(called, '/');
    for (size_t i = 0; i < ARRAY_LENGTH(other_names); i++)
        if (strcmp(slash ? slash + 1 : called, other_names[i].name) == 0)
            return run_as_sendmail(i, argc, argv);
    return (int)run_arguments(argc, argv);
}
