/* Questions for targets and addresses; see targets.h. */
#include "smtpd/queue/dispatch/targets.h"

#include <stdlib.h>

#include <utlist.h>

#include "common/auth/recipient_targets.h"
#include "common/hash_table.h"
#include "smtpd/queue/queue.h"

enum {
    TARGET_TTL_MS = 60000, /* then auth is asked again: accounts and quotas change */
    PAUSE_MS = 1000,       /* between two questions for one account whose process is gone */
    QUESTION_MS = 30000,   /* unanswered: tried later */
};

/* A question to auth: where an account's mail goes, or what an address resolves to. */
struct question {
    UT_hash_handle hh;
    uint64_t request;
    uint64_t asked_ms;
    struct queue_target *target;        /* AUTH_TARGET, or NULL */
    struct queued_recipient *recipient; /* AUTH_RECIPIENT, or NULL */
};

/* ---- waiting for something ---- */

void targets_wait(struct queue_target **list, struct queue_target *target)
{
    schedule_block(&target->destination);
    target->list = list;
    DL_APPEND(*list, target);
}

void targets_let_go(struct queue *queue, struct queue_target **list)
{
    while (*list) {
        struct queue_target *target = *list;
        DL_DELETE(*list, target);
        target->list = NULL;
        schedule_unblock(&target->destination);
    }
    queue_wake(queue);
}

/* ---- questions ---- */

static struct question *find_question(const struct queue *queue, uint64_t request)
{
    struct question *question;
    HASH_FIND(hh, queue->targets.questions, &request, sizeof(request), question);
    return question;
}

static void free_question(struct queue *queue, struct question *question)
{
    HASH_DEL(queue->targets.questions, question);
    free(question);
}

static struct question *make_question(struct queue *queue, struct queue_target *target,
                                      struct queued_recipient *recipient)
{
    struct question *question = calloc(1, sizeof(*question));
    if (!question)
        return NULL;
    question->request = queue_next_request(queue);
    question->asked_ms = queue_now_ms();
    question->target = target;
    question->recipient = recipient;
    HASH_ADD(hh, queue->targets.questions, request, sizeof(question->request), question);
    if (hash_table_holds(&question->hh))
        return question;
    free(question);
    return NULL;
}

static void ask_target(struct queue *queue, struct role_peer *auth, struct queue_target *target)
{
    struct slice account = queue_target_name(target);
    struct question *question = make_question(queue, target, NULL);
    if (!question) {
        targets_wait(&queue->targets.paused, target);
        return;
    }
    struct auth_target record = {.header = {.type = AUTH_TARGET, .request = question->request},
                                 .account_octets = (uint32_t)account.len};
    if (!ipc_send_record(&auth->channel, &record.header, sizeof(record), account, NULL)) {
        free_question(queue, question);
        targets_wait(&queue->targets.paused, target);
        return;
    }
    target->deliver.state = TARGET_ASKED;
    target->deliver.asked_ms = question->asked_ms;
    schedule_block(&target->destination);
}

/* Settles all recipients ready for this account with the same outcome. */
static void settle_line(struct queue *queue, struct queue_target *target,
                        enum queued_outcome outcome, struct slice text)
{
    struct schedule_entry *entry;
    while ((entry = schedule_first_of(&target->destination)))
        settle_add(queue, (struct queued_recipient *)entry, outcome, text);
}

static void target_failed(struct queue *queue, struct question *question,
                          enum queued_outcome outcome, struct slice text)
{
    struct queue_target *target = question->target;
    free_question(queue, question);
    target->deliver.state = TARGET_UNKNOWN;
    settle_line(queue, target, outcome, text);
    schedule_unblock(&target->destination);
    queue_wake(queue);
}

static void question_failed(struct queue *queue, struct question *question, struct slice text)
{
    if (question->target) {
        target_failed(queue, question, OUTCOME_DEFERRED, text);
        return;
    }
    settle_add(queue, question->recipient, OUTCOME_DEFERRED, text);
    free_question(queue, question);
}

