/*
 * The master: the only process of the house that is root. It binds the ports, opens what others may
 * use, starts every role with its own uid, restarts what dies, connects the roles with each other,
 * and hands clients that logged in to their user's process. It reads no byte from the network.
 *
 *   master.c      life of the whole: start, signals, stop
 *   process.c     one child: spawn, what it may say, death, back-off
 *   birth.c       what it is born with
 *   house.c       what the configuration in force names, opened
 *   wiring.c      who is connected with whom
 *   listeners.c   listening sockets
 *   admission.c   per-account processes: deliver, mailbox, maildrop
 *   sleepers.c    IMAP sessions that are asleep
 *   shares.c      which account shares which mailbox, by name
 *   visits.c      clients of one account in the mailbox process of another
 *   census.c      what http is told of all of them
 *   control.c     the control socket of `staffetta status`, `reload`, `stop`
 *   upgrade.c     a new version in our place: upgrade.h
 *   reload.c      a new configuration: checked by a child, then taken or refused
 *
 * This header is for those files. All state hangs on struct master; one libev loop.
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

/* An account that a process serves: deliver has many, mailbox and maildrop have one. */
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
    struct ipc_rule *rules; /* of the channel: the common ones and those of its kind */
    ev_tstamp started;      /* seconds since 1970 */
    bool ready;
    bool landlocked;
    bool stopping;         /* was asked to finish; nothing new is given to it */
    bool told_of_end;      /* and knows that all roles stop */
    bool reaped;           /* its pid may be another's by now */
    struct role_user user; /* per-account kinds: the owner of the mail */
    uint32_t place;        /* likewise: the directory tree it lies in; see master_protocol.h */
    dev_t tree_device;     /* of that tree's directory */
    ino_t tree_inode;
    struct account_home *homes;
    uint64_t given;                  /* ROLE_SESSION records to it; deliver: ROLE_HOME records */
    uint32_t configuration;          /* number of the one it works with, as far as it said */
    uint64_t sessions, queued, held; /* as of its last MASTER_COUNTS */
    bool asked;                      /* ROLE_COUNT is not answered yet */
};

/* A role that is always there: its processes are started again when they die. */
struct standing {
    struct master *master;
    enum role_kind kind;
    uint32_t wanted;
    uint32_t restarts;        /* since the start of the house */
    uint32_t deaths_in_a_row; /* each within 10 s of the one before */
    ev_tstamp last_death;
    ev_timer retry;
};

struct listener {
    const struct config_listen *section;
    const struct ip_address *address;
    uint32_t index; /* of the section */
    int fd;
};

enum { LISTENERS_MAX = INHERITED_MAX };

/* The configuration in force and what was opened for it. Replaced as a whole by a reload. */
struct house {
    struct config config;
    uint32_t number; /* 1, and one more with each reload */
    /* The first number with the same `accounts` sections as now: a place is an index of these. */
    uint32_t places_since;
    int config_fd; /* the sealed text of config */
    int state_fd;
    int empty_fd; /* an empty directory: the root of those who need no file */
    int queue_fd;
    int journal_fd;
    int fetch_fd;
    struct listener listeners[LISTENERS_MAX];
    size_t listener_count;
};

/* drop.c: submits what local programs left in `drop` while the house did not run. */
struct drop {
    struct master *master;
    ev_timer timer;
    DIR *entries; /* of the round under way; NULL: there is none */
    ev_child child;
    char name[64];                             /* of the file that it submits */
    int64_t since;                             /* when that was written, seconds since 1970 */
    uint64_t waiting, refused;                 /* files, as of the last round */
    uint64_t counted_waiting, counted_refused; /* of the round under way */
};

/* sleepers.c: hash tables. */
struct sleepers {
    struct sleeper *sessions;          /* by number */
    struct sleeping_account *accounts; /* that have some, by name */
    uint8_t key[MASTER_SECRET_OCTETS]; /* of struct session_pass */
};

