/*
 * `staffetta account`: the virtual accounts of the passwd-file. Changes are atomic, and a running
 * `auth` notices them by itself (common/auth/shared_file.h).
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "common/auth/accounts_file.h"
#include "common/auth/canonical.h"
#include "common/auth/directory.h"
#include "common/auth/password.h"
#include "common/auth/shared_file.h"
#include "common/config/config_value.h"
#include "common/login/scram_server.h"
#include "common/role/role_user.h"
#include "ctl/command/command.h"
#include "ctl/command/password_prompt.h"

#define ARGUMENTS                                                                                  \
    "add ADDRESS [--quota SIZE] | password ADDRESS | set ADDRESS NAME=VALUE... | remove ADDRESS "  \
    "| "                                                                                           \
    "show ADDRESS | list; the names: quota, delete-after-retrieval, keep-days; NAME= takes one "   \
    "out"

/* What one invocation is about. */
struct account_task {
    const struct command *command;
    struct config config;
    const struct config_accounts *section; /* the first with a file */
    struct canonical address;
    struct slice quota; /* as written; empty: none given */
    char verifier[PASSWORD_VERIFIER_MAX + 1];
    struct buffer scram; /* a setting of the file; without a value where SCRAM cannot say it */
};

static const struct config_accounts *find_section(const struct config *config)
{
    for (size_t i = 0; i < config->accounts_count; i++)
        if (config->accounts[i].source == CONFIG_SOURCE_FILE)
            return &config->accounts[i];
    return NULL;
}

/* A name alone is of the first domain, as at a login. */
static bool take_address(struct account_task *task, const char *written, struct error *error)
{
    struct buffer text = BUFFER_WITH_LIMIT(1024);
    buffer_append_string(&text, written);
    if (!strchr(written, '@')) {
        buffer_append_octet(&text, '@');
        buffer_append_string(&text, task->config.domains[0].name);
    }
    bool taken = canonical_parse(buffer_slice(&text), &task->address, error)
                 || error_prefix(error, "\"%.80s\"", written);
    buffer_clear(&text);
    struct slice domain = canonical_domain(canonical_text(&task->address));
    if (taken && !config_find_domain(&task->config, domain))
        return error_set(error, ERROR_PERMANENT, "%.*s is no domain of %s", SLICE_PRINTF(domain),
                         task->command->config_path);
    return taken;
}

static bool hash_typed_password(struct account_task *task, struct error *error)
{
    struct typed_password password;
    if (sodium_init() < 0)
        return error_set(error, ERROR_TEMPORARY, "libsodium does not start");
    if (!password_prompt(&password, true, error))
        return false;
    struct slice typed = slice_of(password.octets, password.len);
    bool hashed = password_hash(typed, task->verifier, error);
    buffer_append(&task->scram, SLICE("scram-sha-256="));
    if (hashed && !scram_verifier_make(typed, slice_of_string(task->verifier), &task->scram))
        fprintf(stderr, "note: no client can say this password by SCRAM (RFC 4013 forbids some of "
                        "its characters); PLAIN and LOGIN take it\n");
    sodium_memzero(&password, sizeof(password));
    return hashed && (!task->scram.failed || error_memory(error));
}

/* The group of a file that is not there yet: `auth` must read it, nobody else. */
static bool edit_file(struct account_task *task, shared_file_editor *editor, struct error *error)
{
    struct role_user auth;
    return role_user_find(&task->config, ROLE_AUTH, geteuid() == 0, &auth, error)
           && shared_file_edit(task->section->file.text, auth.gid, editor, task, error);
}

/* Nothing comes into the file that `auth` would refuse, and no mistake of somebody else's gets
 * hidden after a change of ours. */
static bool check_text(struct slice text, struct error *error)
{
    struct accounts accounts;
    struct buffer copy = BUFFER_WITH_LIMIT(SHARED_FILE_MAX);
    accounts_init(&accounts);
    buffer_append(&copy, text);
    bool valid = copy.failed ? error_memory(error) : accounts_parse(&accounts, &copy, error);
    accounts_clear(&accounts);
    buffer_clear(&copy);
    return valid;
}

/* A text with the account's verifier, and with it what SCRAM needs. */
static bool add_scram(const struct account_task *task, const struct buffer *before,
                      struct buffer *text, struct error *error)
{
    return before->failed ? error_memory(error)
                          : accounts_text_set(buffer_slice(before), canonical_text(&task->address),
                                              buffer_slice(&task->scram), text, error)
                                && check_text(buffer_slice(text), error);
}

