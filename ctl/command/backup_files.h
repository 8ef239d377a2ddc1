/*
 * The files of a configuration in a backup: each below `files` under its own absolute path, with
 * owner and mode. The command.
 */
#ifndef CTL_COMMAND_BACKUP_FILES_H
#define CTL_COMMAND_BACKUP_FILES_H

#include "common/config/config.h"
#include "common/error.h"

/* The configuration file itself, accounts, aliases, the sender map and the passwords of routes; one
 * that is not there is left out. */
bool backup_files_save(const struct config *config, const char *config_path, int files_fd,
                       struct error *error);

/* False, ERROR_EXISTS, if a file of the backup is there already with other contents. */
bool backup_files_check(int files_fd, struct error *error);

/* Puts those back that are missing; their directories are made where they are. */
bool backup_files_restore(int files_fd, struct error *error);

#endif
