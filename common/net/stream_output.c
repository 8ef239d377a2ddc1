/* The output of a stream: octets in memory and pieces of files, in their order; see stream.h. */
#include <assert.h>
#include <stdlib.h>

#include <utlist.h>

#include "common/disk/fd.h"
#include "common/net/stream_internal.h"
#include "common/size.h"

enum {
    SEGMENT_OCTETS = 4096 - 64, /* with its header and malloc's a page */
    STAGE_OCTETS = 16384, /* smaller pieces of files are copied: one call with their neighbours */
    WRITE_OCTETS = 65536, /* gathered for one write */
    MOST_FILES = 64,      /* pieces of files that wait count as a full output */
};

struct stream_file {
    int fd;
    unsigned shares;
};

/* A run of octets in memory, or, with `file`, a piece of one. */
struct stream_segment {
    struct stream_segment *prev;
    struct stream_segment *next;
    struct stream_file *file;
    uint64_t offset; /* file: where the piece begins */
    uint64_t left;   /* file: its octets */
    size_t start;    /* memory: octets[start, end) */
    size_t end;
    size_t capacity;
    uint8_t octets[];
};

static struct stream_segment *new_segment(size_t capacity)
{
    struct stream_segment *segment = malloc(sizeof(*segment) + capacity);
    if (segment)
        *segment = (struct stream_segment){.capacity = capacity};
    return segment;
}

static void remove_segment(struct stream *stream, struct stream_segment *segment)
{
    DL_DELETE(stream->output, segment);
    if (segment->file) {
        stream->output_files--;
        stream_file_release(segment->file);
    }
    free(segment);
}

static void note_level(struct stream *stream)
{
    if (stream->output_octets >= stream->limits.high_water || stream->output_files >= MOST_FILES)
        stream->above_high_water = true;
    if (!stream->above_high_water || stream->output_octets > stream->limits.high_water / 2
        || stream->output_files > MOST_FILES / 2)
        return;
    stream->above_high_water = false;
    stream->drained_due = true;
}

/* Copies up to STAGE_OCTETS of the piece into a segment before it. */
static bool stage_file(struct stream *stream, struct stream_segment *piece)
{
    size_t octets = piece->left < STAGE_OCTETS ? (size_t)piece->left : STAGE_OCTETS;
    struct stream_segment *staged = new_segment(octets);
    if (!staged)
        return error_memory(&stream->error);
    if (!fd_pread_full(piece->file->fd, staged->octets, octets, piece->offset, &staged->end,
                       &stream->error)) {
        free(staged);
        return error_prefix(&stream->error, "file to be sent");
    }
    if (staged->end < octets) {
        free(staged);
        return error_set(&stream->error, ERROR_TEMPORARY, "file to be sent became shorter");
    }
    DL_PREPEND_ELEM(stream->output, piece, staged);
    stream->output_octets += octets;
    piece->offset += octets;
    piece->left -= octets;
    if (piece->left == 0)
        remove_segment(stream, piece);
    return true;
}

static bool is_sent_as_file(const struct stream *stream, const struct stream_segment *segment)
{
    return segment->file && segment->left > STAGE_OCTETS && stream->transport->send_file;
}

/* The octets at the head of the output, those of small files among them. */
static bool gather(struct stream *stream, struct iovec *pieces, int *count, bool *more)
{
    size_t octets = 0;
    struct stream_segment *segment = stream->output;
    *count = 0;
    while (segment && *count < STREAM_PIECES && octets < WRITE_OCTETS
           && !is_sent_as_file(stream, segment)) {
        if (segment->file) {
            struct stream_segment *before = segment->prev;
            bool first = segment == stream->output;
            if (!stage_file(stream, segment))
                return false;
            segment = first ? stream->output : before->next;
        }
        pieces[*count] =
            (struct iovec){segment->octets + segment->start, segment->end - segment->start};
        octets += pieces[(*count)++].iov_len;
        segment = segment->next;
    }
    *more = segment != NULL;
    return true;
}

static void drop_written(struct stream *stream, size_t octets)
{
    stream->output_octets -= octets;
    while (octets > 0) {
        struct stream_segment *segment = stream->output;
        size_t part = segment->end - segment->start;
        if (octets < part) {
            segment->start += octets;
            return;
        }
        octets -= part;
        remove_segment(stream, segment);
    }
}

static enum transport_result write_memory(struct stream *stream, size_t *taken)
{
    struct iovec pieces[STREAM_PIECES];
    int count;
    bool more;
    if (!gather(stream, pieces, &count, &more))
        return TRANSPORT_FAILED;
    enum transport_result result =
        stream->transport->write(stream, pieces, count, more, taken, &stream->error);
    if (result == TRANSPORT_DONE)
        drop_written(stream, *taken);
    return result;
}

