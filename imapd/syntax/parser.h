/*
 * The grammar of IMAP commands (RFC 3501 9), over the text collected by imapd/syntax/command.h:
 * one function for each ABNF rule. On false the parser has not moved, and `expected` says what was
 * expected. Results borrow from the text; unescaped strings and lists are in the arena. Rules of a
 * single command are with that command; fetch_item.h and search_key.h have the two large sets. No
 * I/O. imapd-login and imapd-mailbox.
 */
#ifndef IMAPD_SYNTAX_PARSER_H
#define IMAPD_SYNTAX_PARSER_H

#include "common/arena.h"
#include "common/text/cursor.h"
#include "common/text/date.h"
#include "imapd/syntax/sequence_set.h"

struct imap_parser {
    struct cursor in;
    const uint8_t *begin;
    struct arena *arena;  /* borrowed */
    const char *expected; /* "a mailbox name": set when a function returns false */
    bool exhausted;       /* ... because the arena is full: a matter of NO [LIMIT], not of BAD */
    bool utf8; /* the client has enabled it, for quoted strings and mailbox names (RFC 6855 3) */
    const char *expunged; /* the mailbox of expunged mail; NULL: none */
    const char *shared;   /* the parent of other accounts' mailboxes; NULL: none */
    const char
        *visited; /* for a visitor: the parent of all mailboxes that he can name; else NULL */
};

void imap_parser_init(struct imap_parser *parser, struct slice text, struct arena *arena);

/* Sets `expected` and returns false. */
bool imap_parser_fail(struct imap_parser *parser, const char *expected);
/* The arena is full; returns false. */
bool imap_parser_exhaust(struct imap_parser *parser);

/* tag = 1*<any ASTRING-CHAR except "+"> */
bool imap_parse_tag(struct imap_parser *parser, struct slice *tag);

/* SP, "(" and so on: exactly that octet. */
bool imap_parse_octet(struct imap_parser *parser, uint8_t octet, const char *expected);
bool imap_parse_space(struct imap_parser *parser);
/* Skips that octet if it is next; sets nothing. */
bool imap_skip_octet(struct imap_parser *parser, uint8_t octet);

/* Is that octet next? */
bool imap_peek_octet(const struct imap_parser *parser, uint8_t octet);

/* Nothing is left. */
bool imap_parse_end(struct imap_parser *parser);
bool imap_parser_at_end(const struct imap_parser *parser);

/* A word of the protocol, such as a command, "RFC822.SIZE" or "CHARSET": letters, digits, "." and
 * "-", as sent. */
bool imap_parse_word(struct imap_parser *parser, struct slice *word);
/* Skips that whole word, ignoring case, if it is next; sets nothing. */
bool imap_skip_word(struct imap_parser *parser, struct slice word);

bool imap_parse_atom(struct imap_parser *parser, struct slice *atom);
bool imap_parse_string(struct imap_parser *parser, struct slice *string);
/* literal8 = "~{" number ["+"] "}" CRLF *OCTET (RFC 3516 4.1): any octets. */
bool imap_parse_literal8(struct imap_parser *parser, struct slice *octets);
bool imap_parse_astring(struct imap_parser *parser, struct slice *string);
/* nstring = string / nil; string->ptr is NULL for NIL alone. */
bool imap_parse_nstring(struct imap_parser *parser, struct slice *string);
/* list-mailbox = 1*list-char / string */
bool imap_parse_list_mailbox(struct imap_parser *parser, struct slice *pattern);

/* The text ends with the announcement of a literal, for command_stream_literal(). */
bool imap_parse_announcement(struct imap_parser *parser, uint64_t *octets);

/* number, nz-number: 32 bits */
bool imap_parse_number(struct imap_parser *parser, uint32_t *number);
bool imap_parse_nz_number(struct imap_parser *parser, uint32_t *number);

/* number64, nz-number64: 63 bits (RFC 9051 9) */
bool imap_parse_number64(struct imap_parser *parser, uint64_t *number);
bool imap_parse_nz_number64(struct imap_parser *parser, uint64_t *number);

/* mod-sequence-valzer: 63 bits (RFC 7162 7) */
bool imap_parse_modseq(struct imap_parser *parser, uint64_t *modseq);

/* As written: call sequence_set_resolve() before use. */
bool imap_parse_sequence_set(struct imap_parser *parser, struct sequence_set *set);

/* date-time of APPEND; date of SEARCH, with or without quotes, as days since 1970-01-01. */
bool imap_parse_date_time(struct imap_parser *parser, struct date *date);
bool imap_parse_date(struct imap_parser *parser, int32_t *day);

/* Flags as a client writes them. */
struct imap_flags {
    uint32_t flags;         /* enum maildir_flag */
    struct slice *keywords; /* atoms as written; may have duplicates */
    size_t keyword_count;
};

/* flag-list = "(" [flag *(SP flag)] ")". \Recent is refused (only the server sets it); unknown
 * flags of the form \Foo are dropped: RFC 3501 2.3.2 lets a server ignore them. */
bool imap_parse_flag_list(struct imap_parser *parser, struct imap_flags *flags);
/* The inverse, appended. */
void imap_append_flag_list(const struct imap_flags *flags, struct buffer *text);
/* store-att-flags: flag-list / (flag *(SP flag)) */
bool imap_parse_store_flags(struct imap_parser *parser, struct imap_flags *flags);

/* Items of STATUS, RFC 3501 6.3.10; answered by imapd/folder/folder_status.h. */
enum imap_status_item {
    STATUS_MESSAGES = 1 << 0,
    STATUS_RECENT = 1 << 1,
    STATUS_UIDNEXT = 1 << 2,
    STATUS_UIDVALIDITY = 1 << 3,
    STATUS_UNSEEN = 1 << 4,
    STATUS_HIGHESTMODSEQ = 1 << 5,   /* RFC 7162 3.1.7 */
    STATUS_SIZE = 1 << 6,            /* RFC 8438 */
    STATUS_DELETED = 1 << 7,         /* RFC 9051 6.3.11 */
    STATUS_DELETED_STORAGE = 1 << 8, /* RFC 9208 4.1.4 */
    STATUS_APPENDLIMIT = 1 << 9,     /* RFC 7889 4 */
    STATUS_MAILBOXID = 1 << 10,      /* RFC 8474 4.3 */
};
/* "(" status-att *(SP status-att) ")" */
bool imap_parse_status_items(struct imap_parser *parser, unsigned *items);

/* Octet classes of RFC 3501 9. */
enum imap_class {
    IMAP_ATOM = 1,    /* ATOM-CHAR */
    IMAP_ASTRING = 2, /* ASTRING-CHAR */
    IMAP_LIST = 4,    /* list-char */
    IMAP_TAG = 8,     /* ASTRING-CHAR but "+" */
    IMAP_QUOTED = 16, /* TEXT-CHAR except quoted-specials */
    IMAP_WORD = 32,   /* letters, digits, ".", "-" */
};
extern const uint8_t imap_classes[256];

static inline bool imap_is(uint8_t octet, enum imap_class class)
{
    return (imap_classes[octet] & class) != 0;
}

#endif
