/* Unique-ids from another server; see adopted_uidls.h. */
#include "storage/foreign/adopted_uidls.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "common/text/cursor.h"
#include "common/text/uidl_format.h"
#include "storage/foreign/adopt.h"
#include "storage/maildir_name.h"
#include "storage/text_file.h"

#define FILE_NAME "staffetta-uidls"
#define COURIER_FILE "courierpop3dsizelist"

static const struct slice first_line = SLICE(FILE_NAME " 1\n");

void adopted_uidls_init(struct adopted_uidls *uidls)
{
    *uidls = (struct adopted_uidls){.items = NULL};
    buffer_init(&uidls->text, ADOPTED_UIDLS_OCTETS_MAX);
}

void adopted_uidls_clear(struct adopted_uidls *uidls)
{
    free(uidls->items);
    buffer_clear(&uidls->text);
    adopted_uidls_init(uidls);
}

static int compare_keys(const void *left, const void *right)
{
    const struct adopted_uidl *a = left, *b = right;
    return slice_compare(a->key, b->key);
}

static void sort(struct adopted_uidls *uidls)
{
    for (size_t i = 1; i < uidls->count; i++) {
        if (compare_keys(&uidls->items[i - 1], &uidls->items[i]) > 0) {
            qsort(uidls->items, uidls->count, sizeof(*uidls->items), compare_keys);
            return;
        }
    }
}

static size_t count_lines(struct slice text)
{
    size_t count = 0;
    struct slice line;
    while (slice_take_line(&text, &line))
        count++;
    return count;
}

/* ---- the file ---- */

static bool take_items(struct adopted_uidls *uidls, struct error *error)
{
    struct slice rest = slice_from(buffer_slice(&uidls->text), first_line.len), line;
    size_t lines = count_lines(rest);
    if (lines == 0)
        return true;
    uidls->items = calloc(lines, sizeof(*uidls->items));
    if (!uidls->items)
        return error_memory(error);
    while (slice_take_line(&rest, &line)) {
        size_t space = slice_find_octet(line, ' ');
        struct adopted_uidl item = {slice_range(line, 0, space), slice_from(line, space + 1),
                                    uidls->count + 1};
        if (item.uidl.len > 0 && item.key.len > 0)
            uidls->items[uidls->count++] = item;
    }
    sort(uidls);
    return true;
}

bool adopted_uidls_load(int account_fd, struct adopted_uidls *uidls, struct error *error)
{
    struct error why;
    adopted_uidls_clear(uidls);
    if (!text_file_load(account_fd, FILE_NAME, &uidls->text, &why))
        return why.kind == ERROR_NOT_FOUND || error_set(error, why.kind, "%s", why.text);
    return !slice_starts_with(buffer_slice(&uidls->text), first_line) || take_items(uidls, error);
}

const struct adopted_uidl *adopted_uidls_find(const struct adopted_uidls *uidls, struct slice key)
{
    const struct adopted_uidl wanted = {.key = key};
    if (uidls->count == 0)
        return NULL;
    return bsearch(&wanted, uidls->items, uidls->count, sizeof(*uidls->items), compare_keys);
}

static void append_item(struct buffer *text, struct slice uidl, struct slice key)
{
    buffer_append(text, uidl);
    buffer_append_octet(text, ' ');
    buffer_append(text, key);
    buffer_append_octet(text, '\n');
}

static bool store(int account_fd, struct buffer *text, struct error *error)
{
    return text->failed ? error_memory(error)
                        : text_file_replace(account_fd, FILE_NAME, buffer_slice(text), error);
}

static int compare_orders(const void *left, const void *right)
{
    const struct adopted_uidl *a = left, *b = right;
    return (a->order > b->order) - (a->order < b->order);
}

bool adopted_uidls_store(int account_fd, struct adopted_uidl *items, size_t count,
                         struct error *error)
{
    if (count > 0)
        qsort(items, count, sizeof(*items), compare_orders);
    struct buffer text = BUFFER_WITH_LIMIT(ADOPTED_UIDLS_OCTETS_MAX);
    buffer_append(&text, first_line);
    for (size_t i = 0; i < count; i++)
        append_item(&text, items[i].uidl, items[i].key);
    bool stored = store(account_fd, &text, error);
    buffer_clear(&text);
    return stored;
}

/* ---- what Dovecot said ---- */

static bool can_be_kept(struct slice uidl, struct slice key)
{
    return uidl.len > 0 && slice_find_octet(uidl, ' ') == uidl.len
           && slice_find_octet(uidl, '\n') == uidl.len && slice_find_octet(key, '\n') == key.len;
}

