/* libexec/master: run by `staffetta run` with the path of the configuration; see master.h. By
 * `staffetta upgrade` with what the master before leaves, or "try"; see upgrade.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/master/master.h"

int main(int argc, char **argv)
{
    struct inheritance inheritance;
    if (argc == 3 && strcmp(argv[2], "try") == 0)
        return upgrade_try(argv[1]);
    if (argc < 2 || !inheritance_parse(argc - 2, argv + 2, &inheritance)) {
        fputs("usage: master CONFIGURATION (run it by `staffetta run`)\n", stderr);
        return EXIT_FAILURE;
    }
    return master_run(argv[1], &inheritance);
}
