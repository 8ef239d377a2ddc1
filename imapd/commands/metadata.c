/*
 * GETMETADATA and SETMETADATA (RFC 5464). Annotations of a mailbox stand in its folder, so they go
 * where it goes and end with it; /private is of each account that sees the mailbox. Of the
 * server's, /private is the account's own; /shared would be seen by all accounts, no one's process
 * may write there, and all it has is /shared/admin.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "common/config/config.h"
#include "common/disk/fd.h"
#include "imapd/commands/commands.h"
#include "imapd/commands/metadata.h"
#include "imapd/mailbox.h"
#include "imapd/session/notify.h"
#include "imapd/shared/rights.h"
#include "imapd/syntax/folder_argument.h"
#include "imapd/syntax/mailbox_name.h"
#include "storage/folders.h"

#define ADMIN_ENTRY SLICE("/shared/admin")

/* ---- whose annotations ---- */

struct target {
    bool is_server; /* the mailbox name is empty */
    struct folder_argument folder;
};

static bool parse_target(struct imap_parser *parser, void *owner)
{
    struct target *target = owner;
    struct cursor start = parser->in;
    struct slice name;
    if (!imap_parse_astring(parser, &name))
        return imap_parser_fail(parser, "a mailbox name");
    target->is_server = name.len == 0;
    target->folder = (struct folder_argument){.directory = "."};
    if (target->is_server)
        return true;
    parser->in = start;
    return folder_argument_parse(parser, &target->folder);
}

static const char *file_of(const struct target *target)
{
    return target->is_server ? ANNOTATIONS_ACCOUNT_FILE : ANNOTATIONS_FILE;
}

