/* All checks of a house; see check.h. */
#include "ctl/check.h"

void check_house(const struct config *config, enum check_when when,
                 struct config_mistakes *mistakes)
{
    check_system(config, mistakes);
    size_t fatal_before = mistakes->fatal;
    check_files(config, mistakes);
    if (mistakes->fatal == fatal_before)
        check_names(config, mistakes);
    check_certificates(config, mistakes);
    check_routes(config, mistakes);
    if (when == CHECK_STOPPED)
        check_ports(config, mistakes);
    config_mistakes_sort(mistakes);
}
