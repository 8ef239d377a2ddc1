/* `staffetta export`; see export.h. */
#include "ctl/import/export.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "common/text/date.h"
#include "common/text/modified_utf7.h"
#include "ctl/import/imap_client.h"
#include "storage/folder_name.h"
#include "storage/folder_record.h"
#include "storage/text_file.h"

enum { NAMES_MAX = 1 << 24, LIST_MAX = 1 << 28, SLICE_MESSAGES = 50, PATH_SIZE = 600 };

struct export
{
    enum export_kind kind;
    struct imap_client client;
    int fd;                      /* the directory */
    struct buffer folders;       /* wire names, LF after each */
    struct buffer subscriptions; /* Dovecot's file */
    struct buffer uids;          /* of the folder: 4 octets each */
    uint32_t uidvalidity;
    uint64_t uid_next;
    char directory[MAILDIR_NAME_SIZE]; /* ".A.B", "." */
    int folder_fd;                     /* maildir: the folder; mbox: its file */
    struct buffer uidlist;
    struct folder_record record; /* its keywords alone */
    uint64_t messages;
};

/* ---- folders ---- */

/* LIST (...) "/" name */
static bool take_name(struct slice response, struct slice word, struct buffer *name)
{
    struct cursor in = cursor_of(response);
    struct imap_token token;
    if (!slice_equal_nocase(imap_take_token(&in).text, word))
        return false;
    imap_take_token(&in);
    while (token = imap_take_token(&in), token.kind == IMAP_ATOM)
        if (slice_equal_nocase(token.text, SLICE("\\Noselect"))
            || slice_equal_nocase(token.text, SLICE("\\NonExistent")))
            return false;
    imap_take_token(&in);
    imap_append_string(imap_take_token(&in), name);
    return name->len > 0;
}

static bool on_folder(void *owner, struct slice response, struct error *error)
{
    struct export *export = owner;
    struct buffer name = BUFFER_WITH_LIMIT(8192);
    (void)error;
    if (take_name(response, SLICE("LIST"), &name)) {
        buffer_append(&export->folders, buffer_slice(&name));
        buffer_append_octet(&export->folders, '\n');
    }
    buffer_clear(&name);
    return true;
}

/* Version 2 of Dovecot's file: HTAB between levels. */
static bool on_subscribed(void *owner, struct slice response, struct error *error)
{
    struct export *export = owner;
    struct buffer name = BUFFER_WITH_LIMIT(8192);
    (void)error;
    if (take_name(response, SLICE("LSUB"), &name)) {
        for (size_t i = 0; i < name.len; i++)
            buffer_append_octet(&export->subscriptions, name.ptr[i] == '/' ? '\t' : name.ptr[i]);
        buffer_append_octet(&export->subscriptions, '\n');
    }
    buffer_clear(&name);
    return true;
}

static bool list(struct export *export, struct error *error)
{
    buffer_append(&export->subscriptions, SLICE("V\t2\n\n"));
    return imap_client_command(&export->client, SLICE("LIST \"\" \"*\""), on_folder, export, error)
           && imap_client_command(&export->client, SLICE("LSUB \"\" \"*\""), on_subscribed, export,
                                  error)
           && ((!export->folders.failed && !export->subscriptions.failed) || error_memory(error));
}

/* ---- the output of one folder ---- */

static bool take_directory(struct export *export, struct slice wire, struct error *error)
{
    struct buffer name = BUFFER_WITH_LIMIT(8192);
    bool taken = modified_utf7_decode(wire, &name)
                 && folder_name_to_directory(buffer_slice(&name), export->directory, error);
    buffer_clear(&name);
    return taken;
}

