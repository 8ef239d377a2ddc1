/*
 * The records between the master and each role, on the channel that every role is started with
 * (descriptor ROLE_MASTER_FD). Framing: common/role/ipc.h.
 *
 * Start: the master sends ROLE_START, then ROLE_DESCRIPTOR for everything that the role may use,
 * then ROLE_GO; the role confines itself and answers MASTER_READY. ROLE_PEER may come before
 * ROLE_GO, and at any later time when a peer was restarted.
 */
#ifndef COMMON_ROLE_MASTER_PROTOCOL_H
#define COMMON_ROLE_MASTER_PROTOCOL_H

#include "common/net/ip_address.h"
#include "common/role/ipc.h"
#include "common/role/role_kind.h"

enum {
    ROLE_MASTER_FD = 3,
    ROLE_JOURNAL_FD = 4, /* see common/log.h */
};

/* Record types. ROLE_x: master to role; MASTER_x: role to master. */
enum master_record {
    ROLE_START = 1,
    ROLE_DESCRIPTOR,
    ROLE_PEER,
    ROLE_GO,
    ROLE_JOURNAL_LINE, /* a new socket to journal, which was restarted */
    ROLE_RELOAD,
    ROLE_STOP,
    ROLE_COUNT,
    ROLE_HOME,         /* to deliver, mailbox, maildrop: an account's directory */
    ROLE_SESSION,      /* to mailbox, maildrop: a client that logged in */
    ROLE_ADMITTED,     /* to a login role: the socket to the user's process */
    ROLE_NOT_ADMITTED, /* to a login role: the user's process cannot take the client */
    ROLE_TARGET,       /* to queue: where an account's mail is delivered */
    ROLE_NO_TARGET,
    ROLE_CHANGED,   /* to mailbox: a folder has new mail or lost some */
    ROLE_WATCHED,   /* to deliver, mailbox: whether an account's changes are to be reported */
    ROLE_FEED,      /* to journal: the socket of one more role */
    ROLE_CONTROL,   /* to queue, journal, mailbox: an administrator's command */
    ROLE_CENSUS,    /* to http: the number and state of all processes */
    ROLE_FIND,      /* to auth: which account has this login name, and where is its mail? */
    ROLE_ASLEEP,    /* to imapd-login: a session that sleeps; imapd-login keeps its connection */
    ROLE_AWAKE,     /* to imapd-login: the socket to mailbox for a session that wakes */
    ROLE_NOT_AWAKE, /* to imapd-login: the session cannot be woken */
    ROLE_RETURNED,  /* to imapd-login: a session whose client did UNAUTHENTICATE */
    ROLE_READ,      /* to mailbox: a submission session that reads a message by its URL */
    ROLE_VISITOR,   /* to mailbox: a client of another account */
    ROLE_VISIT,     /* to mailbox: the socket to another account's mailbox process */
    ROLE_NO_VISIT,  /* to mailbox: the other account's mailbox cannot be visited */
    ROLE_SHARED,    /* to mailbox: what another account shares with its own */
    ROLE_KNOWN,     /* to mailbox: whether that account exists */

    MASTER_READY = 101,
    MASTER_TRAPPED, /* from the SIGSYS handler: a forbidden system call */
    MASTER_HOSTILE,
    MASTER_COUNTS,
    MASTER_IDLE,
    MASTER_CHECKS,  /* from auth */
    MASTER_ADMIT,   /* from auth */
    MASTER_TARGET,  /* from auth */
    MASTER_CHANGED, /* from deliver, maildrop, mailbox */
    MASTER_WANTED,  /* from relay, auth: start fetch if it does not run */
    MASTER_FOUND,   /* from auth: the answer to ROLE_FIND */
    MASTER_SLEEPS,  /* from mailbox: a session that imapd-login is to keep asleep */
    MASTER_WAKE,    /* from imapd-login: a sleeping session has input */
    MASTER_GONE,    /* from imapd-login: a sleeping session's connection has ended */
    MASTER_RETURNS, /* from mailbox: the client of a session did UNAUTHENTICATE */
    MASTER_READ,    /* from auth */
    MASTER_SHARES,  /* from mailbox: what its account shares with others */
    MASTER_SHARED,  /* from mailbox: what do other accounts share with its account? */
    MASTER_VISITS,  /* from mailbox: a client of its account opens a mailbox of another account */
    MASTER_KNOWN,   /* from mailbox: does this account exist? */
};