/* shares.c: a hash table. */
struct shares {
    struct sharer *sharers; /* by account */
    size_t octets;          /* of all their lists */
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
    bool announced;       /* that all roles are ready */
    bool missed_landlock; /* that the kernel has none */
    ev_tstamp started;
    uint8_t token_key[MASTER_SECRET_OCTETS];
    uint8_t srs_key[MASTER_SECRET_OCTETS];
    uint32_t next_number;
    uint64_t next_handle;
    struct house house;
    struct process *processes;
    struct standing standing[ROLE_KINDS];
    ev_signal terminate, interrupt, hangup;
    ev_timer stop_deadline;
    int control_fd;
    ev_io control_readable;
    struct control_client *control_clients;
    uint64_t questions; /* put to auth: whose mail is it? */
    struct drop drop;
    struct sleepers sleepers;
    struct shares shares;
    struct visit *visits; /* for which auth is being asked whose mailbox that is */
    bool hears_owner;     /* visits.c: within hear_owner() */
    ev_timer census;
    struct upgrade upgrade;
    ev_child check; /* of a reload under way; active while it runs */
};

/* --- master.c: main() of libexec/master; the result is its exit status */
int master_run(const char *config_path, struct inheritance *inheritance);
void master_stop(struct master *master);                 /* all roles finish, then the loop ends */
void master_count_wanted(struct master *master);         /* from the configuration in force */
bool master_may_want_fetch(const struct master *master); /* the same: somebody may ask it */

/* Listening sockets that are open already: those of the house before. Borrowed. */
struct open_sockets {
    int fds[LISTENERS_MAX];
    size_t count;
};

/* --- house.c: opens and closes what a configuration names. Errors name the file. `before`: the
 * house that it is to follow, or NULL; what a running house cannot change is an error that names
 * the key. */
bool house_open(struct house *house, const struct master *master, const struct open_sockets *open,
                const struct house *before, struct error *error);
void house_close(struct house *house);

/* --- drop.c: makes the directory, begins to look into it. drop_end: ends what is under way. */
bool drop_open(struct drop *drop, struct master *master, struct error *error);
void drop_end(struct drop *drop);

/* --- process.c */
struct process_owner { /* of a per-account process */
    struct role_user user;
    uint32_t place;
};

/* Starts a child of that kind (owner: NULL for standing roles) and sends its birth records, all but
 * ROLE_GO; NULL where that failed. */
struct process *process_start(struct master *master, enum role_kind kind,
                              const struct process_owner *owner, struct error *error);
bool process_is_per_account(enum role_kind kind);
bool process_send(struct process *process, struct ipc_header *head, size_t head_octets,
                  struct slice tail);
/* One descriptor (or none: -1) travels; it stays the caller's. */
bool process_send_with(struct process *process, struct ipc_header *head, size_t head_octets,
                       struct slice tail, int fd);
struct process *process_find(struct master *master, enum role_kind kind, uint32_t number);
void process_fill_all(struct master *master);   /* starts the standing roles that are missing */
void process_ask_counts(struct master *master); /* all that are ready; see `asked` */
void process_ask_to_stop(struct process *process);
int process_open_libexec(struct error *error);      /* the directory of executables, or -1 */
bool process_find_executables(struct error *error); /* beside our own: all that may be needed */
void process_stop_next(struct master *master);      /* the next wave, or the end of the loop */

/* --- birth.c */
void birth_send_start(struct process *process); /* ROLE_START and all files */
void birth_send_files(struct process *process); /* ROLE_DESCRIPTOR records alone: a reload */
void birth_go(struct process *process);
bool birth_is_network_role(enum role_kind kind); /* reads what strangers send, or listens */
/* The directory that is that place, by the configuration in force. */
const char *birth_place_path(const struct master *master, uint32_t place);

/* --- wiring.c */
void wiring_connect(struct process *process); /* with every live peer it should have */
int wiring_open_feed(struct master *master, struct process *process); /* line to journal, or -1 */
void wiring_renew_journal(struct master *master); /* a new journal: a new line for everybody */

/* --- listeners.c */
bool listeners_open(struct house *house, const struct open_sockets *open, struct error *error);
struct open_sockets listeners_of(const struct house *house);

/* --- admission.c: handlers of auth's and the per-account roles' records */

/* Whose mail it is, as a record of auth says; borrowed from it. */
struct named_home {
    const struct master_home *facts;
    struct slice account;
    struct slice path; /* relative, without "." and ".." */
};
/* The texts behind the `fixed` octets of the record. False, ERROR_PEER, where they are not what
 * `facts` says or the path leads elsewhere than down. Pure. */
