/* Mailboxes that are watched, and news of names; see notify.h. */
#include "imapd/session/notify.h"

#include <stddef.h>
#include <stdlib.h>

#include <utlist.h>

#include "imapd/folder/folder_status.h"
#include "imapd/folder/mailbox_tree.h"
#include "imapd/mailbox.h"
#include "imapd/session/session.h"
#include "imapd/shared/listeners.h"
#include "imapd/shared/rights.h"
#include "imapd/shared/seen_names.h"
#include "imapd/shared/shared_names.h"
#include "imapd/syntax/mailbox_name.h"
#include "storage/acl.h"
#include "storage/folder_name.h"

enum { PENDING_OCTETS = 65536 };

/* What the client knows of a mailbox. */
struct known {
    uint32_t uid_next;
    uint32_t messages;
    uint32_t unseen;
    uint64_t modseq;
};

struct watched_mailbox {
    struct folder_watcher watcher; /* first */
    struct watched_mailbox *prev, *next;
    struct notify *notify;
    struct folder_status status; /* its folder is NULL until it is open */
    char directory[MAILDIR_NAME_SIZE];
    char *name;      /* UTF-8; its own; as the client calls it */
    unsigned events; /* enum notify_event */
    bool is_meant;   /* by the last look */
    bool is_new;     /* it came after NOTIFY: all in it is news */
    bool dirty;
    struct known known;
};

struct notify {
    struct session *session;
    struct notify_request request;
    struct arena arena; /* of the request */
    struct watched_mailbox *watched;
    size_t watched_count;
    bool is_set_up;         /* all were opened once */
    bool is_stale;          /* names have changed: which are meant must be found again */
    bool knows_names;       /* `seen` is filled */
    struct seen_names seen; /* a visitor's: of MailboxName, those that he knows he may look up */
    struct buffer pending;
    struct listeners listeners; /* in other accounts */
};

/* ---- life ---- */

struct notify *notify_new(struct session *session, const struct notify_request *request,
                          struct arena *arena)
{
    struct notify *notify = calloc(1, sizeof(*notify));
    if (!notify)
        return NULL;
    notify->session = session;
    notify->request = *request;
    notify->arena = *arena;
    buffer_init(&notify->pending, PENDING_OCTETS);
    seen_names_init(&notify->seen);
    listeners_init(&notify->listeners, session, &notify->pending);
    return notify;
}

static void forget_mailbox(struct notify *notify, struct watched_mailbox *watched)
{
    if (watched->status.folder)
        folder_unwatch(watched->status.folder, &watched->watcher);
    folder_status_end(&watched->status);
    DL_DELETE(notify->watched, watched);
    notify->watched_count--;
    free(watched->name);
    free(watched);
}

static void forget_mailboxes(struct notify *notify)
{
    struct watched_mailbox *watched, *next;
    DL_FOREACH_SAFE (notify->watched, watched, next)
        forget_mailbox(notify, watched);
}

void notify_free(struct notify *notify)
{
    if (!notify)
        return;
    forget_mailboxes(notify);
    listeners_clear(&notify->listeners);
    arena_clear(&notify->arena);
    buffer_clear(&notify->pending);
    seen_names_clear(&notify->seen);
    free(notify);
}

/* 5.8: "and behave as if a NOTIFY NONE command had just been received". */
static void overflow(struct notify *notify, const char *why)
{
    forget_mailboxes(notify);
    listeners_clear(&notify->listeners);
    notify->listeners.lost = false;
    buffer_reset(&notify->pending);
    seen_names_clear(&notify->seen);
    notify->request.group_count = 0;
    notify->is_stale = false;
    writer_untagged(&notify->session->writer, WRITER_OK, SLICE("NOTIFICATIONOVERFLOW"), why);
}

/* ---- visitors ---- */

/* A visitor knows mailboxes by longer names, hears of those that he has rights to, and nothing of
 * what the owner is subscribed to (RFC 4314 4: "l"; "r" for what STATUS says). */
