/*
 * Clients of one account in the mailbox process of another, which shares mailboxes with it
 * (common/role/master_protocol.h, MASTER_VISITS).
 *
 *   MASTER_VISITS ─┬─ the owner's mailbox is there ────────────> joined
 *                  └─ auth is asked whose mail it is ─> started, joined, or ROLE_NO_VISIT
 *
 * No process names the visitor: it is the account of the process that asks. That process gets one
 * end of a new socket pair; the owner's process gets the other end with the visitor's name, and
 * alone decides what the visitor may do. The client's connection stays where it is.
 *
 * MASTER_KNOWN asks auth in the same way; the answer says only whether the account exists.
 */
#include <stdlib.h>
#include <sys/socket.h>

#include <utlist.h>

#include "common/disk/fd.h"
#include "ctl/master/master.h"

enum { ASKED_MAX = 64 }; /* of one process, at once; what is more is answered: not now */

struct visit {
    struct visit *prev, *next;
    struct process *visitor;
    uint64_t request;
    uint64_t session;
    uint64_t question; /* put to auth */
    bool wants_in;     /* else the visitor only asks whether there is such an account */
    size_t owner_octets;
    char owner[];
};

static void refuse(struct process *visitor, uint64_t request, enum account_outcome outcome)
{
    struct role_no_visit answer = {.header = {.type = ROLE_NO_VISIT, .request = request},
                                   .outcome = outcome};
    process_send(visitor, &answer.header, sizeof(answer), slice_of(NULL, 0));
}

static void tell_known(struct process *asking, uint64_t request, enum account_outcome outcome)
{
    struct role_known answer = {.header = {.type = ROLE_KNOWN, .request = request},
                                .outcome = outcome};
    process_send(asking, &answer.header, sizeof(answer), slice_of(NULL, 0));
}

/* A captured process could ask and never read: it is ended, long before that costs us memory. */
static bool reads(const struct process *process, struct error *error)
{
    return !ipc_is_congested(&process->channel)
           || error_set(error, ERROR_PEER, "asks and does not read the answers");
}

/* Descriptors wait in the kernel, a few hundred, and never in our table. */
static bool takes_descriptors(const struct process *process)
{
    return !process->channel.unsent;
}

static bool join_pair(struct process *visitor, struct process *mailbox, uint64_t request,
                      uint64_t session, const int pair[2])
{
    struct role_visitor arrival = {.header = {.type = ROLE_VISITOR}, .session = session};
    struct ipc_header answer = {.type = ROLE_VISIT, .request = request};
    mailbox->given++;
    return process_send_with(mailbox, &arrival.header, sizeof(arrival),
                             slice_of_string(visitor->homes->account), pair[0])
           && process_send_with(visitor, &answer, sizeof(answer), slice_of(NULL, 0), pair[1]);
}

static void join(struct process *visitor, struct process *mailbox, uint64_t request,
                 uint64_t session)
{
    int pair[2];
    struct error error;
    if (!takes_descriptors(visitor) || !takes_descriptors(mailbox)) {
        refuse(visitor, request, ACCOUNT_TEMPORARY);
        return;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
        error_errno(&error, "socketpair");
        LOG(&visitor->master->log, LOG_ERROR, "not_visited", log_failure(&error));
        refuse(visitor, request, ACCOUNT_TEMPORARY);
        return;
    }
    if (!join_pair(visitor, mailbox, request, session, pair))
        refuse(visitor, request, ACCOUNT_TEMPORARY);
    fd_discard(&pair[0]);
    fd_discard(&pair[1]);
}

static size_t count_asked(const struct process *visitor)
{
    const struct visit *visit;
    size_t count = 0;
    DL_FOREACH (visitor->master->visits, visit)
        count += visit->visitor == visitor;
    return count;
}

/* NULL: nobody can say now. */
static struct visit *ask(struct process *visitor, uint64_t request, struct slice owner)
{
    struct master *master = visitor->master;
    struct visit *visit =
        count_asked(visitor) < ASKED_MAX ? calloc(1, sizeof(*visit) + owner.len) : NULL;
    if (!visit || !admission_ask(master, owner, &visit->question)) {
        free(visit);
        return NULL;
    }
    visit->visitor = visitor;
    visit->request = request;
    visit->owner_octets = owner.len;
    memcpy(visit->owner, owner.ptr, owner.len);
    DL_APPEND(master->visits, visit);
    return visit;
}

