/*
 * What the parts of the smtpd-session role share: the process (smtp_server), a connection (session)
 * and a mail transaction. The role speaks SMTP with strangers (port 25) or with users (587, 465),
 * never both in one process; it knows no account, no key and no file.
 *
 *     session_role.c    birth, peers, connections
 *     session.c         the state machine: states, commands, replies, deadlines
 *     session_auth.c    AUTH
 *     session_mail.c    MAIL, RCPT, the transaction
 *     session_data.c    DATA, BDAT: the message comes in
 *     session_burl.c    BURL: octets of it come from a mailbox
 *     session_submit.c  the message goes to filter and queue
 */
#ifndef SMTPD_SESSION_SESSION_INTERNAL_H
#define SMTPD_SESSION_SESSION_INTERNAL_H

#include "common/arena.h"
#include "common/auth/token.h"
#include "common/login/sasl.h"
#include "common/mime/binary_encode.h"
#include "common/net/acceptor.h"
#include "common/role/role.h"
#include "common/tls/tls_role.h"
#include "common/tls/tls_stream.h"
#include "smtpd/queue/queue_id.h"
#include "smtpd/session/command.h"
#include "smtpd/session/data_stream.h"
#include "smtpd/session/line.h"
#include "smtpd/session/reply.h"

enum {
    SESSION_LINGER_MS = 2000,         /* after the last reply, for the client to read it */
    SESSION_READY_TIMEOUT_MS = 1000,  /* a killed role is back in 0.1 s; MAIL waits, then 451 */
    SESSION_PEER_TIMEOUT_MS = 120000, /* auth, filter or queue without an answer: a fault of ours */
    SESSION_NAME_SIZE = 17,
};

/* A run of queue ids that queue lent. */
struct id_range {
    uint64_t next;
    uint32_t left;
};

/* One process. */
struct smtp_server {
    struct role *role;
    struct turn turn;
    struct acceptor acceptor;
    struct tls_role tls;

    struct session **sessions; /* by slot; NULL: free */
    uint32_t *free_slots;      /* a stack of free_count */
    uint32_t slot_count;
    uint32_t free_count;
    uint32_t session_count;
    uint32_t last_number;  /* of a session */
    uint32_t last_request; /* of a question */

    struct id_range ids;
    struct id_range more_ids; /* taken when `ids` is used up */
    bool asked_for_ids;
    bool space;           /* queue: mail may be taken */
    bool scram;           /* auth: it may be offered */
    uint32_t filter_turn; /* filters take turns */

    struct buffer reply; /* room for one, between its making and stream_write */
};

enum session_state {
    SESSION_HANDSHAKE, /* in a handshake: at the start, or after STARTTLS */
    SESSION_CONNECTED, /* the client has not said its name yet */
    SESSION_READY,     /* it has; no transaction */
    SESSION_AUTH,      /* in a SASL exchange */
    SESSION_MAIL,      /* in a transaction, without a recipient */
    SESSION_RCPT,      /* with recipients */
    SESSION_DATA,      /* the octets of DATA come */
    SESSION_CHUNK,     /* the octets of a BDAT chunk come, or those of a BURL */
    SESSION_CHUNKS,    /* a chunk has come, the last has not */
    SESSION_URL,       /* BURL: the mailbox has not answered yet */
    SESSION_SUBMIT,    /* the message is whole; filter and queue decide */
    SESSION_CLOSING,   /* the last reply is written */
    SESSION_STATES,
};