/* Matches an answer to a question for a target. NULL: too late. */
static struct question *target_question(struct queue *queue, const struct ipc_packet *packet)
{
    struct question *question = find_question(queue, ipc_packet_header(packet)->request);
    return question && question->target ? question : NULL;
}

bool targets_on_target(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role *role = owner;
    struct queue *queue = role->state;
    const struct role_target *record = packet->record;
    struct question *question = target_question(queue, packet);
    if (!question)
        return true;
    struct queue_target *target = question->target;
    free_question(queue, question);
    target->deliver.state = TARGET_KNOWN;
    target->deliver.handle = record->handle;
    target->deliver.deliver_number = record->deliver_number;
    target->deliver.known_until_ms = queue_now_ms() + TARGET_TTL_MS;
    schedule_unblock(&target->destination);
    queue_wake(queue);
    return true;
}

bool targets_on_no_process(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role *role = owner;
    struct queue *queue = role->state;
    struct question *question = target_question(queue, packet);
    if (question)
        target_failed(queue, question, OUTCOME_DEFERRED,
                      SLICE("4.3.0 no process could be started for the account"));
    return true;
}

static bool on_no_target(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role_peer *peer = owner;
    struct queue *queue = queue_of(peer);
    const struct auth_no_target *record = packet->record;
    struct question *question = target_question(queue, packet);
    if (!question)
        return true;
    if (record->permanent)
        target_failed(queue, question, OUTCOME_FAILED,
                      SLICE("5.1.1 the account does not exist any more"));
    else
        target_failed(queue, question, OUTCOME_DEFERRED,
                      SLICE("4.3.0 the account cannot be looked up now"));
    return true;
}

void targets_ask(struct queue *queue, struct queue_target *target)
{
    struct role_peer *auth = role_find_peer(queue->role, ROLE_AUTH);
    target->deliver.state = TARGET_UNKNOWN;
    if (!auth)
        targets_wait(&queue->targets.without_auth, target);
    else if (queue_now_ms() - target->deliver.asked_ms < PAUSE_MS)
        targets_wait(&queue->targets.paused, target);
    else
        ask_target(queue, auth, target);
}

void targets_forget_known(struct queue *queue)
{
    struct queue_target *target, *next;
    HASH_ITER (hh, queue->queued.targets[TARGET_ACCOUNT], target, next) {
        if (target->deliver.state == TARGET_KNOWN)
            target->deliver.known_until_ms = 0;
        target->deliver.asked_ms = 0; /* no pause */
    }
}

/* ---- addresses that nobody has resolved yet: the senders that reports go to ---- */

static void ask_address(struct queue *queue, struct role_peer *auth,
                        struct queued_recipient *recipient)
{
    struct stored_recipient row;
    struct error error = {0};
    queued_enter(&queue->queued, recipient, QUEUED_UNDER_WAY);
    if (!queue_store_get_recipient(queue->store, queued_message_of(recipient)->id,
                                   recipient->number, &queue->targets.recipient, &row, &error)) {
        queue_check_store(queue, &error);
        settle_add(queue, recipient, OUTCOME_HELD, SLICE("4.3.0 its record cannot be read"));
        return;
    }
    struct question *question = make_question(queue, NULL, recipient);
    struct auth_recipient record = {
        .header = {.type = AUTH_RECIPIENT, .request = question ? question->request : 0},
        .address_octets = (uint32_t)row.address.len};
    if (question
        && ipc_send_record(&auth->channel, &record.header, sizeof(record), row.address, NULL))
        return;
    if (question)
        free_question(queue, question);
    dispatch_undone(queue, recipient);
}

void targets_ask_address(struct queue *queue, struct queue_target *target)
{
    struct role_peer *auth = role_find_peer(queue->role, ROLE_AUTH);
    struct schedule *schedule = target->destination.schedule;
    if (auth)
        ask_address(queue, auth,
                    (struct queued_recipient *)schedule_take(schedule, SCHEDULE_PROVEN));
    else
        targets_wait(&queue->targets.without_auth, target);
}

