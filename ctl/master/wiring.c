/*
 * The channels between roles. For each pair of kinds in the table below there is a SOCK_SEQPACKET
 * channel between each process of one kind and each of the other, made when the later of the two is
 * started. In addition every process has a one-way socket to `journal`.
 */
#include <sys/socket.h>
#include <unistd.h>

#include <utlist.h>

#include "common/disk/fd.h"
#include "common/size.h"
#include "ctl/master/master.h"

enum { LINE_OCTETS = 2 << 20 }; /* some 4 000 events, with what the kernel adds to each */

static const struct pair {
    enum role_kind a, b;
} pairs[] = {
    {ROLE_SMTP, ROLE_AUTH},         {ROLE_SMTP, ROLE_KEYS},        {ROLE_SMTP, ROLE_FILTER},
    {ROLE_SMTP, ROLE_QUEUE},        {ROLE_SUBMISSION, ROLE_AUTH},  {ROLE_SUBMISSION, ROLE_KEYS},
    {ROLE_SUBMISSION, ROLE_FILTER}, {ROLE_SUBMISSION, ROLE_QUEUE}, {ROLE_IMAP_LOGIN, ROLE_AUTH},
    {ROLE_IMAP_LOGIN, ROLE_KEYS},   {ROLE_POP3_LOGIN, ROLE_AUTH},  {ROLE_POP3_LOGIN, ROLE_KEYS},
    {ROLE_QUEUE, ROLE_AUTH},        {ROLE_QUEUE, ROLE_DELIVER},    {ROLE_CHECK, ROLE_AUTH},
    {ROLE_QUEUE, ROLE_RELAY},       {ROLE_RELAY, ROLE_RESOLVER},   {ROLE_RELAY, ROLE_FETCH},
    {ROLE_FETCH, ROLE_RESOLVER},    {ROLE_HTTP, ROLE_JOURNAL},     {ROLE_AUTH, ROLE_FETCH},
};

static bool belong_together(enum role_kind a, enum role_kind b)
{
    for (size_t i = 0; i < ARRAY_LENGTH(pairs); i++)
        if ((pairs[i].a == a && pairs[i].b == b) || (pairs[i].a == b && pairs[i].b == a))
            return true;
    return false;
}

static void send_peer(struct process *to, const struct process *peer, int fd)
{
    struct role_peer_record record = {
        .header = {.type = ROLE_PEER}, .kind = peer->kind, .number = peer->number};
    process_send_with(to, &record.header, sizeof(record), slice_of(NULL, 0), fd);
}

static void connect_pair(struct process *a, struct process *b)
{
    int pair[2];
    struct error error;
    if (!ipc_pair(pair, &error)) {
        LOG(&a->master->log, LOG_ERROR, "not_connected", log_text("role", role_kind_name(a->kind)),
            log_text("peer", role_kind_name(b->kind)), log_failure(&error));
        return;
    }
    send_peer(a, b, pair[0]);
    send_peer(b, a, pair[1]);
    fd_discard(&pair[0]);
    fd_discard(&pair[1]);
}

/* A network role that was replaced by a reload still has messages under way, for which it needs
 * the new filter. */
static bool is_worth_a_channel(const struct process *process)
{
    return !process->stopping || birth_is_network_role(process->kind);
}

void wiring_connect(struct process *process)
{
    struct process *other;
    DL_FOREACH (process->master->processes, other)
        if (other != process && is_worth_a_channel(other)
            && belong_together(process->kind, other->kind))
            connect_pair(process, other);
}

/* --- journal --------------------------------------------------------------------------------- */

static struct process *find_journal(struct master *master)
{
    struct process *process;
    DL_FOREACH (master->processes, process)
        if (process->kind == ROLE_JOURNAL && !process->stopping && ipc_is_open(&process->channel))
            return process;
    return NULL;
}

/* Where nobody reads, the line is there all the same: what is sent is dropped and counted. */
/* What the journal has not read waits here, and what finds no room is lost (common/log.h): with the
 * kernel's usual 208 KiB about 200 events, a tenth of a second of bulk mail. Filled only while the
 * journal is behind. Without the privilege it is what the administrator allows. */
static void make_room(int fd)
{
    int octets = LINE_OCTETS;
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &octets, sizeof(octets)) != 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &octets, sizeof(octets));
}

static int open_line(struct master *master, enum role_kind kind, uint32_t number)
{
    int pair[2];
    struct error error;
    if (!ipc_pair(pair, &error)) {
        LOG(&master->log, LOG_ERROR, "no_line_to_journal", log_failure(&error));
        return -1;
    }
    struct process *journal = find_journal(master);
    struct role_feed record = {.header = {.type = ROLE_FEED}, .kind = kind, .number = number};
    if (journal)
        process_send_with(journal, &record.header, sizeof(record), slice_of(NULL, 0), pair[0]);
    fd_discard(&pair[0]);
    make_room(pair[1]);
    return pair[1];
}

int wiring_open_feed(struct master *master, struct process *process)
{
    return open_line(master, process->kind, process->number);
}

static void renew_line(struct process *process)
{
    int line = wiring_open_feed(process->master, process);
    struct ipc_header record = {.type = ROLE_JOURNAL_LINE};
    if (line >= 0)
        process_send_with(process, &record, sizeof(record), slice_of(NULL, 0), line);
    fd_discard(&line);
}

void wiring_renew_journal(struct master *master)
{
    int line = open_line(master, ROLE_MASTER, 0);
    int old = master->log.fd;
    master->log.fd = line; /* -1: standard error, better than silence */
    fd_discard(&old);
    struct process *process;
    DL_FOREACH (master->processes, process)
        if (process->kind != ROLE_JOURNAL)
            renew_line(process);
}
