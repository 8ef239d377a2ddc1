/*
 * Processes for one account (mailbox, maildrop) or for the accounts of one uid (deliver). They are
 * started when auth says that a client has logged in, or that queue has mail for an account; only
 * auth is trusted to name the account. They are stopped when they say that they are idle, unless
 * something is on its way to them.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utlist.h>

#include "common/disk/fd.h"
#include "ctl/master/master.h"

/* A path of auth is relative and goes nowhere but down: it names what a user may have chosen. */
static bool is_safe_path(struct slice path)
{
    if (path.len == 0 || path.ptr[0] == '/' || slice_find_octet(path, '\0') < path.len)
        return false;
    while (path.len > 0) {
        size_t end = slice_find_octet(path, '/');
        struct slice part = slice_range(path, 0, end);
        if (slice_equal(part, SLICE("..")) || slice_equal(part, SLICE(".")) || part.len == 0)
            return false;
        path = slice_from(path, end + 1);
    }
    return true;
}

bool admission_take_home(const struct ipc_packet *packet, size_t fixed,
                         const struct master_home *facts, struct named_home *home,
                         struct error *error)
{
    struct slice texts = ipc_packet_tail(packet, fixed);
    if (facts->account_octets == 0 || facts->account_octets > MASTER_ACCOUNT_MAX
        || facts->path_octets > MASTER_PATH_MAX
        || texts.len != (size_t)facts->account_octets + facts->path_octets)
        return error_set(error, ERROR_PEER, "lengths of account and path");
    home->facts = facts;
    home->account = slice_range(texts, 0, facts->account_octets);
    home->path = slice_from(texts, facts->account_octets);
    if (slice_find_octet(home->account, '\0') < home->account.len || !is_safe_path(home->path))
        return error_set(error, ERROR_PEER, "account or its path");
    return true;
}

/* For a moment after a reload auth may still speak of the `accounts` sections of before. */
static bool is_acceptable(const struct process *auth, const struct named_home *named,
                          struct error *error)
{
    const struct master *master = auth->master;
    if (auth->configuration < master->setup.places_since)
        return error_set(error, ERROR_TEMPORARY, "a reload is under way");
    if (master->is_root && named->facts->uid == 0)
        return error_set(error, ERROR_PERMANENT, "root has no mail here: alias it to somebody");
    return true;
}

/* --- Homes ----------------------------------------------------------------------------------- */

static struct account_home *find_home(struct process *process, struct slice account)
{
    struct account_home *home;
    LL_FOREACH (process->homes, home)
        if (slice_equal(slice_of_string(home->account), account))
            return home;
    return NULL;
}

static struct account_home *add_home(struct process *process, const struct named_home *named)
{
    struct account_home *home = calloc(1, sizeof(*home));
    if (!home)
        return NULL;
    home->handle = ++process->master->next_handle;
    memcpy(home->account, named->account.ptr, named->account.len);
    LL_PREPEND(process->homes, home);
    return home;
}

static void send_home(struct process *process, struct account_home *home,
                      const struct named_home *named)
{
    home->facts = *named->facts;
    memset(home->path, 0, sizeof(home->path));
    memcpy(home->path, named->path.ptr, named->path.len);
    struct role_home record = {
        .header = {.type = ROLE_HOME}, .handle = home->handle, .home = home->facts};
    struct slice tail[] = {named->account, named->path};
    struct ipc_message message = {
        .head = &record.header, .head_octets = sizeof(record), .tail = tail, .tail_count = 2};
    ipc_send(&process->channel, &message, NULL); /* a dead process is met by on_death */
    if (process->kind == ROLE_DELIVER)
        process->given++;
}

/* The process of that kind for that account; started, with its home known, if there is none. */
static struct process *start_for(struct master *master, enum role_kind kind,
                                 const struct named_home *named, struct error *error)
{
    struct process_owner owner = {.user = {.uid = named->facts->uid, .gid = named->facts->gid},
                                  .place = named->facts->place};
    struct process *process = process_start(master, kind, &owner, error);
    if (!process)
        return NULL;
    struct account_home *home = add_home(process, named);
    if (!home) {
        error_memory(error);
        process_ask_to_stop(process);
        return NULL;
    }
    send_home(process, home, named);
    birth_go(process);
    return process;
}

