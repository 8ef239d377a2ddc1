/*
 * IMAP sessions that are asleep (common/role/master_protocol.h, hibernation): the account of each,
 * the login process that keeps it, and the folder whose changes wake it.
 *
 *   MASTER_SLEEPS ─> asleep ─┬─ MASTER_WAKE, or its folder has changed
 *                            │    ├─ a mailbox is there ─> joined
 *                            │    └─ auth is asked whose mail it is now ─> joined, or
 *                            │                                             ROLE_NOT_AWAKE
 *                            └─ MASTER_GONE, its login process died ─> forgotten
 *
 * No process can name an account here: a mailbox process can put to sleep only sessions of its own
 * account that the master gave to it, and a login process can wake only sessions that it keeps.
 */
#include <stdlib.h>

#include <sodium.h>
#include <utlist.h>

#include "common/hash_table.h"
#include "ctl/master/master.h"

struct sleeper {
    struct sleeper *prev, *next; /* in the list of its account */
    struct sleeping_account *account;
    struct process *login;
    struct master_client client;
    bool listens;
    bool waking; /* auth was asked, and has not answered yet */
    UT_hash_handle hh;
    size_t directory_octets; /* of the folder that it listens to; 0: INBOX */
    char directory[];
};

struct sleeping_account {
    struct master *master;
    struct sleeper *sleepers;
    uint32_t count;
    uint32_t listeners;
    uint64_t question; /* ROLE_FIND without an answer yet; 0: none */
    UT_hash_handle hh;
    size_t name_octets;
    char name[];
};

static struct slice name_of(const struct sleeping_account *account)
{
    return slice_of(account->name, account->name_octets);
}

/* --- Passes ---------------------------------------------------------------------------------- */

static void make_seal(const struct process *mailbox, const struct session_pass *pass,
                      uint8_t seal[SESSION_SEAL_OCTETS])
{
    uint8_t text[sizeof(*pass) - SESSION_SEAL_OCTETS + sizeof(mailbox->number)];
    memcpy(text, pass, sizeof(*pass) - SESSION_SEAL_OCTETS);
    memcpy(text + sizeof(*pass) - SESSION_SEAL_OCTETS, &mailbox->number, sizeof(mailbox->number));
    crypto_generichash(seal, SESSION_SEAL_OCTETS, text, sizeof(text), mailbox->master->sleepers.key,
                       MASTER_SECRET_OCTETS);
}

void sleepers_seal(const struct process *mailbox, struct session_pass *pass)
{
    make_seal(mailbox, pass, pass->seal);
}

static bool is_sealed(const struct process *mailbox, const struct session_pass *pass)
{
    uint8_t seal[SESSION_SEAL_OCTETS];
    make_seal(mailbox, pass, seal);
    return sodium_memcmp(seal, pass->seal, sizeof(seal)) == 0;
}

/* --- Who is asleep --------------------------------------------------------------------------- */

static struct sleeping_account *find_account(const struct master *master, struct slice name)
{
    struct sleeping_account *account;
    HASH_FIND(hh, master->sleepers.accounts, name.ptr, name.len, account);
    return account;
}

static struct sleeper *find_sleeper(const struct master *master, uint64_t session)
{
    struct sleeper *sleeper;
    HASH_FIND(hh, master->sleepers.sessions, &session, sizeof(session), sleeper);
    return sleeper;
}

uint32_t sleepers_count(const struct master *master, struct slice name)
{
    const struct sleeping_account *account = find_account(master, name);
    return account ? account->count : 0;
}

bool sleepers_listen(const struct master *master, struct slice name)
{
    const struct sleeping_account *account = find_account(master, name);
    return account && account->listeners > 0;
}

static struct sleeping_account *open_account(struct master *master, struct slice name)
{
    struct sleeping_account *account = find_account(master, name);
    if (account)
        return account;
    account = calloc(1, sizeof(*account) + name.len);
    if (!account)
        return NULL;
    account->master = master;
    account->name_octets = name.len;
    memcpy(account->name, name.ptr, name.len);
    HASH_ADD_KEYPTR(hh, master->sleepers.accounts, account->name, account->name_octets, account);
    if (hash_table_holds(&account->hh))
        return account;
    free(account);
    return NULL;
}

static void close_account(struct sleeping_account *account)
{
    if (account->sleepers)
        return;
    HASH_DEL(account->master->sleepers.accounts, account);
    free(account);
}

static void forget(struct sleeper *sleeper)
{
    struct sleeping_account *account = sleeper->account;
    struct master *master = account->master;
    HASH_DEL(master->sleepers.sessions, sleeper);
    DL_DELETE(account->sleepers, sleeper);
    account->count--;
    account->listeners -= sleeper->listens;
    if (sleeper->listens && account->listeners == 0)
        admission_tell_watched(master, name_of(account));
    close_account(account);
    free(sleeper);
}