static bool may(const struct notify *notify, const char *directory, unsigned needed)
{
    unsigned rights;
    return !notify->session->visitor
           || (rights_find(notify->session, directory, &rights, NULL)
               && (rights & needed) == needed);
}

/* ---- who is meant ---- */

/* Another account's mailbox is no personal one (6.2, 6.3). */
static bool is_meant(const struct notify *notify, const struct mailbox_filter *filter,
                     struct slice name, bool is_subscribed)
{
    if (notify->session->visitor || !shared_names_has(notify->session, name))
        return mailbox_filter_matches(filter, name, is_subscribed);
    const struct mailbox_filter theirs = {
        .kind = filter->kind, .names = filter->shared, .name_count = filter->shared_count};
    return filter->kind != FILTER_PERSONAL && mailbox_filter_matches(&theirs, name, is_subscribed);
}

/* Of the owner's mailbox of that name. */
static unsigned events_for(const struct notify *notify, struct slice name, bool is_subscribed)
{
    struct buffer called = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    unsigned events = 0;
    rights_append_name(notify->session, name, &called);
    is_subscribed = is_subscribed && !notify->session->visitor;
    for (size_t i = 0; i < notify->request.group_count; i++)
        if (is_meant(notify, &notify->request.groups[i].filter, buffer_slice(&called),
                     is_subscribed))
            events |= notify->request.groups[i].events;
    buffer_clear(&called);
    return notify->session->visitor ? events & ~(unsigned)NOTIFY_SUBSCRIPTION_CHANGE : events;
}

static struct watched_mailbox *find_watched(struct notify *notify, const char *directory)
{
    struct watched_mailbox *watched;
    DL_FOREACH (notify->watched, watched)
        if (strcmp(watched->directory, directory) == 0)
            return watched;
    return NULL;
}

static void on_folder_change(struct folder_watcher *watcher)
{
    struct watched_mailbox *watched = (void *)watcher;
    watched->dirty = true;
    session_has_news(watched->notify->session);
}

static struct watched_mailbox *add_watched(struct notify *notify, const struct tree_entry *entry)
{
    struct watched_mailbox *watched = calloc(1, sizeof(*watched));
    struct buffer called = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    rights_append_name(notify->session, slice_of_string(entry->name), &called);
    char *name = called.failed ? NULL : strndup((const char *)called.ptr, called.len);
    buffer_clear(&called);
    if (!watched || !name) {
        free(watched);
        free(name);
        return NULL;
    }
    watched->watcher.on_change = on_folder_change;
    watched->notify = notify;
    watched->name = name;
    watched->is_new = notify->is_set_up;
    memcpy(watched->directory, entry->directory, strlen(entry->directory) + 1);
    DL_APPEND(notify->watched, watched);
    notify->watched_count++;
    return watched;
}

static bool mean_entry(struct notify *notify, const struct tree_entry *entry, struct error *error)
{
    unsigned events =
        events_for(notify, slice_of_string(entry->name), entry->traits & TREE_SUBSCRIBED);
    if (notify->session->visitor && !notify->knows_names && entry->directory
        && (events & NOTIFY_MAILBOX_NAME) && may(notify, entry->directory, ACL_LOOKUP))
        seen_names_add(&notify->seen, slice_of_string(entry->name));
    if (!entry->directory || !(events & NOTIFY_MESSAGE_EVENTS)
        || !may(notify, entry->directory, ACL_LOOKUP | ACL_READ))
        return true;
    struct watched_mailbox *watched = find_watched(notify, entry->directory);
    if (!watched && notify->watched_count == NOTIFY_WATCHED_MAX)
        return error_set(error, ERROR_PERMANENT, "more than %d mailboxes", NOTIFY_WATCHED_MAX);
    if (!watched)
        watched = add_watched(notify, entry);
    if (!watched)
        return error_memory(error);
    watched->is_meant = true;
    watched->events = events;
    return true;
}

