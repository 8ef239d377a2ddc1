/* The scan of any octets, cut anywhere: the tree's spans add up, and IMAP's texts do not depend on
 * the cut. The first octet is the size of the pieces. */
#include <stdlib.h>

#include "common/mime/scan.h"
#include "common/mime/section.h"
#include "common/mime/structure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Small, so that they are met. */
static const struct mime_limits limits = {.depth = 8, .parts = 50};

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check_part(const struct mime_part *part, uint64_t end)
{
    uint64_t at = part->body.offset;
    must(part->header.offset + part->header.octets == at);
    must(part->header.crlf_octets >= part->header.octets);
    must(part->body.crlf_octets >= part->body.octets);
    must(part->body.octets <= end - at);
    end = at + part->body.octets;
    for (const struct mime_part *child = part->children; child; child = child->next) {
        must(child->header.offset >= at);
        check_part(child, end);
        at = child->body.offset + child->body.octets;
    }
    must(at <= end);
}

static const struct mime_part *scan(struct arena *arena, struct slice message, size_t piece)
{
    struct mime_scan scan;
    mime_scan_init(&scan, arena, &limits);
    while (message.len > 0) {
        mime_scan_feed(&scan, slice_range(message, 0, piece));
        message = slice_from(message, piece);
    }
    const struct mime_part *root = mime_scan_finish(&scan);
    mime_scan_clear(&scan);
    must(root != NULL);
    return root;
}

static void describe(const struct mime_part *root, struct buffer *text)
{
    must(structure_format_envelope(root, text));
    must(structure_format_body(root, text));
    must(structure_format_bodystructure(root, text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice message = slice_of(data + 1, size - 1);
    struct buffer texts[2] = {BUFFER_WITH_LIMIT(64 << 20), BUFFER_WITH_LIMIT(64 << 20)};
    struct arena arena;
    arena_init(&arena, 2 * mime_arena_limit(&limits));
    const struct mime_part *root = scan(&arena, message, SIZE_MAX);
    check_part(root, message.len);
    must(root->body.offset + root->body.octets == message.len);
    describe(root, &texts[0]);
    describe(scan(&arena, message, (size_t)data[0] + 1), &texts[1]);
    must(slice_equal(buffer_slice(&texts[0]), buffer_slice(&texts[1])));
    arena_clear(&arena);
    buffer_clear(&texts[0]);
    buffer_clear(&texts[1]);
    return 0;
}
