/* The annotations of annotations.h. */
#include "storage/annotations.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mime/token.h"
#include "common/text/cursor.h"
#include "storage/expunged.h"
#include "storage/folders.h"
#include "storage/text_file.h"

#define FIRST_LINE "staffetta-metadata 1\n"
#define LAST_LINE "end\n"

enum {
    FRAME_OCTETS = sizeof(FIRST_LINE LAST_LINE), /* what a file has beside its annotations */
    PATH_SIZE = 512,
};

void annotations_init(struct annotations *annotations, size_t limit)
{
    buffer_init(&annotations->text, limit);
}

void annotations_clear(struct annotations *annotations)
{
    buffer_clear(&annotations->text);
}

/* ---- one entry ---- */

static bool is_entry(struct slice entry)
{
    for (size_t i = 0; i < entry.len; i++)
        if (entry.ptr[i] <= ' ' || entry.ptr[i] > '~')
            return false;
    return entry.len > 0 && entry.ptr[0] == '/';
}

/* entry SP octets LF value LF. False: it is no such thing. */
static bool take_annotation(struct cursor *in, struct annotation *annotation)
{
    struct slice rest = cursor_rest(in);
    uint64_t octets;
    annotation->entry = slice_range(rest, 0, slice_find_octet(rest, ' '));
    struct cursor next = cursor_of(slice_from(rest, annotation->entry.len));
    if (!is_entry(annotation->entry) || !cursor_skip(&next, ' ')
        || !cursor_take_number(&next, &octets) || !cursor_skip(&next, '\n')
        || octets >= cursor_left(&next))
        return false;
    annotation->value = slice_range(cursor_rest(&next), 0, (size_t)octets);
    next.at += octets;
    if (!cursor_skip(&next, '\n'))
        return false;
    *in = next;
    return true;
}

static void append_annotation(struct buffer *text, struct slice entry, struct slice value)
{
    buffer_append(text, entry);
    buffer_append_octet(text, ' ');
    buffer_append_number(text, value.len);
    buffer_append_octet(text, '\n');
    buffer_append(text, value);
    buffer_append_octet(text, '\n');
}

bool annotations_next(struct slice *rest, struct annotation *annotation)
{
    struct cursor in = cursor_of(*rest);
    if (!take_annotation(&in, annotation))
        return false;
    *rest = cursor_rest(&in);
    return true;
}

/* ---- all of them ---- */

bool annotations_find(const struct annotations *annotations, struct slice entry,
                      struct slice *value)
{
    struct slice rest = buffer_slice(&annotations->text);
    struct annotation one;
    while (annotations_next(&rest, &one)) {
        if (!slice_equal(one.entry, entry))
            continue;
        *value = one.value;
        return true;
    }
    return false;
}

size_t annotations_count(const struct annotations *annotations)
{
    struct slice rest = buffer_slice(&annotations->text);
    struct annotation one;
    size_t count = 0;
    while (annotations_next(&rest, &one))
        count++;
    return count;
}

bool annotations_set(struct annotations *annotations, struct slice entry, struct slice value)
{
    struct buffer changed = BUFFER_WITH_LIMIT(annotations->text.limit);
    struct slice rest = buffer_slice(&annotations->text);
    struct annotation one;
    while (annotations_next(&rest, &one))
        if (!slice_equal(one.entry, entry))
            append_annotation(&changed, one.entry, one.value);
    if (value.ptr)
        append_annotation(&changed, entry, value);
    if (changed.failed) {
        buffer_clear(&changed);
        return false;
    }
    buffer_clear(&annotations->text);
    annotations->text = changed;
    return true;
}

/* ---- other accounts ---- */

#define PRIVATE SLICE("/private")

/* "/private:bob@example.org" */
static void append_owner(struct slice account, struct buffer *kept)
{
    static const struct slice plain = SLICE("@.-_+=");
    buffer_append(kept, PRIVATE);
    buffer_append_octet(kept, ':');
    for (size_t i = 0; i < account.len; i++) {
        uint8_t octet = account.ptr[i];
        if (ascii_is_alpha(octet) || ascii_is_digit(octet)
            || slice_find_octet(plain, octet) < plain.len)
            buffer_append_octet(kept, octet);
        else
            buffer_append_format(kept, "%%%02x", octet);
    }
}

