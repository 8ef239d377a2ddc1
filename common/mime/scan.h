/*
 * Builds the tree of a message's parts in one pass: where each header and body lies, and the fields
 * used by ENVELOPE and BODYSTRUCTURE (RFC 2045, 2046, 5322). The message comes in pieces of any
 * size; the result does not depend on how it is split. Time is linear in the octets; memory is that
 * of the arena plus one header field. Past the limits below nothing fails: the rest is opaque
 * content of the deepest part kept. Nothing is decoded. Pure; any process.
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
    MIME_DEPTH_MAX = 200,                 /* the maximum of mime_limits.depth */
    MIME_CONTENT_FIELD_LIMIT = 16 * 1024, /* octets kept of a Content- field; the rest is dropped */
    MIME_FIELD_LIMIT = 256 * 1024,        /* octets kept of any other field */
    MIME_FIELDS_LIMIT = 2 << 20, /* octets kept of all fields; further fields are ignored */
};

/* limits.mime-depth and limits.mime-parts of the configuration. */
struct mime_limits {
    size_t depth; /* nesting depth of a part */
    size_t parts; /* parts of one message */
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
    /* Only in the header of a message, not of a part: */
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

/* A field that was kept: the first of each name, except address fields, whose lists are joined (RFC
 * 5322 4.5.3). */
struct mime_field {
    struct mime_field *next; /* in the order of the header */
    enum mime_field_id id;
    struct slice body; /* unfolded, trimmed */
};

/* A run of octets of the message. */
struct mime_span {
    uint64_t offset;      /* in the message as it is stored */
    uint64_t octets;      /* as stored */
    uint64_t crlf_octets; /* with every line end counted as CRLF, as in IMAP */
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
    bool is_message;   /* the root or the child of a MIME_MESSAGE: has an envelope */
    bool opaque;       /* a multipart or message/rfc822 past a limit: an unparsed leaf */
    struct slice type; /* as written; default text/plain, in a digest message/rfc822 */
    struct slice subtype;
    struct slice parameters; /* of Content-Type, for content_parameters_parse */
    struct slice boundary;   /* used by the scan: empty once the last delimiter was seen */
    struct mime_field *fields;
    struct mime_span header; /* includes the empty line after it, if there is one */
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
    bool sealed;                 /* limits.parts was reached: boundaries are ignored */
    bool failed;                 /* no memory */
    struct mime_span seen; /* all before the current line; `offset` is used, `octets` is not */
    size_t last_line_end;  /* octets of the line end before the current line: 0, 1 or 2 */
    struct buffer line;    /* kept part of a line that began in an earlier piece */
    uint64_t line_octets;  /* octets of that line so far */
    uint8_t last_octet;    /* last octet of that line */
    int field_id;          /* the field being read, enum mime_field_id; -1: not kept */
    struct buffer field;   /* its unfolded body */
    struct mime_field *last_field; /* of the innermost part */
    uint32_t fields_kept;          /* fields kept of the innermost part, one bit per id */
    size_t field_octets;           /* octets of fields kept in all parts */
};

/* The limit an arena needs so that these limits are reached before its own. */
size_t mime_arena_limit(const struct mime_limits *limits);

/* Borrows the arena, which will hold the whole tree. */
void mime_scan_init(struct mime_scan *scan, struct arena *arena, const struct mime_limits *limits);
void mime_scan_feed(struct mime_scan *scan, struct slice piece);

/* Whether the message's own header has ended. Then the scan may be finished early: root->header and
 * the fields are complete, the rest covers what was fed. */
static inline bool mime_scan_has_header(const struct mime_scan *scan)
{
    return scan->failed || scan->innermost != scan->root || !scan->in_header;
}

/* Ends the message. NULL if there was no memory. */
const struct mime_part *mime_scan_finish(struct mime_scan *scan);
void mime_scan_clear(struct mime_scan *scan); /* keeps the tree; may run twice */

#endif
