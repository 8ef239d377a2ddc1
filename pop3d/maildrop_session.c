/*
 * The commands of a POP3 session after its login (RFC 1939 5 and 6); see maildrop.h. Answers that
 * can be long (RETR, TOP, LIST, UIDL) are produced while the client takes them; commands after
 * them wait, so pipelining costs no memory.
 *
 * Octets are sent as they are stored, whether or not the client said UTF8 before its login: RFC
 * 6856 5 leaves what to do for others to the server, and refusing to show a message to a client
 * that never says it (most do not) would keep it in the maildrop for ever.
 */
#include "pop3d/maildrop.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "pop3d/capability.h"
#include "pop3d/command.h"
#include "pop3d/language.h"

#define LOCK_FILE "staffetta-pop3"

enum {
    LINE_SIZE = 512, /* RFC 2449 4: a reply line */
    CAPA_MAX = 4096,
    PIPELINED_OCTETS = 4096, /* held beside one line of full length */
    HIGH_WATER = 1 << 18,
    OUTPUT_MAX = 1 << 20,
    LISTED_AT_ONCE = 256, /* lines of LIST and UIDL between two looks at the output */
    LINGER_MS = 2000,
};

/* ---- states ---- */

static void session_enter(struct maildrop *maildrop, enum maildrop_state state)
{
    static const unsigned from[] = {
        [MAILDROP_AWAITED] = 0,
        [MAILDROP_TRANSACTION] = 1u << MAILDROP_AWAITED | 1u << MAILDROP_ANSWERING,
        [MAILDROP_ANSWERING] = 1u << MAILDROP_TRANSACTION,
        [MAILDROP_ENDING] =
            1u << MAILDROP_AWAITED | 1u << MAILDROP_TRANSACTION | 1u << MAILDROP_ANSWERING,
    };
    assert(from[state] & 1u << maildrop->state);
    maildrop->state = state;
}

/* ---- replies ---- */

/* One line, with its CRLF. Every %s is ours or printable. */
__attribute__((format(printf, 2, 3))) static void reply(struct maildrop *maildrop,
                                                        const char *format, ...)
{
    char line[LINE_SIZE - 1]; /* the NUL stands where the CRLF has its second octet */
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    size_t octets = length > 0 ? (size_t)length : 0;
    if (octets >= sizeof(line))
        octets = sizeof(line) - 1;
    stream_write(&maildrop->stream, slice_of(line, octets));
    stream_write(&maildrop->stream, SLICE("\r\n"));
}

static void finish(struct maildrop *maildrop, const char *reason)
{
    maildrop->reason = reason;
    session_enter(maildrop, MAILDROP_ENDING);
    turn_wait_awake_for(&maildrop->turn, -1);
    stream_finish(&maildrop->stream, LINGER_MS);
}

/* RFC 2449 8.1: the last reply, with a response code and text. */
static void refuse(struct maildrop *maildrop, const char *code, const char *words)
{
    reply(maildrop, "-ERR [%s] %s", code, words);
    finish(maildrop, words);
}

static void refuse_command(struct maildrop *maildrop, const char *words)
{
    reply(maildrop, "-ERR %s", words);
    if (++maildrop->bad_commands > maildrop->role->config.limits.bad_commands)
        refuse(maildrop, "SYS/PERM", "Too many bad commands (limits.bad-commands)");
}

/* ---- messages ---- */

static struct maildrop_message *find(struct maildrop *maildrop, uint64_t number)
{
    struct maildrop_message *message = maildrop_list_get(&maildrop->list, number);
    if (!message)
        reply(maildrop, "-ERR No such message, or it is marked as deleted (%zu are there)",
              maildrop->list.count);
    return message;
}

/* Another program may have renamed the file since: then all names are looked up once more. */
static bool open_message(struct maildrop *maildrop, struct maildrop_message *message,
                         struct error *error)
{
    const struct maildir *box = &maildrop->inbox;
    if (message->name) {
        if (maildrop_sender_open(&maildrop->sender, box, message->place, message->name, error))
            return true;
        if (error->kind != ERROR_NOT_FOUND || !maildrop_list_refresh(&maildrop->list, error))
            return false;
    }
    if (!message->name)
        return error_set(error, ERROR_NOT_FOUND, "another program has removed it");
    return maildrop_sender_open(&maildrop->sender, box, message->place, message->name, error);
}

