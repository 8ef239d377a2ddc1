/* `staffetta import ACCOUNT maildir DIRECTORY` and `mbox FILE`: from files, opened
 * read-only. See import.h. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "common/text/date.h"
#include "common/text/printable.h"
#include "ctl/import/import.h"
#include "storage/directory.h"
#include "storage/folder_name.h"
#include "storage/folders.h"
#include "storage/foreign/adopt.h"
#include "storage/foreign/foreign_keywords.h"
#include "storage/foreign/foreign_names.h"
#include "storage/foreign/foreign_subscriptions.h"
#include "storage/foreign/foreign_uids.h"
#include "storage/maildir_name.h"
#include "storage/text_file.h"

enum { MESSAGE_OCTETS_MAX = 1 << 30, PLACES = 2 };

static void close_nothing(struct import_source *source)
{
    (void)source;
}

static bool open_nothing(struct import_source *source, struct error *error)
{
    (void)source;
    (void)error;
    return true;
}

/* ---- Maildir ---- */

/* File and folder names may contain any octets. */
static bool refuse_folder(const char *directory, struct error *error)
{
    struct buffer text = BUFFER_WITH_LIMIT(4 * MAILDIR_NAME_SIZE);
    printable_append(slice_of_string(directory), &text);
    error_set(error, ERROR_PERMANENT, "%.*s: no mailbox can have that name: rename the folder",
              SLICE_PRINTF(buffer_slice(&text)));
    buffer_clear(&text);
    return false;
}

/* A folder whose name is impossible here is an error: it would otherwise be skipped silently. */
static bool add_folder(struct import_folders *folders, const char *directory,
                       const struct subscriptions *subscriptions, struct error *error)
{
    struct buffer name = BUFFER_WITH_LIMIT(SUBSCRIPTIONS_NAME_MAX);
    struct slice from = slice_of_string(directory);
    bool added =
        foreign_name_of(from, &name) && !name.failed
            ? import_add_folder(folders, from, buffer_slice(&name),
                                subscriptions_has(subscriptions, buffer_slice(&name)), error)
            : refuse_folder(directory, error);
    buffer_clear(&name);
    return added;
}

static bool list_maildir(struct import_source *source, struct import_folders *folders,
                         struct error *error)
{
    struct folder_list list;
    struct subscriptions subscriptions;
    struct foreign_subscriptions found;
    folder_list_init(&list);
    subscriptions_init(&subscriptions);
    bool listed = folders_list(source->fd, &list, error);
    if (listed && !subscriptions_load(source->fd, &subscriptions, NULL))
        listed = foreign_subscriptions_load(source->fd, &subscriptions, &found, error);
    for (size_t i = 0; listed && i < list.count; i++)
        listed = add_folder(folders, list.entries[i].directory, &subscriptions, error);
    subscriptions_clear(&subscriptions);
    folder_list_clear(&list);
    return listed;
}

struct found {
    const char *name;
    uint32_t uid; /* 0: none is known */
    unsigned place;
};

struct maildir_reading {
    struct import_target *target;
    int places[PLACES]; /* cur/, new/; -1: missing */
    unsigned place;     /* while they are read */
    struct folder_record record;
    struct foreign_keywords keywords;
    struct buffer list; /* owns what `uids` borrows */
    struct foreign_uids uids;
    struct arena names;
    struct found *found;
    size_t count;
};

static void append_flag(struct buffer *flags, const char *flag)
{
    imap_append_flag(slice_of_string(flag), flags);
}

static void append_flags(const struct maildir_reading *reading, const struct maildir_name *name,
                         struct buffer *flags)
{
    static const struct {
        uint32_t bit;
        const char *flag;
    } known[] = {
        {MAILDIR_DRAFT, "\\Draft"},       {MAILDIR_FLAGGED, "\\Flagged"},
        {MAILDIR_ANSWERED, "\\Answered"}, {MAILDIR_SEEN, "\\Seen"},
        {MAILDIR_TRASHED, "\\Deleted"},
    };
    uint32_t letters = name->keywords | foreign_keywords_of(&reading->keywords, name->key);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (name->flags & known[i].bit)
            append_flag(flags, known[i].flag);
    if (name->flags & MAILDIR_PASSED || letters & reading->keywords.forwarded)
        append_flag(flags, "$Forwarded");
    for (unsigned i = 0; i < FOLDER_KEYWORDS; i++)
        if (letters & ~reading->keywords.forwarded & UINT32_C(1) << i
            && reading->record.keywords[i][0] != '\0')
            append_flag(flags, reading->record.keywords[i]);
}

