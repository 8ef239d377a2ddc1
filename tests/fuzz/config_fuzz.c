/* Any text gives a configuration or mistakes, and whoever gets a configuration can rely on it. */
#include <stdlib.h>

#include "common/config/config.h"

static void require(bool promise)
{
    if (!promise)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t count)
{
    struct config config;
    struct config_mistakes mistakes = {0};
    bool parsed = config_parse(slice_of(octets, count), &config, &mistakes);
    require(parsed == (mistakes.fatal == 0));
    require(mistakes.count == mistakes.fatal);
    if (parsed) {
        require(config.hostname && config.domain_count > 0 && config.accounts_count > 0);
        require(config.listen_count > 0 && config.listens[0].addresses.count > 0);
        require(config.queue.retry.count > 0 && config.limits.recipients >= 100);
    }
    config_mistakes_clear(&mistakes);
    config_clear(&config);
    return 0;
}
