/* Keeping the results of search_context.h. */
#include "imapd/search/search_context.h"

#include <stdlib.h>

#include <utlist.h>

#include "common/mime/charset.h"
#include "imapd/mailbox.h"
#include "imapd/search/search.h"
#include "imapd/session/session.h"

enum {
    PROGRAM_MEMORY = 16 << 20,
    FETCH_OCTETS = 1 << 20,
};

struct search_context {
    struct search_context *prev;
    struct search_context *next;
    struct buffer tag;
    struct buffer program;
    struct buffer data;
    struct buffer fetch; /* what is owed: UIDs with "," between them */
    bool by_uid;
    uint32_t *uids; /* what the client knows as found, in order */
    size_t count;
    uint64_t modseq;   /* changes up to it are in */
    uint32_t last_uid; /* messages above are new */
};

struct context_work {
    struct search_context *context; /* that is brought up to date; NULL: none yet */
    uint64_t until;                 /* the folder's highest MODSEQ when it began */
    struct arena memory;
    struct search_program program;
    struct search search;
    bool is_ready;
    size_t index;
    struct search_result added;
    struct search_result removed;
};

/* ---- life ---- */

static struct search_context *find(const struct session *session, struct slice tag)
{
    struct search_context *context;
    DL_FOREACH (session->contexts, context)
        if (slice_equal(buffer_slice(&context->tag), tag))
            return context;
    return NULL;
}

bool search_context_has(const struct session *session, struct slice tag)
{
    return find(session, tag) != NULL;
}

static void free_context(struct search_context *context)
{
    buffer_clear(&context->tag);
    buffer_clear(&context->program);
    buffer_clear(&context->data);
    buffer_clear(&context->fetch);
    free(context->uids);
    free(context);
}

static void forget(struct session *session, struct search_context *context)
{
    DL_DELETE(session->contexts, context);
    free_context(context);
}

