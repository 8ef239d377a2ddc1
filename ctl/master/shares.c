/*
 * Which account shares which mailbox with which other account, as reported by the mailbox processes
 * (common/role/master_protocol.h, MASTER_SHARES), so that a client can be shown shared mailboxes
 * without a search of all Maildirs. The list is derived: it grants no right, and a lost part
 * returns when the owner's mailbox process next starts. It is saved as "shares" in the state
 * directory, a second after a change, without a flush.
 *
 *     =alice@example.org
 *     lr bob@example.org<TAB>Work/Reports
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "common/hash_table.h"
#include "ctl/master/master.h"

#define FILE_NAME "shares"
#define FRESH_NAME "shares.new"

enum { ALL_OCTETS_MAX = 1 << 24 };

static const double saved_after_s = 1.0;

struct sharer {
    UT_hash_handle hh;
    struct buffer lines;
    size_t account_octets;
    char account[];
};

static struct slice name_of(const struct sharer *sharer)
{
    return slice_of(sharer->account, sharer->account_octets);
}

static struct sharer *find(const struct master *master, struct slice account)
{
    struct sharer *sharer;
    HASH_FIND(hh, master->shares.sharers, account.ptr, account.len, sharer);
    return sharer;
}

/* ---- lines ---- */

static bool next_line(struct slice *rest, struct slice *line)
{
    if (rest->len == 0)
        return false;
    size_t end = slice_find_octet(*rest, '\n');
    *line = slice_range(*rest, 0, end);
    *rest = slice_from(*rest, end + 1);
    return true;
}

/* rights SP identifier HTAB folder */
static bool concerns(struct slice line, struct slice account)
{
    struct slice identifier = slice_from(line, slice_find_octet(line, ' ') + 1);
    identifier = slice_range(identifier, 0, slice_find_octet(identifier, '\t'));
    if (slice_starts_with(identifier, SLICE("-")))
        identifier = slice_from(identifier, 1);
    return slice_equal(identifier, account) || slice_equal(identifier, SLICE("anyone"));
}

/* No line is to be taken for an account's. */
static bool is_well_formed(struct slice lines)
{
    struct slice line;
    if (slice_find_octet(lines, '\0') < lines.len
        || (lines.len > 0 && lines.ptr[lines.len - 1] != '\n'))
        return false;
    while (next_line(&lines, &line))
        if (slice_find_octet(line, ' ') == line.len || line.ptr[0] == '='
            || slice_find_octet(line, '\t') == line.len)
            return false;
    return true;
}

/* ---- the list ---- */

static void free_sharer(struct sharer *sharer)
{
    buffer_clear(&sharer->lines);
    free(sharer);
}

static void forget(struct master *master, struct sharer *sharer)
{
    HASH_DEL(master->shares.sharers, sharer);
    master->shares.octets -= sharer->lines.len;
    free_sharer(sharer);
}

/* What has no room, or no memory, is not found by others until the owner's mailbox is started
 * again. */
static void put(struct master *master, struct slice account, struct slice lines)
{
    struct sharer *sharer = find(master, account);
    if (sharer)
        forget(master, sharer);
    if (lines.len == 0 || lines.len > ALL_OCTETS_MAX - master->shares.octets)
        return;
    sharer = calloc(1, sizeof(*sharer) + account.len);
    if (!sharer)
        return;
    buffer_init(&sharer->lines, lines.len);
    buffer_append(&sharer->lines, lines);
    sharer->account_octets = account.len;
    memcpy(sharer->account, account.ptr, account.len);
    HASH_ADD_KEYPTR(hh, master->shares.sharers, sharer->account, sharer->account_octets, sharer);
    if (sharer->lines.failed || !hash_table_holds(&sharer->hh)) {
        buffer_clear(&sharer->lines);
        free(sharer);
        return;
    }
    master->shares.octets += lines.len;
}

bool shares_has(const struct master *master, struct slice owner, struct slice account)
{
    const struct sharer *sharer = find(master, owner);
    struct slice rest = sharer ? buffer_slice(&sharer->lines) : SLICE("");
    struct slice line;
    while (next_line(&rest, &line))
        if (concerns(line, account))
            return true;
    return false;
}

/* ---- on disk ---- */

