/*
 * The name of a Maildir file, as text and as a struct:
 *
 *     <seconds>.<unique>.<host>,S=<size>,W=<CRLF size>,U=<uidvalidity>.<uid>:2,<flags>
 *     |------- unique --------|
 *     |--------------- key -----------------|
 *
 * Names that other programs made are taken as they are: whatever is not written as above belongs
 * to the key and means nothing to us. What survives every change that we make to a name is the key
 * (it ties the file to the index), and within it the part before the first comma (POP3's UIDL, and
 * what a repeated delivery looks for). Pure: no I/O, no allocation. Any process.
 */
#ifndef STORAGE_MAILDIR_NAME_H
#define STORAGE_MAILDIR_NAME_H

#include "common/slice.h"

enum {
    MAILDIR_NAME_MAX = 255,                   /* NAME_MAX of every file system that we know */
    MAILDIR_NAME_SIZE = MAILDIR_NAME_MAX + 1, /* for the text and its NUL */
    /* A key this long leaves room for ",U=4294967295.4294967295", ":2," and all 52 flags. */
    MAILDIR_KEY_MAX = MAILDIR_NAME_MAX - 24 - 3 - 52,
    MAILDIR_UNIQUE_MAX = 48,
    MAILDIR_HOST_MAX = 55, /* longer host names are cut: they only make a name unique */
};

/* The flags with a meaning, as bits of maildir_name.flags: bit n is the letter 'A' + n. */
enum maildir_flag {
    MAILDIR_DRAFT = 1 << ('D' - 'A'),    /* \Draft */
    MAILDIR_FLAGGED = 1 << ('F' - 'A'),  /* \Flagged */
    MAILDIR_PASSED = 1 << ('P' - 'A'),   /* $Forwarded */
    MAILDIR_ANSWERED = 1 << ('R' - 'A'), /* \Answered */
    MAILDIR_SEEN = 1 << ('S' - 'A'),     /* \Seen */
    MAILDIR_TRASHED = 1 << ('T' - 'A'),  /* \Deleted */
};

struct maildir_name {
    struct slice key;     /* borrowed from the parsed text; never empty */
    struct slice unique;  /* the key's beginning, up to its first comma; never empty */
    uint64_t seconds;     /* leading number, SAVEDATE (RFC 8514), below 2^40; 0: none, or larger */
    uint64_t octets;      /* S=, size on disk; 0: not recorded */
    uint64_t crlf_octets; /* W=, size with CRLF line ends; 0: not recorded */
    uint32_t uidvalidity; /* U=<uidvalidity>.<uid>, RFC 9051 2.3.1.1; both 0: none given yet */
    uint32_t uid;
    uint32_t flags;     /* bit n: letter 'A' + n; those without a meaning are kept */
    uint32_t keywords;  /* bit n: letter 'a' + n; folder_record.h says which keyword that is */
    struct slice extra; /* what another program wrote after the flags; kept */
};

/* False, with *name untouched, if no message can have that name: empty, beginning with a dot,
 * longer than MAILDIR_NAME_MAX, or with a slash or NUL in it. */
bool maildir_name_parse(struct slice text, struct maildir_name *name);

/* Writes key, UID, flags, keywords and extra with a NUL after them; `unique`, `seconds` and the
 * sizes are in the key already. The name is for cur/, where ":2," stands even without flags.
 * False, with an unspecified text, if it would be longer than MAILDIR_NAME_MAX; never for a key and
 * extra of at most MAILDIR_KEY_MAX together. */
bool maildir_name_format(const struct maildir_name *name, char text[MAILDIR_NAME_SIZE]);

/* The same without ":2,": the name of a message that nobody has seen yet, for new/. */
bool maildir_name_format_new(const struct maildir_name *name, char text[MAILDIR_NAME_SIZE]);

/* What a key is made of, where we make it. */
struct maildir_key {
    uint64_t seconds;
    struct slice unique; /* letters and digits, at most MAILDIR_UNIQUE_MAX; the caller sees to its
                            uniqueness */
    struct slice host;   /* octets that are no letter, digit, '.' or '-' become '_' */
    uint64_t octets;
    uint64_t crlf_octets;
};

/* "<seconds>.<unique>.<host>,S=<octets>,W=<crlf_octets>", always at most MAILDIR_KEY_MAX long. */
void maildir_key_format(const struct maildir_key *key, char text[MAILDIR_NAME_SIZE]);

/* The part of it before the first comma, which is known before the sizes are. */
void maildir_key_format_unique(const struct maildir_key *key, char text[MAILDIR_NAME_SIZE]);

#endif
