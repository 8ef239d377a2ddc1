/* What a captured login process may put before the process of a user: any octets, in any pieces.
 * First octet: how long the pieces are, and (high bit) whether a descriptor comes with the first.
 * Whatever is taken lies within what came, and is the same in pieces as all at once. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "common/role/handoff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WITH_DESCRIPTOR = 0x80, PIECE = 0x7f };

static void send_piece(int fd, struct slice piece, int along)
{
    struct iovec vector = {(void *)(uintptr_t)piece.ptr, piece.len};
    union {
        struct cmsghdr header;
        uint8_t octets[CMSG_SPACE(sizeof(int))];
    } control = {.octets = {0}};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (along >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
        control.header = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
        memcpy(CMSG_DATA(&control.header), &along, sizeof(along));
    }
    if (sendmsg(fd, &message, MSG_NOSIGNAL) != (ssize_t)piece.len)
        abort();
}

static enum handoff_result receive(struct slice text, size_t step, bool with_descriptor,
                                   struct handoff_parcel *received)
{
    static uint8_t octets[HANDOFF_BUFFER];
    int pair[2];
    size_t got = 0;
    struct error error = {0};
    enum handoff_result result = HANDOFF_MORE;
    *received = (struct handoff_parcel){.client_fd = -1};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        abort();
    while (text.len > 0 && result == HANDOFF_MORE) {
        send_piece(pair[0], slice_range(text, 0, step), with_descriptor ? pair[0] : -1);
        with_descriptor = false;
        text = slice_from(text, step);
        result = handoff_receive(pair[1], octets, &got, received, &error);
    }
    if (result == HANDOFF_BAD && error.kind != ERROR_PEER)
        abort();
    if (result == HANDOFF_DONE
        && (received->tag.len > (received->resumed ? HANDOFF_RECORD_MAX : HANDOFF_TAG_MAX)
            || received->input.len > HANDOFF_INPUT_MAX
            || sizeof(struct handoff) + received->tag.len + received->input.len != got
            || received->input.ptr + received->input.len != octets + got))
        abort();
    fd_discard(&received->client_fd);
    close(pair[0]);
    close(pair[1]);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct handoff_parcel whole, parts;
    if (size < 2 || size > HANDOFF_BUFFER)
        return 0;
    bool with_descriptor = (data[0] & WITH_DESCRIPTOR) != 0;
    struct slice text = slice_of(data + 1, size - 1);
    enum handoff_result at_once = receive(text, text.len, with_descriptor, &whole);
    enum handoff_result by_pieces =
        receive(text, 1 + (size_t)(data[0] & PIECE), with_descriptor, &parts);
    if (at_once != by_pieces || whole.tag.len != parts.tag.len)
        abort();
    return 0;
}
