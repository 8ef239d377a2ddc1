/*
 * Shared by the parts of the role smtpd-session: the process (smtp_server), a connection (session)
 * and a mail transaction. A process speaks SMTP either with other servers (port 25) or with users
 * (587, 465), never with both; it has no access to accounts, keys or files.
 *
 *     session_role.c    start of the process, its peers and connections
 *     session.c         the state machine: states, commands, replies, deadlines
 *     session_auth.c    AUTH
 *     session_mail.c    MAIL, RCPT, the transaction
 *     session_data.c    DATA, BDAT: receives the message
 *     session_burl.c    BURL: reads message content from a mailbox
 *     session_submit.c  sends the message to filter and queue
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
    SESSION_READY_TIMEOUT_MS = 1000,  /* MAIL waits this long for a killed role (0.1 s), then 451 */
    SESSION_PEER_TIMEOUT_MS = 120000, /* no answer from auth, filter or queue: an internal fault */
    SESSION_NAME_SIZE = 17,
};

/* A range of queue ids, lent by queue. */
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
    uint32_t last_number;  /* of the newest session */
    uint32_t last_request; /* request number of the newest question to a peer */

    struct id_range ids;
    struct id_range more_ids; /* used when `ids` is used up */
    bool asked_for_ids;
    bool space;           /* queue has disk space for more mail */
    bool scram;           /* auth allows SCRAM to be offered */
    uint32_t filter_turn; /* picks the next filter process, round robin */

    struct buffer reply; /* scratch space to format a reply before stream_write */
};

enum session_state {
    SESSION_HANDSHAKE, /* TLS handshake: at connect, or after STARTTLS */
    SESSION_CONNECTED, /* no EHLO or HELO yet */
    SESSION_READY,     /* after EHLO or HELO, outside a transaction */
    SESSION_AUTH,      /* in a SASL exchange */
    SESSION_MAIL,      /* in a transaction, no recipient yet */
    SESSION_RCPT,      /* in a transaction with recipients */
    SESSION_DATA,      /* receiving the octets of DATA */
    SESSION_CHUNK,     /* receiving the octets of a BDAT chunk or a BURL */
    SESSION_CHUNKS,    /* between chunks: the last one has not come */
    SESSION_URL,       /* BURL: waiting for the mailbox */
    SESSION_SUBMIT,    /* the message is complete; filter and queue decide */
    SESSION_CLOSING,   /* the last reply was written to the stream */
    SESSION_STATES,
};

/* The answer that the session waits for; it reads no command meanwhile. */
enum session_wait {
    SESSION_WAIT_NOTHING,
    SESSION_WAIT_READY,     /* no answer: MAIL came while a role is being restarted */
    SESSION_WAIT_PASSWORD,  /* auth: AUTH_VERDICT or AUTH_CHALLENGE */
    SESSION_WAIT_SENDER,    /* auth: AUTH_SENDER_ANSWER for the reverse-path */
    SESSION_WAIT_RECIPIENT, /* auth: AUTH_RECIPIENT_ANSWER */
    SESSION_WAIT_OWNER,   /* auth: AUTH_NOT_READ; or the master: ROLE_ADMITTED, ROLE_NOT_ADMITTED */
    SESSION_WAIT_MAILBOX, /* no record: BURL's mailbox answers over its own socket */
    SESSION_WAIT_SPOOL,   /* queue: QUEUE_SPOOLED */
    SESSION_WAIT_FILTER,  /* filter: FILTER_RECIPE */
    SESSION_WAIT_FROM,    /* auth: AUTH_SENDER_ANSWER for a From address */
    SESSION_WAIT_COMMIT,  /* queue: QUEUE_COMMITTED */
    SESSION_WAITS,
};

/* An account or a remote address that gets the message. In the transaction's arena. */
struct recipient {
    struct recipient *next;
    struct slice account; /* empty: a remote address */
    struct slice address; /* as given at RCPT, or the target of an alias */
    struct slice orcpt;   /* decoded; empty: none */
    struct token permit;  /* auth's permit to send to a remote address */
    bool forwarded;       /* the address is the target of an alias */
    unsigned notify;      /* bits of enum smtp_notify */
};

/* A message with BODY=BINARYMIME: its binary parts are encoded before it is split into lines. In
 * the transaction's arena. */
struct binary_body {
    struct binary_encode encode;
    struct buffer encoded; /* output of `encode` */
    size_t taken;          /* octets of `encoded` that session_data.c has processed */
    uint64_t chunk_left;   /* octets of the chunk still to come from the client */
    bool ended;            /* the whole message has been encoded */
};

struct transaction {
    struct arena arena; /* owns the octets of all slices below */

