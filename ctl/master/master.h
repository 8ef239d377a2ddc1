/*
 * The master: the only process of the server that runs as root. It binds the ports, opens the files
 * of the other roles, starts each role under its own uid, restarts roles that die, connects them
 * with each other, and hands logged-in clients to their user's process. It never reads from the
 * network.
 *
 *   master.c      start, signals and stop of the whole server
 *   process.c     one child process: spawn, the records it may send, death, back-off
 *   birth.c       the descriptors and records that a new child gets
 *   setup.c       opens the files and sockets that the configuration in force names
 *   wiring.c      channels between the roles
 *   listeners.c   listening sockets
 *   admission.c   per-account processes: deliver, mailbox, maildrop
 *   sleepers.c    IMAP sessions that are asleep
 *   shares.c      which account shares mailboxes with which other account
 *   visits.c      clients of one account in the mailbox process of another
 *   census.c      the process counts that are sent to http
 *   control.c     the control socket of `staffetta status`, `reload`, `stop`
 *   upgrade.c     replaces the running version by a new one: upgrade.h
 *   reload.c      a new configuration: a child checks it, then it is applied or refused
 *
 * Private to these files. All state is in struct master; there is one libev loop.
 */
#ifndef CTL_MASTER_MASTER_H
#define CTL_MASTER_MASTER_H

#include <dirent.h>
#include <sys/types.h>

#include "common/config/config.h"
#include "common/log.h"
#include "common/role/ipc.h"
#include "common/role/master_protocol.h"
#include "common/role/role_user.h"
#include "ctl/master/upgrade.h"

struct master;
struct control_client;
struct sharer;
struct sleeper;
struct sleeping_account;
struct visit;

/* An account that a process serves: many for deliver, exactly one for mailbox and maildrop. */
struct account_home {
    struct account_home *next;
    uint64_t handle;
    struct master_home facts;
    char account[MASTER_ACCOUNT_MAX + 1];
    char path[MASTER_PATH_MAX + 1];
};

struct process {
    struct process *prev, *next;
    struct master *master;
    enum role_kind kind;
    uint32_t number;
    pid_t pid;
    ev_child child;
    struct ipc_channel channel;
    struct ipc_rule *rules; /* of the channel: the common rules and those of this kind */
    ev_tstamp started;      /* seconds since 1970 */
    bool ready;
    bool landlocked;
    bool stopping;         /* was asked to finish; gets no new work */
    bool told_of_end;      /* was told that the whole server stops */
    bool reaped;           /* waited for: another process may have its pid by now */
    struct role_user user; /* per-account kinds: the owner of the mail */
    uint32_t place;        /* per-account kinds: tree with the mail, see struct master_home */
    dev_t tree_device;     /* per-account kinds: device of the tree's directory */
    ino_t tree_inode;      /* per-account kinds: inode of the tree's directory */
    struct account_home *homes;
    uint64_t given;                  /* ROLE_SESSION (deliver: ROLE_HOME) records sent to it */
    uint32_t configuration;          /* number of the configuration that it last said it uses */
    uint64_t sessions, queued, held; /* as of its last MASTER_COUNTS */
    bool asked;                      /* a ROLE_COUNT is not answered yet */
};

/* A role that always runs: its processes are restarted when they die. */
struct standing {
    struct master *master;
    enum role_kind kind;
    uint32_t wanted;
    uint32_t restarts;        /* since the server started */
    uint32_t deaths_in_a_row; /* each within 10 s of the one before */
    ev_tstamp last_death;
    ev_timer retry;
};

struct listener {
    const struct config_listen *section;
    const struct ip_address *address;
    uint32_t index; /* number of the `listen` section */
    int fd;
};

enum { LISTENERS_MAX = INHERITED_MAX };

/* The configuration in force and the descriptors opened for it. A reload replaces all of it. */
struct setup {
    struct config config;
    uint32_t number; /* of the configuration: 1 at start, incremented by each reload */
    /* The oldest configuration number with the same `accounts` sections as this one. struct
     * master_home's place, an index of these sections, has meant the same since then. */
    uint32_t places_since;
    int config_fd; /* the sealed text of config */
    int state_fd;
    int empty_fd; /* an empty directory: the root of roles that need no file */
    int queue_fd;
    int journal_fd;
    int fetch_fd;
    struct listener listeners[LISTENERS_MAX];
    size_t listener_count;
};

/* drop.c: submits messages that local programs left in `drop` while the server did not run. */
struct drop {
    struct master *master;
    ev_timer timer;
    DIR *entries; /* of the round under way; NULL: no round is under way */
    ev_child child;
    char name[64];                             /* of the file that the child submits */
    int64_t since;                             /* mtime of that file, seconds since 1970 */
    uint64_t waiting, refused;                 /* files, as of the last complete round */
    uint64_t counted_waiting, counted_refused; /* files counted in the round under way */
};

