/* Receiving handed over clients; see entrance.h. */
#include "imapd/session/entrance.h"

#include <stdlib.h>

#include <utlist.h>

#include "common/config/config.h"
#include "common/disk/fd.h"
#include "common/role/handoff.h"
#include "imapd/session/session.h"
#include "imapd/shared/rights.h"

static const double patience_s = 10.0; /* a login process says at once what it has to say */

/* Each session can look into one mailbox while it has another one selected. */
enum { VISITS_OF_A_SESSION = 2, VISITING_ACCOUNTS = 10 };

struct guest {
    struct guest *prev;
    struct guest *next;
    struct entrance *entrance;
    struct session_pass pass; /* not of a visitor, but for the number in the log */
    char visitor[MASTER_ACCOUNT_MAX + 1];
    int fd;
    ev_io readable;
    ev_timer late;
    struct handoff_parcel received;
    size_t got;
    uint8_t octets[HANDOFF_BUFFER];
};

static void free_guest(struct guest *guest)
{
    struct ev_loop *loop = guest->entrance->mailbox->turn.loop;
    ev_io_stop(loop, &guest->readable);
    ev_timer_stop(loop, &guest->late);
    fd_discard(&guest->fd);
    fd_discard(&guest->received.client_fd);
    DL_DELETE(guest->entrance->guests, guest);
    free(guest);
}

static void turn_away(struct guest *guest, const struct error *error)
{
    LOG(guest->entrance->mailbox->log, LOG_ERROR, "client_not_taken",
        log_hex("session", guest->pass.client.session), log_failure(error));
    free_guest(guest);
}

/* If a descriptor was passed, it is the client's own socket (or the login process's end of a
 * relayed connection), and the socket to the login process is no longer needed. */
static void let_in(struct guest *guest)
{
    struct error error;
    int *from = guest->received.client_fd >= 0 ? &guest->received.client_fd : &guest->fd;
    int fd = *from;
    const struct session_arrival arrival = {.fd = fd,
                                            .pass = guest->visitor[0] ? NULL : &guest->pass,
                                            .visitor = slice_of_string(guest->visitor),
                                            .number = guest->pass.client.session,
                                            .carried = guest->received.carried,
                                            .resumed = guest->received.resumed,
                                            .left_ms = guest->received.left_ms,
                                            .handed = guest->received.tag,
                                            .input = guest->received.input};
    ev_io_stop(guest->entrance->mailbox->turn.loop, &guest->readable);
    if (guest->visitor[0] && from != &guest->fd) {
        error_set(&error, ERROR_PEER, "a visitor has brought a descriptor");
        turn_away(guest, &error);
        return;
    }
    *from = -1;
    if (!fd_set_nonblocking(fd, &error)) {
        fd_discard(&fd);
        turn_away(guest, &error);
    } else if (session_new(guest->entrance->mailbox, &arrival, &error)) {
        free_guest(guest);
    } else {
        turn_away(guest, &error);
    }
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct guest *guest = watcher->data;
    struct error error;
    switch (handoff_receive(guest->fd, guest->octets, &guest->got, &guest->received, &error)) {
    case HANDOFF_DONE:
        let_in(guest);
        break;
    case HANDOFF_MORE:
        break;
    case HANDOFF_BAD:
        turn_away(guest, &error);
        break;
    }
}

static void on_late(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    struct error error;
    error_set(&error, ERROR_PEER, "nothing was handed over in time");
    turn_away(watcher->data, &error);
}

void entrance_init(struct entrance *entrance, struct mailbox *mailbox)
{
    *entrance = (struct entrance){.mailbox = mailbox};
}

void entrance_clear(struct entrance *entrance)
{
    struct guest *guest, *next;
    DL_FOREACH_SAFE (entrance->guests, guest, next)
        free_guest(guest);
}

/* Limits visitors per account, so that none keeps others out, and in all, so that descriptors are
 * left for the owner. */
static bool has_place_for(const struct entrance *entrance, struct slice account,
                          struct error *error)
{
    const struct mailbox *mailbox = entrance->mailbox;
    size_t most = VISITS_OF_A_SESSION * (size_t)mailbox->config->limits.account_sessions;
    size_t all = 0, of_account = 0;
    const struct guest *guest;
    const struct session *session;
    DL_FOREACH (entrance->guests, guest)
        if (guest->visitor[0]) {
            all++;
            of_account += slice_equal(slice_of_string(guest->visitor), account);
        }
    DL_FOREACH (mailbox->sessions, session)
        if (session->visitor) {
            all++;
            of_account += slice_equal(slice_of_string(session->visitor->account), account);
        }
    return (of_account < most && all < VISITING_ACCOUNTS * most)
           || error_set(error, ERROR_TEMPORARY, "too many visitors (limits.account-sessions)");
}

static void note_visitor(struct guest *guest, const struct entrance_visitor *visitor)
{
    guest->pass = (struct session_pass){.client = {.session = visitor->session}};
    memcpy(guest->visitor, visitor->account.ptr, visitor->account.len);
}

bool entrance_take(struct entrance *entrance, int fd, const struct session_pass *pass,
                   const struct entrance_visitor *visitor, struct error *error)
{
    struct ev_loop *loop = entrance->mailbox->turn.loop;
    if (visitor && !has_place_for(entrance, visitor->account, error)) {
        fd_discard(&fd);
        return false;
    }
    struct guest *guest = malloc(sizeof(*guest));
    if (!guest) {
        fd_discard(&fd);
        return error_memory(error);
    }
    guest->entrance = entrance;
    memset(guest->visitor, 0, sizeof(guest->visitor));
    if (visitor)
        note_visitor(guest, visitor);
    else
        guest->pass = *pass;
    guest->fd = fd;
    guest->got = 0;
    guest->received = (struct handoff_parcel){.client_fd = -1};
    ev_io_init(&guest->readable, on_readable, fd, EV_READ);
    ev_timer_init(&guest->late, on_late, patience_s, 0.0);
    guest->readable.data = guest->late.data = guest;
    DL_APPEND(entrance->guests, guest);
    ev_io_start(loop, &guest->readable);
    ev_timer_start(loop, &guest->late);
    return true;
}
