/* LIST (RFC 3501 6.3.8, RFC 5258, RFC 6154), with STATUS (RFC 5819) and METADATA (RFC 9590) of
 * the listed mailboxes. A plain LIST returns what clients expect: CHILDREN (RFC 3348) and special
 * use. */
#include "imapd/commands/list.h"

#include <fcntl.h>

#include "common/disk/fd.h"
#include "imapd/commands/acl.h"
#include "imapd/commands/commands.h"
#include "imapd/commands/metadata.h"
#include "imapd/folder/folder_status.h"
#include "imapd/folder/mailbox_tree.h"
#include "imapd/mailbox.h"
#include "imapd/shared/shared_items.h"
#include "imapd/shared/shared_names.h"
#include "imapd/syntax/list_request.h"
#include "imapd/syntax/mailbox_name.h"
#include "storage/expunged.h"
#include "storage/folder_record.h"

enum {
    A_SLICE = 1000,
    FOR_A_NAME = 1,   /* of a slice, and the same again for each pattern */
    FOR_A_RECORD = 5, /* opened and read, 20 µs */
    FOR_METADATA = 10,
};

struct list_work {
    struct list_request request;
    struct mailbox_pattern *patterns;
    size_t pattern_count; /* those longer than any name are left out */
    unsigned wanted;      /* enum tree_trait: selection criteria; 0: every existing name */
    struct shared_question *shared; /* mailboxes shared by others; NULL: sharing is off */
    struct mailbox_tree tree;
    size_t index;
    struct folder_status status; /* of the entry before `index`, while its folder is open */
    struct shared_items items;   /* of that entry, while another account's process is asked */
};

static void give_back(struct session *session)
{
    struct list_work *work = session->work;
    shared_names_end(work->shared);
    shared_items_clear(&work->items);
    folder_status_end(&work->status);
    mailbox_tree_clear(&work->tree);
}

/* ---- responses ---- */

void list_write_name(struct session *session, const char *response, struct slice attributes,
                     struct slice wire_name, struct slice extended)
{
    struct buffer *text = &session->writer.text;
    buffer_append_format(text, "* %s (", response);
    buffer_append(text, attributes);
    buffer_append(text, SLICE(") \"/\" "));
    imap_append_mailbox(text, wire_name, session_name_form(session));
    if (extended.len)
        buffer_append_octet(text, ' ');
    buffer_append(text, extended);
    buffer_append(text, SLICE("\r\n"));
}

void list_answer_delimiter(struct session *session, const char *response)
{
    list_write_name(session, response, SLICE("\\Noselect"), SLICE(""), SLICE(""));
    session_ok(session, SLICE(""), "That is the delimiter");
}

static void append_word(struct buffer *attributes, const char *word)
{
    if (attributes->len)
        buffer_append_octet(attributes, ' ');
    buffer_append_string(attributes, word);
}

static void append_special_use(unsigned special_use, struct buffer *attributes)
{
    for (unsigned left = special_use; left != 0; left &= left - 1)
        append_word(attributes, special_use_name(left & -left));
}

/* The attributes to show: those of RETURN and those implied by the selection (RFC 5258 3.1);
 * without RETURN all except \Subscribed. */
static bool tells(const struct list_request *request, enum list_option option)
{
    if ((request->returns | request->selection) & option)
        return true;
    return !request->returns_are_told && option != LIST_SUBSCRIBED;
}

static void append_attributes(const struct list_request *request, const struct tree_entry *entry,
                              struct buffer *attributes)
{
    if (!(entry->traits & TREE_FOLDER))
        append_word(attributes, request->extended ? "\\NonExistent" : "\\Noselect");
    if (tells(request, LIST_CHILDREN))
        append_word(attributes, entry->below & TREE_FOLDER ? "\\HasChildren" : "\\HasNoChildren");
    if (tells(request, LIST_SPECIAL_USE))
        append_special_use(entry->special_use, attributes);
    if (tells(request, LIST_SUBSCRIBED) && (entry->traits & TREE_SUBSCRIBED))
        append_word(attributes, "\\Subscribed");
}