bool notify_find_mailboxes(struct notify *notify, struct error *error)
{
    struct mailbox *mailbox = notify->session->mailbox;
    struct watched_mailbox *watched, *next;
    struct mailbox_tree tree;
    bool found = true;
    notify->is_stale = false;
    if (!mailbox_tree_read(&tree, mailbox->account_fd, &mailbox->subscriptions, NULL, error))
        return false;
    DL_FOREACH (notify->watched, watched)
        watched->is_meant = false;
    for (size_t i = 0; found && i < tree.count; i++)
        found = mean_entry(notify, &tree.entries[i], error);
    mailbox_tree_clear(&tree);
    notify->knows_names = true;
    if (found && seen_names_failed(&notify->seen))
        found = error_set(error, ERROR_PERMANENT, "too many names of mailboxes");
    DL_FOREACH_SAFE (notify->watched, watched, next) {
        bool deleted = watched->status.folder && watched->status.folder->deleted;
        bool renamed = watched->status.folder
                       && strcmp(watched->status.folder->directory, watched->directory) != 0;
        if (found && (!watched->is_meant || deleted || renamed)) {
            notify->is_stale |= watched->is_meant; /* another has its name */
            forget_mailbox(notify, watched);
        }
    }
    return found;
}

/* ---- opening ---- */

static struct known look(const struct watched_mailbox *watched)
{
    const struct folder *folder = watched->status.folder;
    struct known known = {.uid_next = folder->uid_next,
                          .messages = folder_message_count(folder),
                          .modseq = folder_highest_modseq(folder)};
    for (size_t i = 0; (watched->events & NOTIFY_FLAG_CHANGE) && i < folder->count; i++)
        known.unseen += folder->messages[i].name && !(folder->messages[i].flags & MAILDIR_SEEN);
    return known;
}

static bool is_selected(const struct notify *notify, const struct watched_mailbox *watched)
{
    return notify->session->view.folder == watched->status.folder;
}

static void write_status(struct notify *notify, struct watched_mailbox *watched, unsigned items)
{
    watched->status.items = items;
    if (items && !is_selected(notify, watched))
        folder_status_write(&watched->status, slice_of_string(watched->name),
                            session_name_form(notify->session), &notify->session->writer.text);
}

/* 3.1: what STATUS says of a mailbox before NOTIFY's OK. */
static unsigned first_items(const struct notify *notify, const struct watched_mailbox *watched)
{
    unsigned items = STATUS_MESSAGES | STATUS_UIDNEXT | STATUS_UIDVALIDITY;
    if (!notify->request.wants_status || notify->is_set_up)
        return 0;
    if (watched->events & NOTIFY_FLAG_CHANGE)
        items |= STATUS_HIGHESTMODSEQ | STATUS_UNSEEN;
    return items;
}

static void on_open(struct notify *notify, struct watched_mailbox *watched)
{
    folder_watch(watched->status.folder, &watched->watcher);
    write_status(notify, watched, first_items(notify, watched));
    watched->known = watched->is_new ? (struct known){.uid_next = 1} : look(watched);
    watched->dirty = watched->is_new;
}

bool notify_open_step(struct notify *notify, bool *failed, struct error *error)
{
    struct mailbox *mailbox = notify->session->mailbox;
    struct watched_mailbox *watched;
    *failed = false;
    DL_FOREACH (notify->watched, watched) {
        if (watched->watcher.is_watching)
            continue;
        if (!watched->status.folder
            && !folder_status_begin(&watched->status, mailbox, watched->directory, 0, error)) {
            *failed = error->kind != ERROR_NOT_FOUND;
            forget_mailbox(notify, watched);
        } else if (!folder_status_step(&watched->status)) {
            on_open(notify, watched);
        }
        return true;
    }
    notify->is_set_up = true;
    return false;
}

