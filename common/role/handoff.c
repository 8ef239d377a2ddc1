/* Handing a client to its user's process; see handoff.h. Login roles, mailbox, maildrop. */
#include "common/role/handoff.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { KNOWN_FLAGS = HANDOFF_DESCRIPTOR | HANDOFF_RESUMED | HANDOFF_CARRIED };

union control {
    struct cmsghdr header;
    uint8_t octets[CMSG_SPACE(sizeof(int))];
};

static size_t tag_max(bool resumed)
{
    return resumed ? HANDOFF_RECORD_MAX : HANDOFF_TAG_MAX;
}

bool handoff_send(int stream, const struct handoff_parcel *parcel, struct error *error)
{
    struct slice tag = parcel->tag, input = parcel->input;
    int client_fd = parcel->client_fd;
    if (tag.len > tag_max(parcel->resumed) || input.len > HANDOFF_INPUT_MAX)
        return error_set(error, ERROR_PERMANENT, "too much to hand over");
    struct handoff head = {.magic = HANDOFF_MAGIC,
                           .flags = (client_fd >= 0 ? HANDOFF_DESCRIPTOR : 0U)
                                    | (parcel->resumed ? HANDOFF_RESUMED : 0U)
                                    | (parcel->carried ? HANDOFF_CARRIED : 0U),
                           .tag_octets = (uint32_t)tag.len,
                           .input_octets = (uint32_t)input.len,
                           .left_ms = parcel->left_ms};
    struct iovec vectors[] = {{&head, sizeof(head)},
                              {(void *)(uintptr_t)tag.ptr, tag.len},
                              {(void *)(uintptr_t)input.ptr, input.len}};
    struct msghdr message = {.msg_iov = vectors, .msg_iovlen = 3};
    union control control;
    memset(&control, 0, sizeof(control));
    if (client_fd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
        struct cmsghdr *part = CMSG_FIRSTHDR(&message);
        part->cmsg_level = SOL_SOCKET;
        part->cmsg_type = SCM_RIGHTS;
        part->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(part), &client_fd, sizeof(int));
    }
    ssize_t sent;
    do
        sent = sendmsg(stream, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return error_errno(error, "hand over");
    if ((size_t)sent != sizeof(head) + tag.len + input.len)
        return error_set(error, ERROR_TEMPORARY, "hand over: short write");
    return true;
}

static void take_descriptor(struct msghdr *message, struct handoff_parcel *received)
{
    struct cmsghdr *part = CMSG_FIRSTHDR(message);
    if (!part || part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
        return;
    int fd;
    memcpy(&fd, CMSG_DATA(part), sizeof(fd));
    if (received->client_fd >= 0)
        close(fd);
    else
        received->client_fd = fd;
}

/* How many octets the handoff has in all, once its head is there. False: malformed. */
static bool measure(const uint8_t *octets, size_t got, size_t *total)
{
    struct handoff head;
    *total = sizeof(head);
    if (got < sizeof(head))
        return true;
    memcpy(&head, octets, sizeof(head));
    if (head.magic != HANDOFF_MAGIC || (head.flags & ~(uint32_t)KNOWN_FLAGS)
        || head.tag_octets > tag_max(head.flags & HANDOFF_RESUMED)
        || head.input_octets > HANDOFF_INPUT_MAX)
        return false;
    *total += head.tag_octets + head.input_octets;
    return true;
}

static enum handoff_result finish(const uint8_t *octets, struct handoff_parcel *received,
                                  struct error *error)
{
    struct handoff head;
    memcpy(&head, octets, sizeof(head));
    bool expected = (head.flags & HANDOFF_DESCRIPTOR) != 0;
    if (expected != (received->client_fd >= 0)) {
        error_set(error, ERROR_PEER, "handoff: descriptor %s", expected ? "missing" : "unexpected");
        return HANDOFF_BAD;
    }
    received->carried = !expected || (head.flags & HANDOFF_CARRIED);
    received->resumed = (head.flags & HANDOFF_RESUMED) != 0;
    received->left_ms = head.left_ms;
    received->tag = slice_of(octets + sizeof(head), head.tag_octets);
    received->input = slice_of(octets + sizeof(head) + head.tag_octets, head.input_octets);
    return HANDOFF_DONE;
}

enum handoff_result handoff_receive(int stream, uint8_t *octets, size_t *got,
                                    struct handoff_parcel *received, struct error *error)
{
    size_t total;
    while (measure(octets, *got, &total)) {
        if (*got >= sizeof(struct handoff) && *got == total)
            return finish(octets, received, error);
        union control control;
        struct iovec vector = {octets + *got, total - *got};
        struct msghdr message = {.msg_iov = &vector,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof(control)};
        ssize_t count = recvmsg(stream, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno == EAGAIN)
            return HANDOFF_MORE;
        if (count <= 0) {
            error_set(error, ERROR_PEER, "handoff: closed early");
            return HANDOFF_BAD;
        }
        take_descriptor(&message, received);
        *got += (size_t)count;
    }
    error_set(error, ERROR_PEER, "handoff: malformed");
    return HANDOFF_BAD;
}
