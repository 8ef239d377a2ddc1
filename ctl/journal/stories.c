/* Answers from the history, in parts; see stories.h. */
#include "ctl/journal/stories.h"

#include <stdlib.h>

#include <utlist.h>

#include "ctl/journal/history.h"
#include "ctl/journal/journal.h"
#include "ctl/journal/story.h"

enum {
    STORIES_MAX = 100,     /* messages told in one answer */
    EVENTS_PER_STEP = 200, /* some milliseconds */
};

static const double step_seconds = 0.002; /* events are read between two steps */

enum kind { KIND_STORY, KIND_ATTEMPTS, KIND_ATTEMPTS_JSON };

struct stories_job {
    struct stories_job *prev, *next;
    int fd;
    enum kind kind;
    bool has_some;  /* attempts */
    bool has_names; /* each story has its id above it */
    int count, at;
    struct history_part part; /* of the story at `at` */
    struct buffer answer;
    char ids[STORIES_MAX][HISTORY_ID_MAX + 1];
};

static void free_job(struct stories_job *job)
{
    buffer_clear(&job->answer);
    free(job);
}

static void end_job(struct journal *journal, struct stories_job *job)
{
    DL_DELETE(journal->stories.jobs, job);
    if (!journal->stories.jobs)
        ev_timer_stop(journal->role->loop, &journal->stories.step);
    free_job(job);
}

/* ---- one part ---- */

static bool tell(void *context, unsigned role_kind, const struct log_entry *entry)
{
    struct stories_job *job = context;
    bool told = true;
    if (job->kind == KIND_STORY)
        story_format(role_kind, entry, &job->answer);
    else if (job->kind == KIND_ATTEMPTS)
        told = story_format_attempt(role_kind, entry, &job->answer);
    else
        told = story_format_attempt_json(role_kind, entry, !job->has_some, &job->answer);
    job->has_some |= told;
    return !job->answer.failed;
}

static bool tell_part(struct journal *journal, struct stories_job *job, struct error *error)
{
    bool begins = job->part.from_octets == 0;
    if (begins && job->has_names)
        buffer_append_format(&job->answer, "%s%s\n", job->at > 0 ? "\n" : "", job->ids[job->at]);
    job->part.most = EVENTS_PER_STEP;
    if (!history_read(journal->history, slice_of_string(job->ids[job->at]), &job->part, tell, job,
                      error))
        return false;
    if (!job->part.more) {
        job->at++;
        job->part = (struct history_part){.most = 0};
    }
    return true;
}

static void on_step(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    struct journal *journal = watcher->data;
    struct stories_job *job = journal->stories.jobs;
    struct error error;
    if (!tell_part(journal, job, &error)) {
        control_refuse(journal->role, job->fd, "%s", error.text);
        end_job(journal, job);
    } else if (job->at == job->count || job->answer.failed) {
        control_answer(journal->role, job->fd, &job->answer);
        end_job(journal, job);
    } else {
        DL_DELETE(journal->stories.jobs, job);
        DL_APPEND(journal->stories.jobs, job);
    }
}

/* ---- what is asked ---- */

static void begin(struct journal *journal, struct stories_job *job, int fd)
{
    job->fd = fd;
    buffer_append(&job->answer, SLICE("ok\n"));
    if (!journal->stories.jobs)
        ev_timer_again(journal->role->loop, &journal->stories.step);
    DL_APPEND(journal->stories.jobs, job);
}

static struct stories_job *make_job(enum kind kind)
{
    struct stories_job *job = calloc(1, sizeof(*job));
    if (!job)
        return NULL;
    job->kind = kind;
    buffer_init(&job->answer, CONTROL_ANSWER_MAX);
    return job;
}

/* Ids are in capitals; users may type lower case. */
static bool take_id(struct stories_job *job, struct slice id)
{
    if (id.len > HISTORY_ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++)
        job->ids[0][i] = (char)ascii_upper(id.ptr[i]);
    job->count = 1;
    return true;
}

static bool see(void *context, unsigned role_kind, const struct log_entry *entry)
{
    (void)role_kind;
    (void)entry;
    *(bool *)context = true;
    return false;
}

/* By its id, else by an address or Message-ID. */
static bool find_stories(struct journal *journal, struct stories_job *job, struct slice what,
                         struct error *error)
{
    struct history_part first = {.most = 1};
    bool is_id = false;
    if (take_id(job, what)
        && !history_read(journal->history, slice_of_string(job->ids[0]), &first, see, &is_id,
                         error))
        return false;
    if (is_id)
        return true;
    job->has_names = true;
    job->count = history_find(journal->history, what, STORIES_MAX, job->ids, error);
    return job->count > 0
           || (job->count == 0
               && error_set(error, ERROR_NOT_FOUND,
                            "nothing is known of \"%.*s\": give a queue id, an address or a "
                            "Message-ID",
                            SLICE_PRINTF(what)));
}

void stories_on_why(struct journal *journal, const struct control_words *words, int fd)
{
    struct error error;
    struct stories_job *job = make_job(KIND_STORY);
    bool found = job ? words->count == 2 ? find_stories(journal, job, words->words[1], &error)
                                         : error_set(&error, ERROR_PERMANENT,
                                                     "usage: staffetta why ID|ADDRESS|MESSAGE-ID")
                     : error_memory(&error);
    if (found) {
        begin(journal, job, fd);
        return;
    }
    control_refuse(journal->role, fd, "%s", error.text);
    if (job)
        free_job(job);
}

void stories_on_attempts(struct journal *journal, const struct control_words *words, int fd)
{
    bool json = words->count == 3 && slice_equal(words->words[1], SLICE("--json"));
    struct stories_job *job = make_job(json ? KIND_ATTEMPTS_JSON : KIND_ATTEMPTS);
    if (job && words->count == 3 && take_id(job, words->words[2])) {
        begin(journal, job, fd);
        return;
    }
    control_refuse(journal->role, fd, job ? "usage: staffetta queue show ID" : "out of memory");
    if (job)
        free_job(job);
}

/* ---- the beginning and the end ---- */

void stories_init(struct journal *journal)
{
    ev_init(&journal->stories.step, on_step);
    journal->stories.step.repeat = step_seconds;
    journal->stories.step.data = journal;
}

void stories_give_up(struct journal *journal)
{
    while (journal->stories.jobs) {
        control_refuse(journal->role, journal->stories.jobs->fd, "the history was closed");
        end_job(journal, journal->stories.jobs);
    }
}
