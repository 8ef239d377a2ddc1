/*
 * A message under way: queue's RELAY_MESSAGE as a struct that owns its octets, the state of each
 * recipient, and the RELAY_RESULT that is sent when all are settled. relay.
 */
#ifndef SMTPD_RELAY_OUTGOING_H
#define SMTPD_RELAY_OUTGOING_H

#include "common/buffer.h"
#include "common/error.h"
#include "smtpd/relay/relay_protocol.h"
#include "smtpd/relay/transcript.h"

enum recipient_state {
    RECIPIENT_WAITING,  /* not sent in RCPT yet, or to be sent again */
    RECIPIENT_NAMED,    /* sent in RCPT of the open transaction */
    RECIPIENT_ACCEPTED, /* its RCPT was accepted in the open transaction */
    RECIPIENT_SETTLED,  /* status and text are final */
};

struct outgoing_recipient {
    struct slice address;
    struct slice orcpt; /* decoded "type;address"; may be empty */
    uint16_t notify;    /* enum queue_notify */
    enum recipient_state state;
    enum relay_status status;
    uint16_t flags;     /* enum relay_outcome_flags */
    size_t text_offset; /* in `texts` */
    size_t text_octets;
};

struct outlet;

struct outgoing {
    struct outgoing *prev, *next; /* in outlet->waiting */
    struct outlet *outlet;
    uint32_t queue_number; /* of the queue that waits for it, among its kind */
    uint64_t request;      /* of queue's record */
    uint64_t id;
    uint8_t *record;               /* what the slices borrow from */
    struct slice destination_name; /* without the '~' or '!' */
    bool tls_is_optional;          /* it had a '~' */
    bool requires_tls;             /* REQUIRETLS (RFC 8689), by its flags */
    struct slice reverse_path;
    struct slice envid;
    struct slice id_text;
    struct slice prefix;
    struct slice cuts; /* struct filter_cut, not aligned */
    struct slice body; /* empty if it is in a file */
    int body_fd;       /* the file; -1: none */
    uint64_t body_octets;
    uint32_t flags; /* enum queue_submit_flags */
    int64_t deliver_by;
    size_t recipient_count;
    size_t unsettled;
    unsigned tries;      /* transactions that broke off before the message was sent */
    uint64_t began_ms;   /* when queue gave it to us, turn_now_ms() */
    struct buffer texts; /* of outcomes */
    /* The dialogue of each connection that did not deliver to all recipients; empty: none. */
    struct transcript transcript;
    struct outgoing_recipient recipients[];
};

/* Copies the record; takes *body_fd (-1: the body is in the record) on success and sets it to -1.
 * NULL: ERROR_PEER where the record is malformed (lengths, cuts out of order, a control character
 * in an address, path or id), ERROR_TEMPORARY without memory. */
struct outgoing *outgoing_new(struct slice record, int *body_fd, struct error *error);
void outgoing_free(struct outgoing *message); /* NULL is fine */

/* The size of the message as sent, without dot-stuffing: for SIZE. */
uint64_t outgoing_octets(const struct outgoing *message);

/* A reader's position in the content; zeroed: the beginning. */
struct outgoing_cursor {
    bool behind_prefix;
    uint64_t offset; /* in the body */
    size_t cut;      /* the next one */
};

/* The next run of the content: borrowed from the message, or read from its file into `chunk`. Empty
 * at the end. False: the file cannot be read, or is shorter than it should be. */
enum { OUTGOING_CHUNK = 65536 };
bool outgoing_read(const struct outgoing *message, struct outgoing_cursor *at,
                   uint8_t chunk[OUTGOING_CHUNK], struct slice *octets, struct error *error);

/* An outcome with its text: see struct relay_outcome. Borrowed. */
struct outcome {
    enum relay_status status;
    uint16_t flags;
    struct slice text;
};

/* Settles the recipient; only once. Without memory its text is lost. */
void outgoing_settle(struct outgoing *message, size_t recipient, const struct outcome *outcome);
void outgoing_settle_rest(struct outgoing *message, const struct outcome *outcome);

/* Index of the first recipient without the message; `recipient_count`: all have it. */
size_t outgoing_first_undelivered(const struct outgoing *message);

struct slice outgoing_text(const struct outgoing *message, size_t recipient);

/* The tail of the RELAY_RESULT: outcomes and texts. All are settled. Failure is the buffer's. */
enum { OUTGOING_RESULT_MAX = IPC_RECORD_MAX - sizeof(struct relay_result) };
void outgoing_append_outcomes(const struct outgoing *message, struct buffer *tail);

#endif
