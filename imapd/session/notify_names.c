/*
 * NOTIFY: what one session does to names, subscriptions, rights and annotations, told to those who
 * listen (RFC 5465 5.4 to 5.7); see notify.h. The owner's clients hear of the name that is named; a
 * visitor of each mailbox that he may look up, or could before.
 */
#include "imapd/session/notify_internal.h"

#include "imapd/folder/mailbox_tree.h"
#include "imapd/mailbox.h"
#include "imapd/session/session.h"
#include "imapd/shared/rights.h"
#include "imapd/shared/shared_names.h"
#include "imapd/syntax/mailbox_name.h"
#include "storage/acl.h"
#include "storage/folder_name.h"

/* ---- responses ---- */

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
    return name.len > 0 && (notify_events_for(notify, name, is_subscribed(notify, name)) & event);
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
    bool is_rights; /* only the rights have changed */
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

/* Appends the former name; nothing if the mailbox was not renamed. */
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
    if ((is_wanted || is_renamed) && entry->directory
        && notify_may(notify, entry->directory, ACL_LOOKUP)
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
    if (entry && entry->directory && notify_may(notify, entry->directory, ACL_LOOKUP))
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
                                         && notify_may(notify, directory, ACL_LOOKUP | ACL_READ)
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