static bool read_file(int directory_fd, const char *name, struct buffer *octets,
                      struct stat *status, struct error *error)
{
    int fd = openat(directory_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, status) != 0) {
        error_errno(error, "open %.200s", name);
        fd_discard(&fd);
        return false;
    }
    bool read_well = S_ISREG(status->st_mode) ? fd_read_all(fd, octets, error)
                                              : error_set(error, ERROR_PERMANENT, "no file");
    fd_discard(&fd);
    return read_well;
}

static void say(const char *text)
{
    struct buffer line = BUFFER_WITH_LIMIT(4096);
    printable_append(slice_of_string(text), &line);
    fprintf(stderr, "%.*s\n", SLICE_PRINTF(buffer_slice(&line)));
    buffer_clear(&line);
}

static uint64_t octets_with_crlf(struct slice octets)
{
    uint64_t count = octets.len;
    for (size_t i = 0; i < octets.len; i++)
        count += octets.ptr[i] == '\n' && (i == 0 || octets.ptr[i - 1] != '\r');
    return count;
}

static bool bring(struct maildir_reading *reading, const struct found *found, struct error *error)
{
    struct maildir_name name;
    struct buffer octets = BUFFER_WITH_LIMIT(MESSAGE_OCTETS_MAX);
    struct buffer flags = BUFFER_WITH_LIMIT(1 << 16);
    struct stat status;
    bool put = true;
    if (!maildir_name_parse(slice_of_string(found->name), &name))
        return true;
    if (!read_file(reading->places[found->place], found->name, &octets, &status, error)) {
        atomic_fetch_add(&reading->target->progress->refused, 1);
        say(error->text);
    } else if (import_wants(reading->target, status.st_mtim.tv_sec, buffer_slice(&octets),
                            octets_with_crlf(buffer_slice(&octets)))) {
        append_flags(reading, &name, &flags);
        struct import_message message = {buffer_slice(&flags), status.st_mtim.tv_sec,
                                         buffer_slice(&octets)};
        put = import_put(reading->target, &message, error);
    }
    buffer_clear(&octets);
    buffer_clear(&flags);
    return put;
}

/* ---- order: by UID; then those without, by name, which is delivery order ---- */

static uint32_t uid_of(const struct maildir_reading *reading, const struct maildir_name *name)
{
    const struct foreign_uid *known = foreign_uids_find(&reading->uids, name->key);
    if (known)
        return known->uid;
    return name->uidvalidity == reading->record.uidvalidity ? name->uid : 0;
}

static bool on_file(void *owner, const char *text, unsigned char type, struct error *error)
{
    struct maildir_reading *reading = owner;
    struct maildir_name name;
    if ((type != DT_REG && type != DT_UNKNOWN) || !maildir_name_parse(slice_of_string(text), &name))
        return true;
    if ((reading->count & (reading->count - 1)) == 0) {
        struct found *grown =
            reallocarray(reading->found, reading->count * 2 + 1, sizeof(*reading->found));
        if (!grown)
            return error_memory(error);
        reading->found = grown;
    }
    const char *copy = arena_copy_string(&reading->names, slice_of_string(text));
    if (!copy)
        return error_memory(error);
    reading->found[reading->count++] = (struct found){copy, uid_of(reading, &name), reading->place};
    return true;
}

static int compare(const void *left, const void *right)
{
    const struct found *a = left, *b = right;
    if (a->uid != b->uid) /* those without come last */
        return (a->uid - 1 > b->uid - 1) - (a->uid - 1 < b->uid - 1);
    return strcmp(a->name, b->name);
}