static bool ask_the_way(struct process *visitor, const struct master_visits *record,
                        struct slice owner)
{
    struct visit *visit = ask(visitor, record->header.request, owner);
    if (!visit)
        return false;
    visit->wants_in = true;
    visit->session = record->session;
    return true;
}

/* Who shares nothing with the visitor is not disturbed. To its own account goes a process that
 * carries messages between that and another one. */
static bool may_be_visited(const struct process *visitor, struct slice owner)
{
    const struct master *master = visitor->master;
    struct slice account = slice_of_string(visitor->homes->account);
    return master->setup.config.imap.shared.text && slice_find_octet(owner, '\0') == owner.len
           && (slice_equal(owner, account) || shares_has(master, owner, account));
}

/* Handles records that have arrived from the owner's mailbox process: it says what it shares before
 * its client is told that the rights are given. Not recursive: one of these records may be a visit,
 * whose handler calls this. */
static void hear_owner(const struct process *visitor, struct slice owner)
{
    struct master *master = visitor->master;
    struct process *mailbox = admission_find_awake(master, owner);
    if (!mailbox || mailbox == visitor || master->hears_owner)
        return;
    master->hears_owner = true;
    ipc_hear_now(&mailbox->channel);
    master->hears_owner = false;
}

bool visits_on_visits(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct process *visitor = owner;
    const struct master_visits *record = packet->record;
    struct slice account = ipc_packet_tail(packet, sizeof(*record));
    if (!reads(visitor, error))
        return false;
    if (!may_be_visited(visitor, account))
        hear_owner(visitor, account);
    struct process *mailbox =
        may_be_visited(visitor, account) ? admission_find_awake(visitor->master, account) : NULL;
    if (mailbox)
        join(visitor, mailbox, record->header.request, record->session);
    else if (!may_be_visited(visitor, account))
        refuse(visitor, record->header.request, ACCOUNT_UNKNOWN);
    else if (!ask_the_way(visitor, record, account))
        refuse(visitor, record->header.request, ACCOUNT_TEMPORARY);
    return true;
}

bool visits_on_known(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct process *asking = owner;
    uint64_t request = ipc_packet_header(packet)->request;
    struct slice account = ipc_packet_tail(packet, sizeof(struct ipc_header));
    if (!reads(asking, error))
        return false;
    if (slice_find_octet(account, '\0') < account.len)
        return error_set(error, ERROR_PEER, "no account has NUL in its name");
    if (!ask(asking, request, account))
        tell_known(asking, request, ACCOUNT_TEMPORARY);
    return true;
}

static void end(struct visit *visit)
{
    DL_DELETE(visit->visitor->master->visits, visit);
    free(visit);
}

void visits_on_found(struct process *auth, const struct master_found *found,
                     const struct named_home *named)
{
    struct master *master = auth->master;
    struct visit *visit;
    struct error error = {.kind = ERROR_NONE};
    DL_SEARCH_SCALAR(master->visits, visit, question, found->header.request);
    if (!visit)
        return;
    bool is_meant = found->outcome == ACCOUNT_FOUND
                    && slice_equal(named->account, slice_of(visit->owner, visit->owner_octets));
    enum account_outcome outcome = is_meant                              ? ACCOUNT_FOUND
                                   : found->outcome == ACCOUNT_TEMPORARY ? ACCOUNT_TEMPORARY
                                                                         : ACCOUNT_UNKNOWN;
    struct process *mailbox =
        is_meant && visit->wants_in ? admission_find_mailbox(auth, named, &error) : NULL;
    if (!visit->wants_in)
        tell_known(visit->visitor, visit->request, outcome);
    else if (mailbox)
        join(visit->visitor, mailbox, visit->request, visit->session);
    else
        refuse(visit->visitor, visit->request, is_meant ? ACCOUNT_TEMPORARY : outcome);
    if (error.kind != ERROR_NONE)
        LOG(&master->log, LOG_ERROR, "not_visited", log_bytes("account", named->account),
            log_failure(&error));
    end(visit);
}

void visits_forget(const struct process *process)
{
    struct visit *visit, *next;
    DL_FOREACH_SAFE (process->master->visits, visit, next) {
        if (process->kind == ROLE_AUTH && visit->wants_in)
            refuse(visit->visitor, visit->request, ACCOUNT_TEMPORARY);
        else if (process->kind == ROLE_AUTH)
            tell_known(visit->visitor, visit->request, ACCOUNT_TEMPORARY);
        if (process->kind == ROLE_AUTH || visit->visitor == process)
            end(visit);
    }
}
