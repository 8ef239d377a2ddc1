/* Reading the rights of another server; see foreign_acl.h. */
#include "storage/foreign/foreign_acl.h"

#include "common/slice.h"

static bool next_line(struct slice *rest, struct slice *line)
{
    if (rest->len == 0)
        return false;
    size_t end = slice_find_octet(*rest, '\n');
    *line = slice_range(*rest, 0, end);
    *rest = slice_from(*rest, end + 1);
    return true;
}

/* Lower case, with a domain. */
static void append_account(struct slice user, struct slice owner, struct buffer *account)
{
    for (size_t i = 0; i < user.len; i++)
        buffer_append_octet(account, ascii_lower(user.ptr[i]));
    if (slice_find_octet(user, '@') == user.len)
        buffer_append(account, slice_from(owner, slice_find_octet(owner, '@')));
}

static bool take_identifier(struct slice identifier, struct slice owner, struct buffer *account)
{
    static const struct slice user = SLICE("user=");
    if (slice_equal(identifier, SLICE("anyone")) || slice_equal(identifier, SLICE("authenticated")))
        buffer_append(account, SLICE("anyone"));
    else if (slice_starts_with(identifier, user))
        append_account(slice_from(identifier, user.len), owner, account);
    return account->len > 0 && !account->failed && !slice_equal(buffer_slice(account), owner);
}

/* What has quotes has a name that no account has. */
static void take_line(struct slice line, struct slice owner, struct acl *acl)
{
    struct buffer account = BUFFER_WITH_LIMIT(ACL_IDENTIFIER_MAX);
    struct acl_entry entry = {.negative = line.len > 0 && line.ptr[0] == '-'};
    line = slice_from(line, entry.negative);
    size_t space = slice_find_octet(line, ' ');
    if (acl_rights_parse(slice_from(line, space + 1), &entry.rights)
        && take_identifier(slice_range(line, 0, space), owner, &account)) {
        entry.identifier = buffer_slice(&account);
        entry.rights |= acl_find(acl, entry.identifier, entry.negative);
        acl_set(acl, &entry, NULL);
    }
    buffer_clear(&account);
}

void foreign_acl_parse(struct slice text, struct slice owner, struct acl *acl)
{
    struct slice line;
    while (next_line(&text, &line))
        take_line(line, owner, acl);
}