/* sleepers.c: hash tables. */
struct sleepers {
    struct sleeper *sessions;          /* by number */
    struct sleeping_account *accounts; /* accounts with sleeping sessions, by name */
    uint8_t key[MASTER_SECRET_OCTETS]; /* makes the seal of a struct session_pass */
};

/* shares.c: a hash table. */
struct shares {
    struct sharer *sharers; /* by account */
    size_t octets;          /* total length of the sharers' lists */
    bool unsaved;
    ev_timer saving;
};

struct master {
    struct ev_loop *loop;
    struct log log;
    const char *config_path;
    int libexec_fd; /* directory of the executables */
    bool is_root;
    bool stopping;
    bool announced;       /* "ready" was logged: all roles have been ready once */
    bool missed_landlock; /* "no_landlock" was logged: the kernel has no Landlock */
    ev_tstamp started;
    uint8_t token_key[MASTER_SECRET_OCTETS];
    uint8_t srs_key[MASTER_SECRET_OCTETS];
    uint32_t next_number;
    uint64_t next_handle;
    struct setup setup;
    struct process *processes;
    struct standing standing[ROLE_KINDS];
    ev_signal terminate, interrupt, hangup;
    ev_timer stop_deadline;
    int control_fd;
    ev_io control_readable;
    struct control_client *control_clients;
    uint64_t questions; /* number of the last ROLE_FIND sent to auth */
    struct drop drop;
    struct sleepers sleepers;
    struct shares shares;
    struct visit *visits; /* visits that wait for auth to look up the owner's account */
    bool hears_owner;     /* visits.c: hear_owner() is running; guards against recursion */
    ev_timer census;
    struct upgrade upgrade;
    ev_child check; /* a reload's configuration check; active while it runs */
};

/* --- master.c */
/* main() of libexec/master; returns the exit status. */
int master_run(const char *config_path, struct inheritance *inheritance);
void master_stop(struct master *master); /* lets all roles finish, then ends the loop */
/* Computes standing[].wanted from the configuration in force. */
void master_count_wanted(struct master *master);
/* Whether the configuration in force has a use for the role fetch. */
bool master_may_want_fetch(const struct master *master);

/* Listening sockets that are already open (before a reload or an upgrade). Borrowed. */
struct open_sockets {
    int fds[LISTENERS_MAX];
    size_t count;
};

/* --- setup.c */
/* Reads the configuration and opens what it names; `open` has sockets to use again. `before`: what
 * it will replace, or NULL at start. Errors name the file, or the key whose value a reload cannot
 * change. After a failure setup_close() is still needed. */
bool setup_open(struct setup *setup, const struct master *master, const struct open_sockets *open,
                const struct setup *before, struct error *error);
void setup_close(struct setup *setup);

/* --- drop.c */
/* Makes the directory `drop` and starts the timer that looks into it. */
bool drop_open(struct drop *drop, struct master *master, struct error *error);
void drop_end(struct drop *drop); /* ends the round and the child under way */

/* --- process.c */
struct process_owner { /* of a per-account process */
    struct role_user user;
    uint32_t place;
};

/* Starts a child of that kind (owner: NULL for standing roles) and sends it all birth records but
 * ROLE_GO. NULL on failure. */
struct process *process_start(struct master *master, enum role_kind kind,
                              const struct process_owner *owner, struct error *error);
bool process_is_per_account(enum role_kind kind);
bool process_send(struct process *process, struct ipc_header *head, size_t head_octets,
                  struct slice tail);
/* Sends a copy of the descriptor along (-1: none); the caller keeps its own. */
bool process_send_with(struct process *process, struct ipc_header *head, size_t head_octets,
                       struct slice tail, int fd);
struct process *process_find(struct master *master, enum role_kind kind, uint32_t number);
void process_fill_all(struct master *master);   /* starts the standing roles that are missing */
void process_ask_counts(struct master *master); /* ROLE_COUNT to all ready processes; see `asked` */
void process_ask_to_stop(struct process *process);
int process_open_libexec(struct error *error);      /* the directory of executables, or -1 */
bool process_find_executables(struct error *error); /* all roles' executables lie beside ours */
void process_stop_next(struct master *master);      /* stops the next group of roles, or the loop */

/* --- birth.c */
void birth_send_start(struct process *process); /* ROLE_START and all files */
void birth_send_files(struct process *process); /* only the ROLE_DESCRIPTOR records: a reload */
void birth_go(struct process *process);
bool birth_is_network_role(enum role_kind kind); /* it listens, or reads from remote hosts */
/* The path of that directory tree (struct master_home's place) in the configuration in force. */
const char *birth_place_path(const struct master *master, uint32_t place);

/* --- wiring.c */
void wiring_connect(struct process *process); /* with each of its peers that is running */
/* The new role's end of a socket to journal, or -1. */
int wiring_open_feed(struct master *master, struct process *process);
void wiring_renew_journal(struct master *master); /* connects all roles with a new journal */