/* The process has the Maildir that auth means, whatever the configuration said when it was born. */
static bool serves(struct process *process, const struct named_home *named)
{
    const struct account_home *home = find_home(process, named->account);
    struct stat tree;
    return home && process->user.uid == named->facts->uid && process->user.gid == named->facts->gid
           && slice_equal(slice_of_string(home->path), named->path)
           && stat(birth_place_path(process->master, named->facts->place), &tree) == 0
           && tree.st_dev == process->tree_device && tree.st_ino == process->tree_inode;
}

static struct process *find_mailbox(struct master *master, const struct named_home *named)
{
    struct process *process;
    DL_FOREACH (master->processes, process)
        if (process->kind == ROLE_MAILBOX && !process->stopping && ipc_is_open(&process->channel)
            && serves(process, named))
            return process;
    return NULL;
}

static struct process *find_for_account(struct master *master, enum role_kind kind,
                                        struct slice account)
{
    struct process *process;
    DL_FOREACH (master->processes, process)
        if (process->kind == kind && !process->stopping && ipc_is_open(&process->channel)
            && find_home(process, account))
            return process;
    return NULL;
}

/* --- Deliver hears who listens --------------------------------------------------------------- */

static void tell_watched(struct process *deliver, const struct account_home *home, bool watched)
{
    struct role_watched record = {
        .header = {.type = ROLE_WATCHED}, .handle = home->handle, .watched = watched};
    process_send(deliver, &record.header, sizeof(record), slice_of(NULL, 0));
}

struct process *admission_find_awake(struct master *master, struct slice account)
{
    return find_for_account(master, ROLE_MAILBOX, account);
}

bool admission_ask(struct master *master, struct slice account, uint64_t *question)
{
    struct process *process;
    struct role_find record = {.header = {.type = ROLE_FIND, .request = ++master->questions}};
    *question = record.header.request;
    DL_FOREACH (master->processes, process)
        if (process->kind == ROLE_AUTH && !process->stopping && ipc_is_open(&process->channel))
            break;
    return process && !master->stopping
           && process_send(process, &record.header, sizeof(record), account);
}

static bool is_watched(struct master *master, struct slice account)
{
    return sleepers_listen(master, account) || admission_find_awake(master, account);
}

/* A mailbox of that account was started or ended. */
static void tell_delivers(struct master *master, struct slice account, bool watched)
{
    struct process *process;
    DL_FOREACH (master->processes, process) {
        if (process->kind != ROLE_DELIVER || process->stopping)
            continue;
        const struct account_home *home = find_home(process, account);
        if (home)
            tell_watched(process, home, watched);
    }
}

void admission_tell_watched(struct master *master, struct slice account)
{
    struct process *mailbox = admission_find_awake(master, account);
    tell_delivers(master, account, is_watched(master, account));
    if (mailbox)
        tell_watched(mailbox, find_home(mailbox, account), sleepers_listen(master, account));
}

void admission_forget(struct process *process)
{
    struct slice account = slice_of_string(process->homes ? process->homes->account : "");
    sleepers_forget(process);
    visits_forget(process);
    if (process->kind == ROLE_MAILBOX && process->homes)
        tell_delivers(process->master, account, is_watched(process->master, account));
}

bool admission_on_changed(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    const struct process *process = owner;
    const struct master_changed *record = packet->record;
    const struct account_home *home;
    LL_FOREACH (process->homes, home)
        if (home->handle == record->handle || record->handle == 0)
            break;
    if (!home)
        return true;
    struct slice account = slice_of_string(home->account);
    struct slice directory = ipc_packet_tail(packet, sizeof(*record));
    struct process *mailbox = admission_find_awake(process->master, account);
    struct role_changed change = {.header = {.type = ROLE_CHANGED}};
    if (mailbox && mailbox != process)
        process_send(mailbox, &change.header, sizeof(change), directory);
    sleepers_on_changed(process->master, account, directory);
    return true;
}

/* --- Login ----------------------------------------------------------------------------------- */

static void refuse_login(struct process *login, uint64_t request, enum not_admitted_reason reason)
{
    struct role_not_admitted answer = {.header = {.type = ROLE_NOT_ADMITTED, .request = request},
                                       .reason = reason};
    process_send(login, &answer.header, sizeof(answer), slice_of(NULL, 0));
}

