/*
 * Reads the configuration file once, into a sealed memfd that is passed to every role. config_open
 * opens the file, so only the master and the staffetta command call it.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/config/config_internal.h"
#include "common/disk/fd.h"

static bool copy_file(int from, int to, struct error *error)
{
    uint8_t block[16384];
    size_t total = 0;
    size_t got = 0;
    do {
        if (!fd_read_full(from, block, sizeof(block), &got, error)
            || !fd_write_all(to, slice_of(block, got), error))
            return false;
        total += got;
        if (total > CONFIG_TEXT_OCTETS_MAX)
            return error_set(error, ERROR_PERMANENT, "longer than 1 MiB");
    } while (got == sizeof(block));
    if (fcntl(to, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
        return error_errno(error, "seal a memfd");
    return true;
}

int config_open(const char *path, struct error *error)
{
    int copy = -1;
    /* O_NONBLOCK: a FIFO without a writer must not hold us; for a file it means nothing. */
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (file < 0) {
        error_errno(error, "open %s", path);
        return -1;
    }
    copy = memfd_create("staffetta.conf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (copy < 0)
        error_errno(error, "make a memfd");
    else if (!copy_file(file, copy, error)) {
        error_prefix(error, "read %s", path);
        fd_discard(&copy);
    }
    fd_discard(&file);
    return copy;
}

bool config_parse_fd(int fd, struct config *config, struct config_mistakes *mistakes)
{
    struct error error = {0};
    size_t got = 0;
    uint8_t *text = malloc(CONFIG_TEXT_OCTETS_MAX + 1);
    memset(config, 0, sizeof(*config));
    bool read = text ? fd_pread_full(fd, text, CONFIG_TEXT_OCTETS_MAX + 1, 0, &got, &error)
                     : error_memory(&error);
    if (!read)
        config_mistakes_add(mistakes, CONFIG_MISTAKE, 0, "%s", error.text);
    bool parsed = read && config_parse(slice_of(text, got), config, mistakes);
    free(text);
    return parsed;
}
