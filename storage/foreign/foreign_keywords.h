/*
 * The keywords of another server.
 *
 * Dovecot has letters in the names of files, as we have, and their meaning in "dovecot-keywords":
 * lines "0 $Forwarded", where 0 is the letter a. Courier has a directory "courierimapkeywords":
 * ":list" names the keywords, one a line, and after an empty line which message has which of them
 * ("<name>:0 2"); a file "<name>" or ".<number>.<name>" says it anew for one message, in words, the
 * one without a number or else the one with the highest number counting.
 */
#ifndef STORAGE_FOREIGN_FOREIGN_KEYWORDS_H
#define STORAGE_FOREIGN_FOREIGN_KEYWORDS_H

#include "common/arena.h"
#include "storage/folder_record.h"

/* What it is all put into. */
struct foreign_keywords {
    struct folder_record *record; /* its letters are given; nothing else is touched */
    uint32_t forwarded;           /* bits of the letters that mean $Forwarded, a flag with us */
    size_t bad_lines;
    struct foreign_letters *letters; /* Courier's: in the order of their keys */
    size_t count;
    size_t capacity;
    struct arena memory;
};

void foreign_keywords_init(struct foreign_keywords *keywords, struct folder_record *record);
void foreign_keywords_clear(struct foreign_keywords *keywords); /* may run twice */

/* Reads what there is in the folder's directory, of both. A file that cannot be read is counted as
 * a bad line; false only for want of memory. */
bool foreign_keywords_load(struct foreign_keywords *keywords, int folder_fd, struct error *error);

/* Pure: the text of "dovecot-keywords", of ":list". */
void foreign_keywords_parse_dovecot(struct slice text, struct foreign_keywords *keywords);
bool foreign_keywords_parse_list(struct slice text, struct foreign_keywords *keywords,
                                 struct error *error);

/* What Courier knew of that message, in letters of the record. */
uint32_t foreign_keywords_of(const struct foreign_keywords *keywords, struct slice key);

#endif
