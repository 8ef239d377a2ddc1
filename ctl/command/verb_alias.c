/*
 * `staffetta alias`: the alias files of the domains. A change that would cause a loop is refused
 * before it is written.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "common/auth/auth_protocol.h"
#include "common/auth/canonical.h"
#include "common/auth/resolve.h"
#include "common/auth/shared_file.h"
#include "common/auth/system_lookup.h"
#include "common/role/role_user.h"
#include "ctl/command/command.h"

#define ARGUMENTS "add ADDRESS TARGET... | remove ADDRESS [TARGET...] | list [DOMAIN]"

enum { TARGETS_MAX = 100, ARENA_MAX = 1 << 20 };

/* What one invocation is about. */
struct alias_task {
    const struct command *command;
    struct config config;
    size_t domain; /* whose file */
    struct arena arena;
    struct slice address; /* of the alias, canonical, with its domain */
    struct slice targets[TARGETS_MAX];
    size_t target_count;
    struct directory directory; /* as it is, and while an edit is tried, as it would be */
};

static bool find_domain(struct alias_task *task, struct slice name, struct error *error)
{
    for (task->domain = 0; task->domain < task->config.domain_count; task->domain++)
        if (slice_equal(slice_of_string(task->config.domains[task->domain].name), name))
            break;
    if (task->domain == task->config.domain_count)
        return error_set(error, ERROR_PERMANENT, "%.*s is no domain of %s", SLICE_PRINTF(name),
                         task->command->config_path);
    if (!task->config.domains[task->domain].aliases.text)
        return error_set(error, ERROR_PERMANENT,
                         "domain %.*s has no alias file: write aliases = \"FILE\" into its section",
                         SLICE_PRINTF(name));
    return true;
}

/* A name alone, or `*`, is of the first domain. */
static bool take_address(struct alias_task *task, const char *written, struct error *error)
{
    struct slice address;
    struct canonical full;
    if (!address_map_address(slice_of_string(written), &task->arena, &address, error))
        return false;
    struct slice domain = canonical_domain(address);
    if (domain.len == 0)
        domain = slice_of_string(task->config.domains[0].name);
    if (!canonical_join(canonical_local_part(address), domain, &full))
        return error_set(error, ERROR_PERMANENT, "the address is too long");
    task->address = arena_copy(&task->arena, canonical_text(&full));
    return task->address.ptr ? find_domain(task, domain, error) : error_memory(error);
}

/* --- Edits ------------------------------------------------------------------------------------ */

/* Files that are not there yet count as empty. */
static void forget_missing_files(struct config *config)
{
    for (size_t i = 0; i < config->domain_count; i++)
        if (config->domains[i].aliases.text && access(config->domains[i].aliases.text, F_OK) != 0
            && errno == ENOENT)
            config->domains[i].aliases.text = NULL;
    for (size_t i = 0; i < config->accounts_count; i++)
        if (config->accounts[i].file.text && access(config->accounts[i].file.text, F_OK) != 0
            && errno == ENOENT)
            config->accounts[i].file.text = NULL;
}

static bool load(struct alias_task *task, struct error *error)
{
    const struct directory_means means = {
        .opener = directory_open_by_path,
        .look_up = geteuid() == 0 ? system_lookup_any : system_lookup_self,
    };
    forget_missing_files(&task->config);
    return directory_load(&task->directory, &task->config, &means, error);
}

/* The alias as the file spells it: with its domain, or alone where such an entry is there. */
static bool left_in_file(const struct alias_task *task, struct slice old, struct buffer *left,
                         struct error *error)
{
    struct address_map map;
    struct canonical alone;
    struct slice local_part = canonical_local_part(task->address);
    address_map_init(&map);
    if (!address_map_parse(&map, old, error))
        return false;
    bool full = address_map_find(&map, task->address)
                || !canonical_join(local_part, slice_of(NULL, 0), &alone)
                || !address_map_find(&map, canonical_text(&alone));
    address_map_clear(&map);
    if (full)
        buffer_append(left, task->address);
    else
        buffer_append(left, local_part.len > 0 ? local_part : SLICE("*"));
    return left->failed ? error_memory(error) : true;
}

typedef bool text_edit(struct slice old, struct slice left, const struct slice *targets,
                       size_t count, struct buffer *text, struct error *error);

static bool edit_with(struct alias_task *task, struct slice old, struct buffer *text,
                      text_edit *edit, struct error *error)
{
    struct buffer left = BUFFER_WITH_LIMIT(CANONICAL_MAX);
    bool done = left_in_file(task, old, &left, error)
                && edit(old, buffer_slice(&left), task->targets, task->target_count, text, error)
                && directory_try_aliases(&task->directory, &task->directory.domains[task->domain],
                                         buffer_slice(text), error);
    buffer_clear(&left);
    return done;
}

static bool edit_add(struct slice old, struct buffer *text, void *context, struct error *error)
{
    return edit_with(context, old, text, address_map_text_add, error);
}

