/* APPEND (RFC 3501 6.3.11, with APPENDUID of RFC 4315 3). The message goes from the connection to a
 * file in the folder's tmp/, whatever its size; what can be refused is refused before that. */
#include <stdio.h>
#include <unistd.h>

#include "common/config.h"
#include "imapd/commands/commands.h"
#include "imapd/folder_argument.h"
#include "imapd/mailbox.h"
#include "storage/maildir_store.h"

struct append_work {
    struct folder *folder;
    struct maildir_append append;
    struct imap_flags flags;
    int64_t internal_date;
    uint64_t octets;
};

static void give_back(struct session *session)
{
    struct append_work *work = session->work;
    maildir_append_abort(&work->append);
    if (work->folder)
        folder_close(work->folder);
}

/* append = "APPEND" SP mailbox [SP flag-list] [SP date-time] SP literal, up to the literal */
static bool parse(struct imap_parser *arguments, struct folder_argument *folder,
                  struct append_work *work)
{
    struct date date = {.seconds = mailbox_now()};
    uint8_t next = 0;
    if (!imap_parse_space(arguments) || !folder_argument_parse(arguments, folder)
        || !imap_parse_space(arguments))
        return false;
    cursor_peek(&arguments->in, &next);
    if (next == '('
        && (!imap_parse_flag_list(arguments, &work->flags) || !imap_parse_space(arguments)))
        return false;
    cursor_peek(&arguments->in, &next);
    if (next == '"' && (!imap_parse_date_time(arguments, &date) || !imap_parse_space(arguments)))
        return false;
    work->internal_date = date.seconds;
    return imap_parse_announcement(arguments, &work->octets);
}

static void begin(struct session *session, struct append_work *work, const char *directory)
{
    struct error error;
    if (!folder_open(session->mailbox, directory, &work->folder, &error)) {
        if (error.kind == ERROR_NOT_FOUND)
            session_no(session, SLICE("TRYCREATE"), "There is no such mailbox");
        else
            session_failed(session, &error, "The mailbox cannot be opened now");
    } else if (!mailbox_has_room(session->mailbox, work->octets, &error)) {
        session_failed(session, &error, "The mailbox is full");
    } else if (!maildir_append_begin(&work->append, &work->folder->box, &error)) {
        session_failed(session, &error, "The message cannot be stored now");
    } else {
        session_stream_literal(session);
    }
}

/* The mailbox may come as a literal, too. */
static bool is_name(struct imap_parser arguments)
{
    uint64_t octets;
    return imap_parse_space(&arguments) && imap_parse_announcement(&arguments, &octets);
}

bool command_append_literal(struct session *session, struct imap_parser *arguments)
{
    struct folder_argument folder;
    if (session->work) {
        session_bad(session, "Expected one message, not several");
        return true;
    }
    if (is_name(*arguments))
        return false;
    struct append_work *work = session_alloc(session, sizeof(*work));
    if (!work)
        return true;
    work->append = MAILDIR_APPEND_NONE;
    bool parsed = parse(arguments, &folder, work);
    session->work = work;
    session->on_end = give_back;
    if (!parsed)
        session_bad_arguments(session, arguments);
    else if (folder.problem)
        session_no(session, SLICE("CANNOT"), folder.problem);
    else if (work->octets == 0)
        session_no(session, SLICE("CANNOT"), "A message is not empty");
    else if (work->octets > session->mailbox->config->limits.message_size_octets)
        session_no(session, SLICE("TOOBIG"), "The message is larger than limits.message-size");
    else
        begin(session, work, folder.directory);
    return true;
}

/* "*CHAR8": any octet but NUL (RFC 3501 9, literal). */
void command_append_octets(struct session *session, struct slice octets)
{
    struct append_work *work = session->work;
    struct error error;
    if (slice_find_octet(octets, 0) < octets.len)
        session_bad(session, "A message cannot contain NUL");
    else if (!maildir_append_write(&work->append, octets, &error))
        session_failed(session, &error, "The message cannot be stored now");
}

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

/* On disk, file and directory, when it returns true. */
static bool store(struct session *session, struct append_work *work, uint32_t *uid,
                  struct error *error)
{
    struct mailbox *mailbox = session->mailbox;
    struct folder *folder = work->folder;
    struct maildir_name wanted = {.uidvalidity = folder->record.uidvalidity,
                                  .flags = work->flags.flags};
    struct maildir_flush flush = MAILDIR_FLUSH_START(&mailbox->file_system);
    struct maildir_append_as as = {.wanted = &wanted,
                                   .internal_date = work->internal_date,
                                   .host = slice_of_string(mailbox->config->hostname),
                                   .now = mailbox_now()};
    char name[MAILDIR_NAME_SIZE];
    if (!find_letters(folder, &work->flags, &wanted.keywords, error)
        || !folder_next_uid(folder, &wanted.uid, error)
        || !maildir_append_commit(&work->append, &as, name, error))
        return false;
    if (!maildir_flush_commit(&flush, &folder->box, NULL, error)) {
        unlinkat(folder->box.cur_fd, name, 0); /* the client is told that it is not there */
        return false;
    }
    mailbox_count_quota(mailbox, (int64_t)work->octets, 1);
    *uid = wanted.uid;
    return folder_add(folder, wanted.uid, name, error);
}

/* Behind the message. */
static void finish(struct session *session, struct append_work *work)
{
    struct error error;
    char code[64];
    uint32_t uid;
    if (work->folder->deleted) {
        session_no(session, SLICE("TRYCREATE"), "The mailbox was deleted meanwhile");
    } else if (!store(session, work, &uid, &error)) {
        session_failed(session, &error, "The message cannot be stored now");
    } else {
        snprintf(code, sizeof(code), "APPENDUID %u %u", work->folder->record.uidvalidity, uid);
        session_ok(session, slice_of_string(code), "Appended");
    }
}

void command_append(struct session *session, struct imap_parser *arguments)
{
    struct append_work *work = session->work;
    struct append_work unused = {.folder = NULL};
    struct folder_argument folder;
    if (!work) { /* no literal, or none at the end of a line */
        parse(arguments, &folder, &unused);
        session_bad_arguments(session, arguments);
    } else if (!imap_parse_end(arguments)) {
        session_bad_arguments(session, arguments);
    } else {
        finish(session, work);
    }
}
