/* Rewritten senders; see srs.h. */
#include "common/auth/srs.h"

#include <sodium.h>

#include "common/text/address.h"
#include "common/text/cursor.h"

enum {
    HASH_LETTERS = 6, /* of five bits: a guess in a thousand million */
    DAY_LETTERS = 2,
    DAYS_COUNTED = 1024, /* then they begin anew */
    SECONDS_OF_DAY = 86400,
    TAG_OCTETS = 5, /* "SRS0=" */
};

static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";

/* --- Hashes and days -------------------------------------------------------------------------- */

static void compute_hash(const struct srs_key *key, struct slice text, char hash[HASH_LETTERS])
{
    static const uint8_t purpose[] = "srs";
    uint8_t mac[crypto_generichash_BYTES];
    crypto_generichash_state state;
    crypto_generichash_init(&state, key->octets, sizeof(key->octets), sizeof(mac));
    crypto_generichash_update(&state, purpose, sizeof(purpose));
    for (size_t i = 0; i < text.len; i++) {
        uint8_t lower = ascii_lower(text.ptr[i]); /* somebody on the way may fold letters */
        crypto_generichash_update(&state, &lower, 1);
    }
    crypto_generichash_final(&state, mac, sizeof(mac));
    for (size_t i = 0; i < HASH_LETTERS; i++)
        hash[i] = letters[mac[i] & 31];
}

static bool is_hash_of(const struct srs_key *key, struct slice hash, struct slice text)
{
    char right[HASH_LETTERS];
    uint8_t different = 0;
    compute_hash(key, text, right);
    if (hash.len != HASH_LETTERS)
        return false;
    for (size_t i = 0; i < HASH_LETTERS; i++)
        different |= (uint8_t)(ascii_lower(hash.ptr[i]) ^ (uint8_t)right[i]);
    return different == 0;
}

static unsigned day_of(int64_t now)
{
    return (unsigned)((uint64_t)now / SECONDS_OF_DAY % DAYS_COUNTED);
}

static bool parse_day(struct slice text, unsigned *day)
{
    *day = 0;
    for (size_t i = 0; i < text.len; i++) {
        const char *at = memchr(letters, ascii_lower(text.ptr[i]), sizeof(letters) - 1);
        if (!at)
            return false;
        *day = *day * 32 + (unsigned)(at - letters);
    }
    return text.len == DAY_LETTERS;
}

/* --- Local parts ------------------------------------------------------------------------------ */

static bool has_tag(struct slice local_part, struct slice tag)
{
    return local_part.len > TAG_OCTETS
           && slice_equal_nocase(slice_range(local_part, 0, tag.len), tag)
           && (local_part.ptr[tag.len] == '=' || local_part.ptr[tag.len] == '+'
               || local_part.ptr[tag.len] == '-');
}

bool srs_is_claimed(struct slice local_part)
{
    return has_tag(local_part, SLICE("SRS0")) || has_tag(local_part, SLICE("SRS1"));
}

/* The text before the next '=', which is skipped. */
static bool take_word(struct slice *text, struct slice *word)
{
    size_t end = slice_find_octet(*text, '=');
    *word = slice_range(*text, 0, end);
    bool found = end < text->len && end > 0;
    *text = slice_from(*text, end + 1);
    return found;
}

/* Tag, hash and what is hashed; all within the limit of a local part. */
static bool append_hashed(const struct srs_key *key, const char *tag, struct slice hashed,
                          const char *domain, struct buffer *out)
{
    char hash[HASH_LETTERS];
    if (TAG_OCTETS + HASH_LETTERS + 1 + hashed.len > ADDRESS_LOCAL_PART_LIMIT)
        return false;
    compute_hash(key, hashed, hash);
    buffer_append_string(out, tag);
    buffer_append(out, slice_of(hash, sizeof(hash)));
    buffer_append_octet(out, '=');
    buffer_append(out, hashed);
    buffer_append_octet(out, '@');
    buffer_append_string(out, domain);
    return true;
}

/* --- Forward ---------------------------------------------------------------------------------- */

