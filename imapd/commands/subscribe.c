/* SUBSCRIBE, UNSUBSCRIBE, LSUB (RFC 3501 6.3.6, 6.3.7, 6.3.9). */
#include <stdlib.h>

#include "imapd/commands/commands.h"
#include "imapd/commands/list.h"
#include "imapd/folder/mailbox_tree.h"
#include "imapd/mailbox.h"
#include "imapd/session/notify.h"
#include "imapd/syntax/folder_argument.h"
#include "imapd/syntax/mailbox_name.h"

/* ---- LSUB ---- */

struct lsub {
    struct session *session;
    const struct mailbox_pattern *pattern;
    struct buffer wire;
};

static bool matches(struct lsub *lsub, struct slice name)
{
    buffer_reset(&lsub->wire);
    return mailbox_name_format(name, session_name_form(lsub->session), &lsub->wire)
           && mailbox_pattern_matches(lsub->pattern, buffer_slice(&lsub->wire));
}

/* "if "foo/bar" is subscribed and "%" is asked for, "foo" is returned with \Noselect": a name that
 * does not match itself, below one that does. */
static void lsub_name(struct lsub *lsub, struct slice last, struct slice name)
{
    size_t end = 0;
    if (matches(lsub, name)) {
        list_write_name(lsub->session, "LSUB", SLICE(""), buffer_slice(&lsub->wire), SLICE(""));
        return;
    }
    while (mailbox_tree_next_superior(last, name, &end)) {
        if (matches(lsub, slice_range(name, 0, end)))
            list_write_name(lsub->session, "LSUB", SLICE("\\Noselect"), buffer_slice(&lsub->wire),
                            SLICE(""));
    }
}

static int compare_slices(const void *a, const void *b)
{
    return mailbox_tree_compare(*(const struct slice *)a, *(const struct slice *)b);
}

/* The names in the order of a tree; the array is the command's. NULL: the command was ended. */
static struct slice *sort_names(struct session *session, size_t *count)
{
    struct slice rest = buffer_slice(&session->mailbox->subscriptions.text);
    struct slice name;
    *count = 0;
    while (subscriptions_next(&rest, &name))
        (*count)++;
    struct slice *names = session_alloc(session, *count * sizeof(*names));
    if (!names)
        return NULL;
    rest = buffer_slice(&session->mailbox->subscriptions.text);
    for (size_t i = 0; i < *count && subscriptions_next(&rest, &name); i++)
        names[i] = name;
    qsort(names, *count, sizeof(*names), compare_slices);
    return names;
}

/* lsub = "LSUB" SP mailbox SP list-mailbox. NULL: the command was ended. */
static struct mailbox_pattern *parse_lsub(struct session *session, struct imap_parser *arguments)
{
    struct slice reference, pattern;
    if (!imap_parse_space(arguments) || !imap_parse_astring(arguments, &reference)
        || !imap_parse_space(arguments) || !imap_parse_list_mailbox(arguments, &pattern)
        || !imap_parse_end(arguments)) {
        session_bad_arguments(session, arguments);
        return NULL;
    }
    if (pattern.len == 0) {
        list_answer_delimiter(session, "LSUB");
        return NULL;
    }
    struct mailbox_pattern *compiled = session_alloc(session, sizeof(*compiled));
    if (compiled && !mailbox_pattern_init(compiled, reference, pattern)) {
        session_ok(session, SLICE(""), "No name is that long");
        return NULL;
    }
    return compiled;
}

void command_lsub(struct session *session, struct imap_parser *arguments)
{
    struct lsub lsub = {.session = session, .wire = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX)};
    struct slice last = SLICE("");
    size_t count;
    lsub.pattern = parse_lsub(session, arguments);
    const struct slice *names = lsub.pattern ? sort_names(session, &count) : NULL;
    if (!names)
        return;
    for (size_t i = 0; i < count; i++) {
        lsub_name(&lsub, last, names[i]);
        last = names[i];
    }
    buffer_clear(&lsub.wire);
    session_ok(session, SLICE(""), "Listed");
}

/* ---- SUBSCRIBE, UNSUBSCRIBE ---- */

static bool parse_name(struct session *session, struct imap_parser *arguments,
                       struct folder_argument *folder)
{
    if (!imap_parse_space(arguments) || !folder_argument_parse_level(arguments, folder)
        || !imap_parse_end(arguments)) {
        session_bad_arguments(session, arguments);
        return false;
    }
    if (folder->problem && !folder->is_shared)
        session_no(session, SLICE("CANNOT"), folder->problem);
    return !folder->problem || folder->is_shared;
}

static void store(struct session *session, struct slice name)
{
    struct mailbox *mailbox = session->mailbox;
    struct error error;
    if (subscriptions_store(mailbox->account_fd, &mailbox->subscriptions, &error))
        session_ok(session, SLICE(""), "Done");
    else
        session_failed(session, &error, "The subscriptions could not be stored");
    notify_on_subscription(session, name);
}

/* A name need not exist (RFC 3501 6.3.6 lets a server check, 6.3.9 wants deleted ones kept). */
void command_subscribe(struct session *session, struct imap_parser *arguments)
{
    struct folder_argument folder;
    struct error error;
    if (!parse_name(session, arguments, &folder))
        return;
    if (subscriptions_has(&session->mailbox->subscriptions, folder.name))
        session_ok(session, SLICE(""), "Subscribed already");
    else if (subscriptions_add(&session->mailbox->subscriptions, folder.name, &error))
        store(session, folder.name);
    else
        session_failed(session, &error, "The subscriptions have no room for that");
}

void command_unsubscribe(struct session *session, struct imap_parser *arguments)
{
    struct folder_argument folder;
    if (!parse_name(session, arguments, &folder))
        return;
    if (subscriptions_remove(&session->mailbox->subscriptions, folder.name))
        store(session, folder.name);
    else
        session_no(session, SLICE("NONEXISTENT"), "You are not subscribed to that");
}
