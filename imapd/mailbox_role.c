/* The role of mailbox_role.h. */
#include "imapd/mailbox_role.h"

#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

#include <utlist.h>

#include "common/disk/fd.h"
#include "imapd/folder/folder.h"
#include "imapd/session/notify.h"
#include "imapd/session/session.h"
#include "imapd/shared/account_question.h"
#include "imapd/shared/shared_names.h"
#include "imapd/shared/shares.h"
#include "imapd/shared/visit.h"
#include "storage/account_directory.h"
#include "storage/maildir_name.h"

static void say_idle(struct ev_loop *loop, ev_timer *watcher, int events);

static struct mailbox_process *process_of(struct mailbox *mailbox)
{
    return (void *)((uint8_t *)mailbox - offsetof(struct mailbox_process, mailbox));
}

/* ---- records from the master ---- */

static struct quota_limits quota_of(const struct master_home *home)
{
    return (struct quota_limits){home->quota_octets, home->quota_messages};
}

/* At start, and again with each session for a running process: the quota may have changed. */
static bool on_home(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role *role = owner;
    struct mailbox_process *process = role->state;
    const struct role_home *record = packet->record;
    const struct master_home *home = &record->home;
    struct slice texts = ipc_packet_tail(packet, sizeof(*record));
    if (home->account_octets > MASTER_ACCOUNT_MAX || home->path_octets > MASTER_PATH_MAX
        || texts.len != (size_t)home->account_octets + home->path_octets)
        return error_set(error, ERROR_PEER, "home record is malformed");
    process->home = *home;
    memcpy(process->account, texts.ptr, home->account_octets);
    memcpy(process->path, texts.ptr + home->account_octets, home->path_octets);
    process->mailbox.quota = quota_of(home);
    return true;
}

static bool on_session(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role *role = owner;
    struct mailbox_process *process = role->state;
    const struct role_session *record = packet->record;
    struct error failure;
    process->given++;
    ev_timer_stop(role->loop, &process->idle);
    process->mailbox.asleep = record->asleep;
    hibernation_begin(&process->hibernation);
    if (!entrance_take(&process->entrance, ipc_packet_take(packet, 0), &record->pass, NULL,
                       &failure))
        LOG(&role->log, LOG_ERROR, "client_not_taken",
            log_hex("session", record->pass.client.session), log_failure(&failure));
    return true;
}

/* A submission that reads a message by a URL. */
static bool on_read(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role *role = owner;
    struct mailbox_process *process = role->state;
    struct slice account = ipc_packet_tail(packet, sizeof(struct role_read));
    struct error failure;
    process->given++;
    ev_timer_stop(role->loop, &process->idle);
    if (!url_readings_take(&process->readings, ipc_packet_take(packet, 0), account, &failure))
        LOG(&role->log, LOG_ERROR, "url_not_read", log_failure(&failure));
    return true;
}

static bool on_visitor(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role *role = owner;
    struct mailbox_process *process = role->state;
    const struct role_visitor *record = packet->record;
    const struct entrance_visitor visitor = {.account = ipc_packet_tail(packet, sizeof(*record)),
                                             .session = record->session};
    struct error failure;
    process->given++;
    ev_timer_stop(role->loop, &process->idle);
    if (!entrance_take(&process->entrance, ipc_packet_take(packet, 0), NULL, &visitor, &failure))
        LOG(&role->log, LOG_ERROR, "client_not_taken", log_hex("session", record->session),
            log_failure(&failure));
    return true;
}

static bool on_visit(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role *role = owner;
    struct mailbox_process *process = role->state;
    visit_on_answer(&process->mailbox, ipc_packet_header(packet)->request,
                    ipc_packet_take(packet, 0), ACCOUNT_FOUND);
    return true;
}

static bool on_no_visit(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role *role = owner;
    struct mailbox_process *process = role->state;
    const struct role_no_visit *record = packet->record;
    visit_on_answer(&process->mailbox, record->header.request, -1, record->outcome);
    return true;
}

