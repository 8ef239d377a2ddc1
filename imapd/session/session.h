/*
 * One client's IMAP session, from the tagged OK of its login on (RFC 3501 3).
 *
 *                     SELECT, EXAMINE
 *      AUTHENTICATED ------------------> SELECTED
 *            ^   |                        |   |
 *            |   |  CLOSE, UNSELECT,      |   |  LOGOUT, or the connection breaks
 *            |   |  SELECT that fails     |   |
 *            +---|------------------------+   |
 *                +----------------------------+--> LOGOUT
 *                |  UNAUTHENTICATE            |
 *                +----------------------------+--> LEAVING --> LOGOUT
 *
 * AUTHENTICATED: view.folder is NULL. SELECTED: view.folder is not NULL. LOGOUT: nothing more is
 * read. LEAVING: nothing more is read, and once all output is written the connection goes back to
 * imapd-login. VISITING: the client has selected another account's mailbox; view.folder is NULL,
 * and commands for that mailbox are forwarded to the owner's process (imapd/shared/forward.h).
 *
 * Commands run one after another. A handler either ends its command at once (session_ok() etc.) or
 * leaves a step that runs in later turns, while the client takes the output; no further command is
 * read meanwhile. The table in commands/command_table.c says which command is allowed in which
 * state, and whether its answer may renumber messages: an extension is a row there and a file
 * beside it.
 */
#ifndef IMAPD_SESSION_SESSION_H
#define IMAPD_SESSION_SESSION_H

#include "common/arena.h"
#include "common/net/stream.h"
#include "common/role/master_protocol.h"
#include "imapd/folder/view.h"
#include "imapd/syntax/command.h"
#include "imapd/syntax/parser.h"
#include "imapd/syntax/writer.h"

struct imap_client_id;
struct mailbox;
struct notify;
struct search_context;
struct session;
struct visit;
struct visitor;

enum session_state {
    SESSION_AUTHENTICATED = 1 << 0,
    SESSION_SELECTED = 1 << 1,
    SESSION_VISITING = 1 << 2,
    SESSION_LEAVING = 1 << 3,
    SESSION_LOGOUT = 1 << 4,
    SESSION_OPEN = SESSION_AUTHENTICATED | SESSION_SELECTED | SESSION_VISITING,
};

/* One step of the session's command: a few milliseconds' work. Called once per turn until it ends
 * the command, and only while the client takes the output. */
typedef void session_step(struct session *session);

/* Parses the arguments (a space and what follows, or nothing), and ends the command or leaves a
 * step. If literals were streamed, `arguments` is only the text after the last one. */
typedef void command_handler(struct session *session, struct imap_parser *arguments);

/* Called when the arguments so far end in a literal. True: handled, by session_stream_literal() or
 * by ending the command; false: the literal is to be collected like any other. */
typedef bool literal_handler(struct session *session, struct imap_parser *arguments);

/* Takes the next octets of a streamed literal; session->reader.literal.left is what remains. */
typedef void octets_handler(struct session *session, struct slice octets);

/* Takes the line that a handler asked for with session_expect_line(). */
typedef void line_handler(struct session *session, struct slice line);

enum command_trait {
    COMMAND_KEEPS_NUMBERS = 1 << 0, /* no EXPUNGE in its answer, except in its UID form */
    COMMAND_HAS_UID = 1 << 1,       /* it has a UID form, "UID x" */
    COMMAND_REMOVES = 1 << 2,       /* its own EXPUNGE responses are always sent */
    COMMAND_HAS_NUMBERS = 1 << 3,   /* without UID, takes or returns sequence numbers */
    COMMAND_NAMES_MAILBOX = 1 << 4, /* the first argument is a mailbox, or its quota root */
    COMMAND_NAMES_TARGET = 1 << 5,  /* the second argument is a mailbox */
    COMMAND_FOR_VISITORS = 1 << 6,  /* a client of another account may use it */
    COMMAND_GOES_ON = 1 << 7,       /* its handler continues after the answer */
};

struct command_spec {
    struct slice name;
    unsigned states; /* enum session_state in which it is allowed; 0: none */
    unsigned traits; /* enum command_trait */
    command_handler *handler;
    literal_handler *on_literal; /* NULL: literals are collected */
    octets_handler *on_octets;
    const char *capability; /* the capability it needs; NULL: none */
};