static void begin_answer(struct maildrop *maildrop, enum maildrop_answer answer)
{
    maildrop->answer = answer;
    maildrop->listed = 0;
    session_enter(maildrop, MAILDROP_ANSWERING);
}

static void refuse_message(struct maildrop *maildrop, const struct error *error)
{
    maildrop_sender_close(&maildrop->sender);
    LOG(&maildrop->role->log, LOG_WARNING, "message_not_sent",
        log_hex("session", maildrop->session), log_text("account", maildrop->account),
        log_failure(error));
    reply(maildrop, "-ERR [%s] The message cannot be read: %s",
          error->kind == ERROR_TEMPORARY ? "SYS/TEMP" : "SYS/PERM", error->text);
}

/* ---- commands ---- */

static void on_capa(struct maildrop *maildrop, const struct maildrop_command *command)
{
    (void)command;
    struct buffer text = BUFFER_WITH_LIMIT(CAPA_MAX);
    buffer_append(&text, SLICE("+OK Capabilities\r\n"));
    pop3_capabilities_append(&maildrop->role->config, &text);
    buffer_append(&text, SLICE(".\r\n"));
    if (text.failed)
        reply(maildrop, "-ERR [SYS/TEMP] Out of memory");
    else
        stream_write(&maildrop->stream, buffer_slice(&text));
    buffer_clear(&text);
}

static void on_dele(struct maildrop *maildrop, const struct maildrop_command *command)
{
    struct maildrop_message *message = find(maildrop, command->message);
    if (!message)
        return;
    maildrop_list_mark_deleted(&maildrop->list, message);
    reply(maildrop, "+OK Message %" PRIu64 " is marked as deleted", command->message);
}

static void on_early(struct maildrop *maildrop, const struct maildrop_command *command)
{
    (void)command;
    refuse_command(maildrop, "You are logged in already");
}

static void on_lang(struct maildrop *maildrop, const struct maildrop_command *command)
{
    const char *answer = pop3_language_answer(command->argument);
    if (answer)
        reply(maildrop, "%s", answer);
    else
        refuse_command(maildrop, "That language is not spoken here");
}

static size_t number_of(const struct maildrop *maildrop, const struct maildrop_message *message)
{
    return (size_t)(message - maildrop->list.messages) + 1;
}

static void on_list(struct maildrop *maildrop, const struct maildrop_command *command)
{
    if (!command->has_message) {
        reply(maildrop, "+OK %zu messages (%" PRIu64 " octets)", maildrop->list.left,
              maildrop->list.octets_left);
        begin_answer(maildrop, ANSWER_LIST);
        return;
    }
    const struct maildrop_message *message = find(maildrop, command->message);
    if (message)
        reply(maildrop, "+OK %zu %" PRIu64, number_of(maildrop, message), message->octets);
}

static void on_noop(struct maildrop *maildrop, const struct maildrop_command *command)
{
    (void)command;
    reply(maildrop, "+OK");
}

/* Tells IMAP sessions of the account at once what was removed. */
static void tell_changed(struct maildrop *maildrop)
{
    struct master_changed record = {.header = {.type = MASTER_CHANGED}, .handle = 0};
    role_tell_master(maildrop->role, &record.header, sizeof(record), slice_of(NULL, 0));
}

static void on_quit(struct maildrop *maildrop, const struct maildrop_command *command)
{
    (void)command;
    struct maildrop_updated *updated = &maildrop->updated;
    struct error error;
    bool done =
        maildrop_update(&maildrop->list, &maildrop->role->config, time(NULL), updated, &error);
    if (updated->removed + updated->seen > 0)
        tell_changed(maildrop);
    if (!done)
        LOG(&maildrop->role->log, LOG_ERROR, "not_removed", log_hex("session", maildrop->session),
            log_text("account", maildrop->account),
            log_number("messages", (int64_t)updated->failed), log_failure(&error));
    /* Before the last word: who hears it may log in again at once. */
    maildrop_tell_idle(maildrop);
    if (done)
        reply(maildrop, "+OK Bye, %zu messages removed", updated->removed);
    else
        reply(maildrop, "-ERR [SYS/TEMP] %zu messages not removed: %s", updated->failed,
              error.text);
    finish(maildrop, "QUIT");
}

