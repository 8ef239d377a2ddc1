/* The list of subscribed folders; see subscriptions.h. */
#include "storage/subscriptions.h"

#include "storage/text_file.h"

#define FILE_NAME "staffetta-subscriptions"

void subscriptions_init(struct subscriptions *subscriptions)
{
    buffer_init(&subscriptions->text, SUBSCRIPTIONS_MAX);
}

void subscriptions_clear(struct subscriptions *subscriptions)
{
    buffer_clear(&subscriptions->text);
}

bool subscriptions_next(struct slice *rest, struct slice *name)
{
    if (rest->len == 0)
        return false;
    size_t end = slice_find_octet(*rest, '\n');
    *name = slice_range(*rest, 0, end);
    *rest = slice_from(*rest, end + 1);
    return true;
}

/* Whether all names there come before this one: a file that we wrote is loaded in one go. */
static bool is_behind_all(struct slice text, struct slice name)
{
    if (text.len == 0)
        return true;
    size_t start = text.len - 1;
    while (start > 0 && text.ptr[start - 1] != '\n')
        start--;
    return slice_compare(slice_range(text, start, text.len - 1), name) < 0;
}

/* Where the name is, or where it would be. */
static bool find(const struct subscriptions *subscriptions, struct slice name, size_t *at)
{
    struct slice text = buffer_slice(&subscriptions->text), rest = text, other;
    *at = text.len;
    if (is_behind_all(text, name))
        return false;
    while (*at = text.len - rest.len, subscriptions_next(&rest, &other)) {
        int order = slice_compare(other, name);
        if (order >= 0)
            return order == 0;
    }
    return false;
}

bool subscriptions_has(const struct subscriptions *subscriptions, struct slice name)
{
    size_t at;
    return find(subscriptions, name, &at);
}

static bool is_plain(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] < 0x20 || name.ptr[i] == 0x7f)
            return false;
    return name.len > 0 && name.len <= SUBSCRIPTIONS_NAME_MAX;
}

bool subscriptions_add(struct subscriptions *subscriptions, struct slice name, struct error *error)
{
    size_t at;
    struct buffer *text = &subscriptions->text;
    if (!is_plain(name))
        return error_set(error, ERROR_PERMANENT, "no folder can have that name");
    if (find(subscriptions, name, &at))
        return true;
    if (text->len + name.len + 1 > text->limit)
        return error_set(error, ERROR_PERMANENT, "there is no room for another subscription");
    if (!buffer_reserve(text, name.len + 1)) {
        text->failed = false; /* the list itself is whole */
        return error_memory(error);
    }
    memmove(text->ptr + at + name.len + 1, text->ptr + at, text->len - at);
    memcpy(text->ptr + at, name.ptr, name.len);
    text->ptr[at + name.len] = '\n';
    buffer_commit(text, name.len + 1);
    return true;
}

bool subscriptions_remove(struct subscriptions *subscriptions, struct slice name)
{
    size_t at;
    struct buffer *text = &subscriptions->text;
    if (!find(subscriptions, name, &at))
        return false;
    size_t end = at + name.len + 1;
    memmove(text->ptr + at, text->ptr + end, text->len - end);
    buffer_truncate(text, text->len - name.len - 1);
    return true;
}

/* Takes each line as if it were added: a file that somebody edited is put in order, and what can be
 * no name is left out. */
static bool take_lines(struct subscriptions *subscriptions, struct slice text, struct error *error)
{
    struct slice name;
    while (subscriptions_next(&text, &name))
        if (is_plain(name) && !subscriptions_add(subscriptions, name, error))
            return false;
    return true;
}

bool subscriptions_load(int account_fd, struct subscriptions *subscriptions, struct error *error)
{
    struct buffer text = BUFFER_WITH_LIMIT(SUBSCRIPTIONS_MAX);
    buffer_reset(&subscriptions->text);
    bool loaded = text_file_load(account_fd, FILE_NAME, &text, error)
                  && take_lines(subscriptions, buffer_slice(&text), error);
    buffer_clear(&text);
    return loaded;
}

bool subscriptions_store(int account_fd, const struct subscriptions *subscriptions,
                         struct error *error)
{
    return text_file_replace(account_fd, FILE_NAME, buffer_slice(&subscriptions->text), error);
}