struct listeners *notify_listeners(struct notify *notify)
{
    return &notify->listeners;
}

bool notify_listens_elsewhere(const struct notify *notify)
{
    return notify->listeners.all != NULL;
}

const struct notify_request *notify_wanted(const struct notify *notify)
{
    return &notify->request;
}

/* ---- the selected mailbox ---- */

static const struct notify_group *group_of_selected(const struct notify *notify)
{
    for (size_t i = 0; i < notify->request.group_count; i++)
        if (notify->request.groups[i].filter.kind & (FILTER_SELECTED | FILTER_SELECTED_DELAYED))
            return &notify->request.groups[i];
    return NULL;
}

enum notify_manner notify_manner(const struct notify *notify)
{
    const struct notify_group *group = group_of_selected(notify);
    if (!group || group->events == 0)
        return NOTIFY_TELLS_NOTHING;
    return group->filter.kind == FILTER_SELECTED ? NOTIFY_TELLS_AT_ONCE : NOTIFY_TELLS_DELAYED;
}

bool notify_tells_flags(const struct notify *notify)
{
    const struct notify_group *group = group_of_selected(notify);
    return group && (group->events & NOTIFY_FLAG_CHANGE);
}

void notify_append_selected(const struct notify *notify, struct buffer *command)
{
    bool is_delayed = notify_manner(notify) == NOTIFY_TELLS_DELAYED;
    struct slice data = notify_message_data(notify);
    if (notify_manner(notify) == NOTIFY_TELLS_NOTHING) {
        buffer_append(command, SLICE("NOTIFY NONE"));
        return;
    }
    buffer_append_format(command, "NOTIFY SET (%s (MessageNew",
                         is_delayed ? "selected-delayed" : "selected");
    if (data.len > 0)
        buffer_append_octet(command, ' ');
    buffer_append(command, data);
    buffer_append_string(command, notify_tells_flags(notify) ? " MessageExpunge FlagChange))"
                                                             : " MessageExpunge))");
}

struct slice notify_message_data(const struct notify *notify)
{
    bool wanted = notify_manner(notify) != NOTIFY_TELLS_NOTHING;
    return wanted ? notify->request.message_data : SLICE("");
}

/* ---- telling ---- */

/* 5.1 to 5.3 */
static unsigned items_for(const struct notify *notify, const struct watched_mailbox *watched,
                          const struct known *now)
{
    const struct known *known = &watched->known;
    bool tells_modseq = notify->session->view.manner & VIEW_TELLS_MODSEQ;
    unsigned items = 0;
    if (now->uid_next != known->uid_next || now->messages != known->messages)
        items |= STATUS_UIDNEXT | STATUS_MESSAGES | (tells_modseq ? STATUS_HIGHESTMODSEQ : 0U);
    if (!(watched->events & NOTIFY_FLAG_CHANGE))
        return items;
    if (now->unseen != known->unseen)
        items |= STATUS_UIDVALIDITY | STATUS_UNSEEN;
    if (tells_modseq && now->modseq != known->modseq)
        items |= STATUS_UIDVALIDITY | STATUS_HIGHESTMODSEQ;
    return items;
}

static void tell_mailbox(struct notify *notify, struct watched_mailbox *watched)
{
    if (!watched->dirty || !watched->watcher.is_watching)
        return;
    struct known now = look(watched);
    watched->dirty = false;
    if (may(notify, watched->directory, ACL_LOOKUP | ACL_READ))
        write_status(notify, watched, items_for(notify, watched, &now));
    watched->known = now;
}

/* Mailboxes of other names are meant now; those that are new to us are opened. */
static bool follow_names(struct notify *notify, struct error *error)
{
    bool failed = false;
    while (notify->is_stale)
        if (!notify_find_mailboxes(notify, error))
            return false;
    while (!failed && notify_open_step(notify, &failed, error))
        ;
    return !failed;
}