enum { MASTER_SECRET_OCTETS = 32, MASTER_ACCOUNT_MAX = 320, MASTER_PATH_MAX = 1024 };

/* The first record. One descriptor: the text of the configuration (sealed; read from offset 0). */
struct role_start {
    struct ipc_header header;
    uint32_t kind;    /* enum role_kind */
    uint32_t number;  /* of this process among its kind, never reused while the master lives */
    uint32_t is_root; /* 1: started by root, chroot is to be done; 0: single-user mode */
    uint32_t configuration;                  /* its number: 1, incremented by each reload */
    uint8_t token_key[MASTER_SECRET_OCTETS]; /* auth, queue; zero for all others */
    uint8_t srs_key[MASTER_SECRET_OCTETS];   /* auth, queue; stored, the same at every start */
};

/* What the descriptor of a ROLE_DESCRIPTOR record is. */
enum descriptor_purpose {
    DESCRIPTOR_LISTENER = 1,  /* index: of the `listen` section; one record for each address */
    DESCRIPTOR_CHAIN,         /* index: of the `certificate` section; readable file, PEM */
    DESCRIPTOR_KEY,           /* index: the same; for keys alone */
    DESCRIPTOR_DIRECTORY,     /* the role's own state directory, and its root after chroot */
    DESCRIPTOR_PLACE,         /* index: as master_home.place; the root of that directory tree */
    DESCRIPTOR_ACCOUNTS,      /* index: of the `accounts` section; directory of its file */
    DESCRIPTOR_ALIASES,       /* index: of the `domain` section; directory of its aliases file */
    DESCRIPTOR_SENDERS,       /* directory of the sender map */
    DESCRIPTOR_LOG_FILE,      /* for journal: the log file, for appending */
    DESCRIPTOR_PASSWORD,      /* for relay; index: of the `route` section; its password file */
    DESCRIPTOR_TRUST_ANCHOR,  /* for resolver: readable file */
    DESCRIPTOR_AUTHORITIES,   /* for fetch: readable file of certificates, PEM */
    DESCRIPTOR_TOKEN_KEYS,    /* for check: directory of oauth.keys */
    DESCRIPTOR_INTROSPECTION, /* for fetch: readable file, oauth.introspection-credentials */
    DESCRIPTOR_CLIENT_AUTHORITIES, /* for check: directory of client-certificates.authorities */
};

/* One descriptor. */
struct role_descriptor {
    struct ipc_header header;
    uint32_t purpose; /* enum descriptor_purpose */
    uint32_t index;
};

/* One descriptor: a SOCK_SEQPACKET channel to that peer. */
struct role_peer_record {
    struct ipc_header header;
    uint32_t kind;
    uint32_t number;
};

/* ROLE_GO, ROLE_STOP, ROLE_COUNT, MASTER_READY, MASTER_IDLE, MASTER_WANTED: the header alone.
 * MASTER_READY's request is 1 where Landlock stands, 0 where the kernel has none.
 * ROLE_JOURNAL_LINE: the header and one descriptor.
 *
 * ROLE_STOP asks the role to accept nothing new and to exit when its work under way is done. Its
 * request is 1 if the whole server stops; such a ROLE_STOP may follow one with request 0.
 *
 * A per-account role that has been idle for a while sends MASTER_IDLE, with the number of
 * ROLE_SESSION records (deliver: ROLE_HOME records) it has received as header.request. If the
 * master has sent no more than that, it answers ROLE_STOP and gives the role no more work. fetch,
 * which is started at the first MASTER_WANTED, always gets ROLE_STOP for its MASTER_IDLE; a
 * question that crosses it on the way is asked again, of the next fetch process. */

/* One descriptor: the new configuration. Then come ROLE_DESCRIPTOR records, which replace those of
 * the start, and ROLE_GO, which the role answers with MASTER_COUNTS. Only to roles that stay
 * through a reload (auth, queue, journal, fetch, mailbox). */
struct role_reload {
    struct ipc_header header;
    uint32_t configuration;
    uint32_t reserved;
};

/* An account and its mail directory. `place` numbers a directory tree (an `accounts` section;
 * PLACE_FILESYSTEM: the whole file system, for system users). The path is relative to that tree,
 * without ".."; if it is missing it is created with mode 0700. Account and path follow the struct
 * (or the struct that contains this one), without NUL. */
