/*
 * A DELIVER_MESSAGE record as a struct, and the message that it means as pieces: nothing of a body
 * is copied. Pure, save that the header of a body in a file is read. deliver alone.
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
    struct slice addresses; /* of all recipients, one behind the other */
    struct slice reverse_path;
    struct slice prefix;
    struct slice cuts; /* struct filter_cut, not aligned */
    struct slice body; /* empty where it is in a file */
    int body_fd;       /* -1: in `body`; borrowed */
    uint64_t body_octets;
};

/* body_fd is the record's descriptor, or -1 for DELIVER_MESSAGE. ERROR_PEER, with *request
 * unspecified, if lengths do not add up, a cut is not within the body or not behind the one before,
 * an address or path has a control character or the id other octets than letters and digits. */
bool deliver_request_parse(struct slice record, int body_fd, struct deliver_request *request,
                           struct error *error);

/* The header fields that are the recipient's own, then the recipe's prefix, then the body less the
 * cuts. */
enum { DELIVER_PIECES_MAX = 2 + FILTER_CUTS_MAX + 1 };
struct deliver_message_pieces {
    struct piece pieces[DELIVER_PIECES_MAX];
    size_t count;
};

/* `own` holds the fields of this delivery, as deliver_own_fields made them. */
void deliver_make_pieces(const struct deliver_request *request, struct slice own,
                         struct deliver_message_pieces *made);

/* What the account submitted, for its \Sent mailbox: the recipe's prefix, then all of the body. So
 * who sent a message still sees to whom in Bcc, which nobody else does. */
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
 * address: then it was here before (RFC 9228 3). Letters are compared without case. */
bool deliver_was_here(struct slice message, struct slice address);

#endif