/* Whose answer is awaited; no command is read meanwhile. */
enum session_wait {
    SESSION_WAIT_NOTHING,
    SESSION_WAIT_READY,     /* no answer: MAIL came while a role is being started again */
    SESSION_WAIT_PASSWORD,  /* auth: AUTH_VERDICT or AUTH_CHALLENGE */
    SESSION_WAIT_SENDER,    /* auth: AUTH_SENDER_ANSWER for the reverse-path */
    SESSION_WAIT_RECIPIENT, /* auth: AUTH_RECIPIENT_ANSWER */
    SESSION_WAIT_OWNER,   /* auth: AUTH_NOT_READ; or the master: ROLE_ADMITTED, ROLE_NOT_ADMITTED */
    SESSION_WAIT_MAILBOX, /* no answer: the mailbox of a BURL, by its own socket */
    SESSION_WAIT_SPOOL,   /* queue: QUEUE_SPOOLED */
    SESSION_WAIT_FILTER,  /* filter: FILTER_RECIPE */
    SESSION_WAIT_FROM,    /* auth: AUTH_SENDER_ANSWER for a From address */
    SESSION_WAIT_COMMIT,  /* queue: QUEUE_COMMITTED */
    SESSION_WAITS,
};

/* An account or a foreign address that gets the message. In the transaction's arena. */
struct recipient {
    struct recipient *next;
    struct slice account; /* empty: the address is foreign */
    struct slice address; /* as given at RCPT, or where an alias led */
    struct slice orcpt;   /* decoded; empty: none */
    struct token permit;  /* of a foreign address, from auth */
    bool forwarded;       /* an alias led to that */
    unsigned notify;      /* of enum smtp_notify */
};

/* The octets of BODY=BINARYMIME, which become a message without binary parts before anybody looks
 * at its lines. In the transaction's arena. */
struct binary_body {
    struct binary_encode encode;
    struct buffer encoded; /* that session_data.c has not looked at yet, from: */
    size_t taken;
    uint64_t chunk_left; /* of the client's octets */
    bool ended;          /* all have been encoded */
};

struct transaction {
    struct arena arena; /* owns what the slices show */

    struct slice reverse_path; /* without brackets; empty: null */
    struct slice envid;        /* decoded; empty: none */
    enum smtp_ret ret;
    bool utf8;
    bool body_8bitmime;
    bool requiretls;
    bool tls_optional; /* the message has TLS-Required: No */
    struct smtp_by by;
    int64_t deliver_by; /* seconds since 1970; 0: whenever */
    int64_t hold_until; /* likewise; 0: at once */

    struct recipient *recipients;
    struct recipient **recipients_end;
    struct recipient asked;       /* the RCPT that auth is asked about */
    uint32_t recipient_count;     /* in the list */
    uint32_t accepted;            /* RCPT commands that were */
    struct slice first_recipient; /* its address */

    uint64_t id; /* from the first recipient on; 0: none yet, or the queue that lent it died */
    char id_text[QUEUE_ID_SIZE];
    uint64_t request; /* number in all records to queue about it; 0: none was sent yet */
    int64_t arrival;  /* when it was complete, seconds since 1970 */

    struct slice url;           /* of a BURL that is under way */
    struct binary_body *binary; /* BODY=BINARYMIME; else NULL */
    struct buffer body;         /* all of a small message; of a large one what is not written yet */
    uint64_t octets;            /* of the whole message */
    bool spooled;               /* the body is in queue's file */
    int spool_fd;               /* to write; -1: none */
    int read_fd;                /* the same file, to read; -1: none */
    struct smtp_reply refusal;  /* of the message, at its end; code 0: none */

    struct slice prefix;    /* the recipe */
    struct slice cuts;      /* struct filter_cut, packed */
    struct slice from;      /* addresses not checked yet: length, octets of each */
    struct slice from_here; /* the one that auth is asked about */
};

/* One connection. */
struct session {
    struct stream stream; /* owner: this */
    struct smtp_server *server;
    struct deferred freeing;
    struct connection_share share;
    uint32_t slot;

    enum session_state state;
    enum session_wait wait;
    uint64_t wait_request;
    const struct role_peer *wait_peer;

    uint64_t number; /* in the log; never the same twice while the master lives */
    char name[SESSION_NAME_SIZE];
    enum config_service service;
    struct ip_address client;
    uint16_t client_port;
    char client_text[IP_ADDRESS_TEXT_SIZE];
    bool greeted;