static bool on_known(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role *role = owner;
    struct mailbox_process *process = role->state;
    const struct role_known *record = packet->record;
    account_on_answer(&process->mailbox, record->header.request, record->outcome);
    return true;
}

static bool on_shared(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role *role = owner;
    struct mailbox_process *process = role->state;
    const struct role_shared *record = packet->record;
    struct slice tail = ipc_packet_tail(packet, sizeof(*record));
    if (record->account_octets > tail.len)
        return error_set(error, ERROR_PEER, "lengths of what is shared");
    shared_on_answer(&process->mailbox, record->header.request,
                     slice_range(tail, 0, record->account_octets),
                     slice_from(tail, record->account_octets));
    return true;
}

/* For imapd/shared/. */
static bool tell_master(struct mailbox *mailbox, struct ipc_header *head, size_t head_octets,
                        struct slice tail)
{
    return role_tell_master(process_of(mailbox)->role, head, head_octets, tail);
}

/* A `staffetta` command about this account (control.h). */
static bool on_control(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role *role = owner;
    struct mailbox_process *process = role->state;
    struct control_words words;
    process->given++;
    if (!control_words_parse(packet, &words, error))
        return false;
    upkeep_answer(&process->upkeep, &words, ipc_packet_take(packet, 0));
    if (process->upkeep.leaving)
        say_idle(role->loop, &process->idle, 0);
    return true;
}

/* To those who are asleep. */
static void tell_changed(struct mailbox *mailbox, const char *directory)
{
    struct mailbox_process *process = process_of(mailbox);
    struct master_changed record = {.header = {.type = MASTER_CHANGED}};
    bool is_inbox = strcmp(directory, MAILDIR_INBOX) == 0;
    role_tell_master(process->role, &record.header, sizeof(record),
                     slice_of_string(is_inbox ? "" : directory));
}

static bool give_back(struct mailbox *mailbox, const struct session_pass *pass, struct slice input,
                      int fd, struct error *error)
{
    struct mailbox_process *process = process_of(mailbox);
    struct master_returns record = {.header = {.type = MASTER_RETURNS}, .pass = *pass};
    struct ipc_message message = {.head = &record.header,
                                  .head_octets = sizeof(record),
                                  .tail = &input,
                                  .tail_count = 1,
                                  .descriptors = &fd,
                                  .descriptor_count = 1};
    return ipc_send(&process->role->master, &message, error);
}

static bool on_changed(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role *role = owner;
    struct mailbox_process *process = role->state;
    struct slice name = ipc_packet_tail(packet, sizeof(struct role_changed));
    char directory[MAILDIR_NAME_SIZE] = MAILDIR_INBOX;
    if (name.len > 0) {
        memcpy(directory, name.ptr, name.len);
        directory[name.len] = '\0';
    }
    folder_on_changed(&process->mailbox, directory);
    if (process->hibernation.has_happened) /* the master may not know which sessions sleep */
        tell_changed(&process->mailbox, directory);
    return true;
}

static bool on_watched(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role *role = owner;
    struct mailbox_process *process = role->state;
    const struct role_watched *record = packet->record;
    process->mailbox.watched = record->watched == 1;
    return true;
}

