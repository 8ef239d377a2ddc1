/* NOTIFY: watches mailboxes and writes their notifications; see notify.h. Changes of names are in
 * notify_names.c. */
#include "imapd/session/notify_internal.h"

#include <stddef.h>
#include <stdlib.h>

#include <utlist.h>

#include "imapd/folder/folder_status.h"
#include "imapd/folder/mailbox_tree.h"
#include "imapd/mailbox.h"
#include "imapd/session/session.h"
#include "imapd/shared/rights.h"
#include "imapd/shared/shared_names.h"
#include "imapd/syntax/mailbox_name.h"
#include "storage/acl.h"
#include "storage/folder_name.h"

enum { PENDING_OCTETS = 65536 };

/* What the client was last told of a mailbox. */
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
    bool is_wanted;  /* some filter matched its name, at the last look */
    bool is_new;     /* created after NOTIFY: all its messages are reported */
    bool dirty;      /* something has changed in it since `known` */
    struct known known;
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

bool notify_may(const struct notify *notify, const char *directory, unsigned needed)
{
    unsigned rights;
    return !notify->session->visitor
           || (rights_find(notify->session, directory, &rights, NULL)
               && (rights & needed) == needed);
}

/* ---- which mailboxes are wanted ---- */

/* Another account's mailbox is no personal one (6.2, 6.3). */
static bool matches(const struct notify *notify, const struct mailbox_filter *filter,
                    struct slice name, bool is_subscribed)
{
    if (notify->session->visitor || !shared_names_has(notify->session, name))
        return mailbox_filter_matches(filter, name, is_subscribed);
    const struct mailbox_filter theirs = {
        .kind = filter->kind, .names = filter->shared, .name_count = filter->shared_count};
    return filter->kind != FILTER_PERSONAL && mailbox_filter_matches(&theirs, name, is_subscribed);
}

unsigned notify_events_for(const struct notify *notify, struct slice name, bool is_subscribed)
{
    struct buffer called = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    unsigned events = 0;
    rights_append_name(notify->session, name, &called);
    is_subscribed = is_subscribed && !notify->session->visitor;
    for (size_t i = 0; i < notify->request.group_count; i++)
        if (matches(notify, &notify->request.groups[i].filter, buffer_slice(&called),
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

static bool watch_if_wanted(struct notify *notify, const struct tree_entry *entry,
                            struct error *error)
{
    unsigned events =
        notify_events_for(notify, slice_of_string(entry->name), entry->traits & TREE_SUBSCRIBED);
    if (notify->session->visitor && !notify->knows_names && entry->directory
        && (events & NOTIFY_MAILBOX_NAME) && notify_may(notify, entry->directory, ACL_LOOKUP))
        seen_names_add(&notify->seen, slice_of_string(entry->name));
    if (!entry->directory || !(events & NOTIFY_MESSAGE_EVENTS)
        || !notify_may(notify, entry->directory, ACL_LOOKUP | ACL_READ))
        return true;
    struct watched_mailbox *watched = find_watched(notify, entry->directory);
    if (!watched && notify->watched_count == NOTIFY_WATCHED_MAX)
        return error_set(error, ERROR_PERMANENT, "more than %d mailboxes", NOTIFY_WATCHED_MAX);
    if (!watched)
        watched = add_watched(notify, entry);
    if (!watched)
        return error_memory(error);
    watched->is_wanted = true;
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
        watched->is_wanted = false;
    for (size_t i = 0; found && i < tree.count; i++)
        found = watch_if_wanted(notify, &tree.entries[i], error);
    mailbox_tree_clear(&tree);
    notify->knows_names = true;
    if (found && seen_names_failed(&notify->seen))
        found = error_set(error, ERROR_PERMANENT, "too many names of mailboxes");
    DL_FOREACH_SAFE (notify->watched, watched, next) {
        bool deleted = watched->status.folder && watched->status.folder->deleted;
        bool renamed = watched->status.folder
                       && strcmp(watched->status.folder->directory, watched->directory) != 0;
        if (found && (!watched->is_wanted || deleted || renamed)) {
            notify->is_stale |= watched->is_wanted; /* another has its name */
            forget_mailbox(notify, watched);
        }
    }
    return found;
}

/* ---- opening ---- */

static struct known current_state(const struct watched_mailbox *watched)
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
    watched->known = watched->is_new ? (struct known){.uid_next = 1} : current_state(watched);
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
    struct known now = current_state(watched);
    watched->dirty = false;
    if (notify_may(notify, watched->directory, ACL_LOOKUP | ACL_READ))
        write_status(notify, watched, items_for(notify, watched, &now));
    watched->known = now;
}

/* Names have changed, and so perhaps which mailboxes are wanted; those that are new to us are
 * opened. */
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