static void on_retr(struct maildrop *maildrop, const struct maildrop_command *command)
{
    struct error error;
    uint64_t octets;
    struct maildrop_message *message = find(maildrop, command->message);
    if (!message)
        return;
    if (!open_message(maildrop, message, &error)
        || !maildrop_sender_octets(&maildrop->sender, message->octets, &octets, &error)) {
        refuse_message(maildrop, &error);
        return;
    }
    maildrop->sending = message;
    reply(maildrop, "+OK %" PRIu64 " octets", octets);
    begin_answer(maildrop, ANSWER_MESSAGE);
}

static void on_rset(struct maildrop *maildrop, const struct maildrop_command *command)
{
    (void)command;
    maildrop_list_unmark_all(&maildrop->list);
    reply(maildrop, "+OK %zu messages (%" PRIu64 " octets)", maildrop->list.left,
          maildrop->list.octets_left);
}

static void on_stat(struct maildrop *maildrop, const struct maildrop_command *command)
{
    (void)command;
    reply(maildrop, "+OK %zu %" PRIu64, maildrop->list.left, maildrop->list.octets_left);
}

static void on_top(struct maildrop *maildrop, const struct maildrop_command *command)
{
    struct error error;
    struct maildrop_message *message = find(maildrop, command->message);
    if (!message)
        return;
    if (!open_message(maildrop, message, &error)
        || !maildrop_sender_limit(&maildrop->sender, command->lines, &error)) {
        refuse_message(maildrop, &error);
        return;
    }
    maildrop->sending = NULL;
    reply(maildrop, "+OK");
    begin_answer(maildrop, ANSWER_MESSAGE);
}

static void on_uidl(struct maildrop *maildrop, const struct maildrop_command *command)
{
    char uidl[MAILDROP_UIDL_MAX + 1];
    if (!command->has_message) {
        reply(maildrop, "+OK");
        begin_answer(maildrop, ANSWER_UIDL);
        return;
    }
    const struct maildrop_message *message = find(maildrop, command->message);
    if (!message)
        return;
    maildrop_list_uidl(message, uidl);
    reply(maildrop, "+OK %zu %s", number_of(maildrop, message), uidl);
}

static void on_unknown(struct maildrop *maildrop, const struct maildrop_command *command)
{
    (void)command;
    refuse_command(maildrop, "Unknown command");
}

static void on_line(struct maildrop *maildrop, struct slice line)
{
    static void (*const handlers[])(struct maildrop *, const struct maildrop_command *) = {
        [MAILDROP_CAPA] = on_capa,       [MAILDROP_DELE] = on_dele, [MAILDROP_LANG] = on_lang,
        [MAILDROP_LIST] = on_list,       [MAILDROP_NOOP] = on_noop, [MAILDROP_QUIT] = on_quit,
        [MAILDROP_RETR] = on_retr,       [MAILDROP_RSET] = on_rset, [MAILDROP_STAT] = on_stat,
        [MAILDROP_TOP] = on_top,         [MAILDROP_UIDL] = on_uidl, [MAILDROP_EARLY] = on_early,
        [MAILDROP_UNKNOWN] = on_unknown,
    };
    struct maildrop_command command;
    const char *wrong;
    if (maildrop_command_parse(line, &command, &wrong))
        handlers[command.verb](maildrop, &command);
    else
        refuse_command(maildrop, wrong);
}

/* ---- long answers ---- */

static void list_message(struct maildrop *maildrop, size_t place)
{
    const struct maildrop_message *message = &maildrop->list.messages[place];
    char uidl[MAILDROP_UIDL_MAX + 1];
    if (message->deleted)
        return;
    if (maildrop->answer == ANSWER_LIST) {
        reply(maildrop, "%zu %" PRIu64, place + 1, message->octets);
        return;
    }
    maildrop_list_uidl(message, uidl);
    reply(maildrop, "%zu %s", place + 1, uidl);
}

