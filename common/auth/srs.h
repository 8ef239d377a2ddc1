/*
 * The Sender Rewriting Scheme: mail that an alias sends on to another domain leaves with a
 * reverse-path of ours, since the receiver's SPF (RFC 7208) would find that the sender's domain
 * knows nothing of this host. What comes back to such an address is sent on to the sender.
 *
 *   bob@b.example                       SRS0=hhhhhh=tt=b.example=bob@demo.test
 *   SRS0=xxx=tt=b.example=bob@c.example SRS1=hhhhhh=c.example==xxx=tt=b.example=bob@demo.test
 *   SRS1=xxx=c.example==y@d.example     SRS1=hhhhhh=c.example==y@demo.test
 *
 * hhhhhh is a keyed hash of all that follows in any case of letters, so nobody makes us send
 * anything to an address that we never rewrote; tt is the day, good for SRS_DAYS. Of a chain of
 * forwarders the first one is remembered: it looks at the day. Pure; sodium_init() was called. auth
 * reads, queue writes.
 */
#ifndef COMMON_AUTH_SRS_H
#define COMMON_AUTH_SRS_H

#include "common/buffer.h"
#include "common/error.h"

enum {
    SRS_KEY_OCTETS = 32,
    SRS_DAYS = 30, /* longer than anybody keeps trying */
};

struct srs_key {
    uint8_t octets[SRS_KEY_OCTETS];
};

/* Appends the reverse-path to send with. `domain` is ours. False, nothing appended: it cannot be
 * written in the 64 octets that a local part may have (RFC 5321 4.5.3.1.1), is quoted, or is no
 * address at all; then it has to do as it is. */
bool srs_forward(const struct srs_key *key, struct slice reverse_path, const char *domain,
                 int64_t now, struct buffer *out);

/* Whether the local part claims to be such a one, right or not. */
bool srs_is_claimed(struct slice local_part);

/* Appends the address that was rewritten. ERROR_PERMANENT: forged or expired, none appended. */
bool srs_reverse(const struct srs_key *key, struct slice recipient, int64_t now, struct buffer *out,
                 struct error *error);

#endif