static bool edit_remove(struct slice old, struct buffer *text, void *context, struct error *error)
{
    return edit_with(context, old, text, address_map_text_remove, error);
}

static bool edit_file(struct alias_task *task, shared_file_editor *editor, struct error *error)
{
    const char *path = task->config.domains[task->domain].aliases.text;
    struct role_user auth;
    if (!role_user_find(&task->config, ROLE_AUTH, geteuid() == 0, &auth, error))
        return false;
    return load(task, error)
           && (shared_file_edit(path, auth.gid, editor, task, error)
               || error_prefix(error, "%s", path));
}

/* Says what is allowed but may be a slip. */
static void print_doubts(struct alias_task *task)
{
    struct resolution resolution;
    if (canonical_local_part(task->address).len == 0)
        return;
    resolve_recipient(&task->directory, task->address, AUTH_TARGETS_MAX, 0, &task->arena,
                      &resolution);
    if (resolution.text.text[0])
        fprintf(stderr, "staffetta alias: note: %s\n", resolution.text.text);
}

static bool run_add(struct alias_task *task, struct error *error)
{
    if (!edit_file(task, edit_add, error))
        return false;
    print_doubts(task);
    return true;
}

static bool run_remove(struct alias_task *task, struct error *error)
{
    return edit_file(task, edit_remove, error);
}

/* --- Listing ---------------------------------------------------------------------------------- */

static void print_address(struct slice address, struct slice domain)
{
    if (canonical_domain(address).len == 0)
        printf("%.*s%.*s", SLICE_PRINTF(address), SLICE_PRINTF(domain));
    else
        printf("%.*s", SLICE_PRINTF(address));
}

static void print_domain(const struct directory_domain *domain)
{
    for (const struct address_map_entry *entry = domain->aliases.entries; entry;
         entry = entry->hh.next) {
        struct slice of = canonical_domain(entry->left);
        if (of.len > 0 && !slice_equal(of, domain->name))
            continue; /* of another domain that reads the same file */
        print_address(entry->left, domain->name);
        for (const struct address_map_target *at = entry->targets; at; at = at->next) {
            fputs(at == entry->targets ? ": " : ", ", stdout);
            print_address(at->address, domain->name);
        }
        putchar('\n');
    }
}

static bool list(struct alias_task *task, const char *only, struct error *error)
{
    if (only && !config_find_domain(&task->config, slice_of_string(only)))
        return error_set(error, ERROR_PERMANENT, "%.80s is no domain of %s", only,
                         task->command->config_path);
    if (!load(task, error))
        return false;
    for (size_t i = 0; i < task->directory.domain_count; i++)
        if (!only || slice_equal_nocase(task->directory.domains[i].name, slice_of_string(only)))
            print_domain(&task->directory.domains[i]);
    return true;
}

/* --- The verb --------------------------------------------------------------------------------- */

static bool edit(struct alias_task *task, bool (*run)(struct alias_task *, struct error *),
                 struct error *error)
{
    const struct command *command = task->command;
    for (int i = 2; i < command->count; i++)
        task->targets[task->target_count++] = slice_of_string(command->arguments[i]);
    return take_address(task, command->arguments[1], error) && run(task, error);
}

static bool run_verb(struct alias_task *task, struct error *error)
{
    const struct command *command = task->command;
    const char *action = command->arguments[0];
    if (sodium_init() < 0) /* the cache of system users has a key */
        return error_set(error, ERROR_TEMPORARY, "libsodium does not start");
    if (strcmp(action, "add") == 0)
        return edit(task, run_add, error);
    if (strcmp(action, "remove") == 0)
        return edit(task, run_remove, error);
    return list(task, command->count > 1 ? command->arguments[1] : NULL, error);
}

/* How many arguments each action takes, the action among them. */
static const struct {
    const char *name;
    int fewest;
    int most;
} actions[] = {{"add", 3, 2 + TARGETS_MAX}, {"remove", 2, 2 + TARGETS_MAX}, {"list", 1, 2}};

static bool makes_sense(const struct command *command)
{
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
        if (command->count >= actions[i].fewest && command->count <= actions[i].most
            && strcmp(command->arguments[0], actions[i].name) == 0)
            return true;
    return false;
}

enum command_status verb_alias(const struct command *command)
{
    struct alias_task task = {.command = command};
    struct error error = {0};
    if (!makes_sense(command))
        return command_usage(command, ARGUMENTS);
    arena_init(&task.arena, ARENA_MAX);
    bool done = command_read_config(command, &task.config);
    if (done) {
        done = run_verb(&task, &error);
        if (!done)
            command_fail(command, &error);
    }
    directory_clear(&task.directory);
    config_clear(&task.config);
    arena_clear(&task.arena);
    return done && fflush(stdout) == 0 ? COMMAND_DONE : COMMAND_FAILED;
}