/* --- listeners.c */
bool listeners_open(struct setup *setup, const struct open_sockets *open, struct error *error);
struct open_sockets listeners_of(const struct setup *setup);

/* --- admission.c: handlers of auth's and the per-account roles' records */

/* An account and its mail directory, as a record from auth names them. Borrowed from the record. */
struct named_home {
    const struct master_home *facts;
    struct slice account;
    struct slice path; /* relative, without "." and ".." */
};
/* Parses account and path, which follow the first `fixed` octets of the record. False, ERROR_PEER:
 * their lengths differ from `facts`, or the path does not lead downwards. Pure. */
bool admission_take_home(const struct ipc_packet *packet, size_t fixed,
                         const struct master_home *facts, struct named_home *home,
                         struct error *error);
bool admission_on_admit(void *owner, struct ipc_packet *packet, struct error *error);
bool admission_on_read(void *owner, struct ipc_packet *packet, struct error *error);
bool admission_on_target(void *owner, struct ipc_packet *packet, struct error *error);
bool admission_on_changed(void *owner, struct ipc_packet *packet, struct error *error);
bool admission_on_idle(void *owner, struct ipc_packet *packet, struct error *error);
/* The mailbox process of the account that auth named; starts one if none runs. */
struct process *admission_find_mailbox(struct process *auth, const struct named_home *named,
                                       struct error *error);
void admission_forget(struct process *process); /* the process is dead */
/* The account's mailbox process, unless it is stopping; NULL: none. */
struct process *admission_find_awake(struct master *master, struct slice account);
/* Sends auth a ROLE_FIND for the account; the answer goes to control_on_found() with that
 * *question. False: auth cannot be asked now. */
bool admission_ask(struct master *master, struct slice account, uint64_t *question);
/* Connects both processes by a new socket pair: one end goes to the user's process with
 * ROLE_SESSION, the other to the login process with `answer`. */
bool admission_join(struct process *login, struct process *user, const struct master_client *client,
                    struct ipc_header *answer, struct error *error);
/* Tells deliver and mailbox by ROLE_WATCHED whether changes of that account are to be reported. */
void admission_tell_watched(struct master *master, struct slice account);

/* --- sleepers.c: IMAP sessions that are asleep; handlers of mailbox's and imapd-login's records */
void sleepers_seal(const struct process *mailbox, struct session_pass *pass);
bool sleepers_on_sleeps(void *owner, struct ipc_packet *packet, struct error *error);
/* MASTER_RETURNS: the session is awake and leaves the mailbox for good. */
bool sleepers_on_returns(void *owner, struct ipc_packet *packet, struct error *error);
bool sleepers_on_wake(void *owner, struct ipc_packet *packet, struct error *error);
bool sleepers_on_gone(void *owner, struct ipc_packet *packet, struct error *error);
/* A folder of that account has changed: wakes the sessions that idle in it. */
void sleepers_on_changed(struct master *master, struct slice account, struct slice directory);
/* Takes auth's answer; ignores one to a question of others. `named` is valid for ACCOUNT_FOUND. */
void sleepers_on_found(struct process *auth, const struct master_found *found,
                       const struct named_home *named);
uint32_t sleepers_count(const struct master *master, struct slice account);
bool sleepers_listen(const struct master *master, struct slice account);
void sleepers_forget(const struct process *process); /* the process is dead */

/* --- shares.c: handlers of mailbox's records */
void shares_load(struct master *master);  /* what the previous master saved */
void shares_save(struct master *master);  /* saves unsaved changes at once */
void shares_clear(struct master *master); /* saves first; may run twice */
bool shares_on_shares(void *owner, struct ipc_packet *packet, struct error *error);
bool shares_on_shared(void *owner, struct ipc_packet *packet, struct error *error);
/* Whether `owner` says that it shares a mailbox with `account`. */
bool shares_has(const struct master *master, struct slice owner, struct slice account);

/* --- visits.c: handlers of mailbox's records */
bool visits_on_visits(void *owner, struct ipc_packet *packet, struct error *error);
bool visits_on_known(void *owner, struct ipc_packet *packet, struct error *error);
/* As sleepers_on_found(). */
void visits_on_found(struct process *auth, const struct master_found *found,
                     const struct named_home *named);
void visits_forget(const struct process *process); /* the process is dead */

/* --- census.c */
void census_start(struct master *master);

/* --- control.c */
/* `inherited`: an open control socket, or -1. It is used if it is at the configured path; else it
 * is left alone. */
bool control_open(struct master *master, int inherited, struct error *error);
void control_close(struct master *master);
void control_on_counts(struct master *master); /* a role answered ROLE_COUNT */
bool control_on_found(void *owner, struct ipc_packet *packet, struct error *error);
/* `text`: why the reload was refused; NULL: it was applied. */
void control_answer_reload(struct master *master, const char *text);

/* --- reload.c */
void reload_begin(struct master *master);

#endif