static struct sleeper *new_sleeper(struct sleeping_account *account,
                                   const struct master_sleeps *record, struct slice directory,
                                   struct process *login)
{
    struct sleeper *sleeper = calloc(1, sizeof(*sleeper) + directory.len);
    if (!sleeper)
        return NULL;
    sleeper->account = account;
    sleeper->login = login;
    sleeper->client = record->pass.client;
    sleeper->listens = (record->flags & SLEEPS_LISTENS) != 0;
    sleeper->directory_octets = directory.len;
    if (directory.len > 0)
        memcpy(sleeper->directory, directory.ptr, directory.len);
    HASH_ADD(hh, account->master->sleepers.sessions, client.session, sizeof(uint64_t), sleeper);
    if (!hash_table_holds(&sleeper->hh)) {
        free(sleeper);
        return NULL;
    }
    DL_APPEND(account->sleepers, sleeper);
    account->count++;
    account->listeners += sleeper->listens;
    if (sleeper->listens && account->listeners == 1)
        admission_tell_watched(account->master, name_of(account));
    return sleeper;
}

/* --- Falling asleep -------------------------------------------------------------------------- */

/* What is carried has its one place; who came in the clear is best where he was, but may be
 * anywhere. */
static struct process *choose_login(struct master *master, const struct master_sleeps *record)
{
    struct process *process, *chosen = NULL;
    struct process *before = process_find(master, ROLE_IMAP_LOGIN, record->pass.login_number);
    if ((record->flags & SLEEPS_CARRIED) || (before && !before->stopping))
        return before;
    DL_FOREACH (master->processes, process)
        if (process->kind == ROLE_IMAP_LOGIN && !process->stopping)
            chosen = process;
    return chosen;
}

static bool give(struct process *login, const struct master_sleeps *record, struct slice octets,
                 int fd)
{
    struct role_asleep asleep = {
        .header = {.type = ROLE_ASLEEP, .request = record->pass.client.session},
        .client = record->pass.client,
        .flags = record->flags,
        .left_ms = record->left_ms};
    return process_send_with(login, &asleep.header, sizeof(asleep), octets, fd);
}

/* Without a login process, or memory, the client loses its connection, no more: it is as if the
 * login process had died. */
bool sleepers_on_sleeps(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct process *mailbox = owner;
    struct master *master = mailbox->master;
    const struct master_sleeps *record = packet->record;
    struct slice tail = ipc_packet_tail(packet, sizeof(*record));
    if (record->directory_octets > SLEEP_DIRECTORY_MAX || record->record_octets == 0
        || record->record_octets > SLEEP_RECORD_MAX
        || tail.len != (size_t)record->directory_octets + record->record_octets)
        return error_set(error, ERROR_PEER, "lengths of a resume record");
    if (!is_sealed(mailbox, &record->pass) || find_sleeper(master, record->pass.client.session))
        return error_set(error, ERROR_PEER, "not a session of this mailbox");
    struct slice name = slice_of_string(mailbox->homes->account);
    struct process *login = choose_login(master, record);
    struct sleeping_account *account = login ? open_account(master, name) : NULL;
    if (!account)
        return true;
    struct sleeper *sleeper =
        new_sleeper(account, record, slice_range(tail, 0, record->directory_octets), login);
    if (!sleeper)
        close_account(account);
    else if (!give(login, record, slice_from(tail, record->directory_octets),
                   packet->descriptors[0]))
        forget(sleeper);
    return true;
}

/* --- Going back ------------------------------------------------------------------------------ */

/* What the session was is over with that, so nothing is kept of it here. A login process that is no
 * more took its clients along. */
bool sleepers_on_returns(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct process *mailbox = owner;
    const struct master_returns *record = packet->record;
    const struct session_pass *pass = &record->pass;
    if (!is_sealed(mailbox, pass) || find_sleeper(mailbox->master, pass->client.session))
        return error_set(error, ERROR_PEER, "not a session of this mailbox");
    struct process *login = process_find(mailbox->master, ROLE_IMAP_LOGIN, pass->login_number);
    struct ipc_header returned = {.type = ROLE_RETURNED, .request = pass->client.session};
    if (login)
        process_send_with(login, &returned, sizeof(returned),
                          ipc_packet_tail(packet, sizeof(*record)), packet->descriptors[0]);
    return true;
}

/* --- Waking ---------------------------------------------------------------------------------- */

static void refuse(struct sleeper *sleeper)
{
    struct ipc_header answer = {.type = ROLE_NOT_AWAKE, .request = sleeper->client.session};
    process_send(sleeper->login, &answer, sizeof(answer), slice_of(NULL, 0));
    forget(sleeper);
}