static bool edit_add(struct slice old, struct buffer *text, void *context, struct error *error)
{
    const struct account_task *task = context;
    struct buffer before = BUFFER_WITH_LIMIT(SHARED_FILE_MAX);
    bool added = accounts_text_add(old, canonical_text(&task->address),
                                   slice_of_string(task->verifier), task->quota, &before, error)
                 && add_scram(task, &before, text, error);
    buffer_clear(&before);
    return added;
}

static bool edit_password(struct slice old, struct buffer *text, void *context, struct error *error)
{
    const struct account_task *task = context;
    struct buffer before = BUFFER_WITH_LIMIT(SHARED_FILE_MAX);
    bool set = accounts_text_set_verifier(old, canonical_text(&task->address),
                                          slice_of_string(task->verifier), &before, error)
               && add_scram(task, &before, text, error);
    buffer_clear(&before);
    return set;
}

/* All of them or none. */
static bool edit_settings(struct slice old, struct buffer *text, void *context, struct error *error)
{
    const struct account_task *task = context;
    struct buffer before = BUFFER_WITH_LIMIT(SHARED_FILE_MAX);
    bool edited = true;
    buffer_append(text, old);
    for (int i = 2; edited && i < task->command->count; i++) {
        buffer_reset(&before);
        buffer_append(&before, buffer_slice(text));
        buffer_reset(text);
        edited = before.failed
                     ? error_memory(error)
                     : accounts_text_set(buffer_slice(&before), canonical_text(&task->address),
                                         slice_of_string(task->command->arguments[i]), text, error);
    }
    buffer_clear(&before);
    return edited && check_text(buffer_slice(text), error);
}

static bool edit_remove(struct slice old, struct buffer *text, void *context, struct error *error)
{
    const struct account_task *task = context;
    return accounts_text_remove(old, canonical_text(&task->address), text, error)
           && check_text(buffer_slice(text), error);
}

static bool run_add(struct account_task *task, struct error *error)
{
    return account_address_is_valid(canonical_text(&task->address), error)
           && hash_typed_password(task, error) && edit_file(task, edit_add, error);
}

static bool run_password(struct account_task *task, struct error *error)
{
    return hash_typed_password(task, error) && edit_file(task, edit_password, error);
}

static bool run_set(struct account_task *task, struct error *error)
{
    return edit_file(task, edit_settings, error);
}

static void print_mail_directory(const struct account_task *task, const char *before)
{
    struct slice address = canonical_text(&task->address);
    printf("%s%s/%.*s/%.*s\n", before, task->section->mail.text,
           SLICE_PRINTF(canonical_domain(address)), SLICE_PRINTF(canonical_local_part(address)));
}

static bool run_remove(struct account_task *task, struct error *error)
{
    if (!edit_file(task, edit_remove, error))
        return false;
    print_mail_directory(task, "The mail stays in ");
    return true;
}

/* --- Reading ---------------------------------------------------------------------------------- */

static bool read_accounts(const struct account_task *task, struct accounts *accounts,
                          struct error *error)
{
    int dir_fd;
    char *name;
    struct shared_file file;
    struct buffer text = BUFFER_WITH_LIMIT(SHARED_FILE_MAX);
    accounts_init(accounts);
    if (!shared_file_locate(task->section->file.text, &dir_fd, &name, error))
        return false;
    shared_file_init(&file, dir_fd, name);
    bool read = shared_file_look(&file, &text, error) == SHARED_FILE_CHANGED
                && (accounts_parse(accounts, &text, error)
                    || error_prefix(error, "%s", task->section->file.text));
    shared_file_clear(&file);
    buffer_clear(&text);
    shared_file_release(&dir_fd, &name);
    return read;
}

static const char *describe_quota(const struct account_task *task, const struct account *account,
                                  char text[CONFIG_VALUE_TEXT_SIZE])
{
    uint64_t octets = account->quota_octets ? account->quota_octets : task->section->quota_octets;
    if (octets == 0 || octets == ACCOUNT_QUOTA_NONE)
        return "none";
    return config_format_size(octets, text);
}

static const char *describe_login(const struct account *account)
{
    if (password_kind(account->verifier) == PASSWORD_LOCKED)
        return "locked";
    return account->scram.len > 0 ? "by password or SCRAM" : "by password";
}