/* childinfo-extended-item: the selection options that some descendant, of any name, matches. */
static void append_child_info(const struct list_work *work, const struct tree_entry *entry,
                              struct buffer *text)
{
    if (!(work->request.selection & LIST_RECURSIVEMATCH) || !(entry->below & TREE_CHOSEN))
        return;
    struct buffer options = BUFFER_WITH_LIMIT(100);
    if (work->wanted & TREE_SUBSCRIBED)
        append_word(&options, "\"SUBSCRIBED\"");
    if (work->wanted & TREE_SPECIAL_USE)
        append_word(&options, "\"SPECIAL-USE\"");
    buffer_append(text, SLICE("(\"CHILDINFO\" ("));
    buffer_append(text, buffer_slice(&options));
    buffer_append(text, SLICE("))"));
    buffer_clear(&options);
}

static void write_entry(struct session *session, const struct tree_entry *entry,
                        struct slice wire_name)
{
    const struct list_work *work = session->work;
    struct buffer attributes = BUFFER_WITH_LIMIT(500);
    struct buffer extended = BUFFER_WITH_LIMIT(100);
    append_attributes(&work->request, entry, &attributes);
    append_child_info(work, entry, &extended);
    list_write_name(session, "LIST", buffer_slice(&attributes), wire_name, buffer_slice(&extended));
    buffer_clear(&attributes);
    buffer_clear(&extended);
}

/* ---- choosing ---- */

