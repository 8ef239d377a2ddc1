/*
 * One pass over a message gives the tree of its parts: where each header and body lies, and the
 * fields that ENVELOPE and BODYSTRUCTURE speak of (RFC 2045, 2046, 5322). The message comes in
 * pieces of any size; the result is the same however it is cut. Time is linear in the octets;
 * memory is that of the arena plus one header field, whatever the message: past the limits below
 * nothing fails, what is left stays opaque content of the deepest part that was kept. Nothing is
 * decoded. Pure; any process.
 *
 *     struct mime_scan scan;
 *     mime_scan_init(&scan, &arena, &limits);
 *     while (... read a piece ...)
 *         mime_scan_feed(&scan, piece);
 *     const struct mime_part *root = mime_scan_finish(&scan);   NULL: no memory
 *     mime_scan_clear(&scan);
 */
#ifndef COMMON_MIME_SCAN_H
#define COMMON_MIME_SCAN_H

#include "common/arena.h"
#include "common/buffer.h"

enum {
    MIME_DEPTH_MAX = 200,                 /* the most that mime_limits.depth may be */
    MIME_CONTENT_FIELD_LIMIT = 16 * 1024, /* octets kept of a Content- field; the rest is cut off */
    MIME_FIELD_LIMIT = 256 * 1024,        /* the same of any other field */
    MIME_FIELDS_LIMIT = 2 << 20,          /* of all fields; those after it are left out */
};

/* limits.mime-depth and limits.mime-parts of the configuration. */
struct mime_limits {
    size_t depth; /* parts around a part */
    size_t parts; /* of one message */
};

enum mime_field_id {
    MIME_CONTENT_TYPE,
    MIME_CONTENT_TRANSFER_ENCODING,
    MIME_CONTENT_ID,
    MIME_CONTENT_DESCRIPTION,
    MIME_CONTENT_DISPOSITION,
    MIME_CONTENT_LANGUAGE,
    MIME_CONTENT_LOCATION,
    MIME_CONTENT_MD5,
    /* Of a message only, not of a mere part: */
    MIME_DATE,
    MIME_SUBJECT,
    MIME_FROM,
    MIME_SENDER,
    MIME_REPLY_TO,
    MIME_TO,
    MIME_CC,
    MIME_BCC,
    MIME_IN_REPLY_TO,
    MIME_MESSAGE_ID,
    MIME_FIELD_IDS,
};

/* A field that was kept. Of one name the first only, save for those with addresses, whose lists are
 * joined (RFC 5322 4.5.3). */
struct mime_field {
    struct mime_field *next; /* in the order of the header */
    enum mime_field_id id;
    struct slice body; /* unfolded, trimmed */
};

/* A run of octets of the message. */
struct mime_span {
    uint64_t offset;      /* in the message as it is stored */
    uint64_t octets;      /* as stored */
    uint64_t crlf_octets; /* with every line end as CRLF: what IMAP counts */
    uint64_t lines;       /* line ends; the one before a boundary belongs to the boundary */
};

enum mime_kind {
    MIME_LEAF,
    MIME_MULTIPART, /* children: its parts, maybe none */
    MIME_MESSAGE,   /* message/rfc822; one child: the message inside, its header and body */
};

struct mime_part {
    struct mime_part *parent; /* NULL: the message itself */
    struct mime_part *children, *last_child;
    struct mime_part *next; /* sibling */
    enum mime_kind kind;
    bool is_message;   /* the root, or the child of a MIME_MESSAGE: it has an envelope */
    bool opaque;       /* a multipart or message/rfc822 past a limit: a leaf, not looked into */
    struct slice type; /* as written; by default text/plain, in a digest message/rfc822 */
    struct slice subtype;
    struct slice parameters; /* of Content-Type, for content_parameters_parse */
    struct slice boundary;   /* for the scan: empty once its last delimiter was seen */
    struct mime_field *fields;
    struct mime_span header; /* with the empty line after it, if there is one */
    struct mime_span body;
};

/* The first field of that kind, or NULL. */
const struct mime_field *mime_part_field(const struct mime_part *part, enum mime_field_id id);

struct mime_scan {
    struct arena *arena;
    struct mime_limits limits;
    struct arena scratch; /* parameters of one field */
    struct mime_part *root;
    struct mime_part *innermost; /* the part that the next octet belongs to */
    size_t parts;                /* so far */
    bool in_header;              /* of the innermost part */
    bool sealed;                 /* limits.parts: no boundary counts any more */
    bool failed;                 /* no memory */
    struct mime_span seen;       /* all before the line that is being read; offset, not octets */
    size_t last_line_end;        /* octets of the line end before it: 0, 1 or 2 */
    struct buffer line;          /* what is kept of a line that began in an earlier piece */
    uint64_t line_octets;        /* all of it so far */
    uint8_t last_octet;          /* of it */
    int field_id;        /* the field that is being read, enum mime_field_id; -1: not kept */
    struct buffer field; /* its unfolded body */
    struct mime_field *last_field; /* of the innermost part */
    uint32_t fields_kept;          /* of it, a bit an id */
    size_t field_octets;           /* kept of all parts */
};

/* The octets that an arena must be allowed to hand out, so that the limits are reached before its
 * own. */
size_t mime_arena_limit(const struct mime_limits *limits);

/* Borrows the arena, where the whole tree will lie. */
void mime_scan_init(struct mime_scan *scan, struct arena *arena, const struct mime_limits *limits);
void mime_scan_feed(struct mime_scan *scan, struct slice piece);

/* Has the message's own header ended? Then the scan may be finished for its sake: root->header and
 * the fields are right, the rest is of what was fed. */
static inline bool mime_scan_has_header(const struct mime_scan *scan)
{
    return scan->failed || scan->innermost != scan->root || !scan->in_header;
}

/* Ends the message. NULL if there was no memory. */
const struct mime_part *mime_scan_finish(struct mime_scan *scan);
void mime_scan_clear(struct mime_scan *scan); /* keeps the tree; may run twice */

#endif
