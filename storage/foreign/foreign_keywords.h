/*
 * The keywords of another server.
 *
 * Dovecot has letters in file names, as we have, and their meaning in "dovecot-keywords": lines "0
 * $Forwarded", where 0 is the letter a. Courier has a directory "courierimapkeywords": ":list"
 * names the keywords, one per line, and after an empty line the keywords of each message ("<name>:0
 * 2"); a file "<name>" or ".<number>.<name>" overrides them for one message, by keyword names; the
 * file without a number counts, else the one with the highest number.
 */
#ifndef STORAGE_FOREIGN_FOREIGN_KEYWORDS_H
#define STORAGE_FOREIGN_FOREIGN_KEYWORDS_H

#include "common/arena.h"
#include "storage/folder_record.h"

/* The result. */
struct foreign_keywords {
    struct folder_record *record; /* receives the keywords; nothing else is changed */
    uint32_t forwarded;           /* letters (bits) that mean $Forwarded, a flag here */
    size_t bad_lines;
    struct foreign_letters *letters; /* Courier's, sorted by key */
    size_t count;
    size_t capacity;
    struct arena memory;
};

void foreign_keywords_init(struct foreign_keywords *keywords, struct folder_record *record);
void foreign_keywords_clear(struct foreign_keywords *keywords); /* may run twice */

/* Reads the files of both in the folder's directory. A file that cannot be read counts as a bad
 * line; false only if there is no memory. */
bool foreign_keywords_load(struct foreign_keywords *keywords, int folder_fd, struct error *error);

/* Pure: the text of "dovecot-keywords", of ":list". */
void foreign_keywords_parse_dovecot(struct slice text, struct foreign_keywords *keywords);
bool foreign_keywords_parse_list(struct slice text, struct foreign_keywords *keywords,
                                 struct error *error);

/* Courier's keywords of a message, as letters of the record. */
uint32_t foreign_keywords_of(const struct foreign_keywords *keywords, struct slice key);

#endif