enum { PLACE_FILESYSTEM = 0xffff };

/* master_home.retrieved. Any other number n: removed at QUIT if older than n - RETRIEVED_REMOVED
 * days. */
enum { RETRIEVED_AS_CONFIGURED = 0, RETRIEVED_KEPT = 1, RETRIEVED_REMOVED = 2 };
struct master_home {
    uint32_t place;
    uint32_t uid;
    uint32_t gid;
    uint32_t account_octets; /* 1..MASTER_ACCOUNT_MAX: canonical name, as in the log */
    uint32_t path_octets;    /* 1..MASTER_PATH_MAX: the Maildir */
    uint32_t retrieved;      /* maildrop: what happens to mail that POP3 retrieved, see above */
    uint64_t quota_octets;   /* 0: none */
    uint64_t quota_messages; /* 0: none */
};

/* To mailbox and maildrop before ROLE_GO: the one account they serve. To deliver at any time before
 * the first message for `handle`, which is valid until the process ends; the same account may come
 * again with another quota. Account and path follow. */
struct role_home {
    struct ipc_header header;
    uint64_t handle; /* chosen by the master, unique while it lives */
    struct master_home home;
};

/* A client that logged in. */
enum { SESSION_TLS = 1 };
struct master_client {
    uint64_t session; /* number of the session in the log, chosen by the login role */
    struct ip_address address;
    uint8_t flags; /* SESSION_TLS */
    uint16_t port;
    uint32_t reserved;
};

/* Proves to the master that it gave this client, of this login process, to the mailbox process that
 * shows the pass. Only the master can make the seal. */
enum { SESSION_SEAL_OCTETS = 16 };
struct session_pass {
    struct master_client client;
    uint32_t login_number;
    uint32_t reserved;
    uint8_t seal[SESSION_SEAL_OCTETS];
};

/* To mailbox, maildrop. One descriptor: a SOCK_STREAM socket to the login role, on which the login
 * role first sends a struct handoff (common/role/handoff.h). */
struct role_session {
    struct ipc_header header;
    struct session_pass pass; /* maildrop: without a seal */
    uint32_t asleep;          /* other sessions of the account that are asleep now */
    uint32_t reserved;
};

/* Hibernation. An idle session is put to sleep: its mailbox process writes the session's state into
 * a record (imapd/session/hibernation.h) and gives that, with the connection, back to imapd-login.
 * The master remembers the session's account: no other process is trusted to name it, and the
 * client need not log in again when the session wakes.
 *
 *     mailbox ──MASTER_SLEEPS──> master ──ROLE_ASLEEP──> imapd-login
 *     imapd-login ──MASTER_WAKE──> master, or a change that the client listens for (MASTER_CHANGED)
 *     mailbox <──ROLE_SESSION── master ──ROLE_AWAKE──> imapd-login ──handoff──> mailbox
 *
 * A MASTER_WAKE or MASTER_GONE for a session that is not asleep (any more) is ignored.
 */
enum { SLEEP_RECORD_MAX = 32768, SLEEP_DIRECTORY_MAX = 255 };
enum {
    SLEEPS_CARRIED = 1, /* the descriptor is mailbox's end of the socket over which the login
                           process carries the client's octets; without the flag it is the client's
                           own socket, which any login process can take */
    SLEEPS_LISTENS = 2, /* the client idles: wake the session when that folder changes */
};

/* One descriptor. The folder's name on disk and the record follow. */
struct master_sleeps {
    struct ipc_header header;
    struct session_pass pass;
    uint32_t flags;   /* SLEEPS_CARRIED, SLEEPS_LISTENS */
    uint32_t left_ms; /* until the client has been silent for too long */
    uint32_t directory_octets;
    uint32_t record_octets; /* 1..SLEEP_RECORD_MAX */
};

/* One descriptor. The record follows. */
struct role_asleep {
    struct ipc_header header;
    struct master_client client;
    uint32_t flags;   /* as in master_sleeps */
    uint32_t left_ms; /* as in master_sleeps */
};

/* ROLE_AWAKE (with one descriptor), ROLE_NOT_AWAKE, MASTER_WAKE, MASTER_GONE: the header alone; its
 * request is the session's number. */

