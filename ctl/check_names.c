/* Do the accounts, the aliases and the sender map make sense, as auth would read them? */
#include <unistd.h>

#include <sodium.h>

#include "common/auth/directory.h"
#include "common/auth/system_lookup.h"
#include "ctl/check.h"

static bool load(const struct config *config, struct error *error)
{
    struct directory directory;
    if (sodium_init() < 0)
        return error_set(error, ERROR_TEMPORARY, "libsodium finds no random numbers");
    const struct directory_means means = {
        .opener = directory_open_by_path,
        .look_up = geteuid() == 0 ? system_lookup_any : system_lookup_self,
    };
    bool loaded = directory_load(&directory, config, &means, error);
    directory_clear(&directory);
    return loaded;
}

void check_names(const struct config *config, struct config_mistakes *mistakes)
{
    struct error error = {0};
    if (!load(config, &error))
        config_mistakes_add(mistakes, CONFIG_MISTAKE, 0, "%s", error.text);
}
