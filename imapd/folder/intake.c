/* The files of intake.h. */
#include "imapd/folder/intake.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/config/config.h"
#include "common/disk/fd.h"
#include "imapd/fetch/message_cache.h"
#include "imapd/mailbox.h"

enum {
    ENCODED_OCTETS = 8 << 20, /* limit for one piece of input, with a header that was held back */
    OPEN_FILES = 16,          /* files of one command flushed together; later ones one by one */
};

/* Copies the keywords: the text they were parsed from is gone once a literal begins to stream. */
static bool keep_keywords(struct imap_parser *arguments, struct imap_flags *flags)
{
    for (size_t i = 0; i < flags->keyword_count; i++) {
        flags->keywords[i] = arena_copy(arguments->arena, flags->keywords[i]);
        if (!flags->keywords[i].ptr)
            return imap_parser_exhaust(arguments);
    }
    return true;
}

/* append-data, up to its octets. UTF8 only if the client has enabled it. */
static bool parse_data(struct imap_parser *arguments, struct intake_message *message)
{
    message->is_catenated = imap_skip_word(arguments, SLICE("CATENATE"));
    if (message->is_catenated)
        return imap_parse_space(arguments) && imap_parse_octet(arguments, '(', "\"(\"");
    message->in_utf8 = arguments->utf8 && imap_skip_word(arguments, SLICE("UTF8"));
    if (message->in_utf8
        && (!imap_parse_space(arguments) || !imap_parse_octet(arguments, '(', "\"(\"")))
        return false;
    message->is_binary = imap_skip_octet(arguments, '~');
    if (message->in_utf8 && !message->is_binary)
        return imap_parser_fail(arguments, "a literal8");
    return imap_parse_announcement(arguments, &message->octets);
}

bool intake_parse(struct imap_parser *arguments, struct intake_message *message)
{
    struct date date = {.seconds = mailbox_now()};
    uint8_t next = 0;
    if (!imap_parse_space(arguments))
        return false;
    cursor_peek(&arguments->in, &next);
    if (next == '('
        && (!imap_parse_flag_list(arguments, &message->flags) || !imap_parse_space(arguments)))
        return false;
    cursor_peek(&arguments->in, &next);
    if (next == '"' && (!imap_parse_date_time(arguments, &date) || !imap_parse_space(arguments)))
        return false;
    message->internal_date = date.seconds;
    return keep_keywords(arguments, &message->flags) && parse_data(arguments, message);
}

bool intake_parse_behind(struct imap_parser *arguments, const struct intake *intake)
{
    return !intake->last->in_utf8 || imap_parse_octet(arguments, ')', "\")\"");
}

static void end_encoding(struct intake_message *message)
{
    if (message->encode)
        binary_encode_clear(message->encode);
}

static bool begin_encoding(struct intake *intake, struct intake_message *message,
                           struct arena *arena, struct error *error)
{
    const struct mime_limits limits = message_limits(intake->folder->mailbox->config);
    message->encode = arena_alloc(arena, sizeof(*message->encode));
    if (!message->encode)
        return error_memory(error);
    binary_encode_init(message->encode, &limits);
    return true;
}

bool intake_begin(struct intake *intake, struct intake_message *message, struct arena *arena,
                  struct error *error)
{
    if (message->is_binary && !begin_encoding(intake, message, arena, error))
        return false;
    if (!maildir_append_begin(&message->append, &intake->folder->box, error)) {
        end_encoding(message);
        return false;
    }
    if (intake->last)
        intake->last->next = message;
    else
        intake->first = message;
    intake->last = message;
    intake->count++;
    intake->octets += message->octets; /* each is below limits.message-size, in its own memory */
    return true;
}

static bool is_fine(enum binary_problem problem, struct error *error)
{
    if (problem == BINARY_NO_MEMORY)
        return error_memory(error);
    return problem == BINARY_FINE
           || error_set(error, ERROR_PERMANENT, "%s", binary_problem_text(problem));
}

static bool write_encoded(struct intake_message *message, const struct buffer *encoded,
                          struct error *error)
{
    if (encoded->failed)
        return error_memory(error);
    return encoded->len == 0
           || maildir_append_write(&message->append, buffer_slice(encoded), error);
}