static int compare_uids(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static bool has_uid(const struct search_context *context, uint32_t uid)
{
    return context->count > 0
           && bsearch(&uid, context->uids, context->count, sizeof(uid), compare_uids) != NULL;
}

/* The result becomes these, too, without those. False: no memory. */
static bool change_result(struct search_context *context, const struct view *view,
                          const struct search_result *added, const struct search_result *removed)
{
    uint32_t *uids = reallocarray(NULL, context->count + added->count + 1, sizeof(*uids));
    size_t count = 0, next = 0;
    if (!uids)
        return false;
    for (size_t i = 0; i < context->count; i++) {
        while (next < removed->count
               && view->slots[removed->positions[next]].uid < context->uids[i])
            next++;
        if (next == removed->count || view->slots[removed->positions[next]].uid != context->uids[i])
            uids[count++] = context->uids[i];
    }
    for (size_t i = 0; i < added->count; i++)
        uids[count++] = view->slots[added->positions[i]].uid;
    qsort(uids, count, sizeof(*uids), compare_uids);
    free(context->uids);
    context->uids = uids;
    context->count = count;
    return true;
}

static size_t count_contexts(const struct session *session)
{
    const struct search_context *context;
    size_t count = 0;
    DL_COUNT(session->contexts, context, count);
    return count;
}

bool search_context_add(struct session *session, const struct search_context_request *request,
                        const struct search_result *found)
{
    static const struct search_result none = {.count = 0};
    struct search_context *context = NULL;
    if (count_contexts(session) < SEARCH_CONTEXTS_MAX)
        context = calloc(1, sizeof(*context));
    if (!context)
        return false;
    buffer_init(&context->tag, request->tag.len);
    buffer_init(&context->program, request->program.len);
    buffer_init(&context->data, request->data.len);
    buffer_init(&context->fetch, FETCH_OCTETS);
    buffer_append(&context->tag, request->tag);
    buffer_append(&context->program, request->program);
    buffer_append(&context->data, request->data);
    context->by_uid = request->by_uid;
    context->modseq = folder_highest_modseq(session->view.folder);
    context->last_uid = session->view.last_uid;
    if (context->tag.failed || context->program.failed || context->data.failed
        || !change_result(context, &session->view, found, &none)) {
        free_context(context);
        return false;
    }
    DL_APPEND(session->contexts, context);
    return true;
}

bool search_context_cancel(struct session *session, struct slice tag)
{
    struct search_context *context = find(session, tag);
    if (context)
        forget(session, context);
    return context != NULL;
}

void search_contexts_clear(struct session *session)
{
    struct search_context *context, *next;
    DL_FOREACH_SAFE (session->contexts, context, next)
        forget(session, context);
}

/* ---- telling ---- */

/* Where there is no memory to know what the client knows, it is told no more. */
static void give_up(struct session *session, struct search_context *context)
{
    struct buffer *text = &session->writer.text;
    buffer_append(text, SLICE("* NO [NOUPDATE \""));
    buffer_append(text, buffer_slice(&context->tag));
    buffer_append(text, SLICE("\"] Out of memory: search again\r\n"));
    forget(session, context);
}

static bool tell(struct session *session, struct search_context *context,
                 const struct search_result *added, const struct search_result *removed)
{
    const struct search_telling telling = {
        .view = &session->view, .tag = buffer_slice(&context->tag), .by_uid = context->by_uid};
    if (added->count + removed->count == 0)
        return true;
    search_result_write_update(added, removed, &telling, &session->writer.text);
    return change_result(context, &session->view, added, removed);
}

static bool tell_gone(struct session *session, struct search_context *context)
{
    static const struct search_result none = {.count = 0};
    struct search_result removed = {.count = 0};
    const struct view *view = &session->view;
    bool fine = true;
    for (size_t i = 0; fine && i < view->count; i++)
        if ((view->slots[i].marks & VIEW_GONE) && has_uid(context, view->slots[i].uid))
            fine = search_result_add(&removed, i, NULL);
    fine = fine && tell(session, context, &none, &removed);
    search_result_clear(&removed);
    return fine;
}

void search_contexts_tell_gone(struct session *session)
{
    struct search_context *context, *next;
    if (session->view.gone == 0)
        return;
    DL_FOREACH_SAFE (session->contexts, context, next)
        if (!tell_gone(session, context))
            give_up(session, context);
}

/* ---- searching again ---- */

static bool is_due(const struct session *session, const struct search_context *context)
{
    return context->modseq < folder_highest_modseq(session->view.folder);
}

static struct search_context *find_due(const struct session *session)
{
    struct search_context *context;
    DL_FOREACH (session->contexts, context)
        if (is_due(session, context))
            return context;
    return NULL;
}

bool search_contexts_are_due(const struct session *session)
{
    return session->contexts && !view_has_news(&session->view, VIEW_KEEP_NUMBERS)
           && find_due(session);
}

static void end_search(struct context_work *work)
{
    search_clear(&work->search);
    search_result_clear(&work->added);
    search_result_clear(&work->removed);
    arena_clear(&work->memory);
    work->context = NULL;
}

static void give_back(struct session *session)
{
    end_search(session->work);
}

/* The program was well written when it came. */
static bool begin_search(struct session *session, struct context_work *work)
{
    struct imap_parser parser;
    arena_init(&work->memory, PROGRAM_MEMORY);
    imap_parser_init(&parser, buffer_slice(&work->context->program), &work->memory);
    parser.utf8 = session->view.manner & VIEW_UTF8;
    if (!search_program_parse(&parser, &work->program))
        return false;
    const struct charset *charset =
        work->program.charset.len > 0 ? charset_find(work->program.charset) : charset_utf8();
    work->index = 0;
    work->until = folder_highest_modseq(session->view.folder);
    return charset
           && search_init(&work->search, work->program.key, charset, &session->view, &work->memory);
}

/* RFC 5465 7: data is owed of new messages only, not of those that match by a change. */
static void owe_data(struct session *session, struct context_work *work)
{
    struct search_context *context = work->context;
    for (size_t i = 0; context->data.len > 0 && i < work->added.count; i++) {
        uint32_t uid = session->view.slots[work->added.positions[i]].uid;
        if (uid <= context->last_uid)
            continue;
        if (context->fetch.len > 0)
            buffer_append_octet(&context->fetch, ',');
        buffer_append_number(&context->fetch, uid);
    }
    context->last_uid = session->view.last_uid;
}

static enum source_result look_at_one(struct session *session, struct context_work *work)
{
    const struct view *view = &session->view;
    const struct message *message = view_message(view, work->index);
    struct error error;
    bool matches = false;
    if (!message || message->modseq <= work->context->modseq)
        return SOURCE_DONE;
    bool was = has_uid(work->context, message->uid);
    enum source_result result = search_message(&work->search, view, work->index, &matches, &error);
    if (result == SOURCE_FAILED && error.kind == ERROR_NOT_FOUND)
        return SOURCE_DONE;
    if (result != SOURCE_DONE || matches == was)
        return result;
    struct search_result *changed = matches ? &work->added : &work->removed;
    return search_result_add(changed, work->index, &error) ? SOURCE_DONE : SOURCE_FAILED;
}

static enum source_result search_slice(struct session *session, struct context_work *work)
{
    do {
        if (work->index == session->view.count)
            return SOURCE_DONE;
        enum source_result result = look_at_one(session, work);
        if (result != SOURCE_DONE)
            return result;
        work->index++;
    } while (!search_was_dear(&work->search) || !session_turn_is_over(session));
    return SOURCE_MORE;
}

static void update_step(struct session *session)
{
    struct context_work *work = session->work;
    if (!work->context) {
        work->context = find_due(session);
        if (!work->context) {
            session_ok(session, SLICE(""), "");
            return;
        }
        work->is_ready = begin_search(session, work);
    }
    struct search_context *context = work->context;
    enum source_result result = work->is_ready ? search_slice(session, work) : SOURCE_FAILED;
    if (result == SOURCE_MORE)
        return;
    bool told = result == SOURCE_DONE && tell(session, context, &work->added, &work->removed);
    if (told)
        owe_data(session, work);
    context->modseq = work->until;
    end_search(work);
    if (!told)
        give_up(session, context);
}

void search_contexts_update(struct session *session)
{
    struct context_work *work = session_alloc(session, sizeof(*work));
    if (!work)
        return;
    session->work = work;
    session->on_end = give_back;
    session_continue(session, update_step);
}

bool search_contexts_take_fetch(struct session *session, struct buffer *text)
{
    struct search_context *context;
    DL_FOREACH (session->contexts, context) {
        if (context->fetch.len == 0)
            continue;
        buffer_append_octet(text, ' ');
        buffer_append(text, buffer_slice(&context->fetch));
        buffer_append_octet(text, ' ');
        buffer_append(text, buffer_slice(&context->data));
        buffer_reset(&context->fetch);
        return !text->failed;
    }
    return false;
}
