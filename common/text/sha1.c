/* SHA-1; see sha1.h. Pure. */
#include "common/text/sha1.h"

#include "common/size.h"

static uint32_t rotate(uint32_t word, unsigned bits)
{
    return word << bits | word >> (32 - bits);
}

/* RFC 3174 5 */
static uint32_t mix(size_t round, uint32_t b, uint32_t c, uint32_t d)
{
    if (round < 20)
        return ((b & c) | (~b & d)) + 0x5a827999U;
    if (round < 40)
        return (b ^ c ^ d) + 0x6ed9eba1U;
    if (round < 60)
        return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdcU;
    return (b ^ c ^ d) + 0xca62c1d6U;
}

static void spread(const uint8_t block[SHA1_BLOCK], uint32_t words[80])
{
    for (size_t i = 0; i < 16; i++)
        words[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16
                   | (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (size_t i = 16; i < 80; i++)
        words[i] = rotate(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
}

/* RFC 3174 6.1 */
static void take_block(struct sha1 *sha1, const uint8_t block[SHA1_BLOCK])
{
    uint32_t words[80];
    uint32_t a = sha1->h[0], b = sha1->h[1], c = sha1->h[2], d = sha1->h[3], e = sha1->h[4];
    spread(block, words);
    for (size_t i = 0; i < 80; i++) {
        uint32_t next = rotate(a, 5) + mix(i, b, c, d) + e + words[i];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    sha1->h[0] += a;
    sha1->h[1] += b;
    sha1->h[2] += c;
    sha1->h[3] += d;
    sha1->h[4] += e;
}

void sha1_init(struct sha1 *sha1)
{
    *sha1 = (struct sha1){.h = {0x67452301U, 0xefcdab89U, 0x98badcfeU, 0x10325476U, 0xc3d2e1f0U}};
}

void sha1_update(struct sha1 *sha1, struct slice octets)
{
    while (octets.len > 0) {
        size_t filled = sha1->octets % SHA1_BLOCK, taken = SHA1_BLOCK - filled;
        if (taken > octets.len)
            taken = octets.len;
        memcpy(sha1->block + filled, octets.ptr, taken);
        sha1->octets += taken;
        octets = slice_from(octets, taken);
        if (sha1->octets % SHA1_BLOCK == 0)
            take_block(sha1, sha1->block);
    }
}

void sha1_final(struct sha1 *sha1, uint8_t digest[SHA1_OCTETS])
{
    static const uint8_t padding[SHA1_BLOCK] = {0x80};
    uint64_t bits = sha1->octets * 8;
    size_t filled = sha1->octets % SHA1_BLOCK;
    uint8_t length[8];
    for (size_t i = 0; i < sizeof(length); i++)
        length[i] = (uint8_t)(bits >> (56 - 8 * i));
    sha1_update(sha1, slice_of(padding, filled < 56 ? 56 - filled : 120 - filled));
    sha1_update(sha1, slice_of(length, sizeof(length)));
    for (size_t i = 0; i < SHA1_OCTETS; i++)
        digest[i] = (uint8_t)(sha1->h[i / 4] >> (24 - 8 * (i % 4)));
}