/* A new client. Everything but fd is borrowed. */
struct session_arrival {
    int fd;                          /* the client's socket, or if `carried` the login process's */
    const struct session_pass *pass; /* from the master; NULL: an administrator or a visitor */
    bool carried;                    /* the login process relays the connection (TLS) over fd */
    bool resumed;                    /* the session was hibernating */
    struct slice visitor;            /* account of a client that is not the owner; else empty */
    uint64_t number;                 /* visitor: the session's number in the log */
    uint32_t left_ms;                /* resumed: how long the client may still be silent */
    struct slice handed;             /* input of imap_client_id_unpack(); resumed: the record */
    struct slice input;              /* octets already received from the client */
};

struct session {
    struct session *prev;
    struct session *next;
    struct mailbox *mailbox;  /* borrowed */
    enum session_state state; /* only session.c writes it */
    struct stream stream;
    struct command_reader reader;
    struct writer writer;
    struct view view;
    uint64_t number;     /* the session's number in the log */
    uint64_t without;    /* capabilities hidden from the client (client_id.h) */
    bool tells_progress; /* RFC 9585 */
    size_t limit;        /* most messages per command, RFC 9738; SIZE_MAX: no limit */

    /* The running command; all of these are reset when it ends. */
    const struct command_spec *command; /* NULL: between commands */
    bool by_uid;                        /* "UID x" */
    struct slice tag;                   /* in the arena */
    struct arena arena;
    session_step *step;
    uint64_t turn_ends_ms;       /* turn_now_ms: when the step must leave the turn to others */
    uint32_t stopped_at;         /* the limit cut off messages below this UID; 0: none */
    uint64_t progress_ms;        /* when the next progress report is due */
    bool waiting;                /* for session_resume() */
    struct session_flush *flush; /* the command's flush in progress; session_flush.c */
    line_handler *on_line;
    void *work; /* the handler's state, in the arena */
    /* Releases what `work` holds besides memory; called whenever and however the command ends. */
    void (*on_end)(struct session *session);

    struct visitor *visitor; /* NULL: the client is the owner (imapd/shared/rights.h) */
    struct visit *visit;     /* VISITING: the visit with the selected mailbox */
    struct visit *forwarded; /* the visit that runs the command; NULL: it runs here */

    struct notify *notify;           /* NULL: the client has not used NOTIFY */
    struct search_context *contexts; /* a list; search_context.h */

    /* For hibernation.h. */
    struct session_pass pass;
    bool has_pass;
    bool carried;
    uint64_t stirred_ms; /* turn_now_ms: when client or session was last active */

    /* The rest is for session_internal.h. */
    uint64_t silent_since_ms; /* turn_now_ms: when the client last sent something */
    uint32_t data_uid; /* NOTIFY: the requested data of messages above this UID is still due */
    bool is_unasked;   /* the running command is internal, for NOTIFY and search contexts */
    const struct command_spec *interrupted; /* by the internal command: IDLE, or NULL */
    line_handler *interrupted_line;
    struct buffer interrupted_tag;
    struct buffer answer_behind; /* the previous command's answer, sent after the internal one */
    struct deferred in_next_turn;
    struct deferred at_turn_end;
    bool ended;
};

/* Takes over the connection, also on failure. Answers the login command with OK (unless resumed)
 * and reads on from `input`. ERROR_PEER: the record is malformed. */
bool session_new(struct mailbox *mailbox, const struct session_arrival *arrival,
                 struct error *error);

/* How long the client may be silent before it is told BYE; at least 1. */
uint32_t session_left_ms(const struct session *session);

/* Stops reading; pending output is still sent. */
void session_end(struct session *session);
/* Sends BYE with this text, then session_end(). */
void session_bye(struct session *session, const char *text);

/* Ends and frees the session at once, sending nothing. */
void session_free(struct session *session);

/* ---- for handlers ---- */

/* Tagged responses, which end the command. Changes in the selected folder are reported first.
 * `code` (without brackets) may be empty. */
void session_ok(struct session *session, struct slice code, const char *text);
void session_no(struct session *session, struct slice code, const char *text);
void session_bad(struct session *session, const char *text);

/* BAD for sequence numbers after UIDONLY (RFC 9586 3). */
void session_bad_numbers(struct session *session);

/* NO for an unsupported charset; lists the supported ones (RFC 3501 6.4.4). */
void session_no_charset(struct session *session);

/* NO for more messages than the limit, from a command that is all or nothing (RFC 9738 3.1). */
void session_over_limit(struct session *session, const char *text);

/* BAD for malformed arguments; NO [LIMIT] if the arena was full. */
void session_bad_arguments(struct session *session, const struct imap_parser *arguments);