    struct slice reverse_path; /* without brackets; empty: null */
    struct slice envid;        /* decoded; empty: none */
    enum smtp_ret ret;
    bool utf8;
    bool body_8bitmime;
    bool requiretls;
    bool tls_optional; /* the message has TLS-Required: No */
    struct smtp_by by;
    int64_t deliver_by; /* seconds since 1970; 0: no deadline */
    int64_t hold_until; /* seconds since 1970; 0: send at once */

    struct recipient *recipients;
    struct recipient **recipients_end;
    struct recipient asked;       /* the RCPT that auth is being asked about */
    uint32_t recipient_count;     /* length of `recipients` */
    uint32_t accepted;            /* accepted RCPT commands */
    struct slice first_recipient; /* address of the first accepted RCPT */

    uint64_t id; /* set at the first recipient; 0: none yet, or the queue that lent it died */
    char id_text[QUEUE_ID_SIZE];
    uint64_t request; /* number of all records to queue about this message; 0: none sent yet */
    int64_t arrival;  /* when the message was complete, seconds since 1970 */

    struct slice url;           /* of the BURL under way */
    struct binary_body *binary; /* NULL: not BODY=BINARYMIME */
    struct buffer body;         /* a small message; of a large one, what is not yet in the file */
    uint64_t octets;            /* of the whole message */
    bool spooled;               /* the body is in a file of queue's spool */
    int spool_fd;               /* the spool file, to write; -1: none */
    int read_fd;                /* the spool file, to read; -1: none */
    struct smtp_reply refusal;  /* to be sent at the end of the message; code 0: none */

    struct slice prefix;    /* of the recipe: header fields to put before the body */
    struct slice cuts;      /* of the recipe: packed struct filter_cut */
    struct slice from;      /* From addresses not checked yet: length and octets of each */
    struct slice from_here; /* the From address that auth is being asked about */
};

/* One connection. */
struct session {
    struct stream stream; /* its owner is this session */
    struct smtp_server *server;
    struct deferred freeing;
    struct connection_share share;
    uint32_t slot;

    enum session_state state;
    enum session_wait wait;
    uint64_t wait_request;
    const struct role_peer *wait_peer;

    uint64_t number; /* in the log; unique while the master lives */
    char name[SESSION_NAME_SIZE];
    enum config_service service;
    struct ip_address client;
    uint16_t client_port;
    char client_text[IP_ADDRESS_TEXT_SIZE];
    bool greeted;

    bool secured; /* TLS is in use */
    char tls[96]; /* "TLS1.3 TLS_AES_256_GCM_SHA384"; empty without TLS */
    bool esmtp;   /* EHLO, not HELO */
    struct buffer helo;
    struct buffer account; /* the authenticated account; empty: none */
    struct token token;    /* auth's token; valid if `account` is not empty */
    struct sasl *sasl;     /* the exchange under way; NULL: none */

    struct smtp_line_splitter splitter;
    struct smtp_data_stream data;
    enum session_state after_chunk;  /* state to return to after a discarded chunk */
    struct smtp_reply chunk_refusal; /* reply to a discarded chunk; code 0: it is not discarded */
    bool last_chunk;
    struct session_burl *burl; /* source of the chunk's octets; NULL: the client */
    uint64_t message_until_ms; /* deadline, by turn_now_ms(), of the message being received */