/* UNAUTHENTICATE (RFC 8437). A session whose octets imapd-login carries goes back to that process;
 * there it begins anew under another number, so that its old pass is worthless. A client's own
 * socket never goes back: the mailbox process may have kept a copy of it.
 *
 *     mailbox ──MASTER_RETURNS──> master ──ROLE_RETURNED──> imapd-login
 *
 * One descriptor: mailbox's end of the socket to imapd-login, which may hold unread input of the
 * client. Input that the mailbox has read but not executed follows, at most RETURNED_INPUT_MAX. */
enum { RETURNED_INPUT_MAX = 65536 };
struct master_returns {
    struct ipc_header header;
    struct session_pass pass;
};

/* ROLE_RETURNED: the header alone, with the session's number as request; then the descriptor and
 * the input of MASTER_RETURNS. */

/* Shared mailboxes (imapd/shared/). The owner's mailbox process says which accounts it shares with;
 * the master keeps that as a list of names, which grants no right. A client that opens a shared
 * mailbox stays with the process of its own account; that process has a second session for it in
 * the owner's process, and the master connects both. The master alone names the visitor's account
 * to the owner's process: it is the account of the process that asked.
 *
 *     mailbox ──MASTER_VISITS──> master ──ROLE_VISIT──> mailbox
 *     the owner's mailbox <──ROLE_VISITOR── master
 */
enum { SHARES_OCTETS_MAX = 32768 };

/* The new list follows and replaces the previous one: lines as in imapd/shared/shares.h. */
struct master_shares {
    struct ipc_header header;
};

/* MASTER_SHARED: the header alone. The answer, with the same request, is a ROLE_SHARED for each
 * account that shares something with the account of the process, or with everybody; that account
 * and the lines about it follow the struct. The last one has no account. */
struct role_shared {
    struct ipc_header header;
    uint32_t account_octets;
    uint32_t reserved;
};

/* The owner's account follows. Answered by ROLE_VISIT or ROLE_NO_VISIT, same request. */
struct master_visits {
    struct ipc_header header;
    uint64_t session; /* in the log */
};

/* ACCOUNT_UNKNOWN: that account shares nothing with this one, or does not exist;
 * ACCOUNT_TEMPORARY: the processes cannot be connected now. */
struct role_no_visit {
    struct ipc_header header;
    uint32_t outcome; /* enum account_outcome */
    uint32_t reserved;
};

/* MASTER_KNOWN: the header alone; the name of the account that is to be given rights follows. The
 * answer is ROLE_KNOWN with the same request. */
struct role_known {
    struct ipc_header header;
    uint32_t outcome; /* enum account_outcome */
    uint32_t reserved;
};

/* ROLE_VISIT: the header alone and one descriptor, a SOCK_STREAM socket. The mailbox sends a
 * handoff on it, without a descriptor; the handoff's record lists what the client has enabled.
 *
 * ROLE_VISITOR: one descriptor, the other end of that socket. The visitor's account follows. It
 * counts as a ROLE_SESSION. */
struct role_visitor {
    struct ipc_header header;
    uint64_t session; /* in the log */
};

/* To a login role, or to submission; request is that of its AUTH_PASSWORD, or AUTH_READ. One
 * descriptor: the socket to the user's process. */
struct role_admitted {
    struct ipc_header header;
};

/* The credentials were right, but no process can serve the client now. */
struct role_not_admitted {
    struct ipc_header header;
    uint32_t reason; /* enum not_admitted_reason */
    uint32_t reserved;
};
enum not_admitted_reason {
    NOT_ADMITTED_TEMPORARY = 1, /* no memory, no process, too many */
    NOT_ADMITTED_IN_USE,        /* POP3: the maildrop has a session already, RFC 1939 4 */
};

/* To queue; request is that of its AUTH_TARGET. */
struct role_target {
    struct ipc_header header;
    uint64_t handle;         /* as in role_home */
    uint32_t deliver_number; /* the peer of kind ROLE_DELIVER that knows the handle */
    uint32_t reserved;
};
struct role_no_target {
    struct ipc_header header;
};

/* To mailbox: look for changes in that folder. Its name on disk follows (empty: INBOX). */
struct role_changed {
    struct ipc_header header;
};

