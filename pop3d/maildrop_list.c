/* The messages of a POP3 session; see maildrop_list.h. Reads the Maildir. */
#include "pop3d/maildrop_list.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include <sodium.h>

#include "common/disk/fd.h"
#include "common/size.h"
#include "storage/message_file.h"
#include "storage/tombstone.h"

void maildrop_list_init(struct maildrop_list *list, const struct maildir *box)
{
    *list = (struct maildrop_list){.box = box};
    maildir_list_init(&list->first);
    maildir_list_init(&list->now);
    adopted_uidls_init(&list->adopted);
}

void maildrop_list_clear(struct maildrop_list *list)
{
    maildir_list_clear(&list->first);
    maildir_list_clear(&list->now);
    adopted_uidls_clear(&list->adopted);
    free(list->messages);
    maildrop_list_init(list, list->box);
}

/* ---- sizes ---- */

static bool ends_with_lf(const struct message_file *file, bool *ends, struct error *error)
{
    uint8_t last;
    size_t got;
    *ends = true;
    if (file->octets == 0)
        return true;
    if (!fd_pread_full(file->fd, &last, 1, file->octets - 1, &got, error))
        return false;
    *ends = got == 1 && last == '\n';
    return true;
}

/* Our own deliveries have their size in the name and end with CRLF. The end of all other files must
 * be read, since RETR completes the last line, and the size must be exact. */
static bool measure(const struct maildir *box, const struct maildir_entry *entry,
                    struct maildrop_message *message, struct error *error)
{
    struct maildir_name name;
    struct message_file file;
    bool ends;
    if (!maildir_name_parse(maildir_entry_name(entry), &name))
        return error_set(error, ERROR_PERMANENT, "name %.100s is malformed", entry->name);
    message->arrived_at = (int64_t)name.seconds;
    message->octets = name.crlf_octets;
    if (delivered_unique_is_one(&name) && name.crlf_octets > 0)
        return true;
    if (!message_file_open(box, entry->place, entry->name, &file, error))
        return false;
    bool measured = ends_with_lf(&file, &ends, error);
    message->octets = file.crlf_octets + (ends ? 0 : 2);
    if (message->arrived_at == 0)
        message->arrived_at = file.mtime.tv_sec;
    message_file_close(&file);
    return measured;
}

/* ---- unique-ids ---- */

static bool is_known_field(struct slice field)
{
    return slice_starts_with(field, SLICE("S=")) || slice_starts_with(field, SLICE("W="))
           || slice_starts_with(field, SLICE("U="));
}

/* What the first comma cuts off are fields that say nothing of the identity. */
static bool has_only_known_fields(struct slice key)
{
    size_t comma = slice_find_octet(key, ',');
    struct slice rest = slice_from(key, comma + 1);
    while (rest.len > 0) {
        size_t end = slice_find_octet(rest, ',');
        if (!is_known_field(slice_range(rest, 0, end)))
            return false;
        rest = slice_from(rest, end + 1);
    }
    return true;
}

static struct slice unique_of(struct slice key)
{
    return slice_range(key, 0, slice_find_octet(key, ','));
}

/* unique-id = 1*70(%x21-7E)    RFC 1939 7. Those below the comma are left out, so that of all that
 * are not hashed equal ones stand together in the order of the keys. */
static bool is_uidl(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ',' || text.ptr[i] > 0x7e)
            return false;
    return text.len > 0 && text.len <= MAILDROP_UIDL_MAX;
}

static bool is_wire_uidl(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] > 0x7e)
            return false;
    return text.len > 0 && text.len <= MAILDROP_UIDL_MAX;
}

static void choose_uidls(struct maildrop_list *list)
{
    struct slice last = SLICE("");
    for (size_t i = 0; i < list->count; i++) {
        struct maildrop_message *message = &list->messages[i];
        struct slice unique = unique_of(message->key);
        message->adopted = adopted_uidls_find(&list->adopted, message->key);
        message->hashed_uidl =
            !is_uidl(unique) || !has_only_known_fields(message->key) || slice_equal(unique, last);
        if (!message->hashed_uidl)
            last = unique;
    }
}

void maildrop_list_uidl(const struct maildrop_message *message, char uidl[MAILDROP_UIDL_MAX + 1])
{
    if (message->adopted && is_wire_uidl(message->adopted->uidl)) {
        snprintf(uidl, MAILDROP_UIDL_MAX + 1, "%.*s", SLICE_PRINTF(message->adopted->uidl));
        return;
    }
    if (!message->hashed_uidl) {
        struct slice unique = unique_of(message->key); /* printable, as is_uidl found */
        snprintf(uidl, MAILDROP_UIDL_MAX + 1, "%.*s", SLICE_PRINTF(unique));
        return;
    }
    uint8_t hash[crypto_generichash_BYTES];
    crypto_generichash(hash, sizeof(hash), message->key.ptr, message->key.len, NULL, 0);
    sodium_bin2hex(uidl, MAILDROP_UIDL_MAX + 1, hash, sizeof(hash));
}

