/*
 * New messages that a command brings (APPEND, MULTIAPPEND, REPLACE), from the connection to a
 * folder: each goes to a file in the folder's tmp/ as it comes, whatever its size, and all are put
 * there together or not at all (RFC 3502 6.3.11). imapd-mailbox.
 */
#ifndef IMAPD_INTAKE_H
#define IMAPD_INTAKE_H

#include "imapd/folder.h"
#include "imapd/parser.h"
#include "storage/maildir_store.h"

/* In the command's arena. */
struct intake_message {
    struct intake_message *next;
    struct imap_flags flags;
    int64_t internal_date; /* seconds since 1970 */
    uint64_t octets;
    struct maildir_append append;
    uint32_t uid;                 /* 0: not in cur/ yet */
    char name[MAILDIR_NAME_SIZE]; /* there */
};

struct intake {
    struct folder *folder; /* one use of it, until intake_end(); NULL: none */
    struct intake_message *first;
    struct intake_message *last;
    uint32_t count;
    uint64_t octets; /* of all */
};

/* append-message = [SP flag-list] [SP date-time] SP literal, up to the literal */
bool intake_parse(struct imap_parser *arguments, struct intake_message *message);

/* The octets of one message more are about to come. On failure it counts as none. */
bool intake_begin(struct intake *intake, struct intake_message *message, struct error *error);
bool intake_write(struct intake *intake, struct slice octets, struct error *error);
/* That was the last of them: the file is on disk. */
bool intake_finish(struct intake *intake, struct error *error);

/* All are in the folder, on disk, and known to everybody when it returns true; else none is, save
 * where there is no memory to know of one: that is found by the next look. */
bool intake_commit(struct intake *intake, struct error *error);

/* "APPENDUID 38505 3955", or "3955:3957" for several (RFC 4315 3, RFC 3502 6.3.11). */
enum { INTAKE_CODE_SIZE = 64 };
void intake_format_code(const struct intake *intake, char code[INTAKE_CODE_SIZE]);

/* What was not committed is removed. May run twice, and on a zeroed struct. */
void intake_end(struct intake *intake);

#endif