    bool secured; /* TLS */
    char tls[96]; /* "TLS1.3 TLS_AES_256_GCM_SHA384"; empty without */
    bool esmtp;   /* EHLO, not HELO */
    struct buffer helo;
    struct buffer account; /* who authenticated; empty: nobody */
    struct token token;    /* with an account */
    struct sasl *sasl;     /* in an exchange, else NULL */

    struct smtp_line_splitter splitter;
    struct smtp_data_stream data;
    enum session_state after_chunk;  /* state behind a chunk that is discarded */
    struct smtp_reply chunk_refusal; /* its reply; code 0: it is not discarded */
    bool last_chunk;
    struct session_burl *burl; /* the chunk's octets come from there; NULL: from the client */
    uint64_t message_until_ms; /* deadline, by turn_now_ms(), of a message that comes */

    struct transaction *transaction; /* from MAIL to its end, else NULL */
    uint32_t messages;               /* taken */
    uint32_t bad_commands;
    uint32_t refused_recipients;
};

/* --- session_role.c --------------------------------------------------------------------------- */

/* Its state is a struct smtp_server. */
extern const struct role_spec smtp_session_role;

struct session_question {
    enum session_wait wait;
    enum role_kind peer;
    struct ipc_header *head;
    size_t head_octets;
    const struct slice *tail;
    size_t tail_count;
    const int *descriptors;
    size_t descriptor_count;
    uint64_t request; /* 0: a new number */
};

/* Asks a peer and makes the session wait for the answer. False: there is no such peer now. */
bool session_ask(struct session *session, const struct session_question *question);

/* A number that no question bore before; it says which session asked. */
uint64_t session_new_request(struct session *session);

/* The next queue id; 0 if queue lent none. */
uint64_t server_take_id(struct smtp_server *server);

/* May mail be taken now? Auth, filter and queue are there, and queue has lent ids. */
bool server_is_ready(const struct smtp_server *server);

/* The session's stream is closed: gives up all it holds, frees it at the end of the turn. */
void server_release_session(struct session *session);

/* --- session.c -------------------------------------------------------------------------------- */

/* Begins to talk over the accepted socket, whose descriptor and share it takes. */
void session_begin(struct session *session, struct accepted *accepted);

/* Processes as much of the input as it may now. Whoever ended a wait calls it. */
void session_step(struct session *session);

/* The one place that changes the state. */
void session_enter(struct session *session, enum session_state state);

void session_reply(struct session *session, struct smtp_reply reply);

/* The same for a command that was wrong: too many of them end the connection. */
void session_refuse(struct session *session, struct smtp_reply reply);

/* The last reply (code 0: none), and the end of the connection; `reason` for the log. */
void session_close(struct session *session, struct smtp_reply reply, const char *reason);

/* The end without a word: what became of the message is not known. */
void session_break(struct session *session, const char *reason);

/* The end of a client who said nothing while others wait for its place: 421 if that is taken at
 * once, and the session is released. */
void session_evict(struct session *session, const char *limit);

/* A wait is over: the answer came, or the peer is gone. */
void session_end_wait(struct session *session);

/* The peer that was asked died before it answered. */
void session_lose_peer(struct session *session);

/* Between transactions of a process that is to end: 421. */
void session_stop(struct session *session);

static inline bool session_is_submission(const struct session *session)
{
    return session->service != CONFIG_SMTP;
}

static inline struct log *session_log(const struct session *session)
{
    return &session->server->role->log;
}

static inline const struct config *session_config(const struct session *session)
{
    return &session->server->role->config;
}

/* --- session_auth.c --------------------------------------------------------------------------- */

/* A password may come now: TLS, or a client on this host. */
bool session_may_send_password(const struct session *session);

/* The mechanisms that are offered where it may, for common/login/sasl.h. */
unsigned session_mechanisms(const struct session *session);

void session_on_auth(struct session *session, struct smtp_command *command);
void session_take_sasl_line(struct session *session, struct slice line);
void session_forget_sasl(struct session *session);
void session_on_verdict(struct session *session, uint32_t verdict, struct slice account,
                        const struct token *token);
