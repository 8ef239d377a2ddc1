/*
 * What the master and the roles say to each other on the channel that every role is born with
 * (descriptor ROLE_MASTER_FD). Records of common/role/ipc.h.
 *
 * Birth: the master sends ROLE_START, then ROLE_DESCRIPTOR for all that the role may use, then
 * ROLE_GO; the role confines itself and answers MASTER_READY. ROLE_PEER may come before ROLE_GO and
 * at any time after: a peer that died was started again.
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
    ROLE_JOURNAL_LINE, /* a new socket to journal, which was started again */
    ROLE_RELOAD,
    ROLE_STOP,
    ROLE_COUNT,
    ROLE_HOME,         /* to deliver, mailbox, maildrop: an account's directory */
    ROLE_SESSION,      /* to mailbox, maildrop: a client that logged in */
    ROLE_ADMITTED,     /* to a login role: the other end of that session */
    ROLE_NOT_ADMITTED, /* to a login role: there will be none */
    ROLE_TARGET,       /* to queue: where an account's mail is delivered */
    ROLE_NO_TARGET,
    ROLE_CHANGED, /* to mailbox: a folder has new mail or lost some */
    ROLE_WATCHED, /* to deliver, mailbox: whether somebody wants to hear of an account's changes */
    ROLE_FEED,    /* to journal: the socket of one more role */
    ROLE_CONTROL, /* to queue, journal, mailbox: an administrator's command */
    ROLE_CENSUS,  /* to http: how many processes there are, and how they fare */
    ROLE_FIND,    /* to auth: whose mail is it, by the name that one logs in with? */
    ROLE_ASLEEP,  /* to imapd-login: a session of which nothing but the connection is left */
    ROLE_AWAKE,   /* to imapd-login: the other end for a session that is asleep */
    ROLE_NOT_AWAKE, /* to imapd-login: there will be none */
    ROLE_RETURNED,  /* to imapd-login: a session whose client is nobody again */
    ROLE_READ,      /* to mailbox: a submission that reads a message by a URL */
    ROLE_VISITOR,   /* to mailbox: a client of another account */
    ROLE_VISIT,     /* to mailbox: the way into another account's */
    ROLE_NO_VISIT,  /* to mailbox: there is none */
    ROLE_SHARED,    /* to mailbox: what another account shares with its own */
    ROLE_KNOWN,     /* to mailbox: whether there is such an account */

    MASTER_READY = 101,
    MASTER_TRAPPED, /* the SIGSYS handler's last words */
    MASTER_HOSTILE,
    MASTER_COUNTS,
    MASTER_IDLE,
    MASTER_CHECKS,  /* from auth */
    MASTER_ADMIT,   /* from auth */
    MASTER_TARGET,  /* from auth */
    MASTER_CHANGED, /* from deliver, maildrop, mailbox */
    MASTER_WANTED,  /* from relay, auth: fetch is to be there */
    MASTER_FOUND,   /* from auth: the answer to ROLE_FIND */
    MASTER_SLEEPS,  /* from mailbox: a session that imapd-login is to keep */
    MASTER_WAKE,    /* from imapd-login: one of these has something to say */
    MASTER_GONE,    /* from imapd-login: one of these has ended */
    MASTER_RETURNS, /* from mailbox: the client of a session is nobody again */
    MASTER_READ,    /* from auth */
    MASTER_SHARES,  /* from mailbox: what its account shares with others */
    MASTER_SHARED,  /* from mailbox: what do others share with its account? */
    MASTER_VISITS,  /* from mailbox: a client of its account wants into another one's */
    MASTER_KNOWN,   /* from mailbox: is there such an account? */
};

enum { MASTER_SECRET_OCTETS = 32, MASTER_ACCOUNT_MAX = 320, MASTER_PATH_MAX = 1024 };

/* First record of all. One descriptor: the text of the configuration (sealed, to be read from
 * offset 0). */
struct role_start {
    struct ipc_header header;
    uint32_t kind;    /* enum role_kind */
    uint32_t number;  /* of this process among its kind, never used again while the master lives */
    uint32_t is_root; /* 1: started by root, chroot is to be done; 0: single-user mode */
    uint32_t configuration;                  /* 1, and one more with each reload */
    uint8_t token_key[MASTER_SECRET_OCTETS]; /* auth, queue; zero for all others */
    uint8_t srs_key[MASTER_SECRET_OCTETS];   /* auth, queue; the same in all lives of the house */
};