static bool is_below(struct slice entry, struct slice top)
{
    return slice_starts_with(entry, top) && entry.len > top.len && entry.ptr[top.len] == '/';
}

void annotations_append_kept(struct slice account, struct slice entry, struct buffer *kept)
{
    if (is_below(entry, PRIVATE)) {
        append_owner(account, kept);
        entry = slice_from(entry, PRIVATE.len);
    }
    buffer_append(kept, entry);
}

bool annotations_see(const struct annotations *annotations, struct slice account,
                     struct annotations *seen)
{
    struct buffer top = BUFFER_WITH_LIMIT(PATH_SIZE * 3);
    struct buffer entry = BUFFER_WITH_LIMIT(annotations->text.limit);
    struct slice rest = buffer_slice(&annotations->text);
    struct annotation one;
    append_owner(account, &top);
    while (annotations_next(&rest, &one)) {
        bool is_own = is_below(one.entry, buffer_slice(&top));
        buffer_reset(&entry);
        if (is_own)
            buffer_append(&entry, PRIVATE);
        buffer_append(&entry, slice_from(one.entry, is_own ? top.len : 0));
        if (is_own || is_below(one.entry, SLICE("/shared")))
            append_annotation(&seen->text, buffer_slice(&entry), one.value);
    }
    bool saw = !top.failed && !entry.failed && !seen->text.failed;
    buffer_clear(&top);
    buffer_clear(&entry);
    return saw;
}

size_t annotations_count_of(const struct annotations *annotations, struct slice account)
{
    struct buffer top = BUFFER_WITH_LIMIT(PATH_SIZE * 3);
    struct slice rest = buffer_slice(&annotations->text);
    struct annotation one;
    size_t count = 0;
    if (account.len > 0)
        append_owner(account, &top);
    while (annotations_next(&rest, &one))
        count += account.len > 0
                     ? is_below(one.entry, buffer_slice(&top))
                     : is_below(one.entry, PRIVATE) || is_below(one.entry, SLICE("/shared"));
    buffer_clear(&top);
    return count;
}

/* The account in "/private:bob@example.org/comment". False: there is none. */
static bool take_owner(struct slice entry, struct buffer *account)
{
    struct slice rest = slice_from(entry, PRIVATE.len + 1);
    buffer_reset(account);
    if (!slice_starts_with(entry, SLICE("/private:")))
        return false;
    rest = slice_range(rest, 0, slice_find_octet(rest, '/'));
    for (size_t i = 0; i < rest.len; i++) {
        int high = i + 2 < rest.len ? token_hex_value(rest.ptr[i + 1]) : -1;
        int low = i + 2 < rest.len ? token_hex_value(rest.ptr[i + 2]) : -1;
        bool is_odd = rest.ptr[i] == '%' && high >= 0 && low >= 0;
        buffer_append_octet(account, is_odd ? (uint8_t)(high * 16 + low) : rest.ptr[i]);
        i += is_odd ? 2 : 0;
    }
    return !account->failed;
}

bool annotations_drop(struct annotations *annotations, annotations_keeps *keeps,
                      const void *context)
{
    struct buffer kept = BUFFER_WITH_LIMIT(annotations->text.limit);
    struct buffer account = BUFFER_WITH_LIMIT(PATH_SIZE);
    struct slice rest = buffer_slice(&annotations->text);
    struct annotation one;
    while (annotations_next(&rest, &one))
        if (!take_owner(one.entry, &account) || keeps(buffer_slice(&account), context))
            append_annotation(&kept, one.entry, one.value);
    buffer_clear(&account);
    if (kept.failed || kept.len == annotations->text.len) {
        buffer_clear(&kept);
        return false;
    }
    buffer_clear(&annotations->text);
    annotations->text = kept;
    return true;
}

/* ---- the text ---- */

