/*
 * Sends http the number and state of all processes every few seconds while it runs. The roles are
 * asked for their counts at the same time; their answers are in the next census.
 */
#include <utlist.h>

#include "ctl/master/master.h"

static const double census_every_s = 5.0;
static const double first_census_s = 0.2;

static struct role_census take_census(const struct master *master)
{
    struct role_census census = {.header = {.type = ROLE_CENSUS},
                                 .started_s = (uint64_t)master->started,
                                 .drop_waiting = master->drop.waiting,
                                 .drop_refused = master->drop.refused};
    for (unsigned kind = 0; kind < ROLE_KINDS; kind++) {
        census.kinds[kind].wanted = master->standing[kind].wanted;
        census.kinds[kind].restarts = master->standing[kind].restarts;
    }
    const struct process *process;
    DL_FOREACH (master->processes, process) {
        struct role_census_kind *kind = &census.kinds[process->kind];
        kind->ready += process->ready && !process->stopping;
        kind->sessions += process->sessions;
        census.queued += process->queued;
        census.held += process->held;
    }
    return census;
}

static void on_time(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    struct master *master = watcher->data;
    struct process *process;
    DL_FOREACH (master->processes, process) {
        if (process->kind != ROLE_HTTP || !process->ready || process->stopping)
            continue;
        struct role_census census = take_census(master);
        process_send(process, &census.header, sizeof(census), slice_of(NULL, 0));
        process_ask_counts(master);
        return;
    }
}

void census_start(struct master *master)
{
    ev_timer_init(&master->census, on_time, first_census_s, census_every_s);
    master->census.data = master;
    ev_timer_start(master->loop, &master->census);
}
