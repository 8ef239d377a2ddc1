/* The administrator's verbs; see admin.h. What they print is in admin_print.c. */
#include "smtpd/queue/admin/admin.h"

#include <stdlib.h>
#include <time.h>

#include <utlist.h>

#include "common/config/config_value.h"
#include "smtpd/queue/admin/admin_internal.h"
#include "smtpd/queue/dispatch/destination.h"
#include "smtpd/queue/queue.h"
#include "smtpd/queue/queue_id.h"

enum { MESSAGES_PER_TURN = 128, WORDS_OCTETS = 64 << 10 };

static const char usage[] =
    "usage: staffetta queue [--json] [show] [ID...] [--all] [--held] [--destination D]"
    " [--sender S] [--error TEXT] [--older TIME]; or with retry, hold, release, remove or"
    " bounce and a selection";

static const struct {
    const char *name;
    enum admin_verb verb;
} verbs[] = {
    {"list", ADMIN_LIST},     {"show", ADMIN_SHOW},       {"retry", ADMIN_RETRY},
    {"hold", ADMIN_HOLD},     {"release", ADMIN_RELEASE}, {"remove", ADMIN_REMOVE},
    {"bounce", ADMIN_BOUNCE},
};

/* ---- the words ---- */

static bool take_verb(struct admin_job *job, struct slice word)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (!slice_equal(word, slice_of_string(verbs[i].name)))
            continue;
        job->verb = verbs[i].verb;
        return true;
    }
    return false;
}

static bool take_flag(struct admin_job *job, struct slice word)
{
    if (slice_equal(word, SLICE("--json")))
        job->json = true;
    else if (slice_equal(word, SLICE("--all")))
        job->selects = true;
    else if (slice_equal(word, SLICE("--held")))
        job->selects = job->only_held = true;
    else
        return false;
    return true;
}

/* An empty word selects nothing: scripts pass one for an unset variable. */
static bool take_text(struct admin_job *job, struct slice value, struct slice *text)
{
    *text = arena_copy(&job->arena, value);
    return value.len > 0 && text->ptr;
}

/* Written as the list shows it, or without the brackets; "<>": the null reverse-path. */
static bool take_sender(struct admin_job *job, struct slice value)
{
    job->only_null_sender = slice_equal(value, SLICE("<>"));
    if (slice_starts_with(value, SLICE("<")) && slice_ends_with(value, SLICE(">")))
        value = slice_range(value, 1, value.len - 1);
    return job->only_null_sender || take_text(job, value, &job->sender);
}

/* Selects messages older than that. */
static bool take_age(struct admin_job *job, struct slice value)
{
    uint64_t age_ms;
    if (!config_parse_duration(value, &age_ms))
        return false;
    job->came_before = (int64_t)time(NULL) - (int64_t)(age_ms / 1000);
    job->has_age = true;
    return true;
}

static bool take_option(struct admin_job *job, struct slice name, struct slice value)
{
    job->selects = true;
    if (slice_equal(name, SLICE("--destination")))
        return take_text(job, value, &job->destination);
    if (slice_equal(name, SLICE("--sender")))
        return take_sender(job, value);
    if (slice_equal(name, SLICE("--error")))
        return take_text(job, value, &job->error);
    return slice_equal(name, SLICE("--older")) && take_age(job, value);
}

/* False: neither an option nor an id. */
static bool take_word(struct admin_job *job, const struct control_words *words, size_t *place)
{
    struct slice word = words->words[*place];
    if (take_flag(job, word))
        return true;
    if (!slice_starts_with(word, SLICE("--")))
        return queue_id_parse(word, &job->ids[job->count]) && ++job->count > 0;
    return ++*place < words->count && take_option(job, word, words->words[*place]);
}

static bool take_words(struct admin_job *job, const struct control_words *words)
{
    job->ids = malloc(CONTROL_WORDS_MAX * sizeof(job->ids[0]));
    if (!job->ids)
        return false;
    size_t place = 1;
    if (words->count > 1 && take_verb(job, words->words[1]))
        place = 2;
    for (; place < words->count; place++)
        if (!take_word(job, words, &place))
            return false;
    job->named = job->count > 0;
    if (job->verb == ADMIN_LIST)
        return true;
    return job->named || (job->selects && job->verb != ADMIN_SHOW);
}

/* ---- jobs ---- */

static void free_job(struct admin_job *job)
{
    arena_clear(&job->arena);
    buffer_clear(&job->answer);
    buffer_clear(&job->record);
    buffer_clear(&job->row);
    free(job->ids);
    free(job);
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t one, two;
    memcpy(&one, a, sizeof(one));
    memcpy(&two, b, sizeof(two));
    return (one > two) - (one < two);
}

