/*
 * Signs and verifies URLs of a mailbox (URLAUTH, RFC 4467 2): its access key, in a file in its
 * directory, and the tokens derived from it. Without a key no URL of the mailbox is valid. Blocking
 * file I/O; imapd-mailbox.
 */
#ifndef IMAPD_FOLDER_URL_KEY_H
#define IMAPD_FOLDER_URL_KEY_H

#include "common/error.h"
#include "common/slice.h"

struct mailbox;

enum {
    URL_KEY_OCTETS = 32,
    URL_TOKEN_OCTETS = 16, /* RFC 4467 2: at least 128 bits */
    URL_TOKEN_SIZE = 2 * URL_TOKEN_OCTETS + 1,
};

/* The token, in hexadecimal digits, of a URL up to ":internal:", for the mailbox in this directory;
 * makes a key if there is none. ERROR_NOT_FOUND: there is no such mailbox. */
bool url_key_sign(const struct mailbox *mailbox, const char *directory, struct slice rump,
                  char token[URL_TOKEN_SIZE], struct error *error);

/* Whether `token` is the token of that URL. */
bool url_key_verify(const struct mailbox *mailbox, const char *directory, struct slice rump,
                    struct slice token);

/* Invalidates all earlier URLs of one mailbox, or of all; durable. */
bool url_key_reset(const struct mailbox *mailbox, const char *directory, struct error *error);
bool url_key_reset_all(struct mailbox *mailbox, struct error *error);

#endif