bool notify_has_news(const struct notify *notify)
{
    const struct watched_mailbox *watched;
    if (notify->is_stale || notify->pending.len > 0 || notify->pending.failed
        || notify->listeners.lost)
        return true;
    DL_FOREACH (notify->watched, watched)
        if (watched->dirty)
            return true;
    return false;
}

void notify_tell(struct notify *notify)
{
    struct watched_mailbox *watched;
    struct error error;
    if (!notify->is_set_up)
        return;
    if (notify->pending.failed || seen_names_failed(&notify->seen)) {
        overflow(notify, "Too much has happened: say NOTIFY again");
        return;
    }
    if (notify->listeners.lost) {
        overflow(notify, "Another account cannot be listened to any more: say NOTIFY again");
        return;
    }
    buffer_append(&notify->session->writer.text, buffer_slice(&notify->pending));
    buffer_reset(&notify->pending);
    listeners_go_on(&notify->listeners);
    if (notify->is_stale && !follow_names(notify, &error)) {
        LOG(notify->session->mailbox->log, LOG_WARNING, "notify_ended",
            log_hex("session", notify->session->number), log_failure(&error));
        overflow(notify, "The mailboxes cannot be watched any more: say NOTIFY again");
        return;
    }
    DL_FOREACH (notify->watched, watched)
        tell_mailbox(notify, watched);
}

/* ---- names ---- */

static void append_wire_name(struct notify *notify, struct slice name)
{
    struct buffer called = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    struct buffer wire = BUFFER_WITH_LIMIT(4 * MAILBOX_NAME_MAX);
    enum mailbox_name_form form = session_name_form(notify->session);
    rights_append_name(notify->session, name, &called);
    mailbox_name_format(buffer_slice(&called), form, &wire);
    imap_append_mailbox(&notify->pending, buffer_slice(&wire), form);
    buffer_clear(&called);
    buffer_clear(&wire);
}

/* '"/" new ("OLDNAME" (old))', to the end of the line. */
static void append_names(struct notify *notify, struct slice name, struct slice old_name)
{
    struct buffer *text = &notify->pending;
    buffer_append_string(text, ") \"/\" ");
    append_wire_name(notify, name);
    if (old_name.len > 0) {
        buffer_append(text, SLICE(" (\"OLDNAME\" ("));
        append_wire_name(notify, old_name);
        buffer_append(text, SLICE("))"));
    }
    buffer_append(text, SLICE("\r\n"));
}

static bool is_subscribed(const struct notify *notify, struct slice name)
{
    return subscriptions_has(&notify->session->mailbox->subscriptions, name);
}

/* '* LIST (\HasNoChildren \Subscribed) "/" new ("OLDNAME" (old))' (5.4, 5.5). Whether there is
 * another account's mailbox only that knows: nothing is said of it. */
static void append_list(struct notify *notify, const struct mailbox_tree *tree, struct slice name,
                        struct slice old_name)
{
    struct buffer *text = &notify->pending;
    const struct tree_entry *entry = mailbox_tree_find(tree, name);
    bool exists = entry && entry->directory;
    bool has_children = entry && (entry->below & TREE_FOLDER);
    bool is_shared = shared_names_has(notify->session, name);
    buffer_append_string(text, exists || is_shared ? "* LIST (" : "* LIST (\\NonExistent ");
    if (!is_shared)
        buffer_append_string(text, has_children ? "\\HasChildren" : "\\HasNoChildren");
    if (is_subscribed(notify, name))
        buffer_append_string(text, is_shared ? "\\Subscribed" : " \\Subscribed");
    append_names(notify, name, old_name);
}

static bool wants(const struct notify *notify, struct slice name, enum notify_event event)
{
    return name.len > 0 && (events_for(notify, name, is_subscribed(notify, name)) & event);
}

/* Sessions that listen, after the one given; NULL at first. */
static struct notify *next_listener(const struct session *by, struct session **session)
{
    *session = *session ? (*session)->next : by->mailbox->sessions;
    while (*session && (*session == by || !(*session)->notify))
        *session = (*session)->next;
    return *session ? (*session)->notify : NULL;
}