/* To deliver; to mailbox (handle 0) about listening sessions that are asleep. */
struct role_watched {
    struct ipc_header header;
    uint64_t handle;
    uint32_t watched; /* 1: send MASTER_CHANGED after each change; 0: do not */
    uint32_t reserved;
};

/* To journal. One descriptor: events of that role. */
struct role_feed {
    struct ipc_header header;
    uint32_t kind;
    uint32_t number;
};

/* To queue, journal and mailbox: a command of `staffetta` that they execute
 * (common/role/control.h). One descriptor: the client's socket; the client is authorized as root.
 * The words of the command follow, separated by HTAB. To mailbox it counts as a ROLE_SESSION. */
enum { ROLE_CONTROL_LINE_MAX = 8192 };
struct role_control {
    struct ipc_header header;
};

/* To mailbox. One descriptor: a SOCK_STREAM socket to a submission session, which speaks the
 * protocol of common/role/url_reading.h on behalf of the account whose name follows. It counts as a
 * ROLE_SESSION. */
struct role_read {
    struct ipc_header header;
};

/* To auth: look up the account whose name follows the struct. */
struct role_find {
    struct ipc_header header; /* request: repeated in MASTER_FOUND */
};

/* To http, every few seconds. `sessions`, `queued` and `held` are as of the last MASTER_COUNTS of
 * each process. */
struct role_census {
    struct ipc_header header;
    uint64_t started_s; /* when the server started, seconds since 1970 */
    uint64_t queued, held;
    uint64_t drop_waiting, drop_refused; /* files in the directory `drop` */
    struct role_census_kind {
        uint32_t wanted; /* processes that should run; 0 for per-account roles */
        uint32_t ready;
        uint32_t restarts; /* since the server started */
        uint32_t reserved;
        uint64_t sessions;
    } kinds[ROLE_KINDS]; /* by enum role_kind */
};

/* From the SIGSYS handler, just before the process exits. */
struct master_trapped {
    struct ipc_header header;
    int32_t call;
    uint32_t architecture;
};

/* A peer broke the protocol on its channel to the sender: the master ends that peer. */
struct master_hostile {
    struct ipc_header header;
    uint32_t kind;
    uint32_t number;
};

/* Answer to ROLE_COUNT, and to the ROLE_GO of a reload. */
struct master_counts {
    struct ipc_header header;
    uint64_t sessions;      /* open connections, or sessions served */
    uint64_t queued;        /* queue: messages not yet delivered */
    uint64_t held;          /* queue: messages that wait for an administrator or for the relay */
    uint32_t configuration; /* number of the configuration in use */
    uint32_t reserved;
};

/* From auth: how many `check` processes it wants, 1..8. */
struct master_checks {
    struct ipc_header header;
    uint32_t count;
    uint32_t reserved;
};

/* From auth: this login succeeded. The master answers the login role, not auth. Account and path
 * follow. */
struct master_admit {
    struct ipc_header header; /* request: of the login role's AUTH_PASSWORD */
    uint32_t login_kind;      /* ROLE_IMAP_LOGIN or ROLE_POP3_LOGIN */
    uint32_t login_number;
    struct master_client client;
    struct master_home home;
};

/* From auth: a submission session wants to read a message from `home`. The account that reads, then
 * account and path of `home` follow. */
struct master_read {
    struct ipc_header header; /* request: of the session's AUTH_READ */
    uint32_t submission_number;
    uint32_t reader_octets; /* 1..MASTER_ACCOUNT_MAX */
    struct master_home home;
};

/* From auth, to which queue sent AUTH_TARGET: where this account's mail is delivered. Account and
 * path follow. */
struct master_target {
    struct ipc_header header; /* request: of queue's AUTH_TARGET */
    struct master_home home;
};

/* From auth. For ACCOUNT_FOUND account and path follow; else both are empty. */
struct master_found {
    struct ipc_header header; /* request: of the ROLE_FIND */
    uint32_t outcome;         /* enum account_outcome */
    uint32_t reserved;
    struct master_home home;
};
enum account_outcome { ACCOUNT_FOUND, ACCOUNT_UNKNOWN, ACCOUNT_TEMPORARY };

/* From deliver (handle of the account), maildrop and mailbox (handle 0: its own account). The
 * folder's name on disk follows; empty: INBOX. */
struct master_changed {
    struct ipc_header header;
    uint64_t handle;
};

#endif
