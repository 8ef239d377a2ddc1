/*
 * Replaces the running version by a new one: `staffetta upgrade`. The process stays the same, so
 * that its supervisor notices nothing, and the listening sockets stay open: clients that connect
 * meanwhile wait.
 *
 *   check of the configuration, by the new version ─> trial of the new master ─> all roles finish
 *   ─> this process becomes the new master ─> its roles are started ─> "ok"
 *
 * If one of the first two steps fails, nothing changes. If the new master cannot be executed, or
 * cannot open what the configuration names, the old version goes on, with the sockets; if it dies,
 * the supervisor starts the server again. The master only.
 */
#ifndef CTL_MASTER_UPGRADE_H
#define CTL_MASTER_UPGRADE_H

#include <limits.h>
#include <stdbool.h>

#include <ev.h>

#include "common/error.h"
#include "common/slice.h"

struct master;

/* What a master inherits from the previous version, as arguments after the configuration:
 * "inherit", then "listen=FD" for each socket, "control=FD", "client=FD", "previous=FD". A version
 * ignores words that it does not know; the meaning of a word must never change. */
enum { INHERITED_MAX = 64 };
struct inheritance {
    int listeners[INHERITED_MAX];
    size_t listener_count;
    int control_fd;  /* the control socket, bound where the older configuration has it; or -1 */
    int client_fd;   /* who asked for the upgrade, and waits for its answer; or -1 */
    int previous_fd; /* the executable to go back to; or -1 */
};

struct upgrade {
    struct master *master;
    bool under_way; /* roles finish, so that another can come */
    bool tried;     /* the configuration is good: the trial is on */
    ev_child child;
    int client_fd;
    char path[PATH_MAX]; /* of the new master */
};

/* False: the words are not those above. */
bool inheritance_parse(int count, char **words, struct inheritance *inheritance);
/* Closes all that is left. */
void inheritance_clear(struct inheritance *inheritance);

/* Goes back to the executable before, with all that was inherited; returns where there is none, or
 * it cannot be executed. `why` is what the client hears. */
void upgrade_go_back(const char *config_path, const struct inheritance *inheritance,
                     const char *why);

/* The trial: can this version's master and all its roles be executed, and read the configuration?
 * The exit status. */
int upgrade_try(const char *config_path);

void upgrade_init(struct upgrade *upgrade, struct master *master);
/* `path` of the new master. Takes the client's descriptor; it is answered when all is done. */
void upgrade_begin(struct upgrade *upgrade, struct slice path, int client_fd);
/* No new version, but an end. False: no role finishes for one. */
bool upgrade_forget(struct upgrade *upgrade);
/* All roles are gone: becomes the new master. Returns where that failed. */
void upgrade_become(struct upgrade *upgrade);
/* "ok\n" or "error: TEXT\n"; who waits is forgotten. Without one: nothing. */
void upgrade_answer(struct upgrade *upgrade, const char *error_text);

#endif
