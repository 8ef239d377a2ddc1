/*
 * SHA-1, RFC 3174: for SCRAM-SHA-1 alone, where what it is weak at does not matter (RFC 6194 2.3:
 * HMAC). libsodium has none, and not all users of this link OpenSSL. Pure; any process.
 */
#ifndef COMMON_TEXT_SHA1_H
#define COMMON_TEXT_SHA1_H

#include "common/slice.h"

enum { SHA1_OCTETS = 20, SHA1_BLOCK = 64 };

struct sha1 {
    uint32_t h[5];
    uint64_t octets; /* so far */
    uint8_t block[SHA1_BLOCK];
};

void sha1_init(struct sha1 *sha1);
void sha1_update(struct sha1 *sha1, struct slice octets);
void sha1_final(struct sha1 *sha1, uint8_t digest[SHA1_OCTETS]);

#endif