static void go_on_listing(struct maildrop *maildrop)
{
    for (unsigned i = 0; i < LISTED_AT_ONCE && maildrop->listed < maildrop->list.count; i++)
        list_message(maildrop, maildrop->listed++);
    if (maildrop->listed < maildrop->list.count)
        return;
    reply(maildrop, ".");
    maildrop->answer = ANSWER_NONE;
}

static void go_on_sending(struct maildrop *maildrop)
{
    struct error error;
    if (!maildrop_sender_step(&maildrop->sender, &maildrop->stream, &error)) {
        stream_fail(&maildrop->stream, &error); /* it was promised more octets */
        return;
    }
    if (maildrop->sender.active)
        return;
    maildrop->answer = ANSWER_NONE;
    if (!maildrop->sending)
        return;
    maildrop->sending->retrieved = true;
    maildrop->retrieved++;
}

static void go_on(struct maildrop *maildrop)
{
    if (maildrop->answer == ANSWER_MESSAGE)
        go_on_sending(maildrop);
    else
        go_on_listing(maildrop);
    if (maildrop->answer == ANSWER_NONE)
        session_enter(maildrop, MAILDROP_TRANSACTION);
}

/* ---- the stream ---- */

/* False: the input holds no whole line. */
static bool read_command(struct maildrop *maildrop)
{
    struct slice input = stream_input(&maildrop->stream), line;
    struct cursor cursor = cursor_of(input);
    size_t limit = (size_t)maildrop->role->config.limits.pop3_line_octets;
    enum pop3_line_result result = pop3_line_read(&maildrop->lines, &cursor, limit, &line);
    stream_consume(&maildrop->stream, input.len - cursor_left(&cursor));
    if (result == POP3_LINE_READY)
        on_line(maildrop, line);
    else if (result == POP3_LINE_BARE)
        refuse_command(maildrop, "Lines end in CRLF; CR, LF and NUL are nowhere else");
    else if (result == POP3_LINE_TOO_LONG)
        refuse_command(maildrop, "Line too long (limits.pop3-line)");
    return result != POP3_LINE_MORE;
}

static void watch_the_clock(struct maildrop *maildrop)
{
    stream_set_deadline_ms(&maildrop->stream, (unsigned)maildrop->role->config.timeouts.pop3_ms);
}

/* Handles as much as the input and the room in the output allow. */
static void step(struct maildrop *maildrop)
{
    struct stream *stream = &maildrop->stream;
    bool more = true;
    while (more && !stream_is_over(stream) && !stream_output_full(stream)) {
        if (maildrop->state == MAILDROP_ANSWERING)
            go_on(maildrop);
        else
            more = maildrop->state == MAILDROP_TRANSACTION && read_command(maildrop);
    }
    if (stream_is_over(stream))
        return;
    watch_the_clock(maildrop);
    if (!more && stream_at_end(stream))
        finish(maildrop, "client left");
}

static void on_input(struct stream *stream)
{
    step(stream->owner);
}

static void on_deadline(struct stream *stream)
{
    struct maildrop *maildrop = stream->owner;
    /* RFC 1939 3: no response, no removal. A client that is taking octets is not silent. */
    if (maildrop->state == MAILDROP_ANSWERING || !stream_output_empty(stream))
        watch_the_clock(maildrop);
    else
        maildrop_leave(maildrop, "timeouts.pop3");
}

static void on_closed(struct stream *stream, const struct error *why)
{
    struct maildrop *maildrop = stream->owner;
    maildrop_leave(maildrop, why ? why->text : maildrop->reason);
}

/* ---- beginning and stopping ---- */

enum lock_result { LOCKED, IN_USE, TOO_EARLY, NOT_LOCKED };