static const struct ipc_rule orders[] = {
    {ROLE_HOME, sizeof(struct role_home),
     sizeof(struct role_home) + MASTER_ACCOUNT_MAX + MASTER_PATH_MAX, 0, on_home},
    {ROLE_SESSION, sizeof(struct role_session), sizeof(struct role_session), 1, on_session},
    {ROLE_VISITOR, sizeof(struct role_visitor) + 1,
     sizeof(struct role_visitor) + MASTER_ACCOUNT_MAX, 1, on_visitor},
    {ROLE_VISIT, sizeof(struct ipc_header), sizeof(struct ipc_header), 1, on_visit},
    {ROLE_NO_VISIT, sizeof(struct role_no_visit), sizeof(struct role_no_visit), 0, on_no_visit},
    {ROLE_KNOWN, sizeof(struct role_known), sizeof(struct role_known), 0, on_known},
    {ROLE_SHARED, sizeof(struct role_shared),
     sizeof(struct role_shared) + MASTER_ACCOUNT_MAX + SHARES_OCTETS_MAX, 0, on_shared},
    {ROLE_CONTROL, sizeof(struct role_control) + 1,
     sizeof(struct role_control) + ROLE_CONTROL_LINE_MAX, 1, on_control},
    {ROLE_READ, sizeof(struct role_read) + 1, sizeof(struct role_read) + MASTER_ACCOUNT_MAX, 1,
     on_read},
    {ROLE_CHANGED, sizeof(struct role_changed), sizeof(struct role_changed) + MAILDIR_NAME_MAX, 0,
     on_changed},
    {ROLE_WATCHED, sizeof(struct role_watched), sizeof(struct role_watched), 0, on_watched},
};

/* ---- life ---- */

/* random(4): a UUID, new at each boot. If it cannot be read, every kill is treated as a power
 * failure. */
static void read_boot(uint8_t boot[CHANGE_LOG_BOOT_OCTETS])
{
    enum { UUID_OCTETS = 36 };
    size_t got;
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || !fd_read_full(fd, boot, UUID_OCTETS, &got, NULL))
        memset(boot, 0, CHANGE_LOG_BOOT_OCTETS);
    fd_discard(&fd);
}

/* Before the sandbox: opens the Maildir, which becomes the root and the working directory. */
static bool prepare(struct role *role, struct error *error)
{
    struct mailbox_process *process = role->state;
    read_boot(process->boot);
    flush_rounds_open(&process->flushes);
    bool is_system = process->home.place == PLACE_FILESYSTEM;
    int place_fd = role_take_file(role, DESCRIPTOR_PLACE, process->home.place);
    if (place_fd < 0 || process->path[0] == '\0')
        return error_set(error, ERROR_PERMANENT, "no account was given");
    bool opened =
        is_system ? account_directory_open_system(place_fd, process->path, &role->root_fd, error)
                  : account_directory_open(place_fd, process->path, &role->root_fd, error);
    close(place_fd); /* it leads to other accounts' mail */
    return opened && (fchdir(role->root_fd) == 0 || error_errno(error, "enter the Maildir"));
}

/* Both sides count the records sent meanwhile: if there were any, the process goes on. */
static void say_idle(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    struct mailbox_process *process = watcher->data;
    if (upkeep_is_busy(&process->upkeep) || process->mailbox.session_count > 0
        || !url_readings_is_empty(&process->readings))
        return; /* asked again after the next interval */
    struct ipc_header idle = {.type = MASTER_IDLE, .request = process->given};
    role_tell_master(process->role, &idle, sizeof(idle), slice_of(NULL, 0));
}

static void end(struct mailbox_process *process)
{
    entrance_clear(&process->entrance);
    hibernation_clear(&process->hibernation);
    upkeep_clear(&process->upkeep);
    url_readings_clear(&process->readings);
    mailbox_close(&process->mailbox);
    flush_rounds_close(&process->flushes);
    role_exit(process->role);
}

static void on_idle(struct mailbox *mailbox)
{
    struct mailbox_process *process = process_of(mailbox);
    if (process->role->stopping)
        end(process);
    else if (process->upkeep.leaving)
        say_idle(process->role->loop, &process->idle, 0);
    else if (entrance_is_empty(&process->entrance))
        ev_timer_again(process->role->loop, &process->idle);
}

static void on_all_read(struct url_readings *readings)
{
    if (readings->mailbox->session_count == 0)
        on_idle(readings->mailbox);
}