static enum transport_result write_file(struct stream *stream, size_t *taken)
{
    struct stream_segment *piece = stream->output;
    size_t octets = piece->left < STREAM_TURN_OCTETS ? (size_t)piece->left : STREAM_TURN_OCTETS;
    enum transport_result result = stream->transport->send_file(
        stream, piece->file->fd, piece->offset, octets, taken, &stream->error);
    if (result != TRANSPORT_DONE)
        return result;
    if (*taken == 0) {
        error_set(&stream->error, ERROR_TEMPORARY, "file to be sent became shorter");
        return TRANSPORT_FAILED;
    }
    piece->offset += *taken;
    piece->left -= *taken;
    if (piece->left == 0)
        remove_segment(stream, piece);
    return result;
}

static void note_write_result(struct stream *stream, enum transport_result result)
{
    if (result == TRANSPORT_FAILED) {
        stream->failed = true;
        stream_settle_later(stream);
    } else if (result != TRANSPORT_DONE) {
        stream->write_wants = result == TRANSPORT_WANT_READ ? EV_READ : EV_WRITE;
    }
}

void stream_flush(struct stream *stream)
{
    size_t written = 0;
    while (stream->output && stream->write_wants == 0 && written < STREAM_TURN_OCTETS) {
        size_t taken = 0;
        enum transport_result result = is_sent_as_file(stream, stream->output)
                                           ? write_file(stream, &taken)
                                           : write_memory(stream, &taken);
        note_write_result(stream, result);
        if (stream->failed)
            return;
        written += taken;
    }
    stream->octets_out += written;
    if (written > 0 && !stream->output && stream->source)
        stream_settle_later(stream->source);
    note_level(stream);
    if (!stream->output || stream->limits.stalled_ms == 0)
        stream->stalled_since = 0;
    else if (written > 0 || stream->stalled_since == 0)
        stream->stalled_since = turn_now_ms();
    if (stream->stalled_since > 0)
        stream_arm_timer(stream, stream->stalled_since + stream->limits.stalled_ms);
}

size_t stream_write_through(struct stream *stream, struct slice octets)
{
    size_t written = 0;
    while (written < octets.len && !stream->output && stream->write_wants == 0
           && !stream->handshaking && !stream_is_over(stream)) {
        struct slice rest = slice_from(octets, written);
        struct iovec piece = {(void *)(uintptr_t)rest.ptr, rest.len};
        size_t taken = 0;
        enum transport_result result =
            stream->transport->write(stream, &piece, 1, false, &taken, &stream->error);
        note_write_result(stream, result);
        written += taken;
    }
    stream->octets_out += written;
    return written;
}

/* Where octets are appended: the last segment if it has room, else a new one. */
static struct stream_segment *segment_with_room(struct stream *stream, size_t octets)
{
    struct stream_segment *last = stream->output ? stream->output->prev : NULL;
    assert(last || !stream->output); /* utlist: the head's prev is the tail */
    if (last && !last->file && last->end < last->capacity)
        return last;
    struct stream_segment *segment = new_segment(octets < SEGMENT_OCTETS ? SEGMENT_OCTETS : octets);
    if (segment)
        DL_APPEND(stream->output, segment);
    return segment;
}

static bool append_octets(struct stream *stream, struct slice octets)
{
    size_t sum;
    if (!size_add(stream->output_octets, octets.len, &sum) || sum > stream->limits.output)
        return error_set(&stream->error, ERROR_PEER, "more than %zu octets of output wait",
                         stream->limits.output);
    while (octets.len > 0) {
        struct stream_segment *segment = segment_with_room(stream, octets.len);
        if (!segment)
            return error_memory(&stream->error);
        size_t room = segment->capacity - segment->end;
        size_t part = octets.len < room ? octets.len : room;
        memcpy(segment->octets + segment->end, octets.ptr, part);
        segment->end += part;
        stream->output_octets += part;
        octets = slice_from(octets, part);
    }
    return true;
}

void stream_write(struct stream *stream, struct slice octets)
{
    if (stream_is_over(stream) || octets.len == 0)
        return;
    if (!append_octets(stream, octets))
        stream->failed = true;
    note_level(stream);
    stream_settle_later(stream);
}

struct stream_file *stream_file_new(int *fd)
{
    struct stream_file *file = malloc(sizeof(*file));
    if (!file)
        return NULL;
    *file = (struct stream_file){.fd = *fd, .shares = 1};
    *fd = -1;
    return file;
}

void stream_file_release(struct stream_file *file)
{
    if (!file || --file->shares > 0)
        return;
    fd_discard(&file->fd);
    free(file);
}

void stream_write_file(struct stream *stream, struct stream_file *file, uint64_t offset,
                       uint64_t octets)
{
    if (stream_is_over(stream) || octets == 0)
        return;
    stream_settle_later(stream);
    struct stream_segment *segment = new_segment(0);
    if (!segment) {
        error_memory(&stream->error);
        stream->failed = true;
        return;
    }
    segment->file = file;
    segment->offset = offset;
    segment->left = octets;
    file->shares++;
    stream->output_files++;
    DL_APPEND(stream->output, segment);
    note_level(stream);
}

void stream_drop_output(struct stream *stream)
{
    while (stream->output)
        remove_segment(stream, stream->output);
    stream->output_octets = 0;
}

bool stream_output_full(const struct stream *stream)
{
    return stream->above_high_water;
}
