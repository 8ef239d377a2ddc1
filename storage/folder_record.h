/*
 * The data of a folder that its file names cannot hold: one small text file in each folder,
 *
 *     staffetta-folder 1
 *     uidvalidity 1700000001
 *     uid-watermark 1001
 *     modseq-watermark 3001
 *     mailbox-id Fh2d8Yk3
 *     special-use \Sent
 *     keyword a $MDNSent
 *     end
 *
 * Watermarks make numbers unique for ever: a UID or MODSEQ is shown to a client only while it is
 * below the watermark *on disk*, which is raised for many at a time. After a crash numbering goes
 * on from the watermark, so nothing shown is ever used twice.
 *
 * One writer: the user's mailbox process; without IMAP these numbers are not needed. The first half
 * of this header is pure.
 */
#ifndef STORAGE_FOLDER_RECORD_H
#define STORAGE_FOLDER_RECORD_H

#include "common/buffer.h"
#include "common/error.h"

#define FOLDER_RECORD_FILE "staffetta-folder"

enum {
    FOLDER_KEYWORDS = 26, /* the letters a..z of maildir_name.keywords */
    FOLDER_KEYWORD_MAX = 127,
    FOLDER_MAILBOX_ID_MAX = 63,
    FOLDER_UID_STEP = 1000,
    FOLDER_MODSEQ_STEP = 100000, /* of 2^63: so STORE 1:* needs one flush */
    FOLDER_RECORD_MAX = 8192,    /* octets of the file */
};

/* RFC 6154 2, RFC 8457; a folder may have several. */
enum special_use {
    SPECIAL_ALL = 1 << 0,
    SPECIAL_ARCHIVE = 1 << 1,
    SPECIAL_DRAFTS = 1 << 2,
    SPECIAL_FLAGGED = 1 << 3,
    SPECIAL_JUNK = 1 << 4,
    SPECIAL_SENT = 1 << 5,
    SPECIAL_TRASH = 1 << 6,
    SPECIAL_IMPORTANT = 1 << 7,
};

struct folder_record {
    uint32_t uidvalidity;      /* never 0 */
    uint64_t uid_watermark;    /* 1..2^32; every UID that a client was ever shown is below it */
    uint64_t modseq_watermark; /* 1..2^63-1; likewise for MODSEQ, RFC 7162 */
    char mailbox_id[FOLDER_MAILBOX_ID_MAX + 1];             /* objectid, RFC 8474 7 */
    unsigned special_use;                                   /* enum special_use, or 0 */
    char keywords[FOLDER_KEYWORDS][FOLDER_KEYWORD_MAX + 1]; /* "": letter is free */
};

/* "\Sent" and so on: the name of exactly one bit. NULL: not one of these bits. */
const char *special_use_name(unsigned bit);
/* The bit with this name, compared without case, or 0. */
unsigned special_use_find(struct slice name);
/* The customary special use of a directory name (".Drafts", ".Sent", ...), or 0. */
unsigned special_use_of_directory(const char *directory);

/* ERROR_PERMANENT, with *record untouched, if anything is malformed, missing, repeated or too long;
 * the text names the line. */
bool folder_record_parse(struct slice text, struct folder_record *record, struct error *error);
void folder_record_format(const struct folder_record *record, struct buffer *text);

/* The letter (0 is 'a') of a keyword, compared without case (RFC 9051 2.3.2). */
bool folder_record_find_keyword(const struct folder_record *record, struct slice keyword,
                                unsigned *letter);

/* The same, but gives a new keyword a free letter: the record must then be stored before any file
 * name has that letter. False: no letter is left (then PERMANENTFLAGS has no \*), or the keyword is
 * not an atom of 1 to FOLDER_KEYWORD_MAX octets. */
bool folder_record_add_keyword(struct folder_record *record, struct slice keyword,
                               unsigned *letter);
/* Gives a keyword the letter that another server used for it. False, with nothing changed: the
 * letter is taken, or the keyword has another letter or is not valid. */
bool folder_record_set_keyword(struct folder_record *record, unsigned letter, struct slice keyword);
bool folder_record_keywords_full(const struct folder_record *record);

/* Raises the watermarks above this UID and MODSEQ; 0: leave that watermark alone. True: the record
 * has changed, and must be on disk before either number is shown. A UID above 2^32-1 cannot be
 * covered: the folder needs a new UIDVALIDITY before that. */
bool folder_record_cover(struct folder_record *record, uint32_t uid, uint64_t modseq);

/* ---- the file ---- */

/* ERROR_NOT_FOUND: the folder is new, or its record was lost. ERROR_PERMANENT: the record cannot be
 * parsed. After either the caller calls folder_record_renew(). */
bool folder_record_load(int folder_fd, struct folder_record *record, struct error *error);

/* Durable when it returns true. */
bool folder_record_store(int folder_fd, const struct folder_record *record, struct error *error);

/* Like folder_record_renew(), but only in memory. */
bool folder_record_init(uint32_t uidvalidity, struct folder_record *record, struct error *error);

/* Makes a record for a folder without one: this UIDVALIDITY (uidvalidity.h), a new random mailbox
 * id, watermarks at 1, no keywords. A file that cannot be parsed is kept as
 * "staffetta-folder.broken". Durable when it returns true. */
bool folder_record_renew(int folder_fd, uint32_t uidvalidity, struct folder_record *record,
                         struct error *error);

#endif
