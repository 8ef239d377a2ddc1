/* LIST, LSUB, SUBSCRIBE, UNSUBSCRIBE (RFC 3501 6.3.6 to 6.3.9), with the attributes of RFC 3348
 * (CHILDREN) and, as clients expect it of a plain LIST, RFC 6154 (SPECIAL-USE). */
#include <fcntl.h>
#include <stdlib.h>

#include "common/fd.h"
#include "imapd/commands/commands.h"
#include "imapd/folder_argument.h"
#include "imapd/mailbox.h"
#include "imapd/mailbox_name.h"
#include "imapd/mailbox_tree.h"
#include "storage/folder_record.h"

/* "* LIST (\attributes) "/" name" */
static void write_name(struct session *session, const char *response, struct slice attributes,
                       struct slice wire_name)
{
    struct buffer *text = &session->writer.text;
    buffer_append_format(text, "* %s (", response);
    buffer_append(text, attributes);
    buffer_append(text, SLICE(") \"/\" "));
    imap_append_astring(text, wire_name);
    buffer_append(text, SLICE("\r\n"));
}

/* "An empty ("" string) mailbox name argument is a special request to return the hierarchy
 * delimiter and the root name of the name given in the reference." */
static void answer_delimiter(struct session *session, const char *response)
{
    write_name(session, response, SLICE("\\Noselect"), SLICE(""));
    session_ok(session, SLICE(""), "That is the delimiter");
}

/* list = "LIST" SP mailbox SP list-mailbox. NULL: the command was ended. */
static struct mailbox_pattern *parse(struct session *session, struct imap_parser *arguments,
                                     const char *response)
{
    struct slice reference, pattern;
    if (!imap_parse_space(arguments) || !imap_parse_astring(arguments, &reference)
        || !imap_parse_space(arguments) || !imap_parse_list_mailbox(arguments, &pattern)
        || !imap_parse_end(arguments)) {
        session_bad_arguments(session, arguments);
        return NULL;
    }
    if (pattern.len == 0) {
        answer_delimiter(session, response);
        return NULL;
    }
    struct mailbox_pattern *compiled = session_alloc(session, sizeof(*compiled));
    if (compiled && !mailbox_pattern_init(compiled, reference, pattern)) {
        session_ok(session, SLICE(""), "No name is that long");
        return NULL;
    }
    return compiled;
}

/* ---- LIST ---- */

static void append_special_use(const struct mailbox *mailbox, const char *directory,
                               struct buffer *attributes)
{
    struct folder_record record;
    int fd =
        openat(mailbox->account_fd, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool loaded = fd >= 0 && folder_record_load(fd, &record, NULL);
    fd_discard(&fd);
    for (unsigned left = loaded ? record.special_use : 0; left != 0; left &= left - 1) {
        buffer_append_octet(attributes, ' ');
        buffer_append_string(attributes, special_use_name(left & -left));
    }
}

static void list_entry(struct session *session, const struct tree_entry *entry,
                       struct slice wire_name)
{
    struct buffer attributes = BUFFER_WITH_LIMIT(500);
    if (!entry->directory)
        buffer_append(&attributes, SLICE("\\Noselect "));
    buffer_append_string(&attributes, entry->has_children ? "\\HasChildren" : "\\HasNoChildren");
    if (entry->directory)
        append_special_use(session->mailbox, entry->directory, &attributes);
    write_name(session, "LIST", buffer_slice(&attributes), wire_name);
    buffer_clear(&attributes);
}

static void list_matching(struct session *session, const struct mailbox_tree *tree,
                          const struct mailbox_pattern *pattern)
{
    struct buffer wire = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    for (size_t i = 0; i < tree->count; i++) {
        const struct tree_entry *entry = &tree->entries[i];
        buffer_reset(&wire);
        if (mailbox_name_format(slice_of_string(entry->name), MAILBOX_NAME_UTF7, &wire)
            && mailbox_pattern_matches(pattern, buffer_slice(&wire)))
            list_entry(session, entry, buffer_slice(&wire));
    }
    buffer_clear(&wire);
}

void command_list(struct session *session, struct imap_parser *arguments)
{
    struct mailbox_tree tree;
    struct error error;
    struct mailbox_pattern *pattern = parse(session, arguments, "LIST");
    if (!pattern)
        return;
    if (!mailbox_tree_read(&tree, session->mailbox->account_fd, &error)) {
        session_failed(session, &error, "The mailboxes cannot be listed now");
        return;
    }
    list_matching(session, &tree, pattern);
    mailbox_tree_clear(&tree);
    session_ok(session, SLICE(""), "Listed");
}

/* ---- LSUB ---- */

struct lsub {
    struct session *session;
    const struct mailbox_pattern *pattern;
    struct buffer wire;
};

static bool matches(struct lsub *lsub, struct slice name)
{
    buffer_reset(&lsub->wire);
    return mailbox_name_format(name, MAILBOX_NAME_UTF7, &lsub->wire)
           && mailbox_pattern_matches(lsub->pattern, buffer_slice(&lsub->wire));
}

/* "if "foo/bar" is subscribed and "%" is asked for, "foo" is returned with \Noselect": a name that
 * does not match itself, below one that does. */
static void lsub_name(struct lsub *lsub, struct slice last, struct slice name)
{
    size_t end = 0;
    if (matches(lsub, name)) {
        write_name(lsub->session, "LSUB", SLICE(""), buffer_slice(&lsub->wire));
        return;
    }
    while (mailbox_tree_next_superior(last, name, &end)) {
        if (matches(lsub, slice_range(name, 0, end)))
            write_name(lsub->session, "LSUB", SLICE("\\Noselect"), buffer_slice(&lsub->wire));
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

void command_lsub(struct session *session, struct imap_parser *arguments)
{
    struct lsub lsub = {.session = session, .wire = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX)};
    struct slice last = SLICE("");
    size_t count;
    lsub.pattern = parse(session, arguments, "LSUB");
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
    if (!imap_parse_space(arguments) || !folder_argument_parse_new(arguments, folder)
        || !imap_parse_end(arguments)) {
        session_bad_arguments(session, arguments);
        return false;
    }
    if (folder->problem)
        session_no(session, SLICE("CANNOT"), folder->problem);
    return !folder->problem;
}

static void store(struct session *session)
{
    struct mailbox *mailbox = session->mailbox;
    struct error error;
    if (subscriptions_store(mailbox->account_fd, &mailbox->subscriptions, &error))
        session_ok(session, SLICE(""), "Done");
    else
        session_failed(session, &error, "The subscriptions could not be stored");
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
        store(session);
    else
        session_failed(session, &error, "The subscriptions have no room for that");
}

void command_unsubscribe(struct session *session, struct imap_parser *arguments)
{
    struct folder_argument folder;
    if (!parse_name(session, arguments, &folder))
        return;
    if (subscriptions_remove(&session->mailbox->subscriptions, folder.name))
        store(session);
    else
        session_no(session, SLICE("NONEXISTENT"), "You are not subscribed to that");
}