/* The lock file's time is that of the last login, for LOGIN-DELAY (RFC 2449 6.6). */
static enum lock_result lock(struct maildrop *maildrop, struct error *error)
{
    struct stat status;
    uint64_t delay_ms = maildrop->role->config.pop3.login_delay_ms;
    maildrop->lock_fd = openat(maildrop->inbox.fd, LOCK_FILE,
                               O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool is_first = maildrop->lock_fd >= 0;
    if (!is_first && errno == EEXIST)
        maildrop->lock_fd =
            openat(maildrop->inbox.fd, LOCK_FILE, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (maildrop->lock_fd < 0 || fstat(maildrop->lock_fd, &status) != 0) {
        error_errno(error, "open " LOCK_FILE);
        return NOT_LOCKED;
    }
    if (flock(maildrop->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        error_errno(error, "lock the maildrop");
        return errno == EWOULDBLOCK ? IN_USE : NOT_LOCKED;
    }
    int64_t waited_ms = (int64_t)(time(NULL) - status.st_mtim.tv_sec) * 1000;
    if (!is_first && delay_ms > 0 && waited_ms >= 0 && waited_ms < (int64_t)delay_ms)
        return TOO_EARLY;
    futimens(maildrop->lock_fd, NULL); /* at worst the next delay is measured from before */
    return LOCKED;
}

static bool list_messages(struct maildrop *maildrop, struct error *error)
{
    const struct config_pop3 *config = &maildrop->role->config.pop3;
    return maildrop_list_load(&maildrop->list, slice_of_string(config->uidl_format.text), error);
}

static void answer_login(struct maildrop *maildrop)
{
    struct error error = {.text = ""};
    enum lock_result locked = lock(maildrop, &error);
    bool listed = locked == LOCKED && list_messages(maildrop, &error);
    if (error.kind != ERROR_NONE)
        LOG(&maildrop->role->log, locked == IN_USE ? LOG_INFO : LOG_ERROR, "maildrop_not_opened",
            log_hex("session", maildrop->session), log_text("account", maildrop->account),
            log_failure(&error));
    if (locked == IN_USE)
        refuse(maildrop, "IN-USE", "Another session has the maildrop");
    else if (locked == TOO_EARLY)
        refuse(maildrop, "LOGIN-DELAY", "The last login was too short a time ago");
    else if (!listed)
        refuse(maildrop, "SYS/TEMP", "The maildrop cannot be opened now; try again later");
    if (!listed)
        return;
    session_enter(maildrop, MAILDROP_TRANSACTION);
    reply(maildrop, "+OK %zu messages (%" PRIu64 " octets)", maildrop->list.left,
          maildrop->list.octets_left);
    LOG(&maildrop->role->log, LOG_INFO, "pop3_begun", log_hex("session", maildrop->session),
        log_text("account", maildrop->account),
        log_number("messages", (int64_t)maildrop->list.count),
        log_number("octets", (int64_t)maildrop->list.octets_left));
}

static void on_drained(struct stream *stream)
{
    step(stream->owner);
}

static const struct stream_handler handler = {
    .on_input = on_input,
    .on_drained = on_drained,
    .on_deadline = on_deadline,
    .on_closed = on_closed,
};

void maildrop_session_begin(struct maildrop *maildrop, int client_fd, struct slice input)
{
    const struct config *config = &maildrop->role->config;
    const struct stream_limits limits = {
        .input = (size_t)config->limits.pop3_line_octets + PIPELINED_OCTETS,
        .high_water = HIGH_WATER,
        .output = OUTPUT_MAX,
        .stalled_ms = (unsigned)config->timeouts.write_ms,
    };
    struct error error;
    stream_init(&maildrop->stream, &maildrop->turn, client_fd, &handler, &limits);
    maildrop->stream.owner = maildrop;
    turn_wait_awake_for(&maildrop->turn, client_fd);
    if (!stream_begin_with(&maildrop->stream, input, &error)) {
        stream_fail(&maildrop->stream, &error);
        return;
    }
    answer_login(maildrop);
    if (maildrop->state == MAILDROP_TRANSACTION)
        step(maildrop);
}

void maildrop_session_stop(struct maildrop *maildrop)
{
    if (maildrop->state == MAILDROP_AWAITED)
        role_exit(maildrop->role);
    else if (maildrop->state != MAILDROP_ENDING)
        finish(maildrop, "shutdown");
}