static bool anybody_listens(const struct session *by)
{
    struct session *session = NULL;
    return next_listener(by, &session) != NULL;
}

static void mark_stale(const struct session *by)
{
    struct session *session = NULL;
    struct notify *notify;
    while ((notify = next_listener(by, &session))) {
        notify->is_stale = true;
        session_has_news(session);
    }
    if (by->notify) {
        by->notify->is_stale = true;
        session_has_news(by->notify->session);
    }
}

static struct slice parent_of(struct slice name)
{
    size_t length = name.len;
    while (length > 0 && name.ptr[length - 1] != '/')
        length--;
    return slice_range(name, 0, length > 0 ? length - 1 : 0);
}

struct name_event {
    enum notify_event event;
    struct slice name;
    struct slice old_name; /* empty: it was not renamed */
    struct slice parent;   /* affected too, in what lies below it; empty: none */
    struct slice old_parent;
    bool is_rights; /* nothing but who may see it */
};

/* ---- to visitors: what they may look up, and could before (RFC 4314 4: "l") ---- */

static bool is_below(struct slice name, struct slice above)
{
    return above.len > 0 && slice_starts_with(name, above) && name.len > above.len
           && name.ptr[above.len] == '/';
}

/* What lies below a mailbox is renamed with it, though who sees that may not see what is above. */
static bool is_affected(const struct name_event *what, struct slice name)
{
    return slice_equal(name, what->name) || slice_equal(name, what->old_name)
           || (what->old_name.len > 0
               && (is_below(name, what->name) || is_below(name, what->old_name)));
}

/* What was called so before, appended; nothing: it was not renamed. */
static void append_old_name(const struct name_event *what, struct slice name, struct buffer *old)
{
    if (what->old_name.len == 0 || !(slice_equal(name, what->name) || is_below(name, what->name)))
        return;
    buffer_append(old, what->old_name);
    buffer_append(old, slice_from(name, what->name.len));
}

static void tell_seen(struct notify *notify, const struct name_event *what,
                      const struct tree_entry *entry)
{
    struct slice name = slice_of_string(entry->name);
    struct buffer old = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    append_old_name(what, name, &old);
    bool is_renamed = old.len > 0 && seen_names_has(&notify->seen, buffer_slice(&old));
    bool is_wanted = wants(notify, name, NOTIFY_MAILBOX_NAME);
    if ((is_wanted || is_renamed) && entry->directory && may(notify, entry->directory, ACL_LOOKUP)
        && (is_renamed || !seen_names_has(&notify->seen, name))) {
        buffer_append_string(&notify->pending, "* LIST (");
        append_names(notify, name, is_renamed ? buffer_slice(&old) : SLICE(""));
        if (is_renamed)
            seen_names_remove(&notify->seen, buffer_slice(&old));
        if (is_wanted)
            seen_names_add(&notify->seen, name);
    }
    buffer_clear(&old);
}

static void tell_gone(struct notify *notify, const struct mailbox_tree *tree, struct slice name)
{
    const struct tree_entry *entry = mailbox_tree_find(tree, name);
    if (entry && entry->directory && may(notify, entry->directory, ACL_LOOKUP))
        return;
    buffer_append_string(&notify->pending, "* LIST (\\NonExistent");
    append_names(notify, name, SLICE(""));
    seen_names_remove(&notify->seen, name);
}

/* Up to what is too much for him: then he is told that alone. */
static void tell_visitor(struct notify *notify, const struct mailbox_tree *tree,
                         const struct name_event *what)
{
    const struct seen_name *one = NULL, *next = NULL;
    for (size_t i = 0; i < tree->count && !notify->pending.failed; i++)
        if (is_affected(what, slice_of_string(tree->entries[i].name)))
            tell_seen(notify, what, &tree->entries[i]);
    for (one = seen_names_next(&notify->seen, NULL); one && !notify->pending.failed; one = next) {
        next = seen_names_next(&notify->seen, one);
        if (is_affected(what, seen_name_text(one)))
            tell_gone(notify, tree, seen_name_text(one));
    }
}

