/*
 * The Sender Rewriting Scheme: mail that an alias forwards to another domain gets a reverse-path in
 * our domain, since the sender's SPF record (RFC 7208) does not authorize this host. Bounces to
 * such an address are forwarded to the original sender.
 *
 *   bob@b.example                       SRS0=hhhhhh=tt=b.example=bob@demo.test
 *   SRS0=xxx=tt=b.example=bob@c.example SRS1=hhhhhh=c.example==xxx=tt=b.example=bob@demo.test
 *   SRS1=xxx=c.example==y@d.example     SRS1=hhhhhh=c.example==y@demo.test
 *
 * hhhhhh is a keyed hash of the rest, without regard to case, so that nobody can make us send to an
 * address that we never rewrote; tt is the day, valid for SRS_DAYS. In a chain of forwarders SRS1
 * names the first one, which checks the day. Pure; after sodium_init(). Queue writes these
 * addresses, auth reads them.
 */
#ifndef COMMON_AUTH_SRS_H
#define COMMON_AUTH_SRS_H

#include "common/buffer.h"
#include "common/error.h"

enum {
    SRS_KEY_OCTETS = 32,
    SRS_DAYS = 30, /* longer than any server retries */
};

struct srs_key {
    uint8_t octets[SRS_KEY_OCTETS];
};

/* Appends the rewritten reverse-path, in our `domain`. False, nothing appended: it would exceed the
 * 64 octets of a local part (RFC 5321 4.5.3.1.1), is quoted, or is not an address; the caller then
 * uses it unchanged. */
bool srs_forward(const struct srs_key *key, struct slice reverse_path, const char *domain,
                 int64_t now, struct buffer *out);

/* Whether the local part has the form of a rewritten one, valid or not. */
bool srs_is_claimed(struct slice local_part);

/* Appends the original address. ERROR_PERMANENT, nothing appended: forged or expired. */
bool srs_reverse(const struct srs_key *key, struct slice recipient, int64_t now, struct buffer *out,
                 struct error *error);

#endif
