/* What a captured process may send to those that answer many: any records, to the tables and
 * handlers of auth, keys and filter as they stand, over a real channel. Only the channel may end by
 * it, as the peer's fault, and whatever is answered is a whole record.
 *
 * First octet: the role; second: the kind of peer. Then records, each of four octets (which rule,
 * 0x80 for one that breaks it, 0x40 for the request that was last heard; two of length) and a
 * payload. */
#include <stdalign.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <utlist.h>

#include "common/auth/auth.h"
#include "common/auth/keys.h"
#include "common/disk/fd.h"
#include "common/size.h"
#include "smtpd/filter/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORD_HEAD = 4, ANY_RULE = 0x3f, LAST_REQUEST = 0x40, BREAKS_RULE = 0x80 };

struct subject {
    struct role role;
    int master; /* our end of its channel to the master; -1: not born yet */
    uint32_t peers;
};

struct conversation {
    struct role_peer *peer;
    const struct role_link *link;
    int fd; /* our end */
    uint64_t last_request;
};

static void require(bool promise)
{
    if (!promise)
        abort();
}

/* ---- the three roles ---- */

static void *state_of(const struct role_spec *spec)
{
    if (spec == &auth_role)
        return auth_new();
    return spec == &keys_role ? calloc(1, sizeof(struct keys)) : NULL;
}

static void give_key(struct keys *keys)
{
    keys->count = 1;
    keys->keys[0].key = EVP_EC_gen("P-256");
}

static void be_born(struct subject *subject, const struct role_spec *spec, enum role_kind kind)
{
    static const char text[] = "hostname = mail.test.example\ndomain test.example {}\n"
                               "accounts { source = pam }\nlisten smtp { }\n";
    struct config_mistakes mistakes = {0};
    struct error error = {0};
    struct role *role = &subject->role;
    int pair[2];
    *role = (struct role){.spec = spec, .kind = kind, .state = state_of(spec), .root_fd = -1};
    require(config_parse(slice_of_string(text), &role->config, &mistakes));
    config_mistakes_clear(&mistakes);
    log_init(&role->log, -1, "fuzz");
    role->log.threshold = LOG_ERROR + 1;
    role->loop = ev_loop_new(EVFLAG_AUTO);
    require(ipc_pair(pair, &error));
    ipc_open(&role->master, role->loop, pair[0]);
    subject->master = pair[1];
    require(!spec->prepare || spec->prepare(role, &error));
    require(!spec->start || spec->start(role, &error));
    if (spec == &keys_role)
        give_key(role->state);
}

/* They live on from one input to the next: what one leaves behind is there for the others. */
static struct subject *choose_subject(uint8_t octet)
{
    static struct subject subjects[] = {{.master = -1}, {.master = -1}, {.master = -1}};
    static const struct role_spec *const specs[] = {&auth_role, &keys_role, &filter_role};
    static const enum role_kind kinds[] = {ROLE_AUTH, ROLE_KEYS, ROLE_FILTER};
    size_t which = octet % ARRAY_LENGTH(specs);
    if (subjects[which].master < 0)
        be_born(&subjects[which], specs[which], kinds[which]);
    return &subjects[which];
}

/* ---- the peer ---- */

static void on_closed(void *owner, struct ipc_channel *channel, const struct error *error)
{
    (void)owner;
    (void)channel;
    require(error->kind == ERROR_PEER && error->text[0] != '\0');
}

static void connect_peer(struct conversation *talk, struct subject *subject, uint8_t octet)
{
    struct role *role = &subject->role;
    int pair[2];
    struct role_peer *peer = calloc(1, sizeof(*peer));
    require(peer && ipc_pair(pair, NULL));
    *talk = (struct conversation){
        .peer = peer, .link = &role->spec->links[octet % role->spec->link_count], .fd = pair[1]};
    peer->role = role;
    peer->kind = talk->link->kind;
    peer->number = ++subject->peers;
    ipc_open(&peer->channel, role->loop, pair[0]);
    ipc_set_rules(&peer->channel, talk->link->rules, talk->link->count);
    ipc_set_owner(&peer->channel, peer, on_closed);
    DL_APPEND(role->peers, peer);
    if (role->spec->peer_up)
        role->spec->peer_up(peer);
}

static void disconnect_peer(struct conversation *talk)
{
    struct role_peer *peer = talk->peer;
    struct role *role = peer->role;
    ipc_close(&peer->channel);
    DL_DELETE(role->peers, peer);
    if (role->spec->peer_down)
        role->spec->peer_down(peer);
    free(peer);
    close(talk->fd);
}

/* ---- the records ---- */

static void send_record(const struct conversation *talk, uint8_t choice, struct slice payload)
{
    const struct ipc_rule *rule = &talk->link->rules[(choice & ANY_RULE) % talk->link->count];
    bool breaks = (choice & BREAKS_RULE) != 0;
    struct ipc_header header = {
        .type = breaks ? (uint16_t)payload.len : rule->type,
        .version = IPC_VERSION,
        .length = (uint32_t)(sizeof(header) + payload.len) + (breaks ? choice & 1U : 0U),
        .request = choice & LAST_REQUEST ? talk->last_request : choice,
    };
    struct iovec vectors[] = {{&header, sizeof(header)},
                              {(void *)(uintptr_t)payload.ptr, payload.len}};
    union {
        struct cmsghdr header;
        uint8_t octets[CMSG_SPACE(sizeof(int))];
    } control = {.octets = {0}};
    struct msghdr message = {.msg_iov = vectors, .msg_iovlen = ARRAY_LENGTH(vectors)};
    int file = rule->descriptors > 0 && !breaks ? memfd_create("fuzz", MFD_CLOEXEC) : -1;
    if (file >= 0) {
        fd_write_all(file, payload, NULL);
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
        control.header = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
        memcpy(CMSG_DATA(&control.header), &file, sizeof(file));
    }
    sendmsg(talk->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL); /* it may have ended already */
    fd_discard(&file);
}

static void hear_answers(int fd, uint64_t *last_request)
{
    alignas(max_align_t) static uint8_t record[IPC_RECORD_MAX];
    struct ipc_packet packet;
    struct error error = {0};
    while (ipc_receive_blocking(fd, record, 0, &packet, &error)) {
        *last_request = ipc_packet_header(&packet)->request;
        for (size_t i = 0; i < packet.descriptor_count; i++)
            close(packet.descriptors[i]);
    }
    require(error.kind != ERROR_PEER);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conversation talk;
    uint64_t unused;
    if (size < 2)
        return 0;
    struct subject *subject = choose_subject(data[0]);
    struct slice rest = slice_of(data + 2, size - 2);
    connect_peer(&talk, subject, data[1]);
    while (rest.len >= RECORD_HEAD && ipc_is_open(&talk.peer->channel)) {
        size_t length = (size_t)rest.ptr[2] | (size_t)rest.ptr[3] << 8;
        uint8_t choice = rest.ptr[0];
        rest = slice_from(rest, RECORD_HEAD);
        send_record(&talk, choice, slice_range(rest, 0, length));
        rest = slice_from(rest, length);
        for (int turn = 0; turn < 2; turn++)
            ev_run(subject->role.loop, EVRUN_NOWAIT);
        hear_answers(talk.fd, &talk.last_request);
        hear_answers(subject->master, &unused);
    }
    disconnect_peer(&talk);
    return 0;
}