/* One that is there hears of what has changed in the account, its quota. */
static struct process *have_mailbox(struct master *master, const struct named_home *named,
                                    struct error *error)
{
    struct process *process = find_mailbox(master, named);
    if (process) {
        send_home(process, process->homes, named);
        return process;
    }
    process = start_for(master, ROLE_MAILBOX, named, error);
    if (process)
        admission_tell_watched(master, named->account);
    return process;
}

/* RFC 1939 4: one session has the maildrop, with its lock. */
static struct process *have_maildrop(struct master *master, const struct named_home *named,
                                     struct error *error)
{
    struct process *process = find_for_account(master, ROLE_MAILDROP, named->account);
    if (process) { /* what it said before its client heard the end, and came back, is in the socket
                    */
        ipc_hear_now(&process->channel);
        process = find_for_account(master, ROLE_MAILDROP, named->account);
    }
    if (!process)
        return start_for(master, ROLE_MAILDROP, named, error);
    error_set(error, ERROR_EXISTS, "maildrop is in use");
    return NULL;
}

static struct process *find_user_process(struct master *master, enum role_kind kind,
                                         const struct named_home *named, struct error *error)
{
    return kind == ROLE_MAILBOX ? have_mailbox(master, named, error)
                                : have_maildrop(master, named, error);
}

struct process *admission_find_mailbox(struct process *auth, const struct named_home *named,
                                       struct error *error)
{
    return is_acceptable(auth, named, error) ? have_mailbox(auth->master, named, error) : NULL;
}

bool admission_join(struct process *login, struct process *user, const struct master_client *client,
                    struct ipc_header *answer, struct error *error)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return error_errno(error, "socketpair");
    struct role_session session = {
        .header = {.type = ROLE_SESSION},
        .pass = {.client = *client, .login_number = login->number},
        .asleep = sleepers_count(user->master, slice_of_string(user->homes->account))};
    if (user->kind == ROLE_MAILBOX)
        sleepers_seal(user, &session.pass);
    bool joined =
        process_send_with(user, &session.header, sizeof(session), slice_of(NULL, 0), pair[0])
        && process_send_with(login, answer, sizeof(*answer), slice_of(NULL, 0), pair[1]);
    fd_discard(&pair[0]);
    fd_discard(&pair[1]);
    user->given++;
    return joined || error_set(error, ERROR_TEMPORARY, "process is gone");
}

bool admission_on_admit(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct process *auth = owner;
    struct master *master = auth->master;
    const struct master_admit *admit = packet->record;
    struct named_home named;
    if (!admission_take_home(packet, sizeof(*admit), &admit->home, &named, error))
        return false;
    struct process *login = process_find(master, admit->login_kind, admit->login_number);
    if (!login)
        return true; /* it died meanwhile, and its clients with it */
    enum role_kind kind = admit->login_kind == ROLE_IMAP_LOGIN ? ROLE_MAILBOX : ROLE_MAILDROP;
    struct error failure = {0};
    struct process *user = NULL;
    if (is_acceptable(auth, &named, &failure))
        user = find_user_process(master, kind, &named, &failure);
    struct role_admitted admitted = {
        .header = {.type = ROLE_ADMITTED, .request = admit->header.request}};
    if (user && admission_join(login, user, &admit->client, &admitted.header, &failure))
        return true;
    if (failure.kind != ERROR_EXISTS)
        LOG(&master->log, LOG_ERROR, "not_admitted", log_bytes("account", named.account),
            log_failure(&failure));
    refuse_login(login, admit->header.request,
                 failure.kind == ERROR_EXISTS ? NOT_ADMITTED_IN_USE : NOT_ADMITTED_TEMPORARY);
    return true;
}

/* --- Reading by a URL ------------------------------------------------------------------------ */

/* A fresh pair of sockets between the mailbox and the session that asked. */
static bool join_reader(struct process *submission, struct process *mailbox, struct slice reader,
                        uint64_t request, struct error *error)
{
    int pair[2];
    struct role_read read = {.header = {.type = ROLE_READ}};
    struct role_admitted admitted = {.header = {.type = ROLE_ADMITTED, .request = request}};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return error_errno(error, "socketpair");
    bool joined = process_send_with(mailbox, &read.header, sizeof(read), reader, pair[0])
                  && process_send_with(submission, &admitted.header, sizeof(admitted),
                                       slice_of(NULL, 0), pair[1]);
    fd_discard(&pair[0]);
    fd_discard(&pair[1]);
    mailbox->given++;
    return joined || error_set(error, ERROR_TEMPORARY, "process is gone");
}

