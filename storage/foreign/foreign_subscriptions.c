/* Reading the subscriptions of another server; see foreign_subscriptions.h. */
#include "storage/foreign/foreign_subscriptions.h"

#include "common/size.h"
#include "storage/folder_name.h"
#include "storage/foreign/foreign_names.h"
#include "storage/text_file.h"

enum { OCTETS_MAX = 1 << 24 };

static const struct slice version_2 = SLICE("V\t2\n\n");

static bool take_line(struct slice line, uint8_t separator, struct buffer *name)
{
    struct buffer directory = BUFFER_WITH_LIMIT(SUBSCRIPTIONS_NAME_MAX);
    bool taken = false;
    if (folder_name_is_inbox(line)) {
        buffer_reset(name);
        buffer_append(name, SLICE("INBOX"));
        return true;
    }
    buffer_append_octet(&directory, '.');
    for (size_t i = 0; i < line.len; i++)
        buffer_append_octet(&directory, line.ptr[i] == separator ? '.' : line.ptr[i]);
    taken = line.len > 0 && !directory.failed && foreign_name_of(buffer_slice(&directory), name);
    buffer_clear(&directory);
    return taken;
}

void foreign_subscriptions_parse(struct slice text, bool is_courier,
                                 struct subscriptions *subscriptions, size_t *bad_lines)
{
    static const struct slice below_inbox = SLICE("INBOX.");
    struct buffer name = BUFFER_WITH_LIMIT(SUBSCRIPTIONS_NAME_MAX);
    bool has_tabs = slice_starts_with(text, version_2);
    text = slice_from(text, has_tabs ? version_2.len : 0);
    struct slice line;
    while (subscriptions_next(&text, &line)) {
        if (is_courier && slice_starts_with(line, below_inbox))
            line = slice_from(line, below_inbox.len);
        if (!take_line(line, has_tabs ? '\t' : '.', &name)
            || !subscriptions_add(subscriptions, buffer_slice(&name), NULL))
            ++*bad_lines;
    }
    buffer_clear(&name);
}

bool foreign_subscriptions_load(int account_fd, struct subscriptions *subscriptions,
                                struct foreign_subscriptions *found, struct error *error)
{
    static const struct {
        const char *name;
        bool is_courier;
    } files[] = {{"subscriptions", false}, {"courierimapsubscribed", true}};
    *found = (struct foreign_subscriptions){.from = NULL};
    for (size_t i = 0; i < ARRAY_LENGTH(files) && !found->from; i++) {
        struct buffer text = BUFFER_WITH_LIMIT(OCTETS_MAX);
        struct error why = {.kind = ERROR_NONE};
        if (text_file_load(account_fd, files[i].name, &text, &why)) {
            found->from = files[i].name;
            foreign_subscriptions_parse(buffer_slice(&text), files[i].is_courier, subscriptions,
                                        &found->bad_lines);
        }
        buffer_clear(&text);
        if (why.kind == ERROR_TEMPORARY)
            return error_set(error, why.kind, "%s", why.text);
    }
    return true;
}