/* NO for an error, with the RFC 5530 code of its kind. `text` is for the client; a server failure
 * is logged in detail. */
void session_failed(struct session *session, const struct error *error, const char *text);

/* Resolves a sequence set for the selected folder. False: the caller answers with
 * session_bad_arguments(). */
bool session_resolve(struct session *session, struct imap_parser *arguments,
                     struct sequence_set *set);

/* Zeroed memory that is freed when the command ends. NULL: the command was ended with NO. */
void *session_alloc(struct session *session, size_t octets);

/* Continues the command in `step`, which first runs in this turn. */
void session_continue(struct session *session, session_step *step);

/* True: the step has used its share of the turn. To be checked after each piece of work by steps
 * that cannot predict how long a piece takes: the cost of one message depends on the command and on
 * the message's sender. */
bool session_turn_is_over(const struct session *session);

/* Cuts a resolved set to the number of messages that one command may process, those with the
 * highest UIDs; the answer says so (RFC 9738 3.1). */
void session_keep_to_limit(struct session *session, struct sequence_set *set);

/* Reports that `done` of `goal` (0: unknown) is done. May write a response from time to time, so it
 * must not be called in the middle of one (RFC 9585 4). */
void session_tell_progress(struct session *session, uint64_t done, uint64_t goal);

/* Ends a command whose whole answer, with the tagged line, another process has written. */
void session_answered(struct session *session);

/* Enters VISITING, with the selected mailbox reached through session->visit; leaves it. */
void session_begin_visit(struct session *session);
void session_end_visit(struct session *session);

/* The command waits, and continues in `step` after session_resume(). That is called by what the
 * command waits for, never from the session's own handlers, and not after the command has ended
 * (see on_end). */
void session_wait(struct session *session, session_step *step);
void session_resume(struct session *session);

/* Flushes at most SESSION_FLUSH_MAX descriptors in parallel while the loop goes on; then `flushed`
 * ends or continues the command. `why` is NULL, or why the flush failed; if it could not begin,
 * `flushed` is called at once. */
enum { SESSION_FLUSH_MAX = 4 };
typedef void session_flushed(struct session *session, const struct error *why);
void session_wait_for_flush(struct session *session, const int *fds, size_t count,
                            session_flushed *flushed);

/* Streams the announced literal to on_octets; sends "+" if the client waits for that. */
void session_stream_literal(struct session *session);

/* Whether the client has sent something after the running command. */
bool session_has_input(const struct session *session);

/* Sends the continuation request "+ text"; the next line goes to the handler. */
void session_expect_line(struct session *session, const char *text, line_handler *on_line);

/* The same without a continuation request. */
void session_await_line(struct session *session, line_handler *on_line);

/* Enters SELECTED with the view that was opened; leaves the selected folder, if any. */
void session_select(struct session *session);
void session_unselect(struct session *session);

/* Enables extensions (enum view_manner). If MODSEQ is new to the client, it is sent the selected
 * folder's HIGHESTMODSEQ. */
void session_enable(struct session *session, unsigned manner);

/* Answers OK; after that response's CRLF the client is not logged in, and its connection goes back
 * to imapd-login (RFC 8437). */
void session_unauthenticate(struct session *session);

/* Records the client's ID, which decides what is hidden from it (client_id.h). */
void session_know_client(struct session *session, const struct imap_client_id *client);
/* Hides these capabilities from the client, and those that its connection does not allow. */
void session_leave_out(struct session *session, uint64_t without);

/* The encoding of mailbox names in commands and responses. */
static inline enum mailbox_name_form session_name_form(const struct session *session)
{
    return session->view.manner & VIEW_UTF8 ? MAILBOX_NAME_UTF8 : MAILBOX_NAME_UTF7;
}

/* True once the client has enabled IMAP4rev2 (RFC 9051 appendix A). */
static inline bool session_is_rev2(const struct session *session)
{
    return session->view.manner & VIEW_REV2;
}

/* Takes ownership of the NOTIFY request (RFC 5465), which replaces the previous one. */
void session_set_notify(struct session *session, struct notify *notify);

/* At the end of the turn, reports changes if the client listens for them. */
void session_has_news(struct session *session);

/* Reports changes in the selected folder now (IDLE), if the client wants them. */
void session_tell_news(struct session *session, enum view_extent extent);

/* ---- session_flush.c ---- */

/* To be called when the command ends: its flush no longer calls back. */
void session_forget_flush(struct session *session);

/* ---- commands/command_table.c ---- */

/* NULL: there is no such command. */
const struct command_spec *command_find(struct slice name);

#endif