/* Nothing left to wait for, except a client being handed over. */
static void on_asleep(struct hibernation *hibernation)
{
    struct mailbox_process *process = process_of(hibernation->mailbox);
    if (entrance_is_empty(&process->entrance))
        say_idle(process->role->loop, &process->idle, 0);
}

static bool start(struct role *role, struct error *error)
{
    struct mailbox_process *process = role->state;
    double linger_s = (double)role->config.timeouts.linger_ms / 1000.0;
    struct mailbox_means means = {
        .loop = role->loop,
        .log = &role->log,
        .config = &role->config,
        .account = process->account,
        .account_fd = role->root_fd,
        .quota = quota_of(&process->home),
        .flushes = &process->flushes,
    };
    memcpy(means.boot, process->boot, sizeof(means.boot));
    process->role = role;
    if (!mailbox_open(&process->mailbox, &means, error))
        return error_prefix(error, "account %s", process->account);
    process->mailbox.on_idle = on_idle;
    process->mailbox.on_changed = tell_changed;
    process->mailbox.give_back = give_back;
    process->mailbox.tell_master = tell_master;
    shares_changed(&process->mailbox);
    entrance_init(&process->entrance, &process->mailbox);
    upkeep_init(&process->upkeep, role, &process->mailbox);
    url_readings_init(&process->readings, &process->mailbox, on_all_read);
    hibernation_init(&process->hibernation, role, &process->mailbox, on_asleep);
    ev_timer_init(&process->idle, say_idle, linger_s, linger_s);
    process->idle.data = process;
    ev_timer_start(role->loop, &process->idle);
    return true;
}

/* If the parent of shared mailboxes was renamed or removed, names have a new meaning: requests to
 * other accounts' processes end, and with them the clients' commands. */
static void end_visits(struct role *role)
{
    struct mailbox_process *process = role->state;
    const char *before = role->previous.imap.shared.text, *now = role->config.imap.shared.text;
    struct session *session, *next;
    if (before && now ? strcmp(before, now) == 0 : !before)
        return;
    DL_FOREACH_SAFE (process->mailbox.sessions, session, next)
        if (session->visitor || session->visit || session->forwarded
            || (session->notify && notify_listens_elsewhere(session->notify)))
            session_bye(session, "Shared mailboxes are called otherwise now; log in again");
    visits_break_off(&process->mailbox, "shared mailboxes are called otherwise now");
}

/* For new sessions; existing ones keep their line limits. */
static void reload(struct role *role)
{
    struct mailbox_process *process = role->state;
    end_visits(role);
    process->idle.repeat = (double)role->config.timeouts.linger_ms / 1000.0;
    if (ev_is_active(&process->idle))
        ev_timer_again(role->loop, &process->idle);
    message_cache_take_limits(&process->mailbox.cache, &role->config);
    undo_stop(&process->mailbox.undo);
    undo_start(&process->mailbox.undo, &process->mailbox);
    shares_changed(&process->mailbox); /* the new configuration may be the first to need it */
}

/* After MASTER_IDLE there are no clients; otherwise they are told, and have time to read it. */
static void stop(struct role *role)
{
    struct mailbox_process *process = role->state;
    struct session *session, *next;
    if (!process->mailbox.sessions) {
        end(process);
        return;
    }
    DL_FOREACH_SAFE (process->mailbox.sessions, session, next)
        session_bye(session, "The server is shutting down");
}

static void count(struct role *role, struct role_counts *counts)
{
    const struct mailbox_process *process = role->state;
    counts->sessions = process->mailbox.session_count;
}

const struct role_spec mailbox_role = {
    .sandbox = {.calls = SANDBOX_FILES | SANDBOX_INOTIFY | SANDBOX_SENDFILE | SANDBOX_FLUSH,
                .files = SANDBOX_WRITE_FILES},
    .orders = orders,
    .order_count = sizeof(orders) / sizeof(orders[0]),
    .prepare = prepare,
    .start = start,
    .reload = reload,
    .stop = stop,
    .count = count,
};
