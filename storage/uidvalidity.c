/* Giving UIDVALIDITY numbers; see uidvalidity.h. */
#include "storage/uidvalidity.h"

#include "common/cursor.h"
#include "storage/folder_record.h"
#include "storage/folders.h"
#include "storage/text_file.h"

#define FILE_NAME "staffetta-uidvalidity"
#define FIRST_LINE "staffetta-uidvalidity 1\nlast "

enum { FILE_MAX = 128 };

/* "staffetta-uidvalidity 1" LF "last " number LF */
static bool parse_last(struct slice text, uint32_t *last)
{
    struct cursor in = cursor_of(text);
    uint64_t number;
    if (!slice_starts_with(text, SLICE(FIRST_LINE)))
        return false;
    in.at += SLICE(FIRST_LINE).len;
    if (!cursor_take_number(&in, &number) || number > UINT32_MAX || !cursor_skip(&in, '\n')
        || !cursor_at_end(&in))
        return false;
    *last = (uint32_t)number;
    return true;
}

/* The largest number that a folder bears: where the file is lost. */
static bool largest_in_use(int account_fd, uint32_t *last, struct error *error)
{
    struct folder_list folders;
    *last = 0;
    folder_list_init(&folders);
    bool listed = folders_list(account_fd, &folders, error);
    for (size_t i = 0; listed && i < folders.count; i++) {
        struct maildir box;
        struct folder_record record;
        if (!maildir_open(account_fd, folders.entries[i].directory, &box, NULL))
            continue;
        if (folder_record_load(box.fd, &record, NULL) && record.uidvalidity > *last)
            *last = record.uidvalidity;
        maildir_close(&box);
    }
    folder_list_clear(&folders);
    return listed;
}

static bool load_last(int account_fd, uint32_t *last, struct error *error)
{
    struct buffer text = BUFFER_WITH_LIMIT(FILE_MAX);
    struct error why;
    bool loaded = text_file_load(account_fd, FILE_NAME, &text, &why);
    bool parsed = loaded && parse_last(buffer_slice(&text), last);
    buffer_clear(&text);
    if (parsed)
        return true;
    if (!loaded && why.kind == ERROR_TEMPORARY)
        return error_set(error, why.kind, "%s", why.text);
    return largest_in_use(account_fd, last, error);
}

static bool store_last(int account_fd, uint32_t last, struct error *error)
{
    struct buffer text = BUFFER_WITH_LIMIT(FILE_MAX);
    buffer_append(&text, SLICE(FIRST_LINE));
    buffer_append_number(&text, last);
    buffer_append_octet(&text, '\n');
    bool stored = text.failed
                      ? error_memory(error)
                      : text_file_replace(account_fd, FILE_NAME, buffer_slice(&text), error);
    buffer_clear(&text);
    return stored;
}

bool uidvalidity_next(int account_fd, int64_t now, uint32_t *uidvalidity, struct error *error)
{
    uint32_t last = 0;
    if (!load_last(account_fd, &last, error))
        return false;
    if (last == UINT32_MAX)
        return error_set(error, ERROR_PERMANENT, "no UIDVALIDITY is left in this account");
    uint32_t next = now > last && now <= UINT32_MAX ? (uint32_t)now : last + 1;
    if (!store_last(account_fd, next, error))
        return false;
    *uidvalidity = next;
    return true;
}
