/* Putting the sessions of hibernation.h to sleep. */
#include "imapd/session/hibernation.h"

#include <stdio.h>
#include <stdlib.h>

#include <utlist.h>

#include "common/disk/fd.h"
#include "common/role/role.h"
#include "common/size.h"
#include "imapd/folder/folder.h"
#include "imapd/session/resume.h"
#include "imapd/session/session.h"

/* What is left of a session. */
struct sleeper {
    struct master_sleeps order;
    char directory[MAILDIR_NAME_SIZE]; /* that it listens to; "": INBOX, or none */
    struct buffer record;
    int fd; /* -1: its session is still there */
};

/* ---- when ---- */

static uint64_t quiet_ms(const struct hibernation *hibernation)
{
    return hibernation->role->config.timeouts.hibernate_ms;
}

/* How long it is until the last one has been quiet for long enough; 0: it is. */
static uint64_t wait_ms(const struct hibernation *hibernation)
{
    const struct session *session;
    uint64_t now = turn_now_ms(), last = 0;
    DL_FOREACH (hibernation->mailbox->sessions, session)
        last = session->stirred_ms > last ? session->stirred_ms : last;
    uint64_t until = last + quiet_ms(hibernation);
    return until > now ? until - now : 0;
}

static void look_again_in(struct hibernation *hibernation, uint64_t ms)
{
    hibernation->timer.repeat = (double)ms / 1000.0 + 0.001;
    ev_timer_again(hibernation->role->loop, &hibernation->timer);
}

/* ---- from sessions to records ---- */

static bool all_may_sleep(const struct mailbox *mailbox)
{
    const struct session *session;
    if (mailbox->learner.folder) /* it reads */
        return false;
    DL_FOREACH (mailbox->sessions, session)
        if (!session->has_pass || !resume_is_possible(session))
            return false;
    return true;
}

static bool listens(const struct session *session)
{
    return session->command && session->state == SESSION_SELECTED; /* what sleeps in one is IDLE */
}

static void describe(const struct session *session, struct sleeper *sleeper)
{
    const char *directory = listens(session) ? session->view.folder->directory : "";
    if (strcmp(directory, MAILDIR_INBOX) != 0)
        snprintf(sleeper->directory, sizeof(sleeper->directory), "%s", directory);
    sleeper->order =
        (struct master_sleeps){.header = {.type = MASTER_SLEEPS},
                               .pass = session->pass,
                               .flags = (session->carried ? SLEEPS_CARRIED : 0U)
                                        | (listens(session) ? SLEEPS_LISTENS : 0U),
                               .left_ms = session_left_ms(session),
                               .directory_octets = (uint32_t)strlen(sleeper->directory),
                               .record_octets = (uint32_t)sleeper->record.len};
}

/* False: one of them has to stay awake. */
static bool record_all(const struct mailbox *mailbox, struct sleeper *sleepers)
{
    const struct session *session;
    size_t i = 0;
    DL_FOREACH (mailbox->sessions, session) {
        sleepers[i].fd = -1;
        buffer_init(&sleepers[i].record, SLEEP_RECORD_MAX);
        if (!resume_format(session, &sleepers[i].record))
            return false;
        describe(session, &sleepers[i++]);
    }
    return true;
}

/* One whose connection cannot be had stays. */
static void take_connections(struct mailbox *mailbox, struct sleeper *sleepers)
{
    struct session *session, *next;
    struct buffer rest = BUFFER_WITH_LIMIT(0);
    struct error error;
    size_t i = 0;
    DL_FOREACH_SAFE (mailbox->sessions, session, next) {
        if (stream_detach(&session->stream, &sleepers[i].fd, &rest, &error))
            session_free(session);
        i++;
    }
    buffer_clear(&rest);
}

/* Where it fails the master is gone, and all end. */
static void send_off(struct hibernation *hibernation, struct sleeper *sleeper)
{
    struct slice tail[] = {slice_of_string(sleeper->directory), buffer_slice(&sleeper->record)};
    struct ipc_message message = {.head = &sleeper->order.header,
                                  .head_octets = sizeof(sleeper->order),
                                  .tail = tail,
                                  .tail_count = ARRAY_LENGTH(tail),
                                  .descriptors = &sleeper->fd,
                                  .descriptor_count = 1};
    struct error error;
    if (sleeper->fd >= 0 && !ipc_send(&hibernation->role->master, &message, &error))
        LOG(hibernation->mailbox->log, LOG_ERROR, "not_kept",
            log_hex("session", sleeper->order.pass.client.session), log_failure(&error));
}

/* Everything is closed before the master is told, since it may start the account's next process at
 * once. */
static void put_to_sleep(struct hibernation *hibernation, struct sleeper *sleepers, size_t count)
{
    struct mailbox *mailbox = hibernation->mailbox;
    take_connections(mailbox, sleepers);
    learner_clear(&mailbox->learner);
    folder_forget_unused(mailbox);
    message_cache_clear(&mailbox->cache);
    message_cache_init(&mailbox->cache, mailbox);
    learner_init(&mailbox->learner, mailbox);
    for (size_t i = 0; i < count; i++)
        send_off(hibernation, &sleepers[i]);
    LOG(mailbox->log, LOG_INFO, "hibernated", log_text("account", mailbox->account),
        log_number("sessions", (int64_t)count));
    hibernation->has_happened = true;
    if (mailbox->session_count == 0)
        hibernation->on_asleep(hibernation);
}

/* False: they stay awake. */
static bool hibernate(struct hibernation *hibernation)
{
    struct mailbox *mailbox = hibernation->mailbox;
    size_t count = mailbox->session_count;
    watch_poll(&mailbox->watch); /* what other programs did may be news */
    if (!all_may_sleep(mailbox))
        return false;
    struct sleeper *sleepers = calloc(count, sizeof(*sleepers));
    bool recorded = sleepers && record_all(mailbox, sleepers);
    if (recorded)
        put_to_sleep(hibernation, sleepers, count);
    for (size_t i = 0; sleepers && i < count; i++) {
        buffer_clear(&sleepers[i].record);
        if (recorded)
            fd_discard(&sleepers[i].fd);
    }
    free(sleepers);
    return recorded;
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    struct hibernation *hibernation = timer->data;
    ev_timer_stop(loop, timer);
    if (hibernation->mailbox->session_count == 0 || hibernation->role->stopping
        || quiet_ms(hibernation) == CONFIG_NEVER)
        return;
    uint64_t wait = wait_ms(hibernation);
    if (wait > 0)
        look_again_in(hibernation, wait);
    else if (!hibernate(hibernation))
        look_again_in(hibernation, quiet_ms(hibernation));
}

/* ---- life ---- */

void hibernation_init(struct hibernation *hibernation, struct role *role, struct mailbox *mailbox,
                      void (*on_asleep)(struct hibernation *hibernation))
{
    *hibernation = (struct hibernation){.role = role, .mailbox = mailbox, .on_asleep = on_asleep};
    ev_timer_init(&hibernation->timer, on_timer, 0.0, 0.0);
    hibernation->timer.data = hibernation;
}

void hibernation_clear(struct hibernation *hibernation)
{
    if (hibernation->role)
        ev_timer_stop(hibernation->role->loop, &hibernation->timer);
}

void hibernation_begin(struct hibernation *hibernation)
{
    if (quiet_ms(hibernation) != CONFIG_NEVER && !ev_is_active(&hibernation->timer))
        look_again_in(hibernation, quiet_ms(hibernation));
}