static void announce(struct session *by, const struct name_event *what)
{
    struct session *session = NULL;
    struct mailbox_tree tree;
    struct notify *notify;
    struct error error;
    mark_stale(by);
    if (!anybody_listens(by))
        return;
    if (!mailbox_tree_read(&tree, by->mailbox->account_fd, &by->mailbox->subscriptions, NULL,
                           &error)) {
        LOG(by->mailbox->log, LOG_WARNING, "notify_lost", log_hex("session", by->number),
            log_failure(&error));
        return;
    }
    while ((notify = next_listener(by, &session))) {
        if (session->visitor && what->event == NOTIFY_MAILBOX_NAME)
            tell_visitor(notify, &tree, what);
        if (session->visitor || what->is_rights)
            continue;
        if (wants(notify, what->name, what->event) || wants(notify, what->old_name, what->event))
            append_list(notify, &tree, what->name, what->old_name);
        if (wants(notify, what->parent, what->event))
            append_list(notify, &tree, what->parent, SLICE(""));
        if (wants(notify, what->old_parent, what->event))
            append_list(notify, &tree, what->old_parent, SLICE(""));
    }
    mailbox_tree_clear(&tree);
}

void notify_on_created(struct session *by, struct slice name)
{
    announce(by, &(struct name_event){
                     .event = NOTIFY_MAILBOX_NAME, .name = name, .parent = parent_of(name)});
}

void notify_on_deleted(struct session *by, struct slice name)
{
    notify_on_created(by, name);
}

void notify_on_renamed(struct session *by, struct slice from, struct slice to)
{
    struct name_event what = {.event = NOTIFY_MAILBOX_NAME, .name = to, .old_name = from};
    if (!slice_equal(parent_of(to), parent_of(from))) {
        what.parent = parent_of(to);
        what.old_parent = parent_of(from);
    }
    announce(by, &what);
}

void notify_on_subscription(struct session *by, struct slice name)
{
    announce(by, &(struct name_event){.event = NOTIFY_SUBSCRIPTION_CHANGE, .name = name});
}

void notify_on_rights(struct session *by, struct slice name)
{
    announce(by,
             &(struct name_event){.event = NOTIFY_MAILBOX_NAME, .name = name, .is_rights = true});
}

static bool wants_server_metadata(const struct notify *notify)
{
    unsigned events = 0;
    for (size_t i = 0; i < notify->request.group_count; i++)
        events |= notify->request.groups[i].events;
    return events & NOTIFY_SERVER_METADATA;
}

void notify_on_metadata(struct session *by, struct slice name, const struct notify_entries *entries)
{
    char directory[MAILDIR_NAME_SIZE] = MAILDIR_INBOX;
    struct session *session = NULL;
    struct notify *notify;
    if (name.len > 0 && !folder_name_to_directory(name, directory, NULL))
        return;
    while ((notify = next_listener(by, &session))) {
        bool wanted = name.len > 0 ? wants(notify, name, NOTIFY_MAILBOX_METADATA)
                                         && may(notify, directory, ACL_LOOKUP | ACL_READ)
                                   : !session->visitor && wants_server_metadata(notify);
        bool is_own = slice_equal(rights_guest(by), rights_guest(session));
        struct slice told = is_own ? entries->all : entries->shared;
        if (!wanted || told.len == 0)
            continue;
        buffer_append(&notify->pending, SLICE("* METADATA "));
        append_wire_name(notify, name);
        buffer_append_octet(&notify->pending, ' ');
        buffer_append(&notify->pending, told);
        buffer_append(&notify->pending, SLICE("\r\n"));
        session_has_news(session);
    }
}
