/*
 * A message open for reading, always as octets with CRLF line ends. Mail from smtpd or APPEND is
 * stored that way: `crlf` is true, offsets are file offsets, and sendfile(2) may be used on `fd`. A
 * file with LF, written by another program, is converted while it is read, in bounded memory.
 * Blocking file I/O.
 */
#ifndef STORAGE_MESSAGE_FILE_H
#define STORAGE_MESSAGE_FILE_H

#include "storage/line_ends.h"
#include "storage/maildir.h"

enum { MESSAGE_FILE_MARKS = 64 };

/* A position known both in the file and in the message with CRLF. */
struct message_mark {
    uint64_t file_offset;
    uint64_t crlf_offset;
    bool after_cr;
};

struct message_file {
    int fd;                 /* -1: not open */
    bool crlf;              /* the file's octets are the message's octets */
    uint64_t octets;        /* of the file */
    uint64_t crlf_octets;   /* of the message: RFC822.SIZE, POP3's octet count */
    struct timespec mtime;  /* INTERNALDATE, RFC 9051 2.3.3 */
    struct message_mark at; /* current read position; this and the rest: files without CRLF only */
    struct message_mark marks[MESSAGE_FILE_MARKS]; /* ascending; [0] is the beginning */
    size_t mark_count;
};

#define MESSAGE_FILE_CLOSED                                                                        \
    (struct message_file)                                                                          \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

/* Opens a message. S= and W= in the name are trusted if the two agree and S= is the file's size;
 * any other file is read once to be measured. ERROR_NOT_FOUND: it was renamed or removed.
 * ERROR_TEMPORARY also if a power cut has cut the message short (delivered_check_whole()). On
 * failure *file is closed. */
bool message_file_open(const struct maildir *box, enum maildir_place place, const char *name,
                       struct message_file *file, struct error *error);

/* Opens a file without such a name, taking ownership of `fd`: it is read once to be measured,
 * unless `crlf` says that all its line ends are CRLF. On failure *file is closed. */
bool message_file_take(int fd, bool crlf, struct message_file *file, struct error *error);

void message_file_close(struct message_file *file); /* may run twice */

/* Reads the message's octets [offset, offset + size), fewer at its end; *got is their number.
 * Sequential reading costs nothing extra, a jump at most a 64th of the file. */
bool message_file_read(struct message_file *file, uint64_t offset, void *octets, size_t size,
                       size_t *got, struct error *error);

/* The size from the name alone, without opening the file. False: the name does not tell. */
bool message_file_octets_from_name(const char *name, uint64_t *crlf_octets);

#endif
