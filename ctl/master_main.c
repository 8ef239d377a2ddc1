/* libexec/master: run by `staffetta run` with the path of the configuration; see master.h. */
#include <stdio.h>
#include <stdlib.h>

#include "ctl/master.h"

int main(int argc, char **argv)
{
    if (argc != 2) {
        fputs("usage: master CONFIGURATION (run it by `staffetta run`)\n", stderr);
        return EXIT_FAILURE;
    }
    return master_run(argv[1]);
}