/* What the descriptor of a ROLE_DESCRIPTOR is. */
enum descriptor_purpose {
    DESCRIPTOR_LISTENER = 1,  /* index: of the `listen` section; one record for each address */
    DESCRIPTOR_CHAIN,         /* index: of the `certificate` section; readable file, PEM */
    DESCRIPTOR_KEY,           /* index: the same; for keys alone */
    DESCRIPTOR_DIRECTORY,     /* the role's own state directory, and its root after chroot */
    DESCRIPTOR_PLACE,         /* index: place; directory below which homes lie */
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
 * ROLE_STOP asks to finish: accept nothing new, end when what is under way is done. Its request is
 * 1 where the whole house stops; it may come after one without, then. A per-account role that has
 * had nothing to do for a while says MASTER_IDLE, with the number of ROLE_SESSION records (deliver:
 * ROLE_HOME records) that it got so far as header.request; where the master sent no more than that,
 * it answers ROLE_STOP and gives it nothing more. To fetch, which is started at the first
 * MASTER_WANTED, MASTER_IDLE is always answered so; a question that crosses it is asked again, of
 * the next one. */

/* One descriptor: the new configuration. ROLE_DESCRIPTOR records follow for all that replaces what
 * came at birth, then ROLE_GO; it is answered with MASTER_COUNTS. Only to roles that live through a
 * reload (auth, queue, journal, fetch, mailbox). */
struct role_reload {
    struct ipc_header header;
    uint32_t configuration;
    uint32_t reserved;
};

/* A directory that belongs to an account. `place` numbers a directory tree (an `accounts` section;
 * PLACE_FILESYSTEM: the whole file system, for system users); path is relative to it, without "..",
 * made with mode 0700 where it is missing. Account and path follow the struct, without NUL. */
enum { PLACE_FILESYSTEM = 0xffff };

/* Of struct master_home: any other number is removed at QUIT, if it is older than that many days
 * less RETRIEVED_REMOVED. */
enum { RETRIEVED_AS_CONFIGURED = 0, RETRIEVED_KEPT = 1, RETRIEVED_REMOVED = 2 };
struct master_home {
    uint32_t place;
    uint32_t uid;
    uint32_t gid;
    uint32_t account_octets; /* 1..MASTER_ACCOUNT_MAX: canonical name, as in the log */
    uint32_t path_octets;    /* 1..MASTER_PATH_MAX: the Maildir */
    uint32_t retrieved;      /* to maildrop: what becomes of mail that POP3 retrieved, see above */
    uint64_t quota_octets;   /* 0: none */
    uint64_t quota_messages; /* 0: none */
};

/* To mailbox and maildrop before ROLE_GO: the one account they serve. To deliver at any time,
 * before the first message for `handle`: a handle is valid until the process ends; the same account
 * may come again with another quota. Account and path behind it. */
struct role_home {
    struct ipc_header header;
    uint64_t handle; /* chosen by the master, unique while it lives */
    struct master_home home;
};

/* What is known of a client that logged in. */
enum { SESSION_TLS = 1 };
struct master_client {
    uint64_t session; /* number of the session in the log, chosen by the login role */
    struct ip_address address;
    uint8_t flags; /* SESSION_TLS */
    uint16_t port;
    uint32_t reserved;
};

/* By which the master knows again what it said of a session: to that mailbox, of that client, in
 * that login process. Only the master can make the seal. */
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
    uint32_t asleep;          /* sessions of the account that are asleep now, beside this one */
    uint32_t reserved;
};

/* Hibernation. A session with nothing to do is put to sleep: its mailbox makes a record of all that
 * it knows of it (imapd/session/hibernation.h), and gives that with the connection back to
 * imapd-login. The master remembers whose the session is: nobody else could say, and nobody has to
 * be asked for a password when it wakes.
 *
 *     mailbox ──MASTER_SLEEPS──> master ──ROLE_ASLEEP──> imapd-login
 *     imapd-login ──MASTER_WAKE──> master, or a change that the client listens for (MASTER_CHANGED)
 *     mailbox <──ROLE_SESSION── master ──ROLE_AWAKE──> imapd-login ──handoff──> mailbox
 *
 * A MASTER_WAKE or MASTER_GONE of a session that is not asleep (any more) says nothing.
 */
