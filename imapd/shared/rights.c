/* Rights of sessions; see rights.h. */
#include "imapd/shared/rights.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include <utlist.h>

#include "common/config/config.h"
#include "common/disk/fd.h"
#include "imapd/mailbox.h"

struct visitor *visitor_new(const struct mailbox *mailbox, struct slice account)
{
    const char *shared = mailbox->config->imap.shared.text;
    struct visitor *visitor = calloc(1, sizeof(*visitor));
    if (!visitor || !shared || account.len == 0 || account.len > MASTER_ACCOUNT_MAX) {
        free(visitor);
        return NULL;
    }
    memcpy(visitor->account, account.ptr, account.len);
    snprintf(visitor->top, sizeof(visitor->top), "%s/%s", shared, mailbox->account);
    return visitor;
}

struct slice rights_name_at_home(const struct session *session, struct slice name)
{
    return session->visitor && name.len > 0 ? slice_from(name, strlen(session->visitor->top) + 1)
                                            : name;
}

void rights_append_name(const struct session *session, struct slice name, struct buffer *called)
{
    if (session->visitor && name.len > 0) {
        buffer_append_string(called, session->visitor->top);
        buffer_append_octet(called, '/');
    }
    buffer_append(called, name);
}

struct slice rights_guest(const struct session *session)
{
    bool is_owner =
        !session->visitor || strcmp(session->visitor->account, session->mailbox->account) == 0;
    return is_owner ? SLICE("") : slice_of_string(session->visitor->account);
}

bool rights_find(const struct session *session, const char *directory, unsigned *rights,
                 struct error *error)
{
    const struct mailbox *mailbox = session->mailbox;
    struct acl acl;
    *rights = ACL_ALL;
    if (rights_guest(session).len == 0)
        return true;
    *rights = 0;
    int fd =
        openat(mailbox->account_fd, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_errno(error, "open %s", directory);
    acl_init(&acl);
    bool loaded = acl_load(fd, slice_of_string(mailbox->account), &acl, error);
    if (loaded)
        *rights = acl_rights_of(&acl, slice_of_string(session->visitor->account));
    acl_clear(&acl);
    fd_discard(&fd);
    return loaded;
}

bool rights_suffice_some(struct session *session, const char *directory, unsigned some,
                         unsigned *rights)
{
    struct error error = {.kind = ERROR_NONE};
    if (!rights_find(session, directory, rights, &error) && error.kind != ERROR_NOT_FOUND)
        session_failed(session, &error, "Your rights cannot be found out now");
    else if (*rights & some)
        return true;
    else if (*rights & ACL_LOOKUP)
        session_no(session, SLICE("NOPERM"), "You have no right to that");
    else
        session_no(session, SLICE("NONEXISTENT"), "There is no such mailbox");
    return false;
}

bool rights_suffice(struct session *session, const char *directory, unsigned needed)
{
    unsigned rights;
    if (!session->visitor)
        return true;
    if (!rights_suffice_some(session, directory, needed, &rights))
        return false;
    if ((rights & needed) == needed)
        return true;
    session_no(session, SLICE("NOPERM"), "You have no right to that");
    return false;
}

/* 4: a visitor that loses "r" to its selected mailbox sees nothing more of it, but may leave it. */
bool rights_let_run(struct session *session, const struct command_spec *spec)
{
    bool needs_selected = !(spec->states & SESSION_AUTHENTICATED);
    bool leaves =
        slice_equal(spec->name, SLICE("CLOSE")) || slice_equal(spec->name, SLICE("UNSELECT"));
    unsigned rights = rights_to_selected(session);
    session->view.fixed = rights_fix(rights);
    if (!(spec->traits & COMMAND_FOR_VISITORS))
        session_no(session, SLICE("NOPERM"), "Not in a mailbox of another account");
    else if (needs_selected && !leaves && !(rights & ACL_READ))
        session_no(session, SLICE("NOPERM"), "You have no right to read that any more");
    else
        return true;
    return false;
}

/* A large message is in the stream's output as a whole while a slow client reads it. */
static bool is_read_from(const struct session *session, const char *directory)
{
    return (session->step || !stream_output_empty(&session->stream)) && session->view.folder
           && strcmp(session->view.folder->directory, directory) == 0;
}

void rights_on_change(struct session *by, const char *directory)
{
    struct session *session;
    struct error why;
    error_set(&why, ERROR_PEER, "the right to read was taken away");
    DL_FOREACH (by->mailbox->sessions, session)
        if (session != by && session->visitor && is_read_from(session, directory)
            && !(rights_to_selected(session) & ACL_READ))
            stream_fail(&session->stream, &why);
}

unsigned rights_fix(unsigned rights)
{
    return (rights & ACL_SEEN ? 0U : VIEW_FIXED_SEEN)
           | (rights & ACL_DELETE_MESSAGE ? 0U : VIEW_FIXED_DELETED)
           | (rights & ACL_WRITE ? 0U : VIEW_FIXED_OTHERS);
}

uint32_t rights_changeable_flags(unsigned rights)
{
    uint32_t others = ~(uint32_t)(MAILDIR_SEEN | MAILDIR_TRASHED);
    return (rights & ACL_SEEN ? (uint32_t)MAILDIR_SEEN : 0)
           | (rights & ACL_DELETE_MESSAGE ? (uint32_t)MAILDIR_TRASHED : 0)
           | (rights & ACL_WRITE ? others : 0);
}

unsigned rights_to_selected(const struct session *session)
{
    unsigned rights;
    if (!session->view.folder
        || !rights_find(session, session->view.folder->directory, &rights, NULL))
        return 0;
    return rights;
}
