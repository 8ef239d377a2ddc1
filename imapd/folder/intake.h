/*
 * The messages of one APPEND, MULTIAPPEND or REPLACE, from the connection into a folder: each is
 * streamed to a file in the folder's tmp/, whatever its size; then all are added to the folder, or
 * none (RFC 3502 6.3.11). imapd-mailbox.
 */
#ifndef IMAPD_FOLDER_INTAKE_H
#define IMAPD_FOLDER_INTAKE_H

#include "common/mime/binary_encode.h"
#include "imapd/folder/folder.h"
#include "imapd/syntax/parser.h"
#include "storage/maildir_store.h"

struct intake_flush;

/* One message; allocated in the command's arena. */
struct intake_message {
    struct intake_message *next;
    struct imap_flags flags;
    int64_t internal_date;        /* seconds since 1970 */
    uint64_t octets;              /* size announced by the literal; not set by CATENATE */
    bool in_utf8;                 /* sent as UTF8 (...): a ")" follows (RFC 6855 4) */
    bool is_binary;               /* sent as a literal8 */
    bool is_catenated;            /* sent as CATENATE, in several pieces */
    struct binary_encode *encode; /* encodes binary parts in base64; NULL: not begun */
    struct maildir_append append;
    uint32_t uid;                 /* 0: not in cur/ yet */
    char name[MAILDIR_NAME_SIZE]; /* file name in cur/ */
};

struct intake {
    struct folder *folder; /* destination; one use of it until intake_end(); NULL: none */
    struct intake_message *first;
    struct intake_message *last;
    uint32_t count;
    uint64_t octets; /* total: of a finished message as stored, of the last one as announced */
    struct intake_flush *flush; /* in progress; NULL: none */
};

/* append-message = [SP flag-list] [SP date-time] SP append-data, up to the octets.
 * append-data = literal / literal8 / "UTF8" SP "(" literal8 ")" / "CATENATE" SP "(" ...
 * RFC 3516 7, RFC 6855 4, RFC 4469 5; CATENATE is parsed up to its "(" */
bool intake_parse(struct imap_parser *arguments, struct intake_message *message);
/* What follows the octets: ")" after UTF8, else nothing. */
bool intake_parse_behind(struct imap_parser *arguments, const struct intake *intake);

/* Begins another message, whose octets are still to come. On failure the message is not added;
 * `arena` must live as long as the message. */
bool intake_begin(struct intake *intake, struct intake_message *message, struct arena *arena,
                  struct error *error);
bool intake_write(struct intake *intake, struct slice octets, struct error *error);
/* Completes the file of the last message. */
bool intake_finish(struct intake *intake, struct error *error);

/* Adds all messages to the folder, visible to all sessions; on failure, none. The client must not
 * be answered before they are flushed. */
bool intake_commit(struct intake *intake, struct error *error);

/* Instead of intake_commit(), for a single message: the folder already has it under this UID, and
 * adds the client's flags to it. ERROR_NOT_FOUND: it has been removed. */
bool intake_use(struct intake *intake, uint32_t uid, struct error *error);

/* After intake_commit(): flushes files and directory together with those of other sessions, while
 * the loop goes on. Then calls `flushed`: with NULL, or with the error, for which the messages have
 * been removed again. After intake_end() it is not called, but the flush goes on, and the messages
 * stay if it succeeds. False: they were removed, and `flushed` is not called. */
typedef void intake_flushed(void *owner, const struct error *why);
bool intake_flush(struct intake *intake, intake_flushed *flushed, void *owner, struct error *error);

/* Why the last message is refused, if the message itself is the reason; else NULL. *code as for
 * session_no(). */
const char *intake_problem(const struct intake *intake, struct slice *code);

/* "APPENDUID 38505 3955", or "3955:3957" for several (RFC 4315 3, RFC 3502 6.3.11). */
enum { INTAKE_CODE_SIZE = 64 };
void intake_format_code(const struct intake *intake, char code[INTAKE_CODE_SIZE]);

/* Removes files that were not committed. May run twice, and on a zeroed struct. */
void intake_end(struct intake *intake);

#endif