static bool find_files(struct maildir_reading *reading, int folder_fd, struct error *error)
{
    static const char *const places[PLACES] = {"cur", "new"};
    bool done = true;
    for (reading->place = 0; done && reading->place < PLACES; reading->place++) {
        int fd = openat(folder_fd, places[reading->place],
                        O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        reading->places[reading->place] = fd;
        done = fd < 0 || directory_read(fd, on_file, reading, error);
    }
    if (reading->count > 0)
        qsort(reading->found, reading->count, sizeof(*reading->found), compare);
    return done;
}

/* Our record, or another server's UIDs and keywords; malformed entries are left out. */
static bool find_numbers(struct maildir_reading *reading, int folder_fd, struct error *error)
{
    if (folder_record_load(folder_fd, &reading->record, NULL))
        return true;
    if (text_file_load(folder_fd, ADOPT_DOVECOT_UIDS, &reading->list, NULL)
        || text_file_load(folder_fd, ADOPT_COURIER_UIDS, &reading->list, NULL))
        foreign_uids_parse(buffer_slice(&reading->list), &reading->uids, NULL);
    return foreign_keywords_load(&reading->keywords, folder_fd, error);
}

static bool read_maildir(struct import_source *source, struct import_target *target,
                         struct error *error)
{
    struct maildir_reading reading = {
        .target = target, .places = {-1, -1}, .list = BUFFER_WITH_LIMIT(FOREIGN_UIDS_OCTETS_MAX)};
    int fd =
        openat(source->fd, target->folder->from, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_errno(error, "open %.200s", target->folder->from);
    arena_init(&reading.names, IMPORT_MEMORY);
    foreign_keywords_init(&reading.keywords, &reading.record);
    bool done = find_numbers(&reading, fd, error) && find_files(&reading, fd, error);
    for (size_t i = 0; done && i < reading.count; i++)
        done = bring(&reading, &reading.found[i], error);
    foreign_keywords_clear(&reading.keywords);
    foreign_uids_clear(&reading.uids);
    buffer_clear(&reading.list);
    arena_clear(&reading.names);
    free(reading.found);
    for (size_t i = 0; i < PLACES; i++)
        fd_discard(&reading.places[i]);
    fd_discard(&fd);
    return done;
}

const struct import_source import_from_maildir = {.open = open_nothing,
                                                  .close = close_nothing,
                                                  .list = list_maildir,
                                                  .read = read_maildir,
                                                  .fd = -1};

/* ---- mbox: "From " lines before each message, ">From " inside (mboxrd) ---- */

static bool list_mbox(struct import_source *source, struct import_folders *folders,
                      struct error *error)
{
    return import_add_folder(folders, SLICE(""), slice_of_string(source->path), false, error);
}

struct mbox_message {
    struct buffer octets;
    struct buffer flags;
    struct date date;
    bool has_date;
    bool in_header;
    bool begun;
};

/* "From " address SP asctime-date */
static void begin_message(struct mbox_message *message, const char *line)
{
    struct tm tm = {.tm_year = 0};
    const char *date = strchr(line + 5, ' ');
    while (date && *date == ' ')
        date++;
    buffer_reset(&message->octets);
    buffer_reset(&message->flags);
    message->has_date = date && strptime(date, "%a %b %d %H:%M:%S %Y", &tm);
    message->date = (struct date){.seconds = message->has_date ? timegm(&tm) : 0};
    message->in_header = message->begun = true;
}

/* Flags stored by mail readers in fields of their own. False: another field. */
static bool take_status(struct mbox_message *message, struct slice line)
{
    static const struct {
        struct slice field;
        char letter;
        const char *flag;
    } known[] = {
        {SLICE("Status:"), 'R', "\\Seen"},      {SLICE("X-Status:"), 'A', "\\Answered"},
        {SLICE("X-Status:"), 'F', "\\Flagged"}, {SLICE("X-Status:"), 'D', "\\Deleted"},
        {SLICE("X-Status:"), 'T', "\\Draft"},
    };
    static const struct slice keywords = SLICE("X-Keywords:");
    bool taken = false;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (!slice_starts_with_nocase(line, known[i].field))
            continue;
        taken = true;
        struct slice body = slice_from(line, known[i].field.len);
        if (slice_find_octet(body, (uint8_t)known[i].letter) < body.len)
            append_flag(&message->flags, known[i].flag);
    }
    if (!slice_starts_with_nocase(line, keywords))
        return taken || slice_starts_with_nocase(line, SLICE("X-UID:"))
               || slice_starts_with_nocase(line, SLICE("X-IMAP"));
    struct slice body = slice_trim(slice_from(line, keywords.len));
    while (body.len > 0 && slice_find_octet(body, '"') == body.len
           && slice_find_octet(body, '(') == body.len && message->flags.len < 900) {
        size_t end = slice_find_octet(body, ' ');
        imap_append_flag(slice_trim(slice_range(body, 0, end)), &message->flags);
        body = slice_from(body, end + 1);
    }
    return true;
}

static void add_line(struct mbox_message *message, struct slice line)
{
    size_t quotes = 0;
    while (quotes < line.len && line.ptr[quotes] == '>')
        quotes++;
    if (quotes > 0 && slice_starts_with(slice_from(line, quotes), SLICE("From ")))
        line = slice_from(line, 1);
    struct slice bare = slice_trim(line);
    bool is_end = message->in_header && (bare.len == 0 || (bare.len == 1 && bare.ptr[0] <= ' '));
    if (is_end)
        message->in_header = false;
    if (message->in_header
        && take_status(message, slice_range(line, 0, slice_find_octet(line, '\n'))))
        return;
    buffer_append(&message->octets, line);
}

/* The empty line before the next "From " is not part of the message. */
static bool end_message(struct import_target *target, struct mbox_message *message,
                        time_t file_date, struct error *error)
{
    struct slice octets = buffer_slice(&message->octets);
    if (!message->begun)
        return true;
    if (slice_ends_with(octets, SLICE("\n\n")))
        octets.len--;
    else if (slice_ends_with(octets, SLICE("\n\r\n")))
        octets.len -= 2;
    int64_t date = message->has_date ? message->date.seconds : file_date;
    if (message->octets.failed)
        return error_memory(error);
    if (!import_wants(target, date, octets, octets_with_crlf(octets)))
        return true;
    struct import_message whole = {buffer_slice(&message->flags), date, octets};
    return import_put(target, &whole, error);
}

static bool read_lines(FILE *file, struct import_target *target, struct mbox_message *message,
                       time_t file_date, struct error *error)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    bool after_empty = true, well = true;
    while (well && (length = getline(&line, &size, file)) >= 0) {
        struct slice text = slice_of(line, (size_t)length);
        bool begins = after_empty && slice_starts_with(text, SLICE("From "));
        after_empty = slice_equal(text, SLICE("\n")) || slice_equal(text, SLICE("\r\n"));
        if (begins) {
            well = end_message(target, message, file_date, error);
            begin_message(message, line);
        } else if (message->begun) {
            add_line(message, text);
        } else if (!after_empty) {
            well = error_set(error, ERROR_PERMANENT, "it does not begin with \"From \": no mbox");
        }
    }
    free(line);
    if (well && ferror(file))
        return error_errno(error, "read");
    return well && end_message(target, message, file_date, error);
}

static bool read_mbox(struct import_source *source, struct import_target *target,
                      struct error *error)
{
    struct mbox_message message = {.octets = BUFFER_WITH_LIMIT(MESSAGE_OCTETS_MAX),
                                   .flags = BUFFER_WITH_LIMIT(1 << 16)};
    struct stat status;
    int fd = fcntl(source->fd, F_DUPFD_CLOEXEC, 0);
    FILE *file = fd >= 0 && fstat(fd, &status) == 0 ? fdopen(fd, "r") : NULL;
    if (!file) {
        error_errno(error, "read the mbox");
        fd_discard(&fd);
        return false;
    }
    bool done = read_lines(file, target, &message, status.st_mtim.tv_sec, error);
    fclose(file);
    buffer_clear(&message.octets);
    buffer_clear(&message.flags);
    return done;
}

const struct import_source import_from_mbox = {
    .open = open_nothing, .close = close_nothing, .list = list_mbox, .read = read_mbox, .fd = -1};