    struct transaction *transaction; /* NULL: outside a transaction */
    uint32_t messages;               /* accepted on this connection */
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

/* A new request number, which identifies the session that asked. */
uint64_t session_new_request(struct session *session);

/* The next queue id; 0 if queue lent none. */
uint64_t server_take_id(struct smtp_server *server);

/* Whether mail can be accepted: auth, filter and queue are running, and queue has lent ids. */
bool server_is_ready(const struct smtp_server *server);

/* After the session's stream was closed: releases all its resources; frees it at the end of the
 * turn. */
void server_release_session(struct session *session);

/* --- session.c -------------------------------------------------------------------------------- */

/* Starts the session on the accepted socket; takes its descriptor and share. */
void session_begin(struct session *session, struct accepted *accepted);

/* Processes the input until there is none or the session waits. To be called after each
 * session_end_wait(). */
void session_step(struct session *session);

/* The only function that changes the state. */
void session_enter(struct session *session, enum session_state state);

void session_reply(struct session *session, struct smtp_reply reply);

/* Replies to a bad command; after too many of them it closes the connection. */
void session_refuse(struct session *session, struct smtp_reply reply);

/* Sends the last reply (code 0: none) and closes the connection; `reason` goes to the log. */
void session_close(struct session *session, struct smtp_reply reply, const char *reason);

/* Closes the connection without a reply, when the outcome of the message is not known. */
void session_break(struct session *session, const char *reason);

/* Ends the connection of a silent client to make room for others: writes 421 if the socket takes it
 * at once, and releases the session. */
void session_evict(struct session *session, const char *limit);

/* Ends a wait: the answer came, or the peer is gone. */
void session_end_wait(struct session *session);

/* Ends a wait whose answer will not come: the peer died, or the wait's deadline passed. */
void session_lose_peer(struct session *session);

/* When the process is to end: closes with 421, unless anything is under way (transaction, AUTH,
 * handshake). */
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

/* Whether the client may send a password: it uses TLS, or is on this host. */
bool session_may_send_password(const struct session *session);

/* The mechanisms to offer if it may send a password, for common/login/sasl.h. */
unsigned session_mechanisms(const struct session *session);

void session_on_auth(struct session *session, struct smtp_command *command);
void session_take_sasl_line(struct session *session, struct slice line);
void session_forget_sasl(struct session *session);
void session_on_verdict(struct session *session, uint32_t verdict, struct slice account,
                        const struct token *token);
/* Passes auth's SASL message on to the client. */
void session_on_challenge(struct session *session, struct slice message);
void session_lose_password(struct session *session);

/* --- session_mail.c --------------------------------------------------------------------------- */

void session_on_mail(struct session *session, struct smtp_command *command);
void session_on_rcpt(struct session *session, struct smtp_command *command);

/* Continues MAIL once the server is ready; refuses it if that takes too long. */
void session_check_sender(struct session *session);
void session_give_up_waiting(struct session *session);

/* Asks auth whether the account may use that address as reverse-path or in From. False: as
 * session_ask(). */
bool session_ask_for_sender(struct session *session, enum session_wait wait, struct slice address);
void session_on_sender_answer(struct session *session, bool allowed);
void session_lose_sender(struct session *session);

/* The text and the targets of an AUTH_RECIPIENT_ANSWER; `targets` is a list (recipient_targets.h),
 * already checked. */
void session_on_recipient_answer(struct session *session, uint32_t verdict, struct slice text,
                                 struct slice targets);
void session_lose_recipient(struct session *session);

/* Gives the transaction an id if it has none. False: no id is available now. */
bool session_take_id(struct session *session);

/* Frees the transaction, if there is one. The caller sets the state. */
void session_drop_transaction(struct session *session);

/* --- session_data.c --------------------------------------------------------------------------- */

void session_on_data(struct session *session, struct smtp_command *command);
/* For BODY=BINARYMIME. False: no memory. */
bool session_begin_binary(struct session *session);
/* May run twice, and without session_begin_binary(). */
void session_end_binary(struct transaction *transaction);
void session_on_bdat(struct session *session, struct smtp_command *command);

/* Before each chunk: session_begin_chunks() starts the message if this is its first chunk,
 * session_begin_chunk() expects `octets` octets of the chunk. */
void session_begin_chunks(struct session *session);
void session_begin_chunk(struct session *session, uint64_t octets);

/* Refuses DATA. A client that sent its message without waiting for 354 is disconnected: the message
 * would be read as commands. */
void session_refuse_data(struct session *session, struct smtp_reply reply);

/* Takes octets of a message from `in`. False: it can make no progress with the input so far. */
bool session_take_data(struct session *session, struct cursor *in);

/* Takes both descriptors. */
void session_on_spooled(struct session *session, int write_fd, int read_fd);
void session_lose_spool(struct session *session);

/* Makes the message be refused at its end; only the first call counts. The text is copied. */
void session_refuse_message(struct session *session, struct smtp_reply reply);

/* --- session_burl.c --------------------------------------------------------------------------- */

/* Whether BURL is offered: the client has logged in, and this server runs IMAP. */
bool session_offers_burl(const struct session *session);
void session_on_burl(struct session *session, struct smtp_command *command);

/* Takes the socket to the mailbox. */
void session_on_admitted(struct session *session, int fd);
void session_on_not_read(struct session *session, bool permanent);
void session_lose_owner(struct session *session);

/* session_take_data() for a chunk of a BURL. False: nothing more has come. */
bool session_take_burl(struct session *session);
void session_end_burl(struct session *session); /* may run twice, and without a BURL */

/* --- session_submit.c ------------------------------------------------------------------------- */

/* Sends the complete message to filter and queue. */
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

/* Replies to the message and ends the transaction. */
void session_end_message(struct session *session, struct smtp_reply reply);

void session_lose_filter(struct session *session);

/* Queue died during the transaction: its id and its spool file, both lent by queue, are lost. */
void session_lose_queue(struct session *session);
void session_lose_commit(struct session *session);

#endif
