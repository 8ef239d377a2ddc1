/* Lists of rights; see acl.h. */
#include "storage/acl.h"

#include <fcntl.h>

#include "common/disk/fd.h"
#include "common/size.h"
#include "storage/foreign/foreign_acl.h"
#include "storage/text_file.h"

#define FILE_NAME "staffetta-acl"
#define DOVECOT_FILE_NAME "dovecot-acl"

static const struct slice letters = SLICE("lrswipkxtea");
static const struct slice anyone = SLICE("anyone");

enum {
    MEANT_BY_C = ACL_CREATE | ACL_DELETE_MAILBOX,
    MEANT_BY_D = ACL_DELETE_MESSAGE | ACL_EXPUNGE,
};

void acl_init(struct acl *acl)
{
    buffer_init(&acl->text, ACL_OCTETS_MAX);
}

void acl_clear(struct acl *acl)
{
    buffer_clear(&acl->text);
}

/* ---- letters ---- */

bool acl_rights_parse(struct slice text, unsigned *rights)
{
    *rights = 0;
    for (size_t i = 0; i < text.len; i++) {
        size_t at = slice_find_octet(letters, text.ptr[i]);
        if (at < letters.len)
            *rights |= 1U << at;
        else if (text.ptr[i] == 'c')
            *rights |= MEANT_BY_C;
        else if (text.ptr[i] == 'd')
            *rights |= MEANT_BY_D;
        else
            return false;
    }
    return true;
}

static void append_letters(unsigned rights, struct buffer *text)
{
    for (size_t i = 0; i < letters.len; i++)
        if (rights & 1U << i)
            buffer_append_octet(text, letters.ptr[i]);
}

void acl_rights_format(unsigned rights, struct buffer *text)
{
    append_letters(rights & ~(unsigned)ACL_ADMINISTER, text);
    if (rights & MEANT_BY_C)
        buffer_append_octet(text, 'c');
    if (rights & MEANT_BY_D)
        buffer_append_octet(text, 'd');
    append_letters(rights & ACL_ADMINISTER, text);
}

/* ---- entries ---- */

static bool parse_line(struct slice line, struct acl_entry *entry)
{
    size_t space = slice_find_octet(line, ' ');
    struct slice identifier = slice_from(line, space + 1);
    entry->negative = identifier.len > 0 && identifier.ptr[0] == '-';
    entry->identifier = slice_from(identifier, entry->negative);
    return entry->identifier.len > 0
           && acl_rights_parse(slice_range(line, 0, space), &entry->rights);
}

bool acl_next(struct slice *rest, struct acl_entry *entry)
{
    while (rest->len > 0) {
        size_t end = slice_find_octet(*rest, '\n');
        struct slice line = slice_range(*rest, 0, end);
        *rest = slice_from(*rest, end + 1);
        if (parse_line(line, entry))
            return true;
    }
    return false;
}

unsigned acl_rights_of(const struct acl *acl, struct slice account)
{
    struct slice rest = buffer_slice(&acl->text);
    struct acl_entry entry;
    unsigned given = 0, taken = 0;
    while (acl_next(&rest, &entry)) {
        if (!slice_equal(entry.identifier, anyone) && !slice_equal(entry.identifier, account))
            continue;
        if (entry.negative)
            taken |= entry.rights;
        else
            given |= entry.rights;
    }
    return given & ~taken;
}

unsigned acl_find(const struct acl *acl, struct slice identifier, bool negative)
{
    struct slice rest = buffer_slice(&acl->text);
    struct acl_entry entry;
    unsigned found = 0;
    while (acl_next(&rest, &entry))
        if (entry.negative == negative && slice_equal(entry.identifier, identifier))
            found |= entry.rights;
    return found;
}

static bool can_be_kept(struct slice identifier)
{
    for (size_t i = 0; i < identifier.len; i++)
        if (identifier.ptr[i] <= ' ' || identifier.ptr[i] == 0x7f)
            return false;
    return identifier.len > 0 && identifier.len < ACL_IDENTIFIER_MAX && identifier.ptr[0] != '-';
}

static void append_entry(const struct acl_entry *entry, struct buffer *text)
{
    if (entry->rights == 0)
        return;
    append_letters(entry->rights, text);
    buffer_append_octet(text, ' ');
    if (entry->negative)
        buffer_append_octet(text, '-');
    buffer_append(text, entry->identifier);
    buffer_append_octet(text, '\n');
}

bool acl_set(struct acl *acl, const struct acl_entry *entry, struct error *error)
{
    struct buffer text = BUFFER_WITH_LIMIT(ACL_OCTETS_MAX);
    struct slice rest = buffer_slice(&acl->text);
    struct acl_entry other;
    if (!can_be_kept(entry->identifier))
        return error_set(error, ERROR_PERMANENT, "no account has that name");
    while (acl_next(&rest, &other))
        if (other.negative != entry->negative || !slice_equal(other.identifier, entry->identifier))
            append_entry(&other, &text);
    append_entry(entry, &text);
    if (text.failed) {
        buffer_clear(&text);
        return error_set(error, ERROR_PERMANENT, "there is no room for more rights");
    }
    buffer_clear(&acl->text);
    acl->text = text;
    return true;
}

/* ---- files ---- */

static bool load_foreign(int folder_fd, struct slice owner, struct acl *acl, struct error *error)
{
    struct buffer text = BUFFER_WITH_LIMIT(ACL_OCTETS_MAX);
    struct error why = {.kind = ERROR_NONE};
    if (text_file_load(folder_fd, DOVECOT_FILE_NAME, &text, &why))
        foreign_acl_parse(buffer_slice(&text), owner, acl);
    buffer_clear(&text);
    return why.kind == ERROR_NONE || why.kind == ERROR_NOT_FOUND
           || error_set(error, why.kind, "%s", why.text);
}

bool acl_load(int folder_fd, struct slice owner, struct acl *acl, struct error *error)
{
    struct error why = {.kind = ERROR_NONE};
    buffer_reset(&acl->text);
    if (text_file_load(folder_fd, FILE_NAME, &acl->text, &why))
        return true;
    buffer_reset(&acl->text);
    if (why.kind == ERROR_NOT_FOUND)
        return load_foreign(folder_fd, owner, acl, error);
    return error_set(error, why.kind, "%s", why.text);
}

static int open_folder(int account_fd, const char *directory, struct error *error)
{
    int fd = openat(account_fd, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        error_errno(error, "open %s", directory);
    return fd;
}

bool acl_copy(int account_fd, const char *from, const char *to, struct slice owner,
              struct error *error)
{
    struct acl acl;
    acl_init(&acl);
    int from_fd = open_folder(account_fd, from, error);
    int to_fd = from_fd >= 0 ? open_folder(account_fd, to, error) : -1;
    bool copied =
        to_fd >= 0 && acl_load(from_fd, owner, &acl, error) && acl_store(to_fd, &acl, error);
    acl_clear(&acl);
    fd_discard(&from_fd);
    fd_discard(&to_fd);
    return copied;
}

bool acl_store(int folder_fd, const struct acl *acl, struct error *error)
{
    return text_file_replace(folder_fd, FILE_NAME, buffer_slice(&acl->text), error);
}
