/*
 * A message, open for reading, always as octets with CRLF line ends. Mail that came through smtpd
 * or APPEND is stored so: `crlf` is true, offsets are the file's own, and sendfile(2) may be used
 * on `fd`. A file with LF, written by another program, is converted while it is read, in bounded
 * memory. Blocking file I/O.
 */
#ifndef STORAGE_MESSAGE_FILE_H
#define STORAGE_MESSAGE_FILE_H

#include "storage/line_ends.h"
#include "storage/maildir.h"

enum { MESSAGE_FILE_MARKS = 64 };

/* A position that is known in both countings. */
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
    struct message_mark at; /* where reading stands; the rest is for files without CRLF */
    struct message_mark marks[MESSAGE_FILE_MARKS]; /* ascending; [0] is the beginning */
    size_t mark_count;
};

#define MESSAGE_FILE_CLOSED                                                                        \
    (struct message_file)                                                                          \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

/* A name that says S= and W= is believed if the two agree and S= is the file's size; any other file
 * is read once to be measured. ERROR_NOT_FOUND: it was renamed or removed. ERROR_TEMPORARY also of
 * a message that a power cut has cut short (delivered_check_whole). On failure *file is closed. */
bool message_file_open(const struct maildir *box, enum maildir_place place, const char *name,
                       struct message_file *file, struct error *error);

/* Of a file without such a name, whose descriptor is taken: it is read once to be measured, unless
 * all its line ends are known to be CRLF. On failure *file is closed. */
bool message_file_take(int fd, bool crlf, struct message_file *file, struct error *error);

void message_file_close(struct message_file *file); /* may run twice */

/* The message's octets [offset, offset + size), fewer where it ends; *got says how many. Reading
 * on from where the last call ended costs nothing extra, jumping at most a 64th of the file. */
bool message_file_read(struct message_file *file, uint64_t offset, void *octets, size_t size,
                       size_t *got, struct error *error);

/* The same size without opening, where the name tells. False: it does not, open the file. */
bool message_file_octets_from_name(const char *name, uint64_t *crlf_octets);

#endif
