/*
 * The message of `staffetta sendmail` on disk, while the server does not run: a file in the state's
 * directory for that, which the master hands back to us later (drop.c). It is there whole or not at
 * all, and on disk before the caller is told so.
 *
 *   sender LF, a recipient LF each, LF, the message
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "common/text/address.h"
#include "ctl/sendmail/sendmail.h"

enum { PATH_ROOM = 4096, ENVELOPE_MAX = 64 << 20 };

static void format(const struct sendmail *mail, struct buffer *file)
{
    buffer_append(file, mail->sender);
    buffer_append_octet(file, '\n');
    for (size_t i = 0; i < mail->recipients.count; i++) {
        buffer_append(file, mail->recipients.items[i]);
        buffer_append_octet(file, '\n');
    }
    buffer_append_octet(file, '\n');
    buffer_append(file, buffer_slice(&mail->text));
}

/* The directory cannot be opened by who may not list it: syncfs() of the file is what brings its
 * name to disk. */
static bool write_file(const char *fresh, const char *whole, struct slice octets,
                       struct error *error)
{
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(error, "%s", fresh);
    bool written = fd_write_all(fd, octets, error)
                   && (fsync(fd) == 0 || error_errno(error, "flush %s", fresh))
                   && (rename(fresh, whole) == 0 || error_errno(error, "rename %s", fresh))
                   && (syncfs(fd) == 0 || error_errno(error, "flush %s", whole));
    fd_discard(&fd);
    if (!written) {
        unlink(fresh);
        unlink(whole);
    }
    return written;
}

bool sendmail_drop(const struct sendmail *mail, const char *state, struct error *error)
{
    uint64_t random[2];
    char fresh[PATH_ROOM], whole[PATH_ROOM];
    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        return error_errno(error, "random octets");
    int length = snprintf(fresh, sizeof(fresh), "%s/%s/t.%016" PRIx64 "%016" PRIx64, state,
                          SENDMAIL_DROP, random[0], random[1]);
    snprintf(whole, sizeof(whole), "%s/%s/m.%016" PRIx64 "%016" PRIx64, state, SENDMAIL_DROP,
             random[0], random[1]);
    if (length < 0 || (size_t)length >= sizeof(fresh))
        return error_set(error, ERROR_PERMANENT, "state: the path is too long");
    struct buffer file = BUFFER_WITH_LIMIT(mail->text.limit + ENVELOPE_MAX);
    format(mail, &file);
    bool dropped =
        file.failed ? error_memory(error) : write_file(fresh, whole, buffer_slice(&file), error);
    buffer_clear(&file);
    return dropped;
}

static bool take_line(struct slice *rest, struct slice *line)
{
    size_t end = slice_find_octet(*rest, '\n');
    bool found = end < rest->len;
    *line = slice_range(*rest, 0, end);
    *rest = slice_from(*rest, end + 1);
    return found;
}

bool sendmail_read_drop(struct sendmail *mail, struct slice file, struct error *error)
{
    struct slice line;
    struct address address;
    bool whole = take_line(&file, &line) && sendmail_set_sender(mail, line, error);
    while (whole && take_line(&file, &line) && line.len > 0)
        whole = address_parse_mailbox(line, &address, error)
                && sendmail_add_recipients(mail, line, error);
    if (!whole || line.len > 0 || mail->recipients.count == 0)
        return error_set(error, ERROR_PERMANENT, "no message of ours");
    buffer_append(&mail->text, file);
    return !mail->text.failed || error_memory(error);
}