/* Base64 is a third larger than the announced size, and CATENATE announces none. */
static bool is_too_large(const struct intake *intake)
{
    return intake->last->append.octets
           > intake->folder->mailbox->config->limits.message_size_octets;
}

const char *intake_problem(const struct intake *intake, struct slice *code)
{
    const struct intake_message *message = intake->last;
    if (!message)
        return NULL;
    enum binary_problem problem = message->encode ? message->encode->problem : BINARY_FINE;
    *code = is_too_large(intake) ? SLICE("TOOBIG") : SLICE("UNKNOWN-CTE");
    if (is_too_large(intake))
        return "The message is larger than limits.message-size";
    return problem == BINARY_FINE || problem == BINARY_NO_MEMORY ? NULL
                                                                 : binary_problem_text(problem);
}

bool intake_write(struct intake *intake, struct slice octets, struct error *error)
{
    struct intake_message *message = intake->last;
    struct buffer encoded = BUFFER_WITH_LIMIT(ENCODED_OCTETS);
    bool written;
    if (!message->encode) {
        written = maildir_append_write(&message->append, octets, error);
    } else {
        bool fine = is_fine(binary_encode_feed(message->encode, octets, &encoded), error);
        written = fine && write_encoded(message, &encoded, error);
        buffer_clear(&encoded);
    }
    return written && (!is_too_large(intake) || error_set(error, ERROR_PERMANENT, "too large"));
}

static bool finish_encoding(struct intake_message *message, struct error *error)
{
    struct buffer encoded = BUFFER_WITH_LIMIT(ENCODED_OCTETS);
    bool fine = is_fine(binary_encode_finish(message->encode, &encoded), error);
    bool written = fine && write_encoded(message, &encoded, error);
    buffer_clear(&encoded);
    return written;
}

bool intake_finish(struct intake *intake, struct error *error)
{
    struct intake_message *message = intake->last;
    if (message->encode && !finish_encoding(message, error))
        return false;
    intake->octets += message->append.octets - message->octets;
    return maildir_append_finish(&message->append, message->internal_date, error)
           && (intake->count <= OPEN_FILES || maildir_append_flush(&message->append, error));
}

/* ---- into the folder ---- */

static bool find_letters(struct folder *folder, const struct imap_flags *flags, uint32_t *letters,
                         struct error *error)
{
    *letters = 0;
    for (size_t i = 0; i < flags->keyword_count; i++) {
        unsigned letter;
        if (folder_keyword(folder, flags->keywords[i], &letter, error))
            *letters |= (uint32_t)1 << letter;
        else if (error->kind != ERROR_PERMANENT)
            return false;
    }
    return true;
}

static bool place(struct folder *folder, struct intake_message *message, struct error *error)
{
    const struct mailbox *mailbox = folder->mailbox;
    struct maildir_name wanted = {.uidvalidity = folder->record.uidvalidity,
                                  .flags = message->flags.flags};
    struct maildir_append_as as = {.wanted = &wanted,
                                   .host = slice_of_string(mailbox->config->hostname),
                                   .now = mailbox_now()};
    if (!find_letters(folder, &message->flags, &wanted.keywords, error)
        || !folder_next_uid(folder, &wanted.uid, error)
        || !maildir_append_commit(&message->append, &as, message->name, error))
        return false;
    message->uid = wanted.uid;
    return true;
}

/* Removes messages from the folder again. */
static void withdraw(struct folder *folder, uint32_t first_uid, uint32_t last_uid)
{
    struct error error;
    for (size_t i = folder_position(folder, first_uid); i < folder->count; i++) {
        struct message *message = &folder->messages[i];
        if (message->uid > last_uid)
            return;
        if (message->name && !folder_remove(folder, message, &error)
            && error.kind != ERROR_NOT_FOUND)
            LOG(folder->mailbox->log, LOG_ERROR, "append_not_undone", log_failure(&error));
    }
}

static void displace(const struct intake *intake)
{
    struct folder *folder = intake->folder;
    struct intake_message *message;
    for (message = intake->first; message && message->uid; message = message->next) {
        if (folder_find(folder, message->uid))
            withdraw(folder, message->uid, message->uid);
        else
            unlinkat(folder->box.cur_fd, message->name, 0);
        message->uid = 0;
    }
}