static int open_directory(const struct mailbox *mailbox, const char *directory, struct error *error)
{
    if (!folders_exists(mailbox->account_fd, directory)) {
        error_set(error, ERROR_NOT_FOUND, "there is no such folder");
        return -1;
    }
    int fd =
        openat(mailbox->account_fd, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        error_errno(error, "open folder %.100s", directory);
    return fd;
}

/* Where its file stands. -1: the command was ended. */
static int open_target(struct session *session, const struct target *target)
{
    struct error error;
    if (target->folder.problem) {
        session_no(session, folder_argument_code(&target->folder), target->folder.problem);
        return -1;
    }
    int fd = open_directory(session->mailbox, target->folder.directory, &error);
    if (fd < 0)
        session_failed(session, &error,
                       error.kind == ERROR_NOT_FOUND ? "There is no such mailbox"
                                                     : "The mailbox cannot be opened now");
    return fd;
}

static size_t limit_of(const struct mailbox *mailbox)
{
    return (size_t)mailbox->config->limits.account_annotation_octets;
}

/* A damaged file loses its annotations, and is logged once. */
static bool load(struct mailbox *mailbox, int fd, const char *directory, const char *file,
                 struct annotations *annotations, struct error *error)
{
    annotations_init(annotations, limit_of(mailbox));
    if (annotations_load(fd, file, annotations, error))
        return true;
    if (error->kind != ERROR_PERMANENT)
        return false;
    LOG(mailbox->log, LOG_ERROR, "metadata_damaged",
        log_bytes("folder", slice_of_string(directory)), log_failure(error));
    return true;
}

/* 6.2.2: the postmaster of the account's domain, whom RFC 5321 4.5.1 makes sure of. */
static void add_admin(const struct mailbox *mailbox, struct annotations *annotations)
{
    char uri[400];
    const char *at = strrchr(mailbox->account, '@');
    int length =
        snprintf(uri, sizeof(uri), "mailto:postmaster@%s", at ? at + 1 : mailbox->config->hostname);
    if (length > 0 && (size_t)length < sizeof(uri))
        annotations_set(annotations, ADMIN_ENTRY, slice_of(uri, (size_t)length));
}

/* 3.3: "the "l" right and any one of the "r", "s", "w", "i", or "p" rights"; to set what all see we
 * want "w". Nothing of the server's is a visitor's. False: the command was ended. */
static bool may_use(struct session *session, const struct target *target, bool sets_shared)
{
    enum { SOME = ACL_READ | ACL_SEEN | ACL_WRITE | ACL_INSERT | ACL_POST };
    unsigned rights;
    if (!session->visitor)
        return true;
    if (target->is_server)
        session_no(session, SLICE("NOPERM"), "Not in a mailbox of another account");
    return !target->is_server
           && (target->folder.problem
               || (rights_suffice(session, target->folder.directory, ACL_LOOKUP)
                   && rights_suffice_some(session, target->folder.directory,
                                          sets_shared ? ACL_WRITE : SOME, &rights)));
}

/* ---- GETMETADATA ---- */

/* What this client sees of them. */
static bool see(const struct session *session, struct annotations *annotations, struct error *error)
{
    struct annotations seen;
    if (rights_guest(session).len == 0)
        return true;
    annotations_init(&seen, limit_of(session->mailbox));
    bool saw = annotations_see(annotations, rights_guest(session), &seen);
    annotations_clear(annotations);
    *annotations = seen;
    return saw || error_memory(error);
}

bool metadata_tell(struct session *session, const char *directory, struct slice name,
                   const struct metadata_request *request, uint64_t *longest, struct error *error)
{
    struct mailbox *mailbox = session->mailbox;
    bool is_server = name.len == 0;
    struct annotations annotations;
    struct buffer wire = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    int fd = open_directory(mailbox, directory, error);
    if (fd < 0)
        return false;
    bool loaded = load(mailbox, fd, directory,
                       is_server ? ANNOTATIONS_ACCOUNT_FILE : ANNOTATIONS_FILE, &annotations, error)
                  && see(session, &annotations, error);
    if (loaded && is_server)
        add_admin(mailbox, &annotations);
    if (loaded) {
        if (!is_server)
            mailbox_name_format(name, session_name_form(session), &wire);
        metadata_write(request, &annotations, buffer_slice(&wire), &session->writer.text, longest);
    }
    buffer_clear(&wire);
    annotations_clear(&annotations);
    fd_discard(&fd);
    return loaded;
}

static void tell_target(struct session *session, const struct target *target,
                        const struct metadata_request *request)
{
    struct error error;
    uint64_t longest = 0;
    char code[50] = "";
    if (!may_use(session, target, false))
        return;
    int fd = open_target(session, target);
    if (fd < 0)
        return;
    fd_discard(&fd);
    if (!metadata_tell(session, target->folder.directory, target->folder.name, request, &longest,
                       &error)) {
        session_failed(session, &error, "The annotations cannot be read now");
        return;
    }
    if (longest > 0)
        snprintf(code, sizeof(code), "METADATA LONGENTRIES %llu", (unsigned long long)longest);
    session_ok(session, slice_of_string(code), "Those are the annotations");
}

void command_getmetadata(struct session *session, struct imap_parser *arguments)
{
    struct target target = {.is_server = false};
    struct metadata_request request;
    if (!imap_parse_space(arguments)
        || !metadata_request_parse(arguments, parse_target, &target, &request)
        || !imap_parse_end(arguments))
        session_bad_arguments(session, arguments);
    else
        tell_target(session, &target, &request);
}

/* ---- SETMETADATA ---- */

struct changes {
    struct annotation *list; /* in the arena; value.ptr NULL: it is removed */
    size_t count;
};

/* value = nstring / literal8 */
static bool parse_value(struct imap_parser *parser, struct slice *value)
{
    return imap_parse_literal8(parser, value) || imap_parse_nstring(parser, value);
}

/* entry-values = "(" entry SP value *(SP entry SP value) ")" */
static bool parse_changes(struct imap_parser *parser, struct changes *changes)
{
    *changes = (struct changes){.count = 0};
    changes->list = arena_alloc_array(parser->arena, METADATA_ENTRIES_MAX, sizeof(*changes->list));
    if (!changes->list)
        return imap_parser_exhaust(parser);
    if (!imap_parse_octet(parser, '(', "entries and values in parentheses"))
        return false;
    do {
        struct annotation *change = &changes->list[changes->count];
        if (changes->count == METADATA_ENTRIES_MAX)
            return imap_parser_exhaust(parser);
        if (!metadata_parse_entry(parser, &change->entry) || !imap_parse_space(parser)
            || !parse_value(parser, &change->value))
            return false;
        changes->count++;
    } while (imap_skip_octet(parser, ' '));
    return imap_parse_octet(parser, ')', "an entry or \")\"");
}

static bool is_shared(struct slice entry)
{
    return slice_starts_with(entry, SLICE("/shared/"));
}

/* False: the command was ended. */
static bool may_change(struct session *session, const struct target *target,
                       const struct changes *changes)
{
    uint64_t most = session->mailbox->config->limits.annotation_octets;
    for (size_t i = 0; i < changes->count; i++) {
        const struct annotation *change = &changes->list[i];
        if (target->is_server && is_shared(change->entry)) {
            session_no(session, SLICE("NOPERM"), "What all accounts see nobody sets here");
            return false;
        }
        if (change->value.len > most) {
            char code[50];
            snprintf(code, sizeof(code), "METADATA MAXSIZE %llu", (unsigned long long)most);
            session_no(session, slice_of_string(code),
                       "The annotation is too long (limits.annotation)");
            return false;
        }
    }
    return true;
}

static bool error_too_many(struct error *error)
{
    error_set(error, ERROR_PERMANENT, "too many annotations");
    error->code = E2BIG;
    return false;
}

/* Counts the client's own, or the owner's, which include the shared ones, whichever account set
 * them. */
static bool is_too_many(const struct session *session, const struct annotations *annotations,
                        struct error *error)
{
    size_t most = session->mailbox->config->limits.annotations;
    return (annotations_count_of(annotations, rights_guest(session)) > most
            || annotations_count_of(annotations, SLICE("")) > most)
           && !error_too_many(error);
}

/* All files of the account together, and its quota: what the annotations grow by must fit. Visitors
 * leave a half to the owner. */
static bool has_room(struct session *session, size_t before, size_t after, struct error *error)
{
    struct mailbox *mailbox = session->mailbox;
    uint64_t limit = mailbox->config->limits.account_annotation_octets;
    uint64_t octets;
    if (after <= before)
        return true;
    if (rights_guest(session).len > 0)
        limit /= 2;
    if (!annotations_measure(mailbox->account_fd, &octets, error)
        || !mailbox_has_room(mailbox, after - before, 0, error))
        return false;
    return octets + (after - before) <= limit || error_too_many(error);
}

static bool set_one(const struct session *session, struct annotations *annotations,
                    const struct annotation *change)
{
    struct buffer kept = BUFFER_WITH_LIMIT(session->mailbox->config->limits.imap_command_octets);
    struct slice entry = change->entry;
    if (rights_guest(session).len > 0) {
        annotations_append_kept(rights_guest(session), entry, &kept);
        entry = buffer_slice(&kept);
    }
    bool set = !kept.failed && annotations_set(annotations, entry, change->value);
    buffer_clear(&kept);
    return set;
}

/* All of them or none (4.3). */
static bool change(struct session *session, int fd, const struct target *target,
                   const struct changes *changes, struct error *error)
{
    struct annotations annotations;
    bool done =
        load(session->mailbox, fd, target->folder.directory, file_of(target), &annotations, error);
    size_t before = annotations.text.len, count = annotations_count(&annotations);
    for (size_t i = 0; done && i < changes->count; i++)
        if (!set_one(session, &annotations, &changes->list[i]))
            done = error_too_many(error);
    if (done && annotations_count(&annotations) > count)
        done = !is_too_many(session, &annotations, error);
    done = done && has_room(session, before, annotations.text.len, error)
           && annotations_store(fd, file_of(target), &annotations, error);
    annotations_clear(&annotations);
    return done;
}

static void append_entries(const struct changes *changes, bool all, struct buffer *text)
{
    for (size_t i = 0; i < changes->count; i++) {
        if (!all && !is_shared(changes->list[i].entry))
            continue;
        if (text->len > 0)
            buffer_append_octet(text, ' ');
        imap_append_astring(text, changes->list[i].entry);
    }
}

static void tell_others(struct session *session, const struct target *target,
                        const struct changes *changes)
{
    size_t limit = session->mailbox->config->limits.imap_command_octets;
    struct buffer all = BUFFER_WITH_LIMIT(limit), shared = BUFFER_WITH_LIMIT(limit);
    append_entries(changes, true, &all);
    append_entries(changes, false, &shared);
    notify_on_metadata(session, rights_name_at_home(session, target->folder.name),
                       &(struct notify_entries){buffer_slice(&all), buffer_slice(&shared)});
    buffer_clear(&all);
    buffer_clear(&shared);
}

static bool sets_shared(const struct changes *changes)
{
    for (size_t i = 0; i < changes->count; i++)
        if (is_shared(changes->list[i].entry))
            return true;
    return false;
}

static void set(struct session *session, const struct target *target, const struct changes *changes)
{
    struct error error;
    if (!may_use(session, target, sets_shared(changes)))
        return;
    int fd = open_target(session, target);
    if (fd < 0)
        return;
    bool done = may_change(session, target, changes);
    if (!done) {
        fd_discard(&fd);
        return;
    }
    done = change(session, fd, target, changes, &error);
    fd_discard(&fd);
    if (done)
        tell_others(session, target, changes);
    if (done)
        session_ok(session, SLICE(""), "Noted");
    else if (error.code == E2BIG)
        session_no(session, SLICE("METADATA TOOMANY"),
                   "There are as many annotations as there may be (limits.annotations, "
                   "limits.account-annotations)");
    else
        session_failed(session, &error, "The annotations cannot be set now");
}

/* setmetadata = "SETMETADATA" SP mailbox SP entry-values */
void command_setmetadata(struct session *session, struct imap_parser *arguments)
{
    struct target target = {.is_server = false};
    struct changes changes;
    if (!imap_parse_space(arguments) || !parse_target(arguments, &target)
        || !imap_parse_space(arguments) || !parse_changes(arguments, &changes)
        || !imap_parse_end(arguments))
        session_bad_arguments(session, arguments);
    else
        set(session, &target, &changes);
}

/* ---- rights ---- */

static bool has_rights(struct slice account, const void *context)
{
    const struct acl *acl = context;
    return acl_rights_of(acl, account) != 0;
}

/* Private entries of accounts without rights to the folder, which could not remove them any
 * more. */
static bool drop_orphans(const struct mailbox *mailbox, int fd, struct annotations *annotations,
                         bool *dropped, struct error *error)
{
    struct acl acl;
    acl_init(&acl);
    bool loaded = acl_load(fd, slice_of_string(mailbox->account), &acl, error);
    *dropped = loaded && annotations_drop(annotations, has_rights, &acl);
    acl_clear(&acl);
    return loaded;
}

void metadata_on_rights(struct session *session, const char *directory)
{
    struct mailbox *mailbox = session->mailbox;
    struct annotations annotations;
    struct error error;
    bool dropped = false;
    int fd = open_directory(mailbox, directory, &error);
    annotations_init(&annotations, 0);
    bool done = fd >= 0 && load(mailbox, fd, directory, ANNOTATIONS_FILE, &annotations, &error)
                && drop_orphans(mailbox, fd, &annotations, &dropped, &error)
                && (!dropped || annotations_store(fd, ANNOTATIONS_FILE, &annotations, &error));
    if (!done)
        LOG(mailbox->log, LOG_WARNING, "metadata_not_dropped", log_hex("session", session->number),
            log_bytes("folder", slice_of_string(directory)), log_failure(&error));
    annotations_clear(&annotations);
    fd_discard(&fd);
}

/* ---- RENAME ---- */

/* 4.1: INBOX keeps its own when it is renamed, and what it is renamed to has the same. */
void metadata_copy(struct session *session, const char *from, const char *to)
{
    struct mailbox *mailbox = session->mailbox;
    struct annotations annotations;
    struct error error;
    bool dropped;
    int from_fd = open_directory(mailbox, from, &error);
    int to_fd = from_fd >= 0 ? open_directory(mailbox, to, &error) : -1;
    annotations_init(&annotations, 0);
    bool copied = to_fd >= 0 && load(mailbox, from_fd, from, ANNOTATIONS_FILE, &annotations, &error)
                  && drop_orphans(mailbox, to_fd, &annotations, &dropped, &error)
                  && annotations_store(to_fd, ANNOTATIONS_FILE, &annotations, &error);
    if (!copied)
        LOG(mailbox->log, LOG_WARNING, "metadata_not_copied", log_hex("session", session->number),
            log_failure(&error));
    annotations_clear(&annotations);
    fd_discard(&from_fd);
    fd_discard(&to_fd);
}
