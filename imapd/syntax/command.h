/*
 * Splits an IMAP client's input into commands (RFC 3501 2.2.1, RFC 7888). A command is one line,
 * or several joined by literals; only CRLF ends a line. The events do not depend on how the input
 * is split. No I/O; the limits bound the memory whatever the client sends. imapd-login and
 * imapd-mailbox.
 *
 * The text of a command keeps its literals where they stood,
 *
 *     A1 LOGIN {5}\r\nalice {3}\r\nx y
 *
 * so that imapd/syntax/parser.h reads it with one cursor. A handler can have a literal streamed
 * instead, such as the message of an APPEND: its octets come as events and never enter the text,
 * which starts empty after it.
 */
#ifndef IMAPD_SYNTAX_COMMAND_H
#define IMAPD_SYNTAX_COMMAND_H

#include "common/buffer.h"
#include "common/text/cursor.h"

/* In octets. The handler must limit a streamed literal itself. */
struct command_limits {
    size_t lines;   /* a command without its literals; line ends count */
    size_t literal; /* one literal in memory */
    size_t text;    /* a command with its literals in memory */
    uint64_t skip;  /* of one refused command, to be read and discarded */
};

enum command_event {
    COMMAND_MORE,    /* the input is used up; call again with more */
    COMMAND_READY,   /* command_text() is whole; borrowed until the next command_read() */
    COMMAND_LITERAL, /* the text so far ends in reader->literal; before the next command_read()
                        command_accept_literal(), _stream_literal() or _refuse_literal() */
    COMMAND_OCTETS,  /* *octets is the next part of a streamed literal, borrowed from the input;
                        reader->literal.left says how much is still to come. A literal of 0 octets
                        comes as one event with none */
    COMMAND_BAD,   /* answer reader->problem, with the tag if command_text() still begins with one.
                      The rest of the command is skipped from here on */
    COMMAND_CLOSE, /* the same, but the rest cannot be skipped within the limits: say BYE and end
                      the connection. problem is COMMAND_FINE where COMMAND_BAD told it before.
                      Every later call answers this again */
};

struct command_literal {
    uint64_t octets;    /* as announced; UINT64_MAX also stands for any larger number */
    uint64_t left;      /* not yet read */
    bool synchronising; /* the client waits for "+ " (RFC 3501 4.3); else LITERAL+ (RFC 7888) */
};

/* Why a command is refused; command_problem_text() has a sentence for each. */
enum command_problem {
    COMMAND_FINE,
    COMMAND_BARE_CR_OR_LF,
    COMMAND_OPEN_QUOTE,
    COMMAND_TOO_LONG,
    COMMAND_LITERAL_TOO_LONG,
    COMMAND_NO_MEMORY, /* temporary: answer NO */
};

struct command_reader {
    struct command_limits limits;
    struct buffer text;
    struct command_literal literal; /* of the last COMMAND_LITERAL */
    enum command_problem problem;   /* of the last COMMAND_BAD or COMMAND_CLOSE */
    /* Private. */
    uint8_t state;
    uint8_t line;     /* where the current line stands: quotes, "{n+}", CR */
    uint8_t unquoted; /* the same since quotes were opened, as if they were not there */
    size_t lines;     /* octets of the text outside literals */
    bool stale;       /* text belongs to a command that has been handed out */
    uint64_t skipped; /* octets discarded of the refused command */
};

void command_reader_init(struct command_reader *reader, struct command_limits limits);
void command_reader_clear(struct command_reader *reader); /* may run twice */

/* Reads on from the input up to the next event. *octets is set for COMMAND_OCTETS alone. */
enum command_event command_read(struct command_reader *reader, struct cursor *input,
                                struct slice *octets);

/* The command, or what has arrived of it, without the last CRLF. */
static inline struct slice command_text(const struct command_reader *reader)
{
    return buffer_slice(&reader->text);
}

/* True between commands: nothing of the next one has been read. */
bool command_reader_is_idle(const struct command_reader *reader);

/* Takes the literal into the text. False if it exceeds the limits: then it must be refused;
 * reader->problem says why. The caller sends "+ ". */
bool command_accept_literal(struct command_reader *reader);

/* Takes the literal as COMMAND_OCTETS and drops the text so far. The caller sends "+ ". */
void command_stream_literal(struct command_reader *reader);

/* Ends the command here; the caller sends its tagged answer. A synchronising client sends no more
 * of it; otherwise literal and rest are skipped. False: too long to skip, the connection must end.
 */
bool command_refuse_literal(struct command_reader *reader);

/* The same between parts of a streamed literal, or before the rest after it: what is left of the
 * command is skipped. False as above. */
bool command_skip_rest(struct command_reader *reader);

/* The next COMMAND_READY is one line without quotes and literals: the answer to a continuation
 * request of AUTHENTICATE, or IDLE's DONE. Between commands only. */
void command_expect_line(struct command_reader *reader);

/* True if nothing of that line has been read yet. */
bool command_reader_awaits_line(const struct command_reader *reader);

const char *command_problem_text(enum command_problem problem);

#endif