/* Takes the ids of all present messages, oldest first; later arrivals are ignored. */
static bool take_all_ids(const struct queue *queue, struct admin_job *job)
{
    size_t count = HASH_COUNT(queue->queued.messages);
    uint64_t *ids = realloc(job->ids, (count + 1) * sizeof(ids[0]));
    if (!ids)
        return false;
    job->ids = ids;
    const struct queued_message *message;
    for (message = queue->queued.messages; message; message = message->hh.next)
        ids[job->count++] = message->id;
    qsort(ids, job->count, sizeof(ids[0]), compare_ids);
    return true;
}

static struct admin_job *make_job(const struct queue *queue, const struct control_words *words)
{
    struct admin_job *job = calloc(1, sizeof(*job));
    if (!job)
        return NULL;
    arena_init(&job->arena, WORDS_OCTETS);
    buffer_init(&job->answer, CONTROL_ANSWER_MAX);
    buffer_init(&job->record, STORED_MESSAGE_MAX);
    buffer_init(&job->row, STORED_RECIPIENT_MAX);
    if (take_words(job, words) && (job->named || take_all_ids(queue, job)))
        return job;
    free_job(job);
    return NULL;
}

bool admin_on_control(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role *role = owner;
    struct queue *queue = role->state;
    struct control_words words;
    int fd = ipc_packet_take(packet, 0);
    if (!control_words_parse(packet, &words, error)) {
        control_refuse(role, fd, "too many words at once (%d)", CONTROL_WORDS_MAX);
        return true;
    }
    struct admin_job *job = make_job(queue, &words);
    if (!job) {
        control_refuse(role, fd, "%s", usage);
        return true;
    }
    job->fd = fd;
    admin_print_begin(job);
    DL_APPEND(queue->admin.jobs, job);
    queue_wake(queue);
    return true;
}

/* ---- which ---- */

/* "far.example" of "far.example" and of "x@far.example" */
static bool is_of(struct slice name, struct slice wanted)
{
    if (slice_equal_nocase(name, wanted))
        return true;
    size_t domain = name.len > wanted.len ? name.len - wanted.len : 0;
    return domain > 0 && name.ptr[domain - 1] == '@'
           && slice_equal_nocase(slice_from(name, domain), wanted);
}

/* As is_of; of "=route/sender" the route too, and what stands before either does not matter. */
static bool is_to(struct slice name, struct slice wanted)
{
    name = destination_name(name);
    if (!slice_starts_with(name, SLICE("=")))
        return is_of(name, wanted);
    return slice_equal_nocase(name, wanted)
           || slice_equal_nocase(slice_range(name, 0, slice_find_octet(name, '/')), wanted);
}

static bool looks_at_message(const struct admin_job *job)
{
    return job->has_age || job->only_null_sender || job->sender.len > 0;
}

static bool fits_message(const struct admin_job *job, const struct stored_message *message)
{
    if (job->has_age && message->arrival >= job->came_before)
        return false;
    if (job->only_null_sender)
        return message->reverse_path.len == 0;
    return job->sender.len == 0 || is_of(message->reverse_path, job->sender)
           || is_of(message->account, job->sender);
}

struct slice admin_reply_of(const struct queued_recipient *recipient,
                            const struct stored_recipient *row)
{
    const struct queue_target *target = queued_target_of(recipient);
    if (row->reply.len > 0 || target->kind != TARGET_RELAY)
        return row->reply;
    return slice_of_string(target->relay.text); /* not tried itself: its destination's */
}

static bool fits_recipient(const struct admin_job *job, const struct queued_recipient *recipient,
                           const struct stored_recipient *row)
{
    if (job->only_held && recipient->stage != QUEUED_HELD)
        return false;
    if (job->destination.len > 0
        && !is_to(queue_target_name(queued_target_of(recipient)), job->destination)
        && !is_of(row->address, job->destination))
        return false;
    struct slice reply = admin_reply_of(recipient, row);
    return job->error.len == 0 || slice_find(reply, job->error) < reply.len;
}

/* ---- what is done to a recipient ---- */

enum admin_effect { ADMIN_NOT /* in its state */, ADMIN_LATER, ADMIN_DONE };

static enum admin_effect retry(struct queued_recipient *recipient)
{
    if (recipient->stage != QUEUED_SCHEDULED)
        return ADMIN_NOT;
    if (recipient->entry.state == SCHEDULE_WAITING) {
        schedule_remove(&recipient->entry);
        schedule_add(&recipient->entry, queue_now_ms());
    }
    schedule_wake(&queued_target_of(recipient)->destination);
    return ADMIN_DONE;
}

