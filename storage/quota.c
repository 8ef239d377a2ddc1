/* Maildir++ quota; see quota.h. */
#include "storage/quota.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/disk/fd.h"
#include "common/text/cursor.h"
#include "storage/folders.h"
#include "storage/maildir_scan.h"
#include "storage/text_file.h"

#define FILE_NAME "maildirsize"

enum { LINE_MAX_OCTETS = 64, LOAD_MAX = 1 << 20 };

/* A name can contain any number. A larger size is ignored, so that the sum of eight million names
 * fits an int64_t. */
#define BELIEVED_OCTETS_MAX (UINT64_C(1) << 40)

/* ---- the text ---- */

/* limit = number ("S" / "C"); other letters are other programs' and mean nothing to us */
static bool take_limit(struct cursor *in, struct quota_limits *limits)
{
    uint64_t number;
    uint8_t letter;
    if (!cursor_take_number(in, &number) || !cursor_peek(in, &letter) || !ascii_is_alpha(letter))
        return false;
    in->at++;
    if (letter == 'S')
        limits->octets = number;
    if (letter == 'C')
        limits->messages = number;
    return true;
}

/* first-line = [limit *("," limit)] LF */
static bool take_limits(struct cursor *in, struct quota_limits *limits)
{
    *limits = (struct quota_limits){0, 0};
    if (cursor_skip(in, '\n'))
        return true;
    do {
        if (!take_limit(in, limits))
            return false;
    } while (cursor_skip(in, ','));
    return cursor_skip(in, '\n');
}

static bool take_signed(struct cursor *in, int64_t *value)
{
    bool negative = cursor_skip(in, '-');
    uint64_t number;
    if (!cursor_take_number(in, &number) || number > INT64_MAX)
        return false;
    *value = negative ? -(int64_t)number : (int64_t)number;
    return true;
}

static void skip_spaces(struct cursor *in)
{
    while (cursor_skip(in, ' '))
        ;
}

/* change = *SP octets 1*SP messages *SP LF */
static bool take_change(struct cursor *in, struct quota_usage *usage)
{
    int64_t octets, messages;
    skip_spaces(in);
    if (!take_signed(in, &octets) || !cursor_skip(in, ' '))
        return false;
    skip_spaces(in);
    if (!take_signed(in, &messages))
        return false;
    skip_spaces(in);
    return cursor_skip(in, '\n') && !__builtin_add_overflow(usage->octets, octets, &usage->octets)
           && !__builtin_add_overflow(usage->messages, messages, &usage->messages);
}

bool quota_parse(struct slice text, struct quota_limits *limits, struct quota_usage *usage)
{
    struct cursor in = cursor_of(text);
    *usage = (struct quota_usage){0, 0};
    if (!take_limits(&in, limits))
        return false;
    while (!cursor_at_end(&in))
        if (!take_change(&in, usage))
            return false;
    if (usage->octets < 0)
        usage->octets = 0;
    if (usage->messages < 0)
        usage->messages = 0;
    return true;
}

static void format_file(const struct quota_limits *limits, const struct quota_usage *usage,
                        struct buffer *text)
{
    if (limits->octets > 0)
        buffer_append_format(text, "%lluS", (unsigned long long)limits->octets);
    if (limits->octets > 0 && limits->messages > 0)
        buffer_append_octet(text, ',');
    if (limits->messages > 0)
        buffer_append_format(text, "%lluC", (unsigned long long)limits->messages);
    buffer_append_format(text, "\n%lld %lld\n", (long long)usage->octets,
                         (long long)usage->messages);
}

/* ---- counting ---- */

