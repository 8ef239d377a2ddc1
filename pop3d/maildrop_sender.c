/* Sending messages; see maildrop_sender.h. Reads the Maildir, writes to the stream. */
#include "pop3d/maildrop_sender.h"

#include <fcntl.h>
#include <unistd.h>

#include "pop3d/dots.h"

enum {
    BLOCK_OCTETS = 65536,
    LEND_FILE_OCTETS = 65536, /* a file below that is copied */
    LEND_RUN_OCTETS = 16384,  /* and so is a run between two doubled dots */
};

void maildrop_sender_close(struct maildrop_sender *sender)
{
    message_file_close(&sender->file);
    stream_file_release(sender->lent);
    *sender = MAILDROP_SENDER_IDLE;
}

bool maildrop_sender_open(struct maildrop_sender *sender, const struct maildir *box,
                          enum maildir_place place, const char *name, struct error *error)
{
    *sender = MAILDROP_SENDER_IDLE;
    if (!message_file_open(box, place, name, &sender->file, error))
        return false;
    sender->end = sender->file.crlf_octets;
    sender->at_line_start = true;
    sender->active = true;
    if (!sender->file.crlf || sender->end < LEND_FILE_OCTETS)
        return true;
    int fd = fcntl(sender->file.fd, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0)
        sender->lent = stream_file_new(&fd);
    if (!sender->lent && fd >= 0)
        close(fd); /* no memory: it is copied */
    return true;
}

bool maildrop_sender_limit(struct maildrop_sender *sender, uint64_t lines, struct error *error)
{
    uint8_t block[BLOCK_OCTETS];
    struct top top = top_begin(lines);
    uint64_t end = 0;
    while (!top_is_done(&top) && end < sender->end) {
        size_t got;
        if (!message_file_read(&sender->file, end, block, sizeof(block), &got, error))
            return false;
        if (got == 0)
            break;
        end += top_take(&top, slice_of(block, got));
    }
    sender->end = end;
    return true;
}

bool maildrop_sender_octets(struct maildrop_sender *sender, uint64_t counted, uint64_t *octets,
                            struct error *error)
{
    uint8_t last = '\n';
    size_t got;
    *octets = counted;
    if (counted == sender->end || counted == sender->end + 2)
        return true;
    if (sender->end > 0
        && !message_file_read(&sender->file, sender->end - 1, &last, 1, &got, error))
        return false;
    *octets = sender->end + (last == '\n' ? 0 : 2);
    return true;
}

/* The run [offset, offset + run.len) of the message, which is in memory too. */
static void send_run(struct maildrop_sender *sender, struct stream *stream, uint64_t offset,
                     struct slice run)
{
    if (sender->lent && run.len >= LEND_RUN_OCTETS)
        stream_write_file(stream, sender->lent, offset, run.len);
    else
        stream_write(stream, run);
}

static void send_block(struct maildrop_sender *sender, struct stream *stream, struct slice block)
{
    while (block.len > 0) {
        size_t dot = dots_find(block, sender->at_line_start);
        struct slice run = slice_range(block, 0, dot);
        send_run(sender, stream, sender->at, run);
        sender->at += run.len;
        if (run.len > 0)
            sender->at_line_start = run.ptr[run.len - 1] == '\n';
        block = slice_from(block, dot);
        if (block.len == 0)
            return;
        stream_write(stream, SLICE(".."));
        sender->at++;
        sender->at_line_start = false;
        block = slice_from(block, 1);
    }
}

static void send_end(struct maildrop_sender *sender, struct stream *stream)
{
    /* RFC 1939 3: the line with the dot stands alone, so the one before it is completed. */
    stream_write(stream, sender->at_line_start ? SLICE(".\r\n") : SLICE("\r\n.\r\n"));
    maildrop_sender_close(sender);
}

bool maildrop_sender_step(struct maildrop_sender *sender, struct stream *stream,
                          struct error *error)
{
    uint8_t block[BLOCK_OCTETS];
    while (sender->at < sender->end) {
        if (stream_output_full(stream) || stream_is_over(stream))
            return true;
        uint64_t left = sender->end - sender->at;
        size_t wanted = left < sizeof(block) ? (size_t)left : sizeof(block), got;
        if (!message_file_read(&sender->file, sender->at, block, wanted, &got, error))
            return false;
        if (got == 0)
            return error_set(error, ERROR_TEMPORARY, "message became shorter while it was sent");
        send_block(sender, stream, slice_of(block, got));
    }
    send_end(sender, stream);
    return true;
}