/* At once; of one that is under way once its attempt has failed for now. */
static enum admin_effect want(struct queue *queue, struct queued_recipient *recipient,
                              enum queued_outcome outcome, const struct stored_recipient *row)
{
    bool waits = recipient->stage == QUEUED_SCHEDULED || recipient->stage == QUEUED_HELD;
    if (!waits && recipient->stage != QUEUED_UNDER_WAY)
        return ADMIN_NOT;
    recipient->wish = (uint8_t)outcome;
    if (!waits)
        return ADMIN_LATER;
    settle_wish(queue, recipient, admin_reply_of(recipient, row));
    return ADMIN_DONE;
}

static enum admin_effect release(struct queue *queue, struct queued_recipient *recipient,
                                 const struct stored_recipient *row)
{
    if (recipient->stage == QUEUED_HELD)
        return want(queue, recipient, OUTCOME_RELEASED, row);
    if (recipient->wish != OUTCOME_HELD)
        return ADMIN_NOT;
    recipient->wish = OUTCOME_NONE;
    return ADMIN_DONE;
}

static enum admin_effect act(struct queue *queue, enum admin_verb verb,
                             struct queued_recipient *recipient, const struct stored_recipient *row)
{
    switch (verb) {
    case ADMIN_RETRY:
        return retry(recipient);
    case ADMIN_HOLD:
        return recipient->stage == QUEUED_HELD ? ADMIN_NOT
                                               : want(queue, recipient, OUTCOME_HELD, row);
    case ADMIN_RELEASE:
        return release(queue, recipient, row);
    case ADMIN_REMOVE:
        return want(queue, recipient, OUTCOME_REMOVED, row);
    default:
        return want(queue, recipient, OUTCOME_FAILED, row); /* its sender gets a report */
    }
}

static void take_recipient(struct queue *queue, struct admin_job *job,
                           const struct stored_message *message, struct queued_recipient *recipient)
{
    uint64_t id = queued_message_of(recipient)->id;
    struct stored_recipient row = {0};
    bool needs_row = admin_only_prints(job) || job->error.len > 0 || job->destination.len > 0
                     || job->verb == ADMIN_BOUNCE;
    if (needs_row
        && !queue_store_get_recipient(queue->store, id, recipient->number, &job->row, &row, NULL))
        return; /* still being accepted, or unreadable */
    if (!fits_recipient(job, recipient, &row))
        return;
    job->recipients++;
    if (admin_only_prints(job)) {
        admin_print_recipient(job, message, recipient, &row);
        return;
    }
    enum admin_effect effect = act(queue, job->verb, recipient, &row);
    job->done += effect == ADMIN_DONE;
    job->later += effect == ADMIN_LATER;
}

static void take_message(struct queue *queue, struct admin_job *job, struct queued_message *message)
{
    struct stored_message stored = {0};
    bool needs_record = admin_only_prints(job) || looks_at_message(job);
    if (needs_record
        && !queue_store_get_message(queue->store, message->id, &job->record, &stored, NULL))
        return;
    if (!fits_message(job, &stored))
        return;
    uint64_t before = job->recipients;
    struct queued_recipient *recipient;
    DL_FOREACH2 (message->recipients, recipient, next_of_message)
        take_recipient(queue, job, &stored, recipient);
    if (job->recipients == before)
        return;
    job->messages++;
    if (admin_only_prints(job))
        admin_print_message_end(job);
}

/* ---- turns ---- */

static bool has_more(const struct admin_job *job)
{
    return job->at < job->count;
}

bool admin_run(struct queue *queue)
{
    struct admin_job *job = queue->admin.jobs;
    if (!job)
        return false;
    for (int i = 0; i < MESSAGES_PER_TURN && has_more(job); i++) {
        struct queued_message *message = queued_find_message(&queue->queued, job->ids[job->at++]);
        if (message)
            take_message(queue, job, message);
    }
    return true;
}

static void log_job(struct queue *queue, const struct admin_job *job)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (verbs[i].verb == job->verb)
            LOG(&queue->role->log, LOG_INFO, "administrator", log_text("verb", verbs[i].name),
                log_number("messages", (int64_t)job->messages),
                log_number("recipients", (int64_t)job->done),
                log_number("later", (int64_t)job->later));
}

void admin_answer(struct queue *queue)
{
    struct admin_job *job = queue->admin.jobs;
    if (!job || has_more(job))
        return;
    DL_DELETE(queue->admin.jobs, job);
    if (!admin_only_prints(job))
        log_job(queue, job);
    if (job->named && job->recipients == 0)
        control_refuse(queue->role, job->fd, "no such message is in the queue");
    else if (!admin_only_prints(job) && queue->settle.waiting)
        control_refuse(queue->role, job->fd, "not written yet: see the log");
    else {
        admin_print_end(job);
        control_answer(queue->role, job->fd, &job->answer);
    }
    free_job(job);
}