/* auth's message for the client. */
void session_on_challenge(struct session *session, struct slice message);
void session_lose_password(struct session *session);

/* --- session_mail.c --------------------------------------------------------------------------- */

void session_on_mail(struct session *session, struct smtp_command *command);
void session_on_rcpt(struct session *session, struct smtp_command *command);

/* What MAIL still needs once the server is ready; and what it gets if that takes too long. */
void session_check_sender(struct session *session);
void session_give_up_waiting(struct session *session);

/* Asks auth whether the account may send as that address: reverse-path, or one of From. False: as
 * session_ask(). */
bool session_ask_for_sender(struct session *session, enum session_wait wait, struct slice address);
void session_on_sender_answer(struct session *session, bool allowed);
void session_lose_sender(struct session *session);

/* The text and the targets of an AUTH_RECIPIENT_ANSWER; `targets` is a list (recipient_targets.h),
 * already checked. */
void session_on_recipient_answer(struct session *session, uint32_t verdict, struct slice text,
                                 struct slice targets);
void session_lose_recipient(struct session *session);

/* Gives the transaction an id, if it has none. False: there is none to be had now. */
bool session_take_id(struct session *session);

/* Forgets the transaction, if there is one. The state is the caller's. */
void session_drop_transaction(struct session *session);

/* --- session_data.c --------------------------------------------------------------------------- */

void session_on_data(struct session *session, struct smtp_command *command);
/* BODY=BINARYMIME. False: no memory. */
bool session_begin_binary(struct session *session);
/* May run twice, and where there is none. */
void session_end_binary(struct transaction *transaction);
void session_on_bdat(struct session *session, struct smtp_command *command);

/* The next chunk is the first one, unless others came before; and its octets are about to come. */
void session_begin_chunks(struct session *session);
void session_begin_chunk(struct session *session, uint64_t octets);

/* DATA that was refused. A client that sent its message without waiting for 354 is cut off: what it
 * sent would be taken for commands. */
void session_refuse_data(struct session *session, struct smtp_reply reply);

/* Takes octets of a message. False: nothing more can be done with what there is. */
bool session_take_data(struct session *session, struct cursor *in);

/* Takes both descriptors. */
void session_on_spooled(struct session *session, int write_fd, int read_fd);
void session_lose_spool(struct session *session);

/* The message will be refused at its end; the first reason stands. The text is copied. */
void session_refuse_message(struct session *session, struct smtp_reply reply);

/* --- session_burl.c --------------------------------------------------------------------------- */

/* BURL is there for this client: it has logged in, and there is IMAP here. */
bool session_offers_burl(const struct session *session);
void session_on_burl(struct session *session, struct smtp_command *command);

/* Takes the socket to the mailbox. */
void session_on_admitted(struct session *session, int fd);
void session_on_not_read(struct session *session, bool permanent);
void session_lose_owner(struct session *session);

/* In a chunk of a BURL, for session_take_data(). False: nothing more has come. */
bool session_take_burl(struct session *session);
void session_end_burl(struct session *session); /* may run twice, and where there is none */

/* --- session_submit.c ------------------------------------------------------------------------- */

/* The message is whole. */
void session_submit(struct session *session);

/* The recipe, already checked: prefix, cuts, From addresses (lengths and octets), and what the
 * filter found (enum filter_findings). */
struct session_recipe {
    struct slice prefix;
    struct slice cuts;
    struct slice from;
    uint32_t findings;
};
void session_on_recipe(struct session *session, const struct session_recipe *recipe);
void session_on_from_answer(struct session *session, bool allowed);
void session_on_committed(struct session *session);

/* The transaction ends with this reply to the message. */
void session_end_message(struct session *session, struct smtp_reply reply);

void session_lose_filter(struct session *session);

/* Queue died while the transaction was under way: its id was lent by that queue, and so was its
 * file. */
void session_lose_queue(struct session *session);
void session_lose_commit(struct session *session);

#endif