bool intake_commit(struct intake *intake, struct error *error)
{
    struct folder *folder = intake->folder;
    struct intake_message *message;
    bool placed = true;
    for (message = intake->first; message && placed; message = message->next)
        placed = place(folder, message, error);
    if (placed)
        mailbox_count_quota(folder->mailbox, (int64_t)intake->octets, intake->count);
    for (message = intake->first; message && placed; message = message->next)
        placed = folder_add(folder, message->uid, message->name, error);
    if (!placed)
        displace(intake);
    return placed;
}

bool intake_use(struct intake *intake, uint32_t uid, struct error *error)
{
    struct intake_message *message = intake->first;
    struct message_change change = {.flags_on = message->flags.flags};
    if (!find_letters(intake->folder, &message->flags, &change.letters_on, error)
        || !folder_change(intake->folder, uid, &change, NULL, error))
        return false;
    maildir_append_abort(&message->append);
    message->uid = uid;
    return true;
}

/* ---- onto the disk ---- */

/* On the heap: it may outlive the client's connection. */
struct intake_flush {
    struct flush_job job;
    struct intake *intake; /* NULL: the client is gone */
    struct folder *folder; /* one use of it */
    uint32_t first_uid;
    uint32_t last_uid;
    intake_flushed *flushed;
    void *owner;
    int fds[]; /* of files that are not flushed yet */
};

static void end_flush(struct intake_flush *flush)
{
    for (size_t i = 0; i < flush->job.count; i++)
        fd_discard(&flush->fds[i]);
    folder_close(flush->folder);
    free(flush);
}

static void on_flushed(struct flush_job *job)
{
    struct intake_flush *flush = (void *)((uint8_t *)job - offsetof(struct intake_flush, job));
    struct error error;
    errno = job->code;
    if (job->code != 0) {
        error_errno(&error, "flush message");
        withdraw(flush->folder, flush->first_uid, flush->last_uid);
        if (!flush->intake)
            LOG(flush->folder->mailbox->log, LOG_ERROR, "append_undone", log_failure(&error));
    }
    if (flush->intake) {
        flush->intake->flush = NULL;
        flush->flushed(flush->owner, job->code != 0 ? &error : NULL);
    }
    end_flush(flush);
}

bool intake_flush(struct intake *intake, intake_flushed *flushed, void *owner, struct error *error)
{
    struct intake_flush *flush = calloc(1, sizeof(*flush) + OPEN_FILES * sizeof(flush->fds[0]));
    if (!flush) {
        displace(intake);
        return error_memory(error);
    }
    for (struct intake_message *each = intake->first; each; each = each->next) {
        if (each->append.fd >= 0)
            flush->fds[flush->job.count++] = each->append.fd;
        each->append.fd = -1;
    }
    flush->job.fds = flush->fds;
    flush->job.directory_fd = intake->folder->box.cur_fd;
    flush->job.done = on_flushed;
    flush->first_uid = intake->first->uid;
    flush->last_uid = intake->last->uid;
    flush->flushed = flushed;
    flush->owner = owner;
    flush->intake = intake;
    flush->folder = folder_use(intake->folder);
    intake->flush = flush;
    flush_rounds_add(intake->folder->mailbox->flushes, &flush->job);
    return true;
}

void intake_format_code(const struct intake *intake, char code[INTAKE_CODE_SIZE])
{
    uint32_t uidvalidity = intake->folder->record.uidvalidity;
    if (intake->count == 1)
        snprintf(code, INTAKE_CODE_SIZE, "APPENDUID %u %u", uidvalidity, intake->first->uid);
    else /* all UIDs were given in one turn: consecutive */
        snprintf(code, INTAKE_CODE_SIZE, "APPENDUID %u %u:%u", uidvalidity, intake->first->uid,
                 intake->last->uid);
}

void intake_end(struct intake *intake)
{
    for (struct intake_message *message = intake->first; message; message = message->next) {
        end_encoding(message);
        maildir_append_abort(&message->append);
    }
    intake->first = NULL;
    if (intake->flush)
        intake->flush->intake = NULL;
    intake->flush = NULL;
    if (intake->folder)
        folder_close(intake->folder);
    intake->folder = NULL;
}