static void join(struct sleeper *sleeper, struct process *mailbox)
{
    struct master *master = mailbox->master;
    struct process *login = sleeper->login;
    struct master_client client = sleeper->client;
    struct ipc_header answer = {.type = ROLE_AWAKE, .request = client.session};
    struct error error;
    forget(sleeper); /* it counts no more among those that are asleep */
    if (admission_join(login, mailbox, &client, &answer, &error))
        return;
    LOG(&master->log, LOG_ERROR, "not_woken", log_hex("session", client.session),
        log_failure(&error));
    answer.type = ROLE_NOT_AWAKE;
    process_send(login, &answer, sizeof(answer), slice_of(NULL, 0));
}

/* The account may have gone meanwhile, or have another place or quota. */
static bool ask(struct sleeping_account *account)
{
    uint64_t question;
    if (!admission_ask(account->master, name_of(account), &question))
        return false;
    account->question = question;
    return true;
}

static void wake(struct sleeper *sleeper)
{
    struct sleeping_account *account = sleeper->account;
    struct process *mailbox = admission_find_awake(account->master, name_of(account));
    if (mailbox) {
        join(sleeper, mailbox);
        return;
    }
    sleeper->waking = true;
    if (account->question == 0 && !ask(account))
        refuse(sleeper);
}

/* Of an account that is no more all; else those that want to wake now. */
static void refuse_some(struct sleeping_account *account, bool all)
{
    struct sleeper *sleeper, *next;
    account->question = 0;
    DL_FOREACH_SAFE (account->sleepers, sleeper, next)
        if (all || sleeper->waking)
            refuse(sleeper);
}

static void wake_with(struct sleeping_account *account, struct process *auth,
                      const struct named_home *named)
{
    struct master *master = account->master;
    struct sleeper *sleeper, *next;
    struct error error;
    struct process *mailbox = admission_find_mailbox(auth, named, &error);
    if (!mailbox) {
        LOG(&master->log, LOG_ERROR, "not_admitted", log_bytes("account", named->account),
            log_failure(&error));
        refuse_some(account, false);
        return;
    }
    account->question = 0;
    DL_FOREACH_SAFE (account->sleepers, sleeper, next)
        if (sleeper->waking)
            join(sleeper, mailbox);
}

void sleepers_on_found(struct process *auth, const struct master_found *found,
                       const struct named_home *named)
{
    struct master *master = auth->master;
    struct sleeping_account *account, *next;
    HASH_ITER (hh, master->sleepers.accounts, account, next) {
        if (account->question != found->header.request)
            continue;
        if (found->outcome == ACCOUNT_FOUND && slice_equal(named->account, name_of(account)))
            wake_with(account, auth, named);
        else
            refuse_some(account, found->outcome != ACCOUNT_TEMPORARY);
        return;
    }
}

bool sleepers_on_wake(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct process *login = owner;
    struct sleeper *sleeper = find_sleeper(login->master, ipc_packet_header(packet)->request);
    if (sleeper && sleeper->login != login)
        return error_set(error, ERROR_PEER, "wakes a session of another process");
    if (sleeper && !sleeper->waking)
        wake(sleeper);
    return true;
}

bool sleepers_on_gone(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct process *login = owner;
    struct sleeper *sleeper = find_sleeper(login->master, ipc_packet_header(packet)->request);
    if (sleeper && sleeper->login != login)
        return error_set(error, ERROR_PEER, "ends a session of another process");
    if (sleeper)
        forget(sleeper);
    return true;
}

void sleepers_on_changed(struct master *master, struct slice name, struct slice directory)
{
    struct sleeping_account *account = find_account(master, name);
    struct sleeper *sleeper, *next;
    if (!account || account->listeners == 0)
        return;
    DL_FOREACH_SAFE (account->sleepers, sleeper, next)
        if (sleeper->listens && !sleeper->waking
            && slice_equal(slice_of(sleeper->directory, sleeper->directory_octets), directory))
            wake(sleeper);
}

/* --- Deaths ---------------------------------------------------------------------------------- */

void sleepers_forget(const struct process *process)
{
    struct sleepers *sleepers = &process->master->sleepers;
    struct sleeping_account *account, *next_account;
    struct sleeper *sleeper, *next;
    if (process->kind == ROLE_IMAP_LOGIN)
        HASH_ITER (hh, sleepers->sessions, sleeper, next)
            if (sleeper->login == process)
                forget(sleeper);
    if (process->kind == ROLE_AUTH)
        HASH_ITER (hh, sleepers->accounts, account, next_account)
            if (account->question != 0)
                refuse_some(account, false);
}