static bool save(struct master *master, struct error *error)
{
    struct buffer text = BUFFER_WITH_LIMIT(2 * ALL_OCTETS_MAX);
    const struct sharer *sharer, *next;
    int state_fd = master->setup.state_fd;
    HASH_ITER (hh, master->shares.sharers, sharer, next) {
        buffer_append_octet(&text, '=');
        buffer_append(&text, name_of(sharer));
        buffer_append_octet(&text, '\n');
        buffer_append(&text, buffer_slice(&sharer->lines));
    }
    int fd =
        openat(state_fd, FRESH_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool saved = fd >= 0 ? fd_write_all(fd, buffer_slice(&text), error)
                         : error_errno(error, "create %s", FRESH_NAME);
    fd_discard(&fd);
    if (saved && text.failed)
        saved = error_memory(error);
    if (saved && renameat(state_fd, FRESH_NAME, state_fd, FILE_NAME) != 0)
        saved = error_errno(error, "rename %s", FRESH_NAME);
    buffer_clear(&text);
    return saved;
}

void shares_save(struct master *master)
{
    struct error error;
    if (!master->shares.unsaved)
        return;
    master->shares.unsaved = false;
    if (!save(master, &error))
        LOG(&master->log, LOG_WARNING, "shares_not_saved", log_failure(&error));
}

static void on_saving(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    shares_save(timer->data);
}

static void save_soon(struct master *master)
{
    ev_timer *timer = &master->shares.saving;
    master->shares.unsaved = true;
    if (ev_is_active(timer))
        return;
    ev_timer_set(timer, saved_after_s, 0.0);
    ev_timer_start(master->loop, timer);
}

/* A damaged one costs names that come back. */
static void take(struct master *master, struct slice text)
{
    while (text.len > 0 && text.ptr[0] == '=') {
        size_t end = slice_find_octet(text, '\n');
        struct slice account = slice_range(text, 1, end);
        text = slice_from(text, end + 1);
        size_t next = slice_find(text, SLICE("\n="));
        struct slice lines = slice_range(text, 0, next < text.len ? next + 1 : text.len);
        text = slice_from(text, lines.len);
        if (account.len > 0 && account.len <= MASTER_ACCOUNT_MAX && is_well_formed(lines))
            put(master, account, lines);
    }
}

void shares_load(struct master *master)
{
    struct buffer text = BUFFER_WITH_LIMIT(2 * ALL_OCTETS_MAX);
    struct stat facts;
    size_t got = 0;
    ev_timer_init(&master->shares.saving, on_saving, saved_after_s, 0.0);
    master->shares.saving.data = master;
    int fd = openat(master->setup.state_fd, FILE_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode)
        && facts.st_size < 2 * ALL_OCTETS_MAX && buffer_reserve(&text, (size_t)facts.st_size + 1)
        && fd_read_full(fd, text.ptr, (size_t)facts.st_size, &got, NULL)) {
        buffer_commit(&text, got);
        take(master, buffer_slice(&text));
    }
    fd_discard(&fd);
    buffer_clear(&text);
}

void shares_clear(struct master *master)
{
    struct sharer *sharer = master->shares.sharers, *next;
    shares_save(master);
    ev_timer_stop(master->loop, &master->shares.saving);
    HASH_CLEAR(hh, master->shares.sharers); /* of the table alone */
    for (; sharer; sharer = next) {
        next = sharer->hh.next;
        free_sharer(sharer);
    }
}

/* ---- records ---- */

bool shares_on_shares(void *owner, struct ipc_packet *packet, struct error *error)
{
    const struct process *mailbox = owner;
    struct master *master = mailbox->master;
    struct slice lines = ipc_packet_tail(packet, sizeof(struct master_shares));
    struct slice account = slice_of_string(mailbox->homes->account);
    const struct sharer *sharer = find(master, account);
    if (!is_well_formed(lines))
        return error_set(error, ERROR_PEER, "a list of shared mailboxes is malformed");
    if (slice_equal(lines, sharer ? buffer_slice(&sharer->lines) : SLICE("")))
        return true;
    put(master, account, lines);
    save_soon(master);
    return true;
}

static void tell(struct process *mailbox, uint64_t request, const struct sharer *sharer)
{
    struct slice account = slice_of_string(mailbox->homes->account);
    struct buffer lines = BUFFER_WITH_LIMIT(SHARES_OCTETS_MAX);
    struct slice rest = buffer_slice(&sharer->lines), line;
    struct role_shared record = {.header = {.type = ROLE_SHARED, .request = request},
                                 .account_octets = (uint32_t)sharer->account_octets};
    while (next_line(&rest, &line))
        if (concerns(line, account)) {
            buffer_append(&lines, line);
            buffer_append_octet(&lines, '\n');
        }
    struct slice tail[] = {name_of(sharer), buffer_slice(&lines)};
    struct ipc_message message = {
        .head = &record.header, .head_octets = sizeof(record), .tail = tail, .tail_count = 2};
    if (lines.len > 0)
        ipc_send(&mailbox->channel, &message, NULL); /* a dead process is met by on_death */
    buffer_clear(&lines);
}

/* A process that never reads is ended; a slow one may have asked for many clients. */
bool shares_on_shared(void *owner, struct ipc_packet *packet, struct error *error)
{
    enum { UNREAD_MAX = 1 << 24 };
    struct process *mailbox = owner;
    uint64_t request = ipc_packet_header(packet)->request;
    struct role_shared last = {.header = {.type = ROLE_SHARED, .request = request}};
    const struct sharer *sharer, *next;
    struct slice account = slice_of_string(mailbox->homes->account);
    if (mailbox->channel.unsent_octets > UNREAD_MAX)
        return error_set(error, ERROR_PEER, "asks and does not read the answers");
    HASH_ITER (hh, mailbox->master->shares.sharers, sharer, next)
        if (!slice_equal(name_of(sharer), account))
            tell(mailbox, request, sharer);
    process_send(mailbox, &last.header, sizeof(last), slice_of(NULL, 0));
    return true;
}