static bool run_list(struct account_task *task, struct error *error)
{
    struct accounts accounts;
    char quota[CONFIG_VALUE_TEXT_SIZE];
    if (!read_accounts(task, &accounts, error))
        return false;
    for (const struct account *account = accounts.by_address; account; account = account->hh.next)
        printf("%.*s\tquota %s\tlogin %s\n", SLICE_PRINTF(account->address),
               describe_quota(task, account, quota), describe_login(account));
    accounts_clear(&accounts);
    return true;
}

static void print_retrieved(const struct account *account)
{
    if (account->retrieved == RETRIEVED_KEPT)
        printf("pop3     keeps what was retrieved\n");
    else if (account->retrieved == RETRIEVED_REMOVED)
        printf("pop3     removes what was retrieved\n");
    else if (account->retrieved > RETRIEVED_REMOVED)
        printf("pop3     removes what was retrieved and is older than %u days\n",
               account->retrieved - RETRIEVED_REMOVED);
}

static bool run_show(struct account_task *task, struct error *error)
{
    struct accounts accounts;
    char quota[CONFIG_VALUE_TEXT_SIZE];
    if (!read_accounts(task, &accounts, error))
        return false;
    const struct account *account = accounts_find(&accounts, canonical_text(&task->address));
    if (account) {
        printf("address  %.*s\n", SLICE_PRINTF(account->address));
        printf("login    %s\n", describe_login(account));
        if (password_kind(account->verifier) != PASSWORD_LOCKED && account->scram.len == 0)
            printf("scram    none: SCRAM is offered once each account has it; `account password` "
                   "makes it\n");
        printf("quota    %s%s\n", describe_quota(task, account, quota),
               account->quota_octets ? "" : " (of the configuration)");
        print_retrieved(account);
        print_mail_directory(task, "mail     ");
        printf("line     %s:%llu\n", task->section->file.text, (unsigned long long)account->line);
    }
    accounts_clear(&accounts);
    return account ? true
                   : error_set(error, ERROR_NOT_FOUND, "there is no account %.*s",
                               SLICE_PRINTF(canonical_text(&task->address)));
}

/* --- The verb --------------------------------------------------------------------------------- */

static const struct action {
    const char *name;
    bool (*run)(struct account_task *task, struct error *error);
    int fewest; /* arguments, the first of them an address */
    int most;
} actions[] = {
    {"add", run_add, 1, 1},       {"password", run_password, 1, 1}, {"set", run_set, 2, INT_MAX},
    {"remove", run_remove, 1, 1}, {"show", run_show, 1, 1},         {"list", run_list, 0, 0},
};

static const struct action *find_action(const char *name)
{
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
        if (strcmp(actions[i].name, name) == 0)
            return &actions[i];
    return NULL;
}

static bool prepare(struct account_task *task, const char *address, struct error *error)
{
    task->section = find_section(&task->config);
    if (!task->section)
        return error_set(error, ERROR_PERMANENT,
                         "the configuration has no accounts { source = file }; system users are "
                         "made with adduser");
    return !address || take_address(task, address, error);
}

/* The address, and the quota of `add` wherever it stands. */
static bool take_words(struct account_task *task, const struct action *action, const char **address)
{
    const struct command *command = task->command;
    int plain = 0;
    for (int i = 1; i < command->count; i++) {
        const char *word = command->arguments[i];
        if (action->run == run_add && strcmp(word, "--quota") == 0) {
            if (++i == command->count)
                return false;
            task->quota = slice_of_string(command->arguments[i]);
        } else if (strncmp(word, "--", 2) == 0) {
            return false;
        } else if (plain++ == 0) {
            *address = word;
        }
    }
    return plain >= action->fewest && plain <= action->most;
}

enum command_status verb_account(const struct command *command)
{
    struct account_task task = {.command = command, .scram = BUFFER_WITH_LIMIT(1024)};
    struct error error = {0};
    const char *address = NULL;
    const struct action *action = command->count > 0 ? find_action(command->arguments[0]) : NULL;
    if (!action || !take_words(&task, action, &address))
        return command_usage(command, ARGUMENTS);
    bool done = command_read_config(command, &task.config);
    if (done) {
        done = prepare(&task, address, &error) && action->run(&task, &error);
        if (!done)
            command_fail(command, &error);
    }
    buffer_clear(&task.scram);
    config_clear(&task.config);
    return done && fflush(stdout) == 0 ? COMMAND_DONE : COMMAND_FAILED;
}
