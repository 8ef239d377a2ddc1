/*
 * New messages that a command brings (APPEND, MULTIAPPEND, REPLACE), from the connection to a
 * folder: each goes to a file in the folder's tmp/ as it comes, whatever its size, and all are put
 * there together or not at all (RFC 3502 6.3.11). imapd-mailbox.
 */
#ifndef IMAPD_FOLDER_INTAKE_H
#define IMAPD_FOLDER_INTAKE_H

#include "common/mime/binary_encode.h"
#include "imapd/folder/folder.h"
#include "imapd/syntax/parser.h"
#include "storage/maildir_store.h"

struct intake_flush;

/* In the command's arena. */
struct intake_message {
    struct intake_message *next;
    struct imap_flags flags;
    int64_t internal_date;        /* seconds since 1970 */
    uint64_t octets;              /* as announced */
    bool in_utf8;                 /* UTF8 (...): a ")" follows (RFC 6855 4) */
    bool is_binary;               /* a literal8 */
    bool is_catenated;            /* of several pieces, CATENATE: octets says nothing */
    struct binary_encode *encode; /* what makes base64 of its binary parts; NULL: not begun */
    struct maildir_append append;
    uint32_t uid;                 /* 0: not in cur/ yet */
    char name[MAILDIR_NAME_SIZE]; /* there */
};

struct intake {
    struct folder *folder; /* one use of it, until intake_end(); NULL: none */
    struct intake_message *first;
    struct intake_message *last;
    uint32_t count;
    uint64_t octets;            /* of all: as announced, and as stored once a message is whole */
    struct intake_flush *flush; /* under way; NULL: none */
};

/* append-message = [SP flag-list] [SP date-time] SP append-data, up to the octets.
 * append-data = literal / literal8 / "UTF8" SP "(" literal8 ")" / "CATENATE" SP "(" ...
 * RFC 3516 7, RFC 6855 4, RFC 4469 5; of the last up to the "(" */
bool intake_parse(struct imap_parser *arguments, struct intake_message *message);
/* What follows them: ")" or nothing. */
bool intake_parse_behind(struct imap_parser *arguments, const struct intake *intake);

/* The octets of one message more are about to come. On failure it counts as none; `arena` lives as
 * long as the message. */
bool intake_begin(struct intake *intake, struct intake_message *message, struct arena *arena,
                  struct error *error);
bool intake_write(struct intake *intake, struct slice octets, struct error *error);
/* That was the last of them: the file is whole. */
bool intake_finish(struct intake *intake, struct error *error);

/* All are in the folder and known to everybody when it returns true; else none is. The client is
 * not told before they are flushed. */
bool intake_commit(struct intake *intake, struct error *error);

/* Instead of that, of one message alone: the folder has it already, under this UID, and gives it
 * the flags that the client wants it to have. ERROR_NOT_FOUND: no more. */
bool intake_use(struct intake *intake, uint32_t uid, struct error *error);

/* Behind intake_commit(): files and directory are flushed together with what other sessions append,
 * while the loop goes on. Then `flushed` is called: with NULL, or with why they are not on disk and
 * have been removed again. intake_end() ends no more than the waiting: the messages are whole, and
 * stay if they can be flushed. False: they were removed, and it is not called. */
typedef void intake_flushed(void *owner, const struct error *why);
bool intake_flush(struct intake *intake, intake_flushed *flushed, void *owner, struct error *error);

/* Why it failed, where that is the message's fault; NULL: it is not. *code as for session_no(). */
const char *intake_problem(const struct intake *intake, struct slice *code);

/* "APPENDUID 38505 3955", or "3955:3957" for several (RFC 4315 3, RFC 3502 6.3.11). */
enum { INTAKE_CODE_SIZE = 64 };
void intake_format_code(const struct intake *intake, char code[INTAKE_CODE_SIZE]);

/* What was not committed is removed. May run twice, and on a zeroed struct. */
void intake_end(struct intake *intake);

#endif
