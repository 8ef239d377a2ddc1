/*
 * Clients of one account in the mailbox process of another, which shares mailboxes with it
 * (common/role/master_protocol.h, MASTER_VISITS).
 *
 *   MASTER_VISITS ─┬─ the owner's mailbox is there ────────────> joined
 *                  └─ auth is asked whose mail it is ─> started, joined, or ROLE_NO_VISIT
 *
 * Nobody names himself: the visitor is the account of the process that asks. It gets one end of a
 * fresh pair of sockets, the owner's process the other, with that name, and judges alone what he
 * may do. No connection of a client changes hands.
 */
#include <stdlib.h>
#include <sys/socket.h>

#include <utlist.h>

#include "common/disk/fd.h"
#include "ctl/master/master.h"

enum { ASKED_MAX = 64 }; /* of one process, at once */

struct visit {
    struct visit *prev, *next;
    struct process *visitor;
    uint64_t request;
    uint64_t session;
    uint64_t question; /* put to auth */
    size_t owner_octets;
    char owner[];
};

static void refuse(struct process *visitor, uint64_t request)
{
    struct ipc_header answer = {.type = ROLE_NO_VISIT, .request = request};
    process_send(visitor, &answer, sizeof(answer), slice_of(NULL, 0));
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
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
        error_errno(&error, "socketpair");
        LOG(&visitor->master->log, LOG_ERROR, "not_visited", log_failure(&error));
        refuse(visitor, request);
        return;
    }
    if (!join_pair(visitor, mailbox, request, session, pair))
        refuse(visitor, request);
    fd_discard(&pair[0]);
    fd_discard(&pair[1]);
}

/* False: nobody can say now. */
static bool ask(struct process *visitor, const struct master_visits *record, struct slice owner)
{
    struct master *master = visitor->master;
    struct visit *visit = calloc(1, sizeof(*visit) + owner.len);
    if (!visit || !admission_ask(master, owner, &visit->question)) {
        free(visit);
        return false;
    }
    visit->visitor = visitor;
    visit->request = record->header.request;
    visit->session = record->session;
    visit->owner_octets = owner.len;
    memcpy(visit->owner, owner.ptr, owner.len);
    DL_APPEND(master->visits, visit);
    return true;
}

static size_t count_asked(const struct process *visitor)
{
    const struct visit *visit;
    size_t count = 0;
    DL_FOREACH (visitor->master->visits, visit)
        count += visit->visitor == visitor;
    return count;
}

/* Who shares nothing with the visitor is not disturbed. */
static bool may_be_visited(const struct process *visitor, struct slice owner)
{
    const struct master *master = visitor->master;
    struct slice account = slice_of_string(visitor->homes->account);
    return master->house.config.imap.shared.text && !slice_equal(owner, account)
           && slice_find_octet(owner, '\0') == owner.len && shares_has(master, owner, account);
}

/* What the owner's mailbox said before its client heard that the rights are given is in the socket.
 * Only once: it may say there that it wants to visit us, whose handler this is. */
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
    if (count_asked(visitor) >= ASKED_MAX)
        return error_set(error, ERROR_PEER, "wants into too many mailboxes at once");
    if (!may_be_visited(visitor, account))
        hear_owner(visitor, account);
    struct process *mailbox =
        may_be_visited(visitor, account) ? admission_find_awake(visitor->master, account) : NULL;
    if (mailbox)
        join(visitor, mailbox, record->header.request, record->session);
    else if (!may_be_visited(visitor, account) || !ask(visitor, record, account))
        refuse(visitor, record->header.request);
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
    struct process *mailbox = is_meant ? admission_find_mailbox(auth, named, &error) : NULL;
    if (mailbox)
        join(visit->visitor, mailbox, visit->request, visit->session);
    else
        refuse(visit->visitor, visit->request);
    if (error.kind != ERROR_NONE)
        LOG(&master->log, LOG_ERROR, "not_visited", log_bytes("account", named->account),
            log_failure(&error));
    end(visit);
}

void visits_forget(const struct process *process)
{
    struct visit *visit, *next;
    DL_FOREACH_SAFE (process->master->visits, visit, next) {
        if (process->kind == ROLE_AUTH)
            refuse(visit->visitor, visit->request);
        if (process->kind == ROLE_AUTH || visit->visitor == process)
            end(visit);
    }
}
