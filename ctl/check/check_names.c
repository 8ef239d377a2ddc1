/* Checks the accounts, the aliases and the sender map as auth would read them. */
#include <unistd.h>

#include <sodium.h>

#include "common/auth/auth_protocol.h"
#include "common/auth/canonical.h"
#include "common/auth/resolve.h"
#include "common/auth/system_lookup.h"
#include "ctl/check/check.h"

enum { DOUBTS_MAX = 20, ARENA_MAX = 1 << 20 };

/* Where the mail of an alias goes, if anybody could wonder. */
static bool doubt(const struct directory *directory, struct slice address, struct arena *arena,
                  struct resolution *resolution)
{
    arena_reset(arena);
    resolve_recipient(directory, address, AUTH_TARGETS_MAX, 0, arena, resolution);
    return resolution->text.text[0] != '\0';
}

static size_t check_domain(const struct directory *directory, size_t index, unsigned line,
                           struct config_mistakes *mistakes)
{
    const struct directory_domain *domain = &directory->domains[index];
    const struct address_map_entry *entry = domain->aliases.entries;
    struct arena arena;
    size_t found = 0;
    arena_init(&arena, ARENA_MAX);
    for (; entry && found < DOUBTS_MAX; entry = entry->hh.next) {
        struct canonical address;
        struct resolution resolution;
        struct slice local_part = canonical_local_part(entry->left);
        if (local_part.len == 0 || !canonical_join(local_part, domain->name, &address)
            || !doubt(directory, canonical_text(&address), &arena, &resolution))
            continue;
        config_mistakes_add(mistakes, CONFIG_WARNING, line, "%s:%llu: %s", domain->file.path,
                            (unsigned long long)entry->line, resolution.text.text);
        found++;
    }
    arena_clear(&arena);
    return found;
}

static bool is_there_anybody(const struct directory *directory)
{
    struct system_user first;
    for (size_t i = 0; i < directory->source_count; i++)
        if (directory->sources[i].accounts.by_address)
            return true;
    return directory->system_users
           && system_users_find(directory->system_users, SLICE(""), 0, &first, NULL);
}

static void check_directory(const struct config *config, const struct directory *directory,
                            struct config_mistakes *mistakes)
{
    size_t found = 0;
    for (size_t i = 0; i < directory->domain_count && found < DOUBTS_MAX; i++)
        found += check_domain(directory, i, config->domains[i].line, mistakes);
    if (!is_there_anybody(directory))
        config_mistakes_add(mistakes, CONFIG_WARNING, config->accounts[0].line,
                            "there is no account yet, so even postmaster has nobody to read it: "
                            "staffetta account add");
}

void check_names(const struct config *config, struct config_mistakes *mistakes)
{
    struct directory directory;
    struct error error = {0};
    const struct directory_means means = {
        .opener = directory_open_by_path,
        .look_up = geteuid() == 0 ? system_lookup_any : system_lookup_self,
    };
    if (sodium_init() < 0)
        config_mistakes_add(mistakes, CONFIG_MISTAKE, 0, "libsodium finds no random numbers");
    else if (!directory_load(&directory, config, &means, &error))
        config_mistakes_add(mistakes, CONFIG_MISTAKE, 0, "%s", error.text);
    else {
        check_directory(config, &directory, mistakes);
        directory_clear(&directory);
    }
}
