/*
 * Checks a configuration against the file system and the network: an unreadable certificate, a key
 * that does not fit it, a port in use, a missing system user. For `staffetta check` and before
 * every start. Nothing is changed; ports are bound for a moment.
 */
#ifndef CTL_CHECK_CHECK_H
#define CTL_CHECK_CHECK_H

#include "common/config/config.h"

enum check_when {
    CHECK_STOPPED, /* before a start: the ports must be free */
    CHECK_RUNNING, /* for a reload: the running server has the ports */
};

/* Adds mistakes to those that config_parse() found, sorted by line. If that found some, everything
 * is checked all the same, except what needs a complete configuration. Must run as the user who
 * will start the server: root, or an ordinary user whose uid all roles then have. */
void check_config(const struct config *config, enum check_when when,
                  struct config_mistakes *mistakes);

/* The parts. check_certificates.c: files, keys, names and dates. */
void check_certificates(const struct config *config, struct config_mistakes *mistakes);

/* check_ports.c: can every address be bound? */
void check_ports(const struct config *config, struct config_mistakes *mistakes);

/* check_files.c: state, log, control socket, accounts, aliases, mail. */
void check_files(const struct config *config, struct config_mistakes *mistakes);

/* check_routes.c: password files, source addresses. */
void check_routes(const struct config *config, struct config_mistakes *mistakes);

/* check_names.c: what stands in the accounts, alias and sender files, which are there. */
void check_names(const struct config *config, struct config_mistakes *mistakes);

/* check_system.c: system users, kernel, PAM. */
void check_system(const struct config *config, struct config_mistakes *mistakes);

#endif
