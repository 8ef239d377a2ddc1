/* Runs all checks; see check.h. */
#include "ctl/check/check.h"

void check_config(const struct config *config, enum check_when when,
                  struct config_mistakes *mistakes)
{
    bool whole = mistakes->fatal == 0;
    check_files(config, mistakes);
    bool readable = whole && mistakes->fatal == 0;
    check_certificates(config, mistakes);
    check_routes(config, mistakes);
    if (when == CHECK_STOPPED)
        check_ports(config, mistakes);
    if (readable)
        check_names(config, mistakes);
    if (whole) /* else who the roles are may be what is mistaken */
        check_system(config, mistakes);
    config_mistakes_sort(mistakes);
}
