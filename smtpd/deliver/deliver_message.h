/*
 * Parses a DELIVER_MESSAGE record, and makes the message of it as a list of pieces, without copying
 * the body. Pure, but for reading the header of a body in a file. deliver only.
 */
#ifndef SMTPD_DELIVER_DELIVER_MESSAGE_H
#define SMTPD_DELIVER_DELIVER_MESSAGE_H

#include "common/buffer.h"
#include "smtpd/deliver/deliver_protocol.h"
#include "storage/pieces.h"

/* Borrows from the record. */
struct deliver_request {
    uint64_t id;
    const char *id_text; /* NUL-terminated, in id_copy */
    char id_copy[32];
    int64_t arrival;
    const struct deliver_recipient *recipients;
    size_t recipient_count;
    struct slice addresses; /* of all recipients, without separators */
    struct slice reverse_path;
    struct slice prefix;
    struct slice cuts; /* struct filter_cut, not aligned */
    struct slice body; /* empty where it is in a file */
    int body_fd;       /* -1: in `body`; borrowed */
    uint64_t body_octets;
};

/* body_fd is the record's descriptor, or -1 for DELIVER_MESSAGE. ERROR_PEER, with *request
 * unspecified: lengths do not add up, a cut is outside the body or not after the previous one, an
 * address or path has a control character, or the id has other octets than letters and digits. */
bool deliver_request_parse(struct slice record, int body_fd, struct deliver_request *request,
                           struct error *error);

/* The message: header fields of this recipient, the recipe's prefix, the body less the cuts. */
enum { DELIVER_PIECES_MAX = 2 + FILTER_CUTS_MAX + 1 };
struct deliver_message_pieces {
    struct piece pieces[DELIVER_PIECES_MAX];
    size_t count;
};

/* `own` holds the fields of this delivery, as deliver_own_fields made them. */
void deliver_make_pieces(const struct deliver_request *request, struct slice own,
                         struct deliver_message_pieces *made);

/* The copy for the sender's \Sent mailbox: the recipe's prefix, then the body without cuts, so that
 * only the sender sees Bcc. */
void deliver_make_copy_pieces(const struct deliver_request *request,
                              struct deliver_message_pieces *made);

/* Return-Path (RFC 5321 4.4) and Delivered-To (RFC 9228), with CRLF. */
void deliver_own_fields(const struct deliver_request *request, struct slice address,
                        struct buffer *own);

/* The beginning of the body that surely holds its whole header: the body itself, or what
 * `octets` (with limit the most that is read) gets from the file. */
bool deliver_read_header(const struct deliver_request *request, struct buffer *octets,
                         struct slice *header, struct error *error);

/* Whether the header section at the beginning of `message` has a Delivered-To field for that
 * address: a loop (RFC 9228 3). Ignores case. */
bool deliver_was_here(struct slice message, struct slice address);

#endif
