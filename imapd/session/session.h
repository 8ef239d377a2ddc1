/*
 * One client of the user, from the tagged OK of its login on (RFC 3501 3).
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
 * AUTHENTICATED: view.folder is NULL. SELECTED: it is not. LOGOUT: nothing more is read. LEAVING:
 * the same, and once everything is written the connection goes back to imapd-login.
 * VISITING is SELECTED as far as the client knows, but the mailbox is another account's:
 * view.folder is NULL, and what concerns it is said to the owner's process
 * (imapd/shared/forward.h).
 *
 * Commands are run one after the other. A handler either ends its command at once (session_ok and
 * its like), or leaves a step that goes on in later turns, while the client takes what was written;
 * no further command is read meanwhile. Which command is allowed in which state, and whether its
 * answer may renumber messages, stands in the table of commands/command_table.c: an extension is a
 * row there and a file beside it.
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

/* One step of the session's command: a few milliseconds' work. Called once a turn until it ends the
 * command, and only while the client takes the output. */
typedef void session_step(struct session *session);

/* Reads the arguments (a space and what follows it, or nothing), and ends the command or leaves a
 * step. Where literals were streamed: what stands after the last of them. */
typedef void command_handler(struct session *session, struct imap_parser *arguments);

/* The arguments so far end in a literal. True: it was dealt with, by session_stream_literal() or by
 * ending the command; false: it is to be collected like any other. */
typedef bool literal_handler(struct session *session, struct imap_parser *arguments);

/* The next octets of a streamed literal; session->reader.literal.left says how many are to come. */
typedef void octets_handler(struct session *session, struct slice octets);

/* The line that a handler asked for with session_expect_line(). */
typedef void line_handler(struct session *session, struct slice line);

enum command_trait {
    COMMAND_KEEPS_NUMBERS = 1 << 0, /* no EXPUNGE in its answer, unless it goes by UID */
    COMMAND_HAS_UID = 1 << 1,       /* there is a "UID x" of it */
    COMMAND_REMOVES = 1 << 2,       /* its own EXPUNGE responses are wanted in any case */
    COMMAND_HAS_NUMBERS = 1 << 3,   /* without UID it is given or tells numbers of messages */
    COMMAND_NAMES_MAILBOX = 1 << 4, /* its first argument is a mailbox, or its quota root */
    COMMAND_NAMES_TARGET = 1 << 5,  /* its second argument is a mailbox */
    COMMAND_FOR_VISITORS = 1 << 6,  /* a client of another account may use it */
    COMMAND_GOES_ON = 1 << 7,       /* its handler goes on after it has answered */
};

struct command_spec {
    struct slice name;
    unsigned states; /* enum session_state; 0: never, here */
    unsigned traits; /* enum command_trait */
    command_handler *handler;
    literal_handler *on_literal; /* NULL: literals are collected */
    octets_handler *on_octets;
    const char *capability; /* whose command it is; NULL: everybody has it */
};

/* A client that arrives. Everything but fd is borrowed. */
struct session_arrival {
    int fd;                          /* the client's own, or the one to its login process */
    const struct session_pass *pass; /* of the master; NULL: an administrator's, not from there */
    bool carried;                    /* fd is the one to the login process */
    bool resumed;                    /* it was asleep */
    struct slice visitor;            /* the account of who is not the owner; empty: he is */
    uint64_t number;                 /* visitor: in the log */
    uint32_t left_ms;                /* resumed: it may be silent for so long */
    struct slice handed;             /* what imap_client_id_unpack() reads; resumed: the record */
    struct slice input;              /* it has said already */
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
    uint64_t number;     /* in the log */
    uint64_t without;    /* capabilities that the client is not to know (client_id.h) */
    bool tells_progress; /* RFC 9585 */
    size_t limit;        /* of messages that a command deals with, RFC 9738; SIZE_MAX: none */

