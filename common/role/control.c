/* Answers to administrators' commands, written in the background; see control.h. */
#include "common/role/control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/disk/fd.h"

/* Lives until its octets are sent, or nobody wants them. */
struct control_writer {
    struct buffer octets;
    size_t sent;
    int fd;
    ev_io writable;
    ev_timer patience;
};

bool control_words_parse(const struct ipc_packet *packet, struct control_words *words,
                         struct error *error)
{
    struct slice line = ipc_packet_tail(packet, sizeof(struct role_control));
    words->count = 0;
    while (words->count < CONTROL_WORDS_MAX) {
        size_t end = slice_find_octet(line, '\t');
        words->words[words->count++] = slice_range(line, 0, end);
        if (end == line.len)
            return true;
        line = slice_from(line, end + 1);
    }
    return error_set(error, ERROR_PEER, "too many words");
}

static void end_writer(struct ev_loop *loop, struct control_writer *writer)
{
    ev_io_stop(loop, &writer->writable);
    ev_timer_stop(loop, &writer->patience);
    fd_discard(&writer->fd);
    buffer_clear(&writer->octets);
    free(writer);
}

static void on_writable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)events;
    struct control_writer *writer = watcher->data;
    struct slice rest = slice_from(buffer_slice(&writer->octets), writer->sent);
    ssize_t sent = send(writer->fd, rest.ptr, rest.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (sent < 0 || (writer->sent += (size_t)sent) == writer->octets.len)
        end_writer(loop, writer);
    else
        ev_timer_again(loop, &writer->patience);
}

static void on_impatience(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)events;
    end_writer(loop, watcher->data);
}

void control_answer(struct role *role, int fd, struct buffer *answer)
{
    static const char no_memory[] = "error: out of memory\n";
    struct control_writer *writer = answer->failed ? NULL : calloc(1, sizeof(*writer));
    if (!writer) {
        if (send(fd, no_memory, sizeof(no_memory) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            LOG(&role->log, LOG_WARNING, "control_answer_lost");
        fd_discard(&fd);
        buffer_clear(answer);
        return;
    }
    writer->fd = fd;
    writer->octets = *answer;
    buffer_init(answer, answer->limit);
    ev_io_init(&writer->writable, on_writable, fd, EV_WRITE);
    ev_init(&writer->patience, on_impatience);
    writer->patience.repeat = CONTROL_PATIENCE_S;
    writer->writable.data = writer->patience.data = writer;
    ev_io_start(role->loop, &writer->writable);
    ev_timer_again(role->loop, &writer->patience);
}

void control_refuse(struct role *role, int fd, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    struct buffer answer = BUFFER_WITH_LIMIT(1024);
    buffer_append_format(&answer, "error: %s\n", text);
    control_answer(role, fd, &answer);
}