/* tt=domain=local */
static void describe_first(const struct address *address, int64_t now, struct buffer *text)
{
    unsigned day = day_of(now);
    buffer_append_octet(text, (uint8_t)letters[day / 32]);
    buffer_append_octet(text, (uint8_t)letters[day % 32]);
    buffer_append_octet(text, '=');
    buffer_append(text, address->domain);
    buffer_append_octet(text, '=');
    buffer_append(text, address->local_part);
}

/* first=SEPARATOR rest: of another's SRS0 the separator belongs to what only he understands. */
static bool describe_next(const struct address *address, struct buffer *text)
{
    struct slice rest = slice_from(address->local_part, TAG_OCTETS);
    struct slice hash;
    if (has_tag(address->local_part, SLICE("SRS0"))) {
        buffer_append(text, address->domain);
        buffer_append_octet(text, '=');
        buffer_append(text, slice_from(address->local_part, TAG_OCTETS - 1));
        return true;
    }
    if (!take_word(&rest, &hash))
        return false;
    buffer_append(text, rest);
    return true;
}

bool srs_forward(const struct srs_key *key, struct slice reverse_path, const char *domain,
                 int64_t now, struct buffer *out)
{
    struct address address;
    struct buffer text = BUFFER_WITH_LIMIT(ADDRESS_LIMIT);
    if (!address_parse_mailbox(reverse_path, &address, NULL) || address.local_part.ptr[0] == '"'
        || address.host != ADDRESS_HOST_DOMAIN)
        return false;
    bool again = srs_is_claimed(address.local_part);
    bool described = true;
    if (again)
        described = describe_next(&address, &text);
    else
        describe_first(&address, now, &text);
    bool done = described && !text.failed
                && append_hashed(key, again ? "SRS1=" : "SRS0=", buffer_slice(&text), domain, out);
    buffer_clear(&text);
    return done;
}

/* --- Back ------------------------------------------------------------------------------------- */

/* An address that was put together: as it must be to go out. */
static bool finish(struct buffer *text, struct buffer *out, struct error *error)
{
    struct address address;
    bool valid = !text->failed && address_parse_mailbox(buffer_slice(text), &address, NULL);
    if (valid)
        buffer_append(out, buffer_slice(text));
    buffer_clear(text);
    return valid || error_set(error, ERROR_PERMANENT, "no address of ours is behind it");
}

static bool reverse_first(struct slice rest, int64_t now, struct buffer *out, struct error *error)
{
    struct buffer text = BUFFER_WITH_LIMIT(ADDRESS_LIMIT);
    struct slice day_text;
    struct slice domain;
    unsigned day;
    if (!take_word(&rest, &day_text) || !parse_day(day_text, &day) || !take_word(&rest, &domain))
        return error_set(error, ERROR_PERMANENT, "no address of ours is behind it");
    if ((day_of(now) - day) % DAYS_COUNTED > SRS_DAYS)
        return error_set(error, ERROR_PERMANENT, "it was good for %d days", SRS_DAYS);
    buffer_append(&text, rest);
    buffer_append_octet(&text, '@');
    buffer_append(&text, domain);
    return finish(&text, out, error);
}

static bool reverse_next(struct slice rest, struct buffer *out, struct error *error)
{
    struct buffer text = BUFFER_WITH_LIMIT(ADDRESS_LIMIT);
    struct slice domain;
    if (!take_word(&rest, &domain))
        return error_set(error, ERROR_PERMANENT, "no address of ours is behind it");
    buffer_append_string(&text, "SRS0");
    buffer_append(&text, rest);
    buffer_append_octet(&text, '@');
    buffer_append(&text, domain);
    return finish(&text, out, error);
}

bool srs_reverse(const struct srs_key *key, struct slice recipient, int64_t now, struct buffer *out,
                 struct error *error)
{
    struct address address;
    struct slice hash;
    if (!address_parse_mailbox(recipient, &address, NULL) || !srs_is_claimed(address.local_part))
        return error_set(error, ERROR_PERMANENT, "it is no rewritten sender");
    struct slice rest = slice_from(address.local_part, TAG_OCTETS);
    if (!take_word(&rest, &hash) || !is_hash_of(key, hash, rest))
        return error_set(error, ERROR_PERMANENT, "it was not written here");
    return has_tag(address.local_part, SLICE("SRS0")) ? reverse_first(rest, now, out, error)
                                                      : reverse_next(rest, out, error);
}