bool admission_take_home(const struct ipc_packet *packet, size_t fixed,
                         const struct master_home *facts, struct named_home *home,
                         struct error *error);
bool admission_on_admit(void *owner, struct ipc_packet *packet, struct error *error);
bool admission_on_read(void *owner, struct ipc_packet *packet, struct error *error);
bool admission_on_target(void *owner, struct ipc_packet *packet, struct error *error);
bool admission_on_changed(void *owner, struct ipc_packet *packet, struct error *error);
bool admission_on_idle(void *owner, struct ipc_packet *packet, struct error *error);
/* The mailbox of that account, as auth names it, started if there is none. */
struct process *admission_find_mailbox(struct process *auth, const struct named_home *named,
                                       struct error *error);
void admission_forget(struct process *process); /* it is dead */
/* Whose mailbox there is and is not about to end; NULL: none. */
struct process *admission_find_awake(struct master *master, struct slice account);
/* Asks auth whose mail that account's is: it answers *question to control.c. False: nobody can say
 * now. */
bool admission_ask(struct master *master, struct slice account, uint64_t *question);
/* A fresh pair of sockets: one end goes to the user's process with ROLE_SESSION, the other to the
 * login process with `answer`. */
bool admission_join(struct process *login, struct process *user, const struct master_client *client,
                    struct ipc_header *answer, struct error *error);
/* Deliver and mailbox hear whether somebody listens to changes of that account. */
void admission_tell_watched(struct master *master, struct slice account);

/* --- sleepers.c: IMAP sessions that are asleep; handlers of mailbox's and imapd-login's records */
void sleepers_seal(const struct process *mailbox, struct session_pass *pass);
bool sleepers_on_sleeps(void *owner, struct ipc_packet *packet, struct error *error);
/* Of one that is awake, and goes back for good. */
bool sleepers_on_returns(void *owner, struct ipc_packet *packet, struct error *error);
bool sleepers_on_wake(void *owner, struct ipc_packet *packet, struct error *error);
bool sleepers_on_gone(void *owner, struct ipc_packet *packet, struct error *error);
/* A folder of that account has changed: who listens is woken. */
void sleepers_on_changed(struct master *master, struct slice account, struct slice directory);
/* auth's answer to a question of ours, or to none; `named` counts where the account was found. */
void sleepers_on_found(struct process *auth, const struct master_found *found,
                       const struct named_home *named);
uint32_t sleepers_count(const struct master *master, struct slice account);
bool sleepers_listen(const struct master *master, struct slice account);
void sleepers_forget(const struct process *process); /* it is dead */

/* --- shares.c: handlers of mailbox's records */
void shares_load(struct master *master);  /* as the house before left them */
void shares_save(struct master *master);  /* at once, what is not saved yet */
void shares_clear(struct master *master); /* saved; may run twice */
bool shares_on_shares(void *owner, struct ipc_packet *packet, struct error *error);
bool shares_on_shared(void *owner, struct ipc_packet *packet, struct error *error);
/* The first account says that it shares something with the second. */
bool shares_has(const struct master *master, struct slice owner, struct slice account);

/* --- visits.c: handlers of mailbox's records, and of what becomes of them */
bool visits_on_visits(void *owner, struct ipc_packet *packet, struct error *error);
bool visits_on_known(void *owner, struct ipc_packet *packet, struct error *error);
/* auth's answer to a question of ours, or to none. */
void visits_on_found(struct process *auth, const struct master_found *found,
                     const struct named_home *named);
void visits_forget(const struct process *process); /* it is dead */

/* --- census.c */
void census_start(struct master *master);

/* --- control.c */
/* `inherited`: a control socket that may be the configuration's, else it is left alone; or -1. */
bool control_open(struct master *master, int inherited, struct error *error);
void control_close(struct master *master);
void control_on_counts(struct master *master); /* a role answered ROLE_COUNT */
bool control_on_found(void *owner, struct ipc_packet *packet, struct error *error);
void control_answer_reload(struct master *master, const char *text); /* NULL: taken */

/* --- reload.c */
void reload_begin(struct master *master);

#endif
