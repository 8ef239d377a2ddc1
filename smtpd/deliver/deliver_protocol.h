/*
 * Records by which `queue` has mail written into Maildirs. Several messages are under way at once;
 * each gets one answer. The master (ROLE_HOME), never queue, tells `deliver` which account a handle
 * means.
 *
 *   queue ── DELIVER_MESSAGE / DELIVER_MESSAGE_FILE ──> deliver
 *   queue <── DELIVER_RESULT (one for each message) ─── deliver
 *   queue <── DELIVER_SYNC (descriptor, at the start) ─ deliver
 */
#ifndef SMTPD_DELIVER_DELIVER_PROTOCOL_H
#define SMTPD_DELIVER_DELIVER_PROTOCOL_H

#include "common/role/ipc.h"
#include "smtpd/filter/filter_protocol.h"

enum deliver_record {
    DELIVER_MESSAGE = 1,
    DELIVER_MESSAGE_FILE, /* one descriptor: the body, read-only */
    DELIVER_RESULT = 101,
    DELIVER_SYNC,
};

enum { DELIVER_RECIPIENTS_MAX = 64 }; /* of one record; more recipients are more records */

enum deliver_recipient_flags {
    DELIVER_AGAIN = 1, /* an earlier attempt may have been written; look before writing */
    DELIVER_COPY = 2,  /* the recipient is the sender: a copy for the mailbox with use \Sent */
};

struct deliver_recipient {
    uint64_t handle;         /* ROLE_TARGET */
    uint32_t number;         /* of the recipient in the message: part of the file name */
    uint16_t address_octets; /* as given at RCPT, for Delivered-To */
    uint16_t flags;          /* enum deliver_recipient_flags */
};

/* `recipients` structs, then their addresses, then reverse-path, id as text, prefix, cuts
 * (structs), then the body unless it is in a file. The message: Return-Path, Delivered-To, prefix,
 * body less cuts. DELIVER_COPY: prefix, whole body. */
struct deliver_message {
    struct ipc_header header;
    uint64_t id;
    int64_t arrival;     /* seconds since 1970: part of the file name */
    uint16_t recipients; /* 1..DELIVER_RECIPIENTS_MAX */
    uint16_t reverse_path_octets;
    uint16_t id_octets;
    uint16_t cuts;
    uint32_t prefix_octets;
    uint32_t reserved;
    uint64_t body_octets;
};

enum deliver_status {
    DELIVER_DONE = 1, /* visible in new/; not flushed unless `flushed` */
    DELIVER_GONE,     /* delivered before and deleted since; or a copy without a \Sent mailbox */
    DELIVER_TEMPORARY,
    DELIVER_PERMANENT,
};

/* One for each recipient, in the order of the question, then their texts ("4.2.2 mailbox full ...":
 * enhanced status code, a space, words). */
struct deliver_outcome {
    uint16_t status;  /* enum deliver_status */
    uint16_t flushed; /* 1: file and directory are on disk, no syncfs needed */
    uint16_t full;    /* 1: the account is over quota now */
    uint16_t text_octets;
};
struct deliver_result {
    struct ipc_header header;
    uint64_t id;
    uint32_t recipients;
    uint32_t reserved;
};

/* One descriptor in any case: an empty file on the Maildirs' file system, opened before anything
 * was written, for syncfs. Sent once, before the first result. */
struct deliver_sync {
    struct ipc_header header;
    uint32_t trusted; /* 1: syncfs on it covers the batch and reports errors; 0: every message is
                         flushed before its outcome */
    uint32_t reserved;
};

#endif