static const struct {
    enum queued_outcome outcome;
    struct slice text;
} verdicts[] = {
    [AUTH_RECIPIENT_UNKNOWN] = {OUTCOME_FAILED, SLICE("5.1.1 no such address")},
    [AUTH_RECIPIENT_FOREIGN] = {OUTCOME_RESOLVED, SLICE("")}, /* it is its own target */
    [AUTH_RECIPIENT_LOOP] = {OUTCOME_FAILED, SLICE("5.4.6 aliases form a loop")},
    [AUTH_RECIPIENT_FULL] = {OUTCOME_DEFERRED, SLICE("4.2.2 mailbox full")},
    [AUTH_RECIPIENT_TEMPORARY] = {OUTCOME_DEFERRED, SLICE("4.3.0 cannot be looked up now")},
};

static void address_resolved(struct queue *queue, struct queued_recipient *recipient,
                             struct slice targets)
{
    uint8_t *copy = targets.len > 0 ? malloc(targets.len) : NULL;
    if (!copy) {
        settle_add(queue, recipient, OUTCOME_DEFERRED, SLICE("4.3.0 out of memory"));
        return;
    }
    memcpy(copy, targets.ptr, targets.len);
    recipient->resolved = slice_of(copy, targets.len);
    settle_add(queue, recipient, OUTCOME_RESOLVED, slice_of(NULL, 0));
}

static bool on_address(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *peer = owner;
    struct queue *queue = queue_of(peer);
    const struct auth_recipient_answer *record = packet->record;
    struct slice tail = ipc_packet_tail(packet, sizeof(*record));
    if (record->verdict < AUTH_RECIPIENT_TARGETS || record->verdict > AUTH_RECIPIENT_TEMPORARY
        || record->text_octets > tail.len)
        return error_set(error, ERROR_PEER, "malformed verdict");
    struct slice targets = slice_from(tail, record->text_octets);
    bool resolved = record->verdict == AUTH_RECIPIENT_TARGETS;
    if (!recipient_targets_are(targets, record->targets) || resolved != (record->targets > 0))
        return error_set(error, ERROR_PEER, "malformed targets");
    struct question *question = find_question(queue, record->header.request);
    if (!question || !question->recipient)
        return true; /* too late */
    struct queued_recipient *recipient = question->recipient;
    free_question(queue, question);
    if (resolved)
        address_resolved(queue, recipient, targets);
    else
        settle_add(queue, recipient, verdicts[record->verdict].outcome,
                   verdicts[record->verdict].text);
    return true;
}

const struct ipc_rule targets_auth_rules[TARGETS_AUTH_RULES] = {
    {AUTH_NO_TARGET, sizeof(struct auth_no_target), sizeof(struct auth_no_target), 0, on_no_target},
    {AUTH_RECIPIENT_ANSWER, sizeof(struct auth_recipient_answer), IPC_RECORD_MAX, 0, on_address},
};

void targets_auth_up(struct queue *queue)
{
    targets_let_go(queue, &queue->targets.without_auth);
}

/* Its successor is asked the questions again; replies it already passed to the master may still
 * arrive and are ignored. */
void targets_auth_down(struct queue *queue)
{
    struct question *question, *next;
    HASH_ITER (hh, queue->targets.questions, question, next) {
        struct queue_target *target = question->target;
        if (target) {
            target->deliver.state = TARGET_UNKNOWN;
            target->deliver.asked_ms = 0; /* its successor is asked at once */
            targets_wait(&queue->targets.without_auth, target);
        } else {
            dispatch_undone(queue, question->recipient);
        }
        free_question(queue, question);
    }
    /* The successor's channel may have arrived before the end of this one was noticed. */
    if (role_find_peer(queue->role, ROLE_AUTH))
        targets_auth_up(queue);
}

void targets_init(struct queue *queue)
{
    queue->targets = (struct targets){0};
    buffer_init(&queue->targets.recipient, STORED_RECIPIENT_MAX);
}

void targets_tick(struct queue *queue)
{
    uint64_t now_ms = queue_now_ms();
    struct question *question, *next;
    HASH_ITER (hh, queue->targets.questions, question, next) {
        if (now_ms - question->asked_ms >= QUESTION_MS)
            question_failed(queue, question, SLICE("4.3.0 the account could not be looked up"));
    }
    targets_let_go(queue, &queue->targets.paused);
}
