/* Folder names to directory names and back; see folder_name.h. Pure; any process. */
#include "storage/folder_name.h"

#include "common/text/modified_utf7.h"
#include "storage/maildir.h"

#define INBOX SLICE("INBOX")

bool folder_name_is_inbox(struct slice name)
{
    return slice_equal_nocase(name, INBOX);
}

/* RFC 9051 5.1: control characters have no place in a name that people see. */
static bool has_controls(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] < 0x20 || name.ptr[i] == 0x7f)
            return true;
    return false;
}

/* Each level after a dot of its own; false if one is empty or no UTF-8. */
static bool append_levels(struct slice name, struct buffer *directory)
{
    for (bool first = true;; first = false) {
        size_t end = slice_find_octet(name, FOLDER_SEPARATOR);
        struct slice level = slice_range(name, 0, end);
        if (first && folder_name_is_inbox(level))
            level = INBOX;
        buffer_append_octet(directory, '.');
        if (level.len == 0 || !modified_utf7_encode_without(level, '.', directory))
            return false;
        if (end == name.len)
            return true;
        name = slice_from(name, end + 1);
    }
}

bool folder_name_to_directory(struct slice name, char directory[MAILDIR_NAME_SIZE],
                              struct error *error)
{
    if (folder_name_is_inbox(name)) {
        memcpy(directory, MAILDIR_INBOX, sizeof(MAILDIR_INBOX));
        return true;
    }
    if (has_controls(name))
        return error_set(error, ERROR_PERMANENT, "a folder name has no control characters");
    struct buffer text = BUFFER_WITH_LIMIT(MAILDIR_NAME_MAX);
    bool valid = append_levels(name, &text);
    if (text.failed) /* the limit, or no memory for 255 octets: the same for the caller */
        valid = error_set(error, ERROR_PERMANENT, "folder name is too long");
    else if (!valid)
        error_set(error, ERROR_PERMANENT, "folder name has an empty level or is no UTF-8");
    else {
        memcpy(directory, text.ptr, text.len);
        directory[text.len] = '\0';
    }
    buffer_clear(&text);
    return valid;
}

static bool append_names(struct slice levels, struct buffer *name)
{
    for (bool first = true;; first = false) {
        size_t end = slice_find_octet(levels, '.');
        if (!first)
            buffer_append_octet(name, FOLDER_SEPARATOR);
        if (end == 0 || !modified_utf7_decode_without(slice_range(levels, 0, end), '.', name))
            return false;
        if (end == levels.len)
            return true;
        levels = slice_from(levels, end + 1);
    }
}

bool folder_name_from_directory(const char *directory, struct buffer *name)
{
    struct slice text = slice_of_string(directory);
    if (slice_equal(text, SLICE(MAILDIR_INBOX))) {
        buffer_append(name, INBOX);
        return true;
    }
    size_t start = name->len;
    char again[MAILDIR_NAME_SIZE];
    /* Exact both ways: a level that contains the separator, or is another spelling of INBOX, leads
     * elsewhere. */
    return text.len > 1 && text.ptr[0] == '.' && append_names(slice_from(text, 1), name)
           && !name->failed
           && folder_name_to_directory(slice_from(buffer_slice(name), start), again, NULL)
           && slice_equal(slice_of_string(again), text);
}
