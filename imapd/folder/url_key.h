/*
 * What makes the URLs of a mailbox right (URLAUTH, RFC 4467 2): its access key, in a file beside
 * its messages, and the tokens that follow from it. Without a key none of its URLs is right.
 * Blocking file I/O; imapd-mailbox.
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

/* The token of a URL up to ":internal:", in hexadecimal digits, for the mailbox with that name on
 * disk, whose key is made if it has none. ERROR_NOT_FOUND: there is no such mailbox. */
bool url_key_sign(const struct mailbox *mailbox, const char *directory, struct slice rump,
                  char token[URL_TOKEN_SIZE], struct error *error);

/* Whether it is that. */
bool url_key_verify(const struct mailbox *mailbox, const char *directory, struct slice rump,
                    struct slice token);

/* No URL of before is right any more; durable. Of one mailbox, or of all. */
bool url_key_reset(const struct mailbox *mailbox, const char *directory, struct error *error);
bool url_key_reset_all(struct mailbox *mailbox, struct error *error);

#endif