bool annotations_parse(struct annotations *annotations, struct slice text, struct error *error)
{
    if (!slice_starts_with(text, SLICE(FIRST_LINE)) || !slice_ends_with(text, SLICE(LAST_LINE)))
        return error_set(error, ERROR_PERMANENT, "the first or the last line is missing");
    struct slice middle =
        slice_range(text, sizeof(FIRST_LINE) - 1, text.len - (sizeof(LAST_LINE) - 1));
    struct cursor in = cursor_of(middle);
    struct annotation one;
    while (!cursor_at_end(&in))
        if (!take_annotation(&in, &one))
            return error_set(error, ERROR_PERMANENT, "octet %zu begins no annotation",
                             text.len - cursor_left(&in));
    struct buffer taken = BUFFER_WITH_LIMIT(annotations->text.limit);
    buffer_append(&taken, middle);
    if (taken.failed) {
        buffer_clear(&taken);
        return error_memory(error);
    }
    buffer_clear(&annotations->text);
    annotations->text = taken;
    return true;
}

void annotations_format(const struct annotations *annotations, struct buffer *text)
{
    buffer_append(text, SLICE(FIRST_LINE));
    buffer_append(text, buffer_slice(&annotations->text));
    buffer_append(text, SLICE(LAST_LINE));
}

/* ---- the file ---- */

static void set_aside(int dir_fd, const char *name)
{
    char broken[PATH_SIZE];
    int length = snprintf(broken, sizeof(broken), "%s.broken", name);
    if (length > 0 && (size_t)length < sizeof(broken))
        renameat(dir_fd, name, dir_fd, broken);
}

bool annotations_load(int dir_fd, const char *name, struct annotations *annotations,
                      struct error *error)
{
    struct buffer text = BUFFER_WITH_LIMIT(annotations->text.limit + FRAME_OCTETS);
    struct error why;
    buffer_reset(&annotations->text);
    bool loaded = text_file_load(dir_fd, name, &text, &why)
                  && annotations_parse(annotations, buffer_slice(&text), &why);
    buffer_clear(&text);
    if (loaded || why.kind == ERROR_NOT_FOUND)
        return true;
    if (why.kind == ERROR_PERMANENT)
        set_aside(dir_fd, name);
    error_prefix(&why, "%s", name);
    if (error)
        *error = why;
    return false;
}

static bool remove_file(int dir_fd, const char *name, struct error *error)
{
    if (unlinkat(dir_fd, name, 0) != 0)
        return errno == ENOENT || error_errno(error, "remove %s", name);
    return fsync(dir_fd) == 0 || error_errno(error, "flush directory of %s", name);
}

bool annotations_store(int dir_fd, const char *name, const struct annotations *annotations,
                       struct error *error)
{
    if (annotations->text.len == 0)
        return remove_file(dir_fd, name, error);
    struct buffer text = BUFFER_WITH_LIMIT(annotations->text.limit + FRAME_OCTETS);
    annotations_format(annotations, &text);
    bool stored = text.failed ? error_memory(error)
                              : text_file_replace(dir_fd, name, buffer_slice(&text), error);
    buffer_clear(&text);
    return stored;
}

static uint64_t octets_of(int account_fd, const char *directory, const char *name)
{
    char path[PATH_SIZE];
    struct stat status;
    int length = snprintf(path, sizeof(path), "%s/%s", directory, name);
    bool there = length > 0 && (size_t)length < sizeof(path)
                 && fstatat(account_fd, path, &status, AT_SYMLINK_NOFOLLOW) == 0;
    return there ? (uint64_t)status.st_size : 0;
}

static bool measure_folders(int fd, uint64_t *octets, struct error *error)
{
    struct folder_list list;
    folder_list_init(&list);
    bool listed = folders_list(fd, &list, error);
    for (size_t i = 0; i < list.count; i++)
        *octets += octets_of(fd, list.entries[i].directory, ANNOTATIONS_FILE);
    folder_list_clear(&list);
    return listed;
}

bool annotations_measure(int account_fd, uint64_t *octets, struct error *error)
{
    *octets = octets_of(account_fd, ".", ANNOTATIONS_ACCOUNT_FILE);
    if (!measure_folders(account_fd, octets, error))
        return false;
    int fd =
        openat(account_fd, EXPUNGED_DIRECTORY, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || error_errno(error, "open " EXPUNGED_DIRECTORY);
    bool measured = measure_folders(fd, octets, error);
    close(fd);
    return measured;
}
