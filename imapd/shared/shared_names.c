/* Names of shared mailboxes; see shared_names.h. */
#include "imapd/shared/shared_names.h"

#include <stdlib.h>

#include <utlist.h>

#include "common/config/config.h"
#include "imapd/mailbox.h"
#include "storage/acl.h"
#include "storage/folder_name.h"
#include "storage/subscriptions.h"

enum { TEXT_OCTETS_MAX = 1 << 22 };

struct shared_question {
    struct shared_question *prev, *next;
    struct session *session;
    uint64_t request;
    struct buffer text;
};

/* ---- rights SP identifier HTAB folder ---- */

struct shared_line {
    struct slice folder;
    unsigned rights;
    bool negative;
};

static bool parse_line(struct slice text, struct shared_line *line)
{
    size_t space = slice_find_octet(text, ' '), tab = slice_find_octet(text, '\t');
    line->negative = space + 1 < text.len && text.ptr[space + 1] == '-';
    line->folder = slice_from(text, tab + 1);
    return line->folder.len > 0 && space < tab
           && acl_rights_parse(slice_range(text, 0, space), &line->rights);
}

/* Those of one folder follow each other. */
static unsigned sum_up(struct slice *rest, struct slice *folder)
{
    unsigned given = 0, taken = 0;
    struct slice text;
    struct shared_line line;
    struct slice ahead = *rest;
    *folder = SLICE("");
    while (subscriptions_next(&ahead, &text)) {
        bool parsed = parse_line(text, &line);
        if (parsed && folder->len > 0 && !slice_equal(line.folder, *folder))
            break;
        *rest = ahead;
        if (!parsed)
            continue;
        *folder = line.folder;
        *(line.negative ? &taken : &given) |= line.rights;
    }
    return given & ~taken;
}

/* A folder name as owners can create it. Not "..": clients make files from names, and another user
 * chose this one. */
static bool is_name(struct slice folder)
{
    char directory[MAILDIR_NAME_SIZE];
    if (!folder_name_to_directory(folder, directory, NULL))
        return false;
    while (folder.len > 0) {
        size_t end = slice_find_octet(folder, FOLDER_SEPARATOR);
        struct slice level = slice_range(folder, 0, end);
        if (slice_equal(level, SLICE(".")) || slice_equal(level, SLICE("..")))
            return false;
        folder = slice_from(folder, end + 1);
    }
    return true;
}

void shared_names_append(const char *top, struct slice account, struct slice lines,
                         struct buffer *text)
{
    struct slice folder;
    while (lines.len > 0) {
        unsigned rights = sum_up(&lines, &folder);
        size_t before = text->len;
        if (!(rights & ACL_LOOKUP) || !is_name(folder))
            continue;
        acl_rights_format(rights, text);
        buffer_append_octet(text, ' ');
        buffer_append_string(text, top);
        buffer_append_octet(text, '/');
        buffer_append(text, account);
        buffer_append_octet(text, '/');
        buffer_append(text, folder);
        buffer_append_octet(text, '\n');
        if (text->failed) { /* so many are not shown */
            text->failed = false;
            buffer_truncate(text, before);
            return;
        }
    }
}

/* ---- asking ---- */

struct shared_question *shared_names_ask(struct session *session, session_step *then)
{
    struct mailbox *mailbox = session->mailbox;
    struct ipc_header record = {.type = MASTER_SHARED, .request = mailbox->last_request + 1};
    if (!mailbox->config->imap.shared.text || session->visitor || !mailbox->tell_master)
        return NULL;
    struct shared_question *question = calloc(1, sizeof(*question));
    if (!question || !mailbox->tell_master(mailbox, &record, sizeof(record), SLICE(""))) {
        free(question);
        return NULL;
    }
    question->session = session;
    question->request = ++mailbox->last_request;
    buffer_init(&question->text, TEXT_OCTETS_MAX);
    DL_APPEND(mailbox->questions, question);
    session_wait(session, then);
    return question;
}

struct slice shared_names_told(const struct shared_question *question)
{
    return question ? buffer_slice(&question->text) : SLICE("");
}

bool shared_names_has(const struct session *session, struct slice name)
{
    const char *shared = session->mailbox->config->imap.shared.text;
    struct slice top = slice_of_string(shared ? shared : "");
    return shared && slice_starts_with(name, top)
           && (name.len == top.len || name.ptr[top.len] == FOLDER_SEPARATOR);
}

/* A reload may have removed the name while a command waited. */
struct slice shared_names_owner(const struct session *session, struct slice name)
{
    struct slice top = slice_of_string(session->mailbox->config->imap.shared.text);
    struct slice below = slice_from(name, top.ptr ? top.len + 1 : name.len);
    return slice_range(below, 0, slice_find_octet(below, '/'));
}

void shared_names_end(struct shared_question *question)
{
    if (!question)
        return;
    DL_DELETE(question->session->mailbox->questions, question);
    buffer_clear(&question->text);
    free(question);
}

void shared_on_answer(struct mailbox *mailbox, uint64_t request, struct slice account,
                      struct slice lines)
{
    struct shared_question *question;
    DL_SEARCH_SCALAR(mailbox->questions, question, request, request);
    if (!question)
        return;
    if (account.len == 0)
        session_resume(question->session);
    else if (slice_find_octet(account, '/') == account.len && mailbox->config->imap.shared.text)
        shared_names_append(mailbox->config->imap.shared.text, account, lines, &question->text);
}
