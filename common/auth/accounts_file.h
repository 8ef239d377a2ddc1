/*
 * The passwd-file of virtual accounts. Text, one account a line:
 *
 *     # comment
 *     alice@demo.test:$argon2id$v=19$m=19456,t=2,p=1$...:quota=1G
 *     robot@demo.test:!
 *
 * ADDRESS ':' VERIFIER *( ':' NAME '=' VALUE ). The verifier is that of password.h; with '!' before
 * it, or '!' alone, the account gets mail but cannot log in. Values contain no ':' and no control
 * character. The names:
 *
 *     quota=SIZE                     octets, or with K, M, G, T; `none`: no limit. Without it the
 *                                    configuration's quota holds
 *     delete-after-retrieval=yes|no  whether POP3 removes at QUIT what was retrieved; without it
 *                                    the configuration's pop3 section holds
 *     keep-days=N                    with `yes`: only what is older
 *     scram-sha-256=...              for logins by SCRAM: scram_verifier_make() of the same
 *                                    password; ignored if the Argon2id string is another one
 *     x-...=...                      ignored: for the administrator's use
 *
 * Any other name is an error, so that a file written for a later version is refused rather than
 * used without the limits it sets. Parsing does no I/O; 100 000 accounts take half a second. Edits
 * keep every line that they do not change, and comments.
 */
#ifndef COMMON_AUTH_ACCOUNTS_FILE_H
#define COMMON_AUTH_ACCOUNTS_FILE_H

#include "common/arena.h"
#include "common/buffer.h"
#include "common/error.h"
#include "common/hash_table.h"

#define ACCOUNT_QUOTA_NONE UINT64_MAX

struct account {
    struct slice address;  /* canonical (canonical.h); borrowed from the table, as all here is */
    struct slice verifier; /* what password_verify takes */
    struct slice scram;    /* what scram_verifier_parse takes; empty: none for this verifier */
    uint64_t quota_octets; /* 0: the configuration's; ACCOUNT_QUOTA_NONE: no limit */
    uint32_t retrieved;    /* POP3, as in struct master_home */
    uint64_t line;         /* number of the line in the file, from 1 */
    UT_hash_handle hh;
};

struct accounts {
    struct account *by_address; /* a uthash table in the file's order */
    struct buffer text;         /* the file */
    struct arena arena;
};

/* The table starts empty (accounts_init) and stays so on failure. Takes the text on success (it is
 * empty then). ERROR_PERMANENT names the line. */
void accounts_init(struct accounts *accounts);
bool accounts_parse(struct accounts *accounts, struct buffer *text, struct error *error);
void accounts_clear(struct accounts *accounts); /* wipes; may run twice */

/* NULL if there is none. `address` is canonical. */
const struct account *accounts_find(const struct accounts *accounts, struct slice address);

/* Whether a canonical address can be an account's: the local part is a dot-atom without '+' (it
 * begins a detail) and '/' (accounts are directories), the domain is not a literal. */
bool account_address_is_valid(struct slice address, struct error *error);

/* SIZE as above. False, *octets untouched, if it is none or does not fit. */
bool account_quota_parse(struct slice text, uint64_t *octets);

/* Edits of a file's text. Addresses are as a person writes them. */

/* quota: SIZE as written, or empty. ERROR_EXISTS if the account is there. */
bool accounts_text_add(struct slice old, struct slice address, struct slice verifier,
                       struct slice quota, struct buffer *text, struct error *error);

/* ERROR_NOT_FOUND if there is no such account. The SCRAM verifier of the old password stays, but is
 * ignored, until accounts_text_set() replaces it. */
bool accounts_text_set_verifier(struct slice old, struct slice address, struct slice verifier,
                                struct buffer *text, struct error *error);

/* setting: NAME=VALUE as in the file replaces the present value; NAME= removes it. It is not
 * checked: accounts_parse() does that. */
bool accounts_text_set(struct slice old, struct slice address, struct slice setting,
                       struct buffer *text, struct error *error);
bool accounts_text_remove(struct slice old, struct slice address, struct buffer *text,
                          struct error *error);

#endif