static void find_special_use(const struct mailbox *mailbox, struct mailbox_tree *tree,
                             struct tree_entry *entry)
{
    struct folder_record record;
    if (expunged_holds(entry->directory))
        return; /* a deleted one has no special use */
    int fd = openat(mailbox->account_fd, entry->directory,
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool loaded = fd >= 0 && folder_record_load(fd, &record, NULL);
    fd_discard(&fd);
    entry->special_use = loaded ? record.special_use : 0;
    if (entry->special_use)
        mailbox_tree_note(tree, entry, TREE_SPECIAL_USE);
}

static bool is_chosen(const struct list_work *work, const struct tree_entry *entry)
{
    if (!work->wanted)
        return (entry->traits | entry->below) & TREE_FOLDER;
    return (entry->traits & work->wanted) == work->wanted;
}

static bool matches(const struct list_work *work, struct slice wire_name)
{
    for (size_t i = 0; i < work->pattern_count; i++) {
        if (mailbox_pattern_matches(&work->patterns[i], wire_name))
            return true;
    }
    return false;
}

static bool is_named(const struct session *session, const struct tree_entry *entry)
{
    struct buffer wire = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    bool named =
        mailbox_name_format(slice_of_string(entry->name), session_name_form(session), &wire)
        && matches(session->work, buffer_slice(&wire));
    buffer_clear(&wire);
    return named;
}

/* For RECURSIVEMATCH: the selected names that are shown only by CHILDINFO. */
static void note_chosen(const struct session *session, struct tree_entry *entry, int *left)
{
    struct list_work *work = session->work;
    unsigned traits = TREE_CHOSEN;
    if (work->request.selection & LIST_RECURSIVEMATCH) {
        *left -= (int)work->pattern_count;
        traits |= is_named(session, entry) ? 0 : TREE_UNNAMED;
    }
    mailbox_tree_note(&work->tree, entry, traits);
}

/* Before any answer, since a name may be listed for its descendants. The special use in plain
 * answers is read only for names that match. */
static bool choose_slice(struct session *session)
{
    struct list_work *work = session->work;
    struct mailbox_tree *tree = &work->tree;
    for (int left = A_SLICE; left > 0 && work->index < tree->count; work->index++) {
        struct tree_entry *entry = &tree->entries[work->index];
        left -= FOR_A_NAME;
        if ((work->wanted & TREE_SPECIAL_USE) && entry->directory) {
            find_special_use(session->mailbox, tree, entry);
            left -= FOR_A_RECORD;
        }
        if (is_chosen(work, entry))
            note_chosen(session, entry, &left);
    }
    return work->index < tree->count;
}

/* "Servers SHOULD ONLY return a non-matching mailbox name along with CHILDINFO if at least one
 * matching child is not also being returned" (RFC 5258 3.5). */
static bool is_listed(const struct list_work *work, const struct tree_entry *entry)
{
    bool by_below = work->request.selection & LIST_RECURSIVEMATCH;
    return (entry->traits & TREE_CHOSEN) || (by_below && (entry->below & TREE_UNNAMED));
}

/* ---- one mailbox ---- */

static void append_old_name(struct session *session, struct slice given, struct buffer *extended)
{
    struct buffer wire = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    enum mailbox_name_form form = session_name_form(session);
    mailbox_name_format(given, form, &wire);
    buffer_append(extended, SLICE("(\"OLDNAME\" ("));
    imap_append_mailbox(extended, buffer_slice(&wire), form);
    buffer_append(extended, SLICE("))"));
    buffer_clear(&wire);
}

void list_write_mailbox(struct session *session, struct slice name, struct slice given)
{
    static const struct list_request plain = {.returns = LIST_SUBSCRIBED};
    struct mailbox *mailbox = session->mailbox;
    struct buffer attributes = BUFFER_WITH_LIMIT(500);
    struct buffer extended = BUFFER_WITH_LIMIT(3 * MAILBOX_NAME_MAX);
    struct buffer wire = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    struct mailbox_tree tree;
    bool read = mailbox_tree_read(&tree, mailbox->account_fd, &mailbox->subscriptions,
                                  mailbox->undo.name, NULL);
    struct tree_entry *entry = read ? mailbox_tree_find(&tree, name) : NULL;
    if (entry && entry->directory) {
        find_special_use(mailbox, &tree, entry);
        append_attributes(&plain, entry, &attributes);
    }
    if (read)
        mailbox_tree_clear(&tree);
    if (given.ptr)
        append_old_name(session, given, &extended);
    mailbox_name_format(name, session_name_form(session), &wire);
    list_write_name(session, "LIST", buffer_slice(&attributes), buffer_slice(&wire),
                    buffer_slice(&extended));
    buffer_clear(&attributes);
    buffer_clear(&extended);
    buffer_clear(&wire);
}

/* ---- listing ---- */

/* "If the server is unable to return the STATUS, it MUST NOT return it": RFC 5819 2, which also
 * leaves out names listed only for their descendants. */
static void begin_status(struct session *session, const struct tree_entry *entry)
{
    struct list_work *work = session->work;
    struct error error;
    if (!work->request.status_items || !entry->directory || !(entry->traits & TREE_CHOSEN))
        return;
    if (!folder_status_begin(&work->status, session->mailbox, entry->directory,
                             work->request.status_items, &error)
        && error.kind != ERROR_NOT_FOUND)
        LOG(session->mailbox->log, LOG_ERROR, "status_left_out",
            log_hex("session", session->number),
            log_bytes("folder", slice_of_string(entry->directory)), log_failure(&error));
}

/* RFC 9590 3: so is METADATA. */
static void tell_metadata(struct session *session, const struct tree_entry *entry, int *left)
{
    const struct list_work *work = session->work;
    struct error error;
    uint64_t longest = 0; /* LONGENTRIES is GETMETADATA's */
    if (!work->request.metadata.entries || !entry->directory || !(entry->traits & TREE_CHOSEN))
        return;
    *left -= FOR_METADATA;
    if (!metadata_tell(session, entry->directory, slice_of_string(entry->name),
                       &work->request.metadata, &longest, &error)
        && error.kind != ERROR_NOT_FOUND)
        LOG(session->mailbox->log, LOG_ERROR, "metadata_left_out",
            log_hex("session", session->number),
            log_bytes("folder", slice_of_string(entry->directory)), log_failure(&error));
}

static void list_step(struct session *session);

static void ask_owner(struct session *session, const struct tree_entry *entry)
{
    struct list_work *work = session->work;
    if (entry->rights != 0 && (entry->traits & TREE_CHOSEN))
        shared_items_ask(&work->items, slice_of_string(entry->name), entry->rights, list_step);
}

static void list_entry(struct session *session, struct tree_entry *entry, int *left)
{
    struct list_work *work = session->work;
    struct buffer wire = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    *left -= FOR_A_NAME + (int)work->pattern_count;
    if (is_listed(work, entry)
        && mailbox_name_format(slice_of_string(entry->name), session_name_form(session), &wire)
        && matches(work, buffer_slice(&wire))) {
        if (entry->directory && tells(&work->request, LIST_SPECIAL_USE)
            && !(work->wanted & TREE_SPECIAL_USE)) {
            find_special_use(session->mailbox, &work->tree, entry);
            *left -= FOR_A_RECORD;
        }
        write_entry(session, entry, buffer_slice(&wire));
        if ((work->request.returns & LIST_MYRIGHTS) && (entry->traits & TREE_FOLDER))
            acl_tell_rights(session, slice_of_string(entry->name), entry->rights); /* RFC 8440 3 */
        tell_metadata(session, entry, left);
        begin_status(session, entry);
        ask_owner(session, entry);
    }
    buffer_clear(&wire);
}

static bool waits_for_items(const struct list_work *work)
{
    return work->status.folder || work->items.is_asking;
}

/* Each folder with STATUS ends the slice: opening one may take long. */
static void list_step(struct session *session)
{
    struct list_work *work = session->work;
    if (work->items.is_asking && shared_items_step(&work->items, list_step))
        return;
    if (work->status.folder) {
        if (folder_status_step(&work->status))
            return;
        struct slice name = slice_of_string(work->tree.entries[work->index - 1].name);
        folder_status_write(&work->status, name, session_name_form(session), &session->writer.text);
        folder_status_end(&work->status);
    }
    for (int left = A_SLICE; left > 0 && work->index < work->tree.count && !waits_for_items(work);
         work->index++)
        list_entry(session, &work->tree.entries[work->index], &left);
    if (work->index == work->tree.count && !waits_for_items(work))
        session_ok(session, SLICE(""), "Listed");
}

static void choose_step(struct session *session)
{
    struct list_work *work = session->work;
    if (choose_slice(session))
        return;
    work->index = 0;
    session_continue(session, list_step);
}

/* False: the command was ended. */
static bool compile_patterns(struct session *session, struct list_work *work)
{
    const struct list_request *request = &work->request;
    work->patterns = session_alloc(session, request->pattern_count * sizeof(*work->patterns));
    if (!work->patterns)
        return false;
    for (size_t i = 0; i < request->pattern_count; i++) {
        if (request->patterns[i].len > 0
            && mailbox_pattern_init(&work->patterns[work->pattern_count], request->reference,
                                    request->patterns[i]))
            work->pattern_count++;
    }
    return true;
}

/* `staffetta export`, whose session has no number, lists only the account's own mailboxes. */
static const char *expunged_of(const struct session *session)
{
    return session->number == 0 ? NULL : session->mailbox->undo.name;
}

/* Names and rights of shared mailboxes are known by now. Their special use is not shown: a client
 * would take it for its own (RFC 6154 2). */
static void read_step(struct session *session)
{
    struct list_work *work = session->work;
    const struct list_request *request = &work->request;
    struct mailbox *mailbox = session->mailbox;
    const struct tree_additions additions = {.subscriptions = &mailbox->subscriptions,
                                             .expunged = expunged_of(session),
                                             .shared = shared_names_told(work->shared)};
    struct error error;
    if (!mailbox_tree_read_with(&work->tree, mailbox->account_fd, &additions, &error)) {
        session_failed(session, &error, "The mailboxes cannot be listed now");
        return;
    }
    if (request->selection & LIST_SUBSCRIBED)
        work->wanted |= TREE_SUBSCRIBED;
    if (request->selection & LIST_SPECIAL_USE)
        work->wanted |= TREE_SPECIAL_USE;
    if (request->status_items & STATUS_HIGHESTMODSEQ)
        session_enable(session, VIEW_TELLS_MODSEQ); /* RFC 7162 3.1 */
    session_continue(session, choose_step);
}

void command_list(struct session *session, struct imap_parser *arguments)
{
    struct list_work *work = session_alloc(session, sizeof(*work));
    if (!work)
        return;
    struct list_request *request = &work->request;
    if (!list_request_parse(arguments, request)) {
        session_bad_arguments(session, arguments);
        return;
    }
    if (!request->extended && request->patterns[0].len == 0) {
        list_answer_delimiter(session, "LIST");
        return;
    }
    request->extended |= session_is_rev2(session); /* RFC 9051 6.3.9: there is no other LIST */
    if (!compile_patterns(session, work))
        return;
    session->work = work;
    session->on_end = give_back;
    shared_items_init(&work->items, session, request->status_text, request->metadata_text);
    work->shared = shared_names_ask(session, read_step);
    if (!work->shared)
        read_step(session);
}