/* ---- loading ---- */

static bool look_at_size(const struct maildir *box, const struct maildir_entry *entry,
                         struct maildrop_message *message)
{
    struct stat status;
    if (fstatat(maildir_place_fd(box, entry->place), entry->name, &status, AT_SYMLINK_NOFOLLOW)
        != 0)
        return false;
    message->octets = (uint64_t)status.st_size;
    message->arrived_at = status.st_mtim.tv_sec;
    return true;
}

/* A message that cannot be read keeps its number, and RETR reports the error; the others work. */
static void add_message(struct maildrop_list *list, const struct maildir_entry *entry)
{
    struct maildrop_message message = {
        .key = maildir_entry_key(entry), .name = entry->name, .place = entry->place};
    struct error error;
    if (!measure(list->box, entry, &message, &error)
        && (error.kind != ERROR_TEMPORARY || !look_at_size(list->box, entry, &message)))
        return; /* removed or renamed a moment ago, or no message */
    list->messages[list->count++] = message;
    list->left++;
    list->octets_left += message.octets;
}

/* Removes entries of removed mail from the file. If that fails, a later session does it. */
static bool forget_others(struct maildrop_list *list, struct error *error)
{
    size_t kept = 0;
    struct adopted_uidl *items = list->adopted.items;
    for (size_t i = 0; i < list->adopted.count; i++)
        if (maildir_list_find(&list->first, items[i].key))
            kept++;
    if (kept >= list->adopted.count / 2)
        return true;
    kept = 0;
    for (size_t i = 0; i < list->adopted.count; i++)
        if (maildir_list_find(&list->first, items[i].key))
            items[kept++] = items[i];
    adopted_uidls_store(list->box->fd, items, kept, NULL);
    return adopted_uidls_load(list->box->fd, &list->adopted, error);
}

static bool load_messages(struct maildrop_list *list, struct error *error)
{
    if (list->first.count == 0)
        return true;
    list->messages = calloc(list->first.count, sizeof(*list->messages));
    if (!list->messages)
        return error_memory(error);
    for (size_t i = 0; i < list->first.count; i++)
        add_message(list, &list->first.entries[i]);
    return true;
}

static size_t order_of(const struct maildrop_message *message)
{
    return message->adopted ? message->adopted->order : SIZE_MAX;
}

static int compare_messages(const void *left, const void *right)
{
    const struct maildrop_message *a = left, *b = right;
    size_t first = order_of(a), second = order_of(b);
    return first != second ? (first > second) - (first < second) : slice_compare(a->key, b->key);
}

static void put_in_order(struct maildrop_list *list)
{
    if (list->adopted.count > 0 && list->count > 0)
        qsort(list->messages, list->count, sizeof(*list->messages), compare_messages);
}

bool maildrop_list_load(struct maildrop_list *list, struct slice uidl_format, struct error *error)
{
    maildrop_list_clear(list);
    if (!adopted_uidls_make(list->box, uidl_format, error)
        || !adopted_uidls_load(list->box->fd, &list->adopted, error)
        || !maildir_scan(list->box, &list->first, error) || !load_messages(list, error))
        return false;
    if (!forget_others(list, error))
        return false;
    choose_uidls(list);
    put_in_order(list);
    return true;
}

bool maildrop_list_refresh(struct maildrop_list *list, struct error *error)
{
    struct maildir_list scan;
    maildir_list_init(&scan);
    if (!maildir_scan(list->box, &scan, error)) {
        maildir_list_clear(&scan);
        return false; /* the names of before are still in memory */
    }
    for (size_t i = 0; i < list->count; i++) {
        struct maildrop_message *message = &list->messages[i];
        const struct maildir_entry *entry =
            message->name ? maildir_list_find(&scan, message->key) : NULL;
        message->name = entry ? entry->name : NULL;
        message->place = entry ? entry->place : message->place;
    }
    maildir_list_clear(&list->now);
    list->now = scan;
    return true;
}

/* ---- marking ---- */

struct maildrop_message *maildrop_list_get(struct maildrop_list *list, uint64_t number)
{
    if (number == 0 || number > list->count || list->messages[number - 1].deleted)
        return NULL;
    return &list->messages[number - 1];
}

void maildrop_list_mark_deleted(struct maildrop_list *list, struct maildrop_message *message)
{
    if (message->deleted)
        return;
    message->deleted = true;
    list->left--;
    list->octets_left -= message->octets;
}

void maildrop_list_unmark_all(struct maildrop_list *list)
{
    list->left = list->count;
    list->octets_left = 0;
    for (size_t i = 0; i < list->count; i++) {
        list->messages[i].deleted = false;
        list->octets_left += list->messages[i].octets;
    }
}