enum { SLEEP_RECORD_MAX = 32768, SLEEP_DIRECTORY_MAX = 255 };
enum {
    SLEEPS_CARRIED = 1, /* the descriptor is the other end of what the login process carries to;
                           else it is the client's own socket, which any login process can have */
    SLEEPS_LISTENS = 2, /* wake it when that folder changes: the client idles in it */
};

/* One descriptor. The folder's name on disk and the record follow. */
struct master_sleeps {
    struct ipc_header header;
    struct session_pass pass;
    uint32_t flags;
    uint32_t left_ms; /* the client may be silent for so long */
    uint32_t directory_octets;
    uint32_t record_octets; /* 1..SLEEP_RECORD_MAX */
};

/* One descriptor. The record follows. */
struct role_asleep {
    struct ipc_header header;
    struct master_client client;
    uint32_t flags;
    uint32_t left_ms;
};

/* ROLE_AWAKE, with one descriptor, ROLE_NOT_AWAKE, MASTER_WAKE, MASTER_GONE: the header alone,
 * whose request is the session's number. */

/* UNAUTHENTICATE (RFC 8437). A session that imapd-login carries goes back to it, and to no other
 * process; there it begins anew, under another number, so that the pass of before names nothing any
 * more. A client's own socket never comes back: who had it in his hands may have kept it.
 *
 *     mailbox ──MASTER_RETURNS──> master ──ROLE_RETURNED──> imapd-login
 *
 * One descriptor: the mailbox's end of what is carried, in which octets of the client may wait.
 * Those that the mailbox has read, but not run, follow, at most RETURNED_INPUT_MAX. */
enum { RETURNED_INPUT_MAX = 65536 };
struct master_returns {
    struct ipc_header header;
    struct session_pass pass;
};

/* The header alone, whose request is the session's number, the descriptor and the octets. */

/* Shared mailboxes (imapd/shared/). Who shares what the owner's mailbox says, and the master keeps
 * as a list of names; nobody has a right by it. A client who goes to such a mailbox stays with the
 * process of his own account; that one has a second session for him in the owner's process, which
 * the master joins it with. Whose client comes is the master's word alone: it is the account of the
 * process that asked.
 *
 *     mailbox ──MASTER_VISITS──> master ──ROLE_VISIT──> mailbox
 *     the owner's mailbox <──ROLE_VISITOR── master
 */
enum { SHARES_OCTETS_MAX = 32768 };

/* The list follows, in place of the one before: lines as imapd/shared/shares.h has them. */
struct master_shares {
    struct ipc_header header;
};

/* MASTER_SHARED: the header alone. It is answered, with the same request, by a ROLE_SHARED for each
 * account that shares something with the one of the process, or with everybody; account and lines
 * of these follow. One without an account is the last. */
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
 * ACCOUNT_TEMPORARY: the way cannot be made now. */
struct role_no_visit {
    struct ipc_header header;
    uint32_t outcome; /* enum account_outcome */
    uint32_t reserved;
};

/* MASTER_KNOWN: the header alone; the name of an account follows, to which rights are to be given.
 * Answered by ROLE_KNOWN, same request. */
struct role_known {
    struct ipc_header header;
    uint32_t outcome; /* enum account_outcome */
    uint32_t reserved;
};

/* ROLE_VISIT: the header alone, and one descriptor: a SOCK_STREAM socket, on which a handoff is to
 * be sent, without a descriptor, with what the client has enabled as its record.
 *
 * ROLE_VISITOR: the other end. The visitor's account follows. It counts as a ROLE_SESSION. */
struct role_visitor {
    struct ipc_header header;
    uint64_t session;
};

/* To a login role; request is the one of its AUTH_PASSWORD. One descriptor: the socket's other end.
 * To submission, of its AUTH_READ, likewise. */
struct role_admitted {
    struct ipc_header header;
};

/* The request had right credentials, but there is no process for it now. */
struct role_not_admitted {
    struct ipc_header header;
    uint32_t reason; /* enum not_admitted_reason */
    uint32_t reserved;
};
enum not_admitted_reason {
    NOT_ADMITTED_TEMPORARY = 1, /* no memory, no process, too many */
    NOT_ADMITTED_IN_USE,        /* POP3: the maildrop has a session already, RFC 1939 4 */
};

