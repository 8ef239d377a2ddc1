/*
 * The name of a Maildir file, as text and as a struct:
 *
 *     <seconds>.<unique>.<host>,S=<size>,W=<CRLF size>,U=<uidvalidity>.<uid>:2,<flags>
 *     |------- unique --------|
 *     |--------------- key -----------------|
 *
 * Names made by other programs are accepted: whatever is not written as above belongs to the key
 * and has no meaning for us. Our changes to a name never change the key (it ties the file to the
 * index), and so not the part before the first comma either (POP3's UIDL, and what a repeated
 * delivery looks for). Pure: no I/O, no allocation. Any process.
 */
#ifndef STORAGE_MAILDIR_NAME_H
#define STORAGE_MAILDIR_NAME_H

#include "common/slice.h"

enum {
    MAILDIR_NAME_MAX = 255,                   /* NAME_MAX of all common file systems */
    MAILDIR_NAME_SIZE = MAILDIR_NAME_MAX + 1, /* for the text and its NUL */
    /* A key this long leaves room for ",U=4294967295.4294967295", ":2," and all 52 flags. */
    MAILDIR_KEY_MAX = MAILDIR_NAME_MAX - 24 - 3 - 52,
    MAILDIR_UNIQUE_MAX = 48,
    MAILDIR_HOST_MAX = 55, /* longer host names are cut: the host only makes a name unique */
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
    uint32_t uidvalidity; /* U=<uidvalidity>.<uid>, RFC 9051 2.3.1.1; both 0: no UID yet */
    uint32_t uid;
    uint32_t flags;     /* bit n: letter 'A' + n; unknown letters are kept */
    uint32_t keywords;  /* bit n: letter 'a' + n; folder_record.h maps letters to keywords */
    struct slice extra; /* what another program has put after the flags; kept */
};

/* False, with *name untouched: no message can have this name, as it is empty, begins with a dot, is
 * longer than MAILDIR_NAME_MAX, or contains a slash or NUL. */
bool maildir_name_parse(struct slice text, struct maildir_name *name);

/* Writes key, UID, flags, keywords and extra, then a NUL; `unique`, `seconds` and the sizes are
 * part of the key. The name is for cur/: it has ":2," even without flags. False, with unspecified
 * text: it would be longer than MAILDIR_NAME_MAX; never if key and extra together have at most
 * MAILDIR_KEY_MAX octets. */
bool maildir_name_format(const struct maildir_name *name, char text[MAILDIR_NAME_SIZE]);

/* The same without ":2,": the name of an unseen message, for new/. */
bool maildir_name_format_new(const struct maildir_name *name, char text[MAILDIR_NAME_SIZE]);

/* The parts of a key that we make. */
struct maildir_key {
    uint64_t seconds;
    struct slice unique; /* letters and digits, at most MAILDIR_UNIQUE_MAX; made unique by the
                            caller */
    struct slice host;   /* octets other than letters, digits, '.' and '-' become '_' */
    uint64_t octets;
    uint64_t crlf_octets;
};

/* "<seconds>.<unique>.<host>,S=<octets>,W=<crlf_octets>", always at most MAILDIR_KEY_MAX long. */
void maildir_key_format(const struct maildir_key *key, char text[MAILDIR_NAME_SIZE]);

/* The part of the key before the first comma, which is known before the sizes are. */
void maildir_key_format_unique(const struct maildir_key *key, char text[MAILDIR_NAME_SIZE]);

#endif