    /* The command that is being run; all of it ends with it. */
    const struct command_spec *command; /* NULL: between commands */
    bool by_uid;                        /* "UID x" */
    struct slice tag;                   /* in the arena */
    struct arena arena;
    session_step *step;
    uint64_t turn_ends_ms;       /* turn_now_ms: other sessions have theirs then */
    uint32_t stopped_at;         /* the limit left the messages below this UID out; 0: none */
    uint64_t progress_ms;        /* when the client next hears how far it is */
    bool waiting;                /* for session_resume() */
    struct session_flush *flush; /* that is under way for it; session_flush.c */
    line_handler *on_line;
    void *work; /* the handler's, in the arena */
    /* Gives back what `work` holds beside memory; called when the command ends, however it does. */
    void (*on_end)(struct session *session);

    struct visitor *visitor; /* NULL: the client is the owner (imapd/shared/rights.h) */
    struct visit *visit;     /* VISITING: where the selected mailbox is */
    struct visit *forwarded; /* where the command that is run goes on; NULL: here */

    struct notify *notify;           /* NULL: the client never said NOTIFY */
    struct search_context *contexts; /* a list; search_context.h */

    /* For hibernation.h. */
    struct session_pass pass;
    bool has_pass;
    bool carried;
    uint64_t stirred_ms; /* turn_now_ms: when client or session last did something */

    /* The rest is for session_internal.h. */
    uint64_t silent_since_ms; /* turn_now_ms: the client said its last word */
    uint32_t data_uid; /* NOTIFY: of messages above, the data that is wanted was not told yet */
    bool is_unasked;   /* the command that is run is one of ours, for NOTIFY and search contexts */
    const struct command_spec *interrupted; /* by it: IDLE, or NULL */
    line_handler *interrupted_line;
    struct buffer interrupted_tag;
    struct buffer answer_behind; /* of the command before: the answer that its end lets go out */
    struct deferred in_next_turn;
    struct deferred at_turn_end;
    bool ended;
};

/* Takes over the connection, also on failure. Answers the login command's tag with OK (a session
 * that was asleep just goes on) and reads on from `input`. ERROR_PEER: the record is malformed. */
bool session_new(struct mailbox *mailbox, const struct session_arrival *arrival,
                 struct error *error);

/* How long the client may be silent before it is told BYE; at least 1. */
uint32_t session_left_ms(const struct session *session);

/* Reads nothing more; what was written still goes out. */
void session_end(struct session *session);
/* Says BYE with that text, and ends it so. */
void session_bye(struct session *session, const char *text);

/* Ends it without another word, at once. */
void session_free(struct session *session);

/* ---- for handlers ---- */

/* The answers that end a command. What is news in the selected folder is told first. `code`
 * (without brackets) may be empty. */
void session_ok(struct session *session, struct slice code, const char *text);
void session_no(struct session *session, struct slice code, const char *text);
void session_bad(struct session *session, const char *text);

/* BAD for numbers of messages after UIDONLY (RFC 9586 3). */
void session_bad_numbers(struct session *session);

/* NO for a charset that is none of ours (RFC 3501 6.4.4): it names those. */
void session_no_charset(struct session *session);

/* NO for more messages than a command deals with, where it does all or nothing (RFC 9738 3.1). */
void session_over_limit(struct session *session, const char *text);

/* BAD for arguments that are not what the grammar says; NO [LIMIT] if the arena was full. */
void session_bad_arguments(struct session *session, const struct imap_parser *arguments);

/* NO for what failed, with the code of RFC 5530 that its kind asks for. `text` is for the client;
 * a failure of ours is logged with all its details. */
void session_failed(struct session *session, const struct error *error, const char *text);

/* Resolves a set of the selected folder's messages; false for session_bad_arguments(). */
bool session_resolve(struct session *session, struct imap_parser *arguments,
                     struct sequence_set *set);

/* Memory that ends with the command, zeroed. NULL: the command was ended with NO. */
void *session_alloc(struct session *session, size_t octets);

/* The command goes on in `step`, for the first time at once. */
void session_continue(struct session *session, session_step *step);