/* To queue; request is the one of its AUTH_TARGET. */
struct role_target {
    struct ipc_header header;
    uint64_t handle;         /* as in role_home */
    uint32_t deliver_number; /* the peer of kind ROLE_DELIVER that knows the handle */
    uint32_t reserved;
};
struct role_no_target {
    struct ipc_header header;
};

/* To mailbox: look at that folder (its name on disk behind the struct, empty: INBOX). */
struct role_changed {
    struct ipc_header header;
};

/* To deliver, and to mailbox, where the sessions that listen are asleep (handle 0). */
struct role_watched {
    struct ipc_header header;
    uint64_t handle;
    uint32_t watched; /* 1: send MASTER_CHANGED after each change; 0: nobody listens */
    uint32_t reserved;
};

/* To journal. One descriptor: events of that role. */
struct role_feed {
    struct ipc_header header;
    uint32_t kind;
    uint32_t number;
};

/* To queue, journal and mailbox: a verb of `staffetta` that they answer (common/role/control.h).
 * One descriptor: the client's socket, which may act as root. The words of the command follow, HTAB
 * between them. To mailbox it counts as a ROLE_SESSION. */
enum { ROLE_CONTROL_LINE_MAX = 8192 };
struct role_control {
    struct ipc_header header;
};

/* To mailbox. One descriptor: a SOCK_STREAM socket to a submission session, which speaks as
 * common/role/url_reading.h says, on behalf of that account, whose name follows. It counts as a
 * ROLE_SESSION. */
struct role_read {
    struct ipc_header header;
};

/* To auth: an administrator names an account, which follows the struct. */
struct role_find {
    struct ipc_header header; /* request: of the answer */
};

/* To http, every few seconds: what the master knows. `sessions` and the queue's counts are as of
 * the last MASTER_COUNTS of each process. */
struct role_census {
    struct ipc_header header;
    uint64_t started_s; /* the house, since 1970 */
    uint64_t queued, held;
    uint64_t drop_waiting, drop_refused; /* what programs left while nothing ran */
    struct role_census_kind {
        uint32_t wanted; /* processes that should stand; 0 for those of accounts */
        uint32_t ready;
        uint32_t restarts; /* since the start of the house */
        uint32_t reserved;
        uint64_t sessions;
    } kinds[ROLE_KINDS]; /* by enum role_kind */
};

/* Sent by the SIGSYS handler; the process is gone right after. */
struct master_trapped {
    struct ipc_header header;
    int32_t call;
    uint32_t architecture;
};

/* That peer broke the protocol on our channel: the master ends it. */
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
    uint32_t configuration; /* the one it works with */
    uint32_t reserved;
};

/* From auth: how many check workers it wants, 1..8. */
struct master_checks {
    struct ipc_header header;
    uint32_t count;
    uint32_t reserved;
};

/* From auth: this login is right. The master answers the login role, not auth. Account and path
 * behind the struct. */
struct master_admit {
    struct ipc_header header; /* request: of the login role's AUTH_PASSWORD */
    uint32_t login_kind;      /* ROLE_IMAP_LOGIN or ROLE_POP3_LOGIN */
    uint32_t login_number;
    struct master_client client;
    struct master_home home;
};

/* From auth: an account that submits wants to read a message whose owner's home this is. The
 * reader, then account and path behind the struct. */
struct master_read {
    struct ipc_header header; /* request: of the session's AUTH_READ */
    uint32_t submission_number;
    uint32_t reader_octets; /* 1..MASTER_ACCOUNT_MAX */
    struct master_home home;
};

/* From auth: queue asked where this account's mail goes. Account and path behind it. */
struct master_target {
    struct ipc_header header; /* request: of queue's AUTH_TARGET */
    struct master_home home;
};

/* From auth. Account and path behind it, where it is ACCOUNT_FOUND; else both have no octets. */
struct master_found {
    struct ipc_header header; /* request: of the ROLE_FIND */
    uint32_t outcome;         /* enum account_outcome */
    uint32_t reserved;
    struct master_home home;
};
enum account_outcome { ACCOUNT_FOUND, ACCOUNT_UNKNOWN, ACCOUNT_TEMPORARY };

/* From deliver (handle of the account), maildrop and mailbox (handle 0: its own account). The
 * folder's name on disk behind it, empty for INBOX. */
struct master_changed {
    struct ipc_header header;
    uint64_t handle;
};

#endif