/* A unique-id that it was given once goes before the one that the format makes. */
static void append_of_dovecot(struct foreign_uids *uids, struct slice format, struct buffer *text)
{
    struct buffer made = BUFFER_WITH_LIMIT(1024);
    foreign_uids_order_by_uid(uids);
    for (size_t i = 0; i < uids->count; i++) {
        const struct foreign_uid *item = &uids->items[i];
        const struct uidl_facts facts = {uids->uidvalidity, item->uid, item->base, item->guid};
        struct slice uidl = item->pop3;
        if (uidl.len == 0) {
            buffer_reset(&made);
            uidl_format_apply(format, &facts, &made);
            uidl = buffer_slice(&made);
        }
        if (can_be_kept(uidl, item->key))
            append_item(text, uidl, item->key);
    }
    buffer_clear(&made);
}

/* ---- what Courier said ---- */

/* name SP size SP number ":" uidvalidity *( ":" ... ), in a file that begins with "/2 " or "/3 ".
 * Number 0: the name is the unique-id. */
static bool take_courier_line(struct slice line, struct buffer *text)
{
    struct maildir_name name;
    uint64_t size, number, uidvalidity;
    size_t space = slice_find_octet(line, ' ');
    struct cursor in = cursor_of(slice_from(line, space + 1));
    if (!cursor_take_number(&in, &size) || !cursor_skip(&in, ' ')
        || !cursor_take_number(&in, &number) || !cursor_skip(&in, ':')
        || !cursor_take_number(&in, &uidvalidity)
        || !maildir_name_parse(slice_range(line, 0, space), &name))
        return false;
    struct slice base = slice_range(line, 0, slice_find_octet(slice_range(line, 0, space), ':'));
    struct buffer made = BUFFER_WITH_LIMIT(64);
    buffer_append_format(&made, "UID%llu-%llu", (unsigned long long)number,
                         (unsigned long long)uidvalidity);
    struct slice uidl = number > 0 ? buffer_slice(&made) : base;
    bool kept = can_be_kept(uidl, name.key);
    if (kept)
        append_item(text, uidl, name.key);
    buffer_clear(&made);
    return kept;
}

static bool append_of_courier(int account_fd, struct buffer *text)
{
    struct buffer file = BUFFER_WITH_LIMIT(ADOPTED_UIDLS_OCTETS_MAX);
    struct slice line;
    bool loaded = text_file_load(account_fd, COURIER_FILE, &file, NULL);
    struct slice rest = buffer_slice(&file);
    loaded = loaded && slice_take_line(&rest, &line)
             && (slice_starts_with(line, SLICE("/2 ")) || slice_starts_with(line, SLICE("/3 ")));
    while (loaded && slice_take_line(&rest, &line))
        take_courier_line(line, text);
    buffer_clear(&file);
    return loaded;
}

/* ---- making it ---- */

/* What cannot be read now must not be left out for ever; what makes no sense is. */
static bool load_list(int account_fd, struct buffer *text, struct foreign_uids *uids,
                      struct error *error)
{
    struct error why = {.kind = ERROR_NONE};
    if (!text_file_load(account_fd, ADOPT_DOVECOT_UIDS, text, &why)
        || !foreign_uids_parse(buffer_slice(text), uids, &why)) {
        uids->uidvalidity = 0;
        return why.kind != ERROR_TEMPORARY || error_set(error, why.kind, "%s", why.text);
    }
    return true;
}

static bool make(const struct maildir *inbox, struct slice format, struct error *error)
{
    struct buffer text = BUFFER_WITH_LIMIT(ADOPTED_UIDLS_OCTETS_MAX);
    struct buffer list = BUFFER_WITH_LIMIT(FOREIGN_UIDS_OCTETS_MAX);
    struct foreign_uids uids = {.items = NULL};
    buffer_append(&text, first_line);
    bool made = load_list(inbox->fd, &list, &uids, error);
    if (made && uids.uidvalidity != 0) {
        append_of_dovecot(&uids, format, &text);
        made = store(inbox->fd, &text, error);
    } else if (made && append_of_courier(inbox->fd, &text)) {
        made = store(inbox->fd, &text, error);
    }
    foreign_uids_clear(&uids);
    buffer_clear(&list);
    buffer_clear(&text);
    return made;
}

static bool is_there(int account_fd, const char *name)
{
    struct stat status;
    return fstatat(account_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Under a lock: IMAP and POP3 may open the account for the first time at the same time. */
bool adopted_uidls_make(const struct maildir *inbox, struct slice format, struct error *error)
{
    if (is_there(inbox->fd, FILE_NAME)
        || (!adopt_is_waiting(inbox->fd) && !is_there(inbox->fd, COURIER_FILE)))
        return true;
    int fd = openat(inbox->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX) != 0) {
        error_errno(error, "lock the Maildir");
        fd_discard(&fd);
        return false;
    }
    bool made = is_there(inbox->fd, FILE_NAME) || make(inbox, format, error);
    fd_discard(&fd);
    return made;
}