static bool make_maildir(struct export *export, struct error *error)
{
    static const char *const parts[] = {"cur", "new", "tmp"};
    const char *directory = export->directory;
    if (mkdirat(export->fd, directory, 0700) != 0 && errno != EEXIST)
        return error_errno(error, "make %.200s", directory);
    export->folder_fd =
        openat(export->fd, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (export->folder_fd < 0)
        return error_errno(error, "open %.200s", directory);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (mkdirat(export->folder_fd, parts[i], 0700) != 0)
            return error_errno(error, "make %.200s/%s", directory, parts[i]);
    return strcmp(directory, ".") == 0
           || text_file_replace(export->folder_fd, "maildirfolder", SLICE(""), error);
}

/* INBOX.mbox, A.B.mbox */
static bool make_mbox(struct export *export, struct error *error)
{
    char name[PATH_SIZE];
    bool is_inbox = strcmp(export->directory, ".") == 0;
    snprintf(name, sizeof(name), "%s.mbox", is_inbox ? "INBOX" : export->directory + 1);
    export->folder_fd =
        openat(export->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return export->folder_fd >= 0 || error_errno(error, "make %.200s", name);
}

/* ---- messages ---- */

struct message {
    uint32_t uid;
    uint32_t flags; /* enum maildir_flag */
    uint32_t letters;
    struct date date;
    struct slice octets;
    bool has_octets;
};

static void take_flag(struct export *export, struct slice flag, struct message *message)
{
    static const struct {
        struct slice name;
        uint32_t bit;
    } known[] = {
        {SLICE("\\Draft"), MAILDIR_DRAFT},       {SLICE("\\Flagged"), MAILDIR_FLAGGED},
        {SLICE("\\Answered"), MAILDIR_ANSWERED}, {SLICE("\\Seen"), MAILDIR_SEEN},
        {SLICE("\\Deleted"), MAILDIR_TRASHED},
    };
    unsigned letter;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (slice_equal_nocase(flag, known[i].name))
            message->flags |= known[i].bit;
    if (flag.ptr[0] != '\\' && folder_record_add_keyword(&export->record, flag, &letter))
        message->letters |= UINT32_C(1) << letter;
}

/* n FETCH (UID u FLAGS (...) INTERNALDATE "..." BODY[] {...}) */
static bool take_message(struct export *export, struct slice response, struct message *message)
{
    struct cursor in = cursor_of(response);
    uint64_t number = 0;
    *message = (struct message){.uid = 0};
    if (!imap_enter_fetch(&in))
        return false;
    for (struct imap_token name; name = imap_take_token(&in), name.kind == IMAP_ATOM;) {
        struct imap_token value = imap_take_token(&in);
        if (slice_equal_nocase(name.text, SLICE("UID")) && slice_parse_number(value.text, &number))
            message->uid = (uint32_t)number;
        else if (slice_equal_nocase(name.text, SLICE("INTERNALDATE")))
            date_parse_internal(slice_trim(value.text), &message->date);
        else if (slice_starts_with_nocase(name.text, SLICE("BODY["))) {
            message->octets = value.text;
            message->has_octets = value.kind == IMAP_STRING;
        }
        while (value.kind == IMAP_OPEN
               || (value.kind == IMAP_ATOM && name.text.len == 5
                   && slice_equal_nocase(name.text, SLICE("FLAGS")))) {
            value = imap_take_token(&in);
            if (value.kind == IMAP_ATOM)
                take_flag(export, value.text, message);
        }
    }
    return message->uid != 0;
}

static bool write_file(int directory_fd, const char *name, const struct message *message,
                       struct error *error)
{
    struct timespec times[2] = {{.tv_sec = message->date.seconds},
                                {.tv_sec = message->date.seconds}};
    int fd = openat(directory_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(error, "make %.200s", name);
    bool written =
        fd_write_all(fd, message->octets, error)
        && (futimens(fd, times) == 0 || error_errno(error, "set the time of %.200s", name))
        && fd_close(&fd, error);
    fd_discard(&fd);
    return written;
}

static bool put_in_maildir(struct export *export, const struct message *message,
                           struct error *error)
{
    char base[MAILDIR_NAME_SIZE], name[MAILDIR_NAME_SIZE], path[PATH_SIZE];
    snprintf(base, sizeof(base), "%lld.M%uP%u.export,S=%zu,W=%zu",
             (long long)(message->date.seconds > 0 ? message->date.seconds : 0), message->uid,
             export->uidvalidity, message->octets.len, message->octets.len);
    const struct maildir_name wanted = {
        .key = slice_of_string(base), .flags = message->flags, .keywords = message->letters};
    if (!maildir_name_format(&wanted, name))
        return error_set(error, ERROR_PERMANENT, "name %.100s is too long", base);
    snprintf(path, sizeof(path), "cur/%s", name);
    buffer_append_format(&export->uidlist, "%u :%s\n", message->uid, base);
    return write_file(export->folder_fd, path, message, error);
}

/* mboxrd: ">" before each line of any number of ">" and "From "; LF; an empty line at the end. */
static void append_quoted(struct slice octets, struct buffer *text)
{
    while (octets.len > 0) {
        size_t lf = slice_find_octet(octets, '\n');
        struct slice line = slice_range(octets, 0, lf);
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        size_t quotes = 0;
        while (quotes < line.len && line.ptr[quotes] == '>')
            quotes++;
        if (slice_starts_with(slice_from(line, quotes), SLICE("From ")))
            buffer_append_octet(text, '>');
        buffer_append(text, line);
        buffer_append_octet(text, '\n');
        octets = slice_from(octets, lf + 1);
    }
    buffer_append_octet(text, '\n');
}

static void append_status(const struct export *export, const struct message *message,
                          struct buffer *text)
{
    buffer_append_format(
        text, "Status: %sO\nX-Status: %s%s%s%s\n", message->flags & MAILDIR_SEEN ? "R" : "",
        message->flags & MAILDIR_ANSWERED ? "A" : "", message->flags & MAILDIR_FLAGGED ? "F" : "",
        message->flags & MAILDIR_TRASHED ? "D" : "", message->flags & MAILDIR_DRAFT ? "T" : "");
    if (message->letters == 0)
        return;
    buffer_append(text, SLICE("X-Keywords:"));
    for (unsigned i = 0; i < FOLDER_KEYWORDS; i++)
        if (message->letters & UINT32_C(1) << i)
            buffer_append_format(text, " %s", export->record.keywords[i]);
    buffer_append_octet(text, '\n');
}

static bool put_in_mbox(struct export *export, const struct message *message, struct error *error)
{
    struct buffer text = BUFFER_WITH_LIMIT((size_t)1 << 31);
    struct tm tm;
    char date[64];
    time_t seconds = (time_t)message->date.seconds;
    if (!gmtime_r(&seconds, &tm) || strftime(date, sizeof(date), "%a %b %e %H:%M:%S %Y", &tm) == 0)
        return error_set(error, ERROR_PERMANENT, "UID %u: its date cannot be written",
                         message->uid);
    buffer_append_format(&text, "From MAILER-DAEMON %s\n", date);
    append_status(export, message, &text);
    append_quoted(message->octets, &text);
    bool put = text.failed ? error_memory(error)
                           : fd_write_all(export->folder_fd, buffer_slice(&text), error);
    buffer_clear(&text);
    return put;
}

static bool on_message(void *owner, struct slice response, struct error *error)
{
    struct export *export = owner;
    struct message message;
    if (!take_message(export, response, &message) || !message.has_octets)
        return true;
    export->messages++;
    return export->kind == EXPORT_MBOX ? put_in_mbox(export, &message, error)
                                       : put_in_maildir(export, &message, error);
}

static bool on_uid(void *owner, struct slice response, struct error *error)
{
    struct export *export = owner;
    struct message message;
    (void)error;
    if (take_message(export, response, &message))
        buffer_append(&export->uids, slice_of(&message.uid, sizeof(message.uid)));
    return true;
}

/* The answer to SELECT: OK [UIDVALIDITY n], OK [UIDNEXT n] */
static bool on_numbers(void *owner, struct slice response, struct error *error)
{
    struct export *export = owner;
    static const struct slice validity = SLICE("OK [UIDVALIDITY "), next = SLICE("OK [UIDNEXT ");
    struct cursor in = cursor_of(response);
    uint64_t number;
    (void)error;
    if (cursor_skip_nocase(&in, validity) && cursor_take_number(&in, &number))
        export->uidvalidity = (uint32_t)number;
    else if (cursor_skip_nocase(&in, next) && cursor_take_number(&in, &number))
        export->uid_next = number;
    return true;
}

/* ---- one folder ---- */

static bool fetch(struct export *export, struct error *error)
{
    const uint32_t *uids = (const uint32_t *)(const void *)export->uids.ptr;
    size_t count = export->uids.len / sizeof(*uids);
    bool fetched = true;
    for (size_t i = 0; fetched && i < count; i += SLICE_MESSAGES) {
        struct buffer command = BUFFER_WITH_LIMIT(4096);
        buffer_append(&command, SLICE("UID FETCH "));
        for (size_t j = i; j < count && j < i + SLICE_MESSAGES; j++)
            buffer_append_format(&command, j > i ? ",%u" : "%u", uids[j]);
        buffer_append(&command, SLICE(" (UID FLAGS INTERNALDATE BODY.PEEK[])"));
        fetched =
            imap_client_command(&export->client, buffer_slice(&command), on_message, export, error);
        buffer_clear(&command);
    }
    return fetched;
}

static bool write_dovecot_files(struct export *export, struct error *error)
{
    uint64_t random[2];
    struct buffer text = BUFFER_WITH_LIMIT(LIST_MAX);
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return error_errno(error, "get random octets");
    buffer_append_format(&text, "3 V%u N%llu G%016llx%016llx\n", export->uidvalidity,
                         (unsigned long long)export->uid_next, (unsigned long long)random[0],
                         (unsigned long long)random[1]);
    buffer_append(&text, buffer_slice(&export->uidlist));
    bool written =
        text.failed || export->uidlist.failed
            ? error_memory(error)
            : text_file_replace(export->folder_fd, "dovecot-uidlist", buffer_slice(&text), error);
    buffer_reset(&text);
    for (unsigned i = 0; i < FOLDER_KEYWORDS; i++)
        if (export->record.keywords[i][0] != '\0')
            buffer_append_format(&text, "%u %s\n", i, export->record.keywords[i]);
    if (written && text.len > 0)
        written =
            text_file_replace(export->folder_fd, "dovecot-keywords", buffer_slice(&text), error);
    buffer_clear(&text);
    return written;
}

static bool export_folder(struct export *export, struct slice wire, struct error *error)
{
    struct buffer command = BUFFER_WITH_LIMIT(8192);
    buffer_append(&command, SLICE("EXAMINE "));
    imap_append_quoted(wire, &command);
    buffer_reset(&export->uids);
    buffer_reset(&export->uidlist);
    export->record = (struct folder_record){.uidvalidity = 0};
    bool done =
        take_directory(export, wire, error)
        && imap_client_command(&export->client, buffer_slice(&command), on_numbers, export, error)
        && imap_client_command(&export->client, SLICE("UID FETCH 1:* (UID)"), on_uid, export, error)
        && (export->kind == EXPORT_MBOX ? make_mbox(export, error) : make_maildir(export, error))
        && fetch(export, error)
        && (export->kind == EXPORT_MBOX || write_dovecot_files(export, error));
    fd_discard(&export->folder_fd);
    buffer_clear(&command);
    return done;
}

static bool export_folders(struct export *export, struct error *error)
{
    struct slice rest = buffer_slice(&export->folders);
    while (rest.len > 0) {
        size_t end = slice_find_octet(rest, '\n');
        if (!export_folder(export, slice_range(rest, 0, end), error))
            return error_prefix(error, "%.*s", end < 100 ? (int)end : 100, (const char *)rest.ptr);
        rest = slice_from(rest, end + 1);
    }
    return export->kind == EXPORT_MBOX
           || text_file_replace(export->fd, "subscriptions", buffer_slice(&export->subscriptions),
                                error);
}

bool export_run(enum export_kind kind, int session, int directory_fd, struct error *error)
{
    struct export export = {.kind = kind,
                            .fd = directory_fd,
                            .folder_fd = -1,
                            .folders = BUFFER_WITH_LIMIT(NAMES_MAX),
                            .subscriptions = BUFFER_WITH_LIMIT(NAMES_MAX),
                            .uids = BUFFER_WITH_LIMIT(LIST_MAX),
                            .uidlist = BUFFER_WITH_LIMIT(LIST_MAX)};
    imap_client_init(&export.client);
    bool done = imap_client_take(&export.client, session, error) && list(&export, error)
                && export_folders(&export, error) && fd_sync_filesystem(directory_fd, error);
    if (done)
        printf("%llu messages\n", (unsigned long long)export.messages);
    imap_client_clear(&export.client);
    buffer_clear(&export.folders);
    buffer_clear(&export.subscriptions);
    buffer_clear(&export.uids);
    buffer_clear(&export.uidlist);
    return done;
}