uint64_t quota_octets_of(const struct maildir *box, enum maildir_place place, const char *name)
{
    struct maildir_name parsed;
    struct stat status;
    if (maildir_name_parse(slice_of_string(name), &parsed) && parsed.octets > 0
        && parsed.octets <= BELIEVED_OCTETS_MAX)
        return parsed.octets;
    if (fstatat(maildir_place_fd(box, place), name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return 0;
    return (uint64_t)status.st_size;
}

bool quota_count_folder(int account_fd, const char *directory, struct quota_usage *usage,
                        struct error *error)
{
    struct maildir box;
    struct maildir_list list;
    if (!maildir_open(account_fd, directory, &box, error))
        return false;
    maildir_list_init(&list);
    bool counted = maildir_scan(&box, &list, error);
    for (size_t i = 0; counted && i < list.count; i++) {
        uint64_t octets = quota_octets_of(&box, list.entries[i].place, list.entries[i].name);
        usage->messages++;
        /* A name can lie about any size; the sum stays a number. */
        if (__builtin_add_overflow(usage->octets, octets, &usage->octets))
            usage->octets = INT64_MAX;
    }
    maildir_list_clear(&list);
    maildir_close(&box);
    return counted;
}

static bool count_account(int account_fd, struct quota_usage *usage, struct error *error)
{
    struct folder_list folders;
    *usage = (struct quota_usage){0, 0};
    folder_list_init(&folders);
    bool counted = folders_list(account_fd, &folders, error);
    for (size_t i = 0; counted && i < folders.count; i++)
        counted = quota_count_folder(account_fd, folders.entries[i].directory, usage, error);
    folder_list_clear(&folders);
    return counted;
}

/* Not flushed: after a power cut the file is counted anew. */
static bool replace_file(const struct maildir *inbox, struct slice text, struct error *error)
{
    uint64_t random;
    char name[64];
    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return error_errno(error, "get random octets");
    snprintf(name, sizeof(name), FILE_NAME ".%016llx", (unsigned long long)random);
    int fd = openat(inbox->tmp_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(error, "create tmp/%s", name);
    bool written = fd_write_all(fd, text, error) && fd_close(&fd, error);
    fd_discard(&fd);
    if (written && renameat(inbox->tmp_fd, name, inbox->fd, FILE_NAME) != 0)
        written = error_errno(error, "rename to " FILE_NAME);
    if (!written)
        unlinkat(inbox->tmp_fd, name, 0);
    return written;
}

bool quota_recount(const struct maildir *inbox, const struct quota_limits *limits,
                   struct quota_usage *usage, struct error *error)
{
    struct buffer text = BUFFER_WITH_LIMIT(QUOTA_FILE_MAX);
    bool done = count_account(inbox->fd, usage, error);
    if (done) {
        format_file(limits, usage, &text);
        done = text.failed ? error_memory(error) : replace_file(inbox, buffer_slice(&text), error);
    }
    buffer_clear(&text);
    return done || error_prefix(error, "count the mail for the quota");
}

/* ---- asking and adding ---- */

bool quota_has_room(const struct quota_limits *limits, const struct quota_usage *usage,
                    uint64_t octets)
{
    uint64_t after;
    if (limits->messages > 0 && (uint64_t)usage->messages >= limits->messages)
        return false;
    return limits->octets == 0
           || ((uint64_t)usage->octets < limits->octets
               && !__builtin_add_overflow((uint64_t)usage->octets, octets, &after)
               && after <= limits->octets);
}

/* False: the file cannot be used as it is. */
static bool read_file(const struct maildir *inbox, const struct quota_limits *limits,
                      struct quota_usage *usage)
{
    struct buffer text = BUFFER_WITH_LIMIT(LOAD_MAX);
    struct quota_limits written;
    bool usable = text_file_load(inbox->fd, FILE_NAME, &text, NULL) && text.len <= QUOTA_FILE_MAX
                  && quota_parse(buffer_slice(&text), &written, usage)
                  && written.octets == limits->octets && written.messages == limits->messages;
    buffer_clear(&text);
    return usable;
}

bool quota_load(const struct maildir *inbox, const struct quota_limits *limits,
                struct quota_usage *usage, struct error *error)
{
    return read_file(inbox, limits, usage) || quota_recount(inbox, limits, usage, error);
}

static bool is_stale(const struct maildir *inbox, int64_t now)
{
    struct stat status;
    return fstatat(inbox->fd, FILE_NAME, &status, AT_SYMLINK_NOFOLLOW) != 0
           || now - status.st_mtim.tv_sec >= QUOTA_STALE_SECONDS;
}

bool quota_check(const struct maildir *inbox, const struct quota_limits *limits, int64_t now,
                 uint64_t octets, struct quota_usage *usage, bool *fits, struct error *error)
{
    if (!quota_load(inbox, limits, usage, error))
        return false;
    *fits = quota_has_room(limits, usage, octets);
    if (*fits || !is_stale(inbox, now))
        return true;
    if (!quota_recount(inbox, limits, usage, error))
        return false;
    *fits = quota_has_room(limits, usage, octets);
    return true;
}

bool quota_add(const struct maildir *inbox, int64_t octets, int64_t messages, struct error *error)
{
    char line[LINE_MAX_OCTETS];
    int fd =
        openat(inbox->fd, FILE_NAME, O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || error_errno(error, "open " FILE_NAME);
    int length =
        snprintf(line, sizeof(line), "%lld %lld\n", (long long)octets, (long long)messages);
    bool added = fd_write_all(fd, slice_of(line, (size_t)length), error) && fd_close(&fd, error);
    fd_discard(&fd);
    return added || error_prefix(error, FILE_NAME);
}