/* True: the step has had its share of the turn. For steps that cannot tell how long a piece of
 * their work will take, to be asked after each piece: what one message costs depends on the command
 * and on who sent the message. */
bool session_turn_is_over(const struct session *session);

/* Cuts a resolved set down to as many messages as one command may deal with, those with the highest
 * UIDs; the answer says so (RFC 9738 3.1). */
void session_keep_to_limit(struct session *session, struct sequence_set *set);

/* The command has done so much of `goal` (0: unknown). Every now and then the client is told, so
 * this is not to be called in the middle of a response (RFC 9585 4). */
void session_tell_progress(struct session *session, uint64_t done, uint64_t goal);

/* Ends a command whose answer, tagged line included, another process has written. */
void session_answered(struct session *session);

/* The mailbox that is selected is another account's, reached through session->visit; or no longer
 * is. */
void session_begin_visit(struct session *session);
void session_end_visit(struct session *session);

/* The command goes on in `step` after session_resume(), which whoever it waits for calls: never
 * from the session's own handlers, and not once the command has ended (on_end tells). */
void session_wait(struct session *session, session_step *step);
void session_resume(struct session *session);

/* Flushes what the command has changed, at most SESSION_FLUSH_MAX descriptors side by side, while
 * the loop goes on; then `flushed` ends or continues the command. `why` is NULL, or why the flush
 * failed; if it could not even begin, `flushed` is called at once. */
enum { SESSION_FLUSH_MAX = 4 };
typedef void session_flushed(struct session *session, const struct error *why);
void session_wait_for_flush(struct session *session, const int *fds, size_t count,
                            session_flushed *flushed);

/* Takes the announced literal as it comes (on_octets); sends "+" if the client waits for that. */
void session_stream_literal(struct session *session);

/* The client has sent something after the command that is being run. */
bool session_has_input(const struct session *session);

/* Sends the continuation request "+ text"; the next line goes to the handler. */
void session_expect_line(struct session *session, const char *text, line_handler *on_line);

/* The same without a continuation request. */
void session_await_line(struct session *session, line_handler *on_line);

/* Selects the view that was opened, or leaves the folder that is selected, if any. */
void session_select(struct session *session);
void session_unselect(struct session *session);

/* The client has enabled this (enum view_manner). If it had not heard of MODSEQ before, it is told
 * the HIGHESTMODSEQ of the selected folder. */
void session_enable(struct session *session, unsigned manner);

/* Answers OK; from its CRLF on the client is not logged in, and its connection is imapd-login's
 * (RFC 8437). */
void session_unauthenticate(struct session *session);

/* What the client says that it is decides what it is told of. */
void session_know_client(struct session *session, const struct imap_client_id *client);
/* Such capabilities it is not told of, nor of what its connection does not allow. */
void session_leave_out(struct session *session, uint64_t without);

/* How names of mailboxes stand on the wire. */
static inline enum mailbox_name_form session_name_form(const struct session *session)
{
    return session->view.manner & VIEW_UTF8 ? MAILBOX_NAME_UTF8 : MAILBOX_NAME_UTF7;
}

/* True once the client has enabled IMAP4rev2 (RFC 9051 appendix A). */
static inline bool session_is_rev2(const struct session *session)
{
    return session->view.manner & VIEW_REV2;
}

/* Takes over what the client wants to hear of (RFC 5465), in place of what it wanted before. */
void session_set_notify(struct session *session, struct notify *notify);

/* At the end of the turn there may be something to tell, if the client listens. */
void session_has_news(struct session *session);

/* Tells what is news in the selected folder, now (IDLE), if the client wants to hear of it. */
void session_tell_news(struct session *session, enum view_extent extent);

/* ---- session_flush.c ---- */

/* The command ends, and hears no more of its flush. */
void session_forget_flush(struct session *session);

/* ---- commands/command_table.c ---- */

/* NULL: there is no such command. */
const struct command_spec *command_find(struct slice name);

#endif
