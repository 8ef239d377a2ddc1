/* All checks of a house; see check.h. */
#include "ctl/check.h"

void check_house(const struct config *config, enum check_when when,
                 struct config_mistakes *mistakes)
{
    check_system(config, mistakes);
    check_files(config, mistakes);
    check_certificates(config, mistakes);
    if (when == CHECK_STOPPED)
        check_ports(config, mistakes);
    config_mistakes_sort(mistakes);
}