bool admission_on_read(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct process *auth = owner;
    struct master *master = auth->master;
    const struct master_read *record = packet->record;
    struct named_home named;
    size_t fixed = sizeof(*record) + record->reader_octets;
    if (record->reader_octets == 0 || record->reader_octets > MASTER_ACCOUNT_MAX
        || fixed > packet->length)
        return error_set(error, ERROR_PEER, "length of the reader");
    if (!admission_take_home(packet, fixed, &record->home, &named, error))
        return false;
    struct process *submission = process_find(master, ROLE_SUBMISSION, record->submission_number);
    if (!submission)
        return true; /* it died meanwhile, and its clients with it */
    struct slice reader =
        slice_range(ipc_packet_tail(packet, sizeof(*record)), 0, record->reader_octets);
    struct error failure = {0};
    struct process *mailbox = admission_find_mailbox(auth, &named, &failure);
    if (mailbox && join_reader(submission, mailbox, reader, record->header.request, &failure))
        return true;
    LOG(&master->log, LOG_ERROR, "not_admitted", log_bytes("account", named.account),
        log_failure(&failure));
    refuse_login(submission, record->header.request, NOT_ADMITTED_TEMPORARY);
    return true;
}

/* --- Delivery -------------------------------------------------------------------------------- */

static struct process *find_deliver(struct master *master, const struct master_home *facts)
{
    struct process *process;
    DL_FOREACH (master->processes, process)
        if (process->kind == ROLE_DELIVER && !process->stopping && ipc_is_open(&process->channel)
            && process->configuration == master->setup.number && process->user.uid == facts->uid
            && process->user.gid == facts->gid && process->place == facts->place)
            return process;
    return NULL;
}

static struct account_home *open_home(struct master *master, struct process *deliver,
                                      const struct named_home *named)
{
    struct account_home *home = find_home(deliver, named->account);
    if (!home)
        home = add_home(deliver, named);
    if (!home)
        return NULL;
    send_home(deliver, home, named);
    if (is_watched(master, named->account))
        tell_watched(deliver, home, true);
    return home;
}

static const struct account_home *find_target(struct master *master, const struct named_home *named,
                                              struct process **deliver, struct error *error)
{
    *deliver = find_deliver(master, named->facts);
    if (!*deliver)
        *deliver = start_for(master, ROLE_DELIVER, named, error);
    if (!*deliver)
        return NULL;
    struct account_home *home = open_home(master, *deliver, named);
    if (!home)
        error_memory(error);
    return home;
}

bool admission_on_target(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct process *auth = owner;
    struct master *master = auth->master;
    const struct master_target *target = packet->record;
    struct named_home named;
    if (!admission_take_home(packet, sizeof(*target), &target->home, &named, error))
        return false;
    struct process *queue = NULL, *deliver = NULL, *process;
    DL_FOREACH (master->processes, process)
        if (process->kind == ROLE_QUEUE && !process->stopping)
            queue = process;
    if (!queue)
        return true;
    struct error failure = {0};
    const struct account_home *home = is_acceptable(auth, &named, &failure)
                                          ? find_target(master, &named, &deliver, &failure)
                                          : NULL;
    if (!home) {
        LOG(&master->log, LOG_ERROR, "no_target", log_bytes("account", named.account),
            log_failure(&failure));
        struct role_no_target answer = {
            .header = {.type = ROLE_NO_TARGET, .request = target->header.request}};
        process_send(queue, &answer.header, sizeof(answer), slice_of(NULL, 0));
        return true;
    }
    struct role_target answer = {.header = {.type = ROLE_TARGET, .request = target->header.request},
                                 .handle = home->handle,
                                 .deliver_number = deliver->number};
    process_send(queue, &answer.header, sizeof(answer), slice_of(NULL, 0));
    return true;
}

/* --- Ending ---------------------------------------------------------------------------------- */

/* It says how much it got so far: where we gave more, that is on its way to it, and it lives on. */
bool admission_on_idle(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct process *process = owner;
    if (ipc_packet_header(packet)->request == process->given)
        process_ask_to_stop(process);
    return true;
}
