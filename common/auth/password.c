/* Argon2id verifiers; see password.h. Blocks. */
#include "common/auth/password.h"

#include <errno.h>

#include <sodium.h>
#include <stringprep.h>

#include "common/text/cursor.h"

enum {
    PASSES = 2,
    MEMORY_OCTETS = 19 << 20,
    /* What somebody else's verifier may ask for: a login must not take the machine's memory. */
    MOST_KIBIBYTES = 256 << 10,
    MOST_PASSES = 32,
    MOST_LANES = 16,
    FEWEST_SALT_CHARACTERS = 11, /* 8 octets in base64, the least of RFC 9106 3.1 */
    FEWEST_HASH_CHARACTERS = 22, /* 16 octets */
    /* SASLprep composes (NFKC), which lengthens no text by more than this. */
    PREPARED_MAX = 3 * PASSWORD_MAX + 1,
};

_Static_assert((int)PASSWORD_VERIFIER_MAX + 1 == crypto_pwhash_STRBYTES, "libsodium's own size");

static bool take_bounded(struct cursor *in, struct slice name, uint64_t least, uint64_t most)
{
    uint64_t value;
    return cursor_skip_nocase(in, name) && cursor_take_number(in, &value) && value >= least
           && value <= most;
}

static bool is_base64(uint8_t octet)
{
    return ascii_is_alpha(octet) || ascii_is_digit(octet) || octet == '+' || octet == '/';
}

static size_t skip_base64(struct cursor *in)
{
    struct cursor start = *in;
    while (in->at != in->end && is_base64(*in->at))
        in->at++;
    return cursor_since(in, &start).len;
}

/* "$argon2id$v=19$m=" memory ",t=" passes ",p=" lanes "$" salt "$" hash, salt and hash in base64
 * without padding */
static bool is_argon2id(struct slice verifier)
{
    struct cursor in = cursor_of(verifier);
    return verifier.len <= PASSWORD_VERIFIER_MAX
           && slice_starts_with(verifier, SLICE("$argon2id$v=19$m="))
           && take_bounded(&in, SLICE("$argon2id$v=19$m="), 8, MOST_KIBIBYTES)
           && take_bounded(&in, SLICE(",t="), 1, MOST_PASSES)
           && take_bounded(&in, SLICE(",p="), 1, MOST_LANES) && cursor_skip(&in, '$')
           && skip_base64(&in) >= FEWEST_SALT_CHARACTERS && cursor_skip(&in, '$')
           && skip_base64(&in) >= FEWEST_HASH_CHARACTERS && cursor_at_end(&in);
}

enum password_kind password_kind(struct slice verifier)
{
    bool locked = verifier.len > 0 && verifier.ptr[0] == '!';
    struct slice behind = slice_from(verifier, locked ? 1 : 0);
    if (locked && (behind.len == 0 || is_argon2id(behind)))
        return PASSWORD_LOCKED;
    return !locked && is_argon2id(verifier) ? PASSWORD_ARGON2ID : PASSWORD_MALFORMED;
}

/* The caller's array holds the result, which borrows from it or is the password itself. */
static struct slice prepare(struct slice password, char prepared[PREPARED_MAX])
{
    /* A text with a NUL in it would be judged, and cut, by the part before. */
    if (memchr(password.ptr, '\0', password.len))
        return password;
    memcpy(prepared, password.ptr, password.len);
    prepared[password.len] = '\0';
    if (stringprep(prepared, PREPARED_MAX, STRINGPREP_NO_UNASSIGNED, stringprep_saslprep)
            != STRINGPREP_OK
        || prepared[0] == '\0')
        return password;
    return slice_of_string(prepared);
}

static bool is_usable(struct slice password)
{
    return password.len > 0 && password.len <= PASSWORD_MAX;
}

bool password_hash(struct slice password, char verifier[PASSWORD_VERIFIER_MAX + 1],
                   struct error *error)
{
    if (!is_usable(password))
        return error_set(error, ERROR_PERMANENT, "a password has 1 to %d octets, this one %zu",
                         PASSWORD_MAX, password.len);
    char prepared[PREPARED_MAX];
    struct slice text = prepare(password, prepared);
    int failed = crypto_pwhash_str_alg(verifier, (const char *)text.ptr, text.len, PASSES,
                                       MEMORY_OCTETS, crypto_pwhash_ALG_ARGON2ID13);
    sodium_memzero(prepared, sizeof(prepared));
    return failed ? error_errno(error, "hash password") : true;
}

bool password_verify(struct slice password, struct slice verifier, bool *right, struct error *error)
{
    *right = false;
    enum password_kind kind = password_kind(verifier);
    if (kind == PASSWORD_MALFORMED)
        return error_set(error, ERROR_PERMANENT, "the stored password is no Argon2id string");
    if (kind == PASSWORD_LOCKED || !is_usable(password))
        return true;
    char terminated[PASSWORD_VERIFIER_MAX + 1] = {0};
    memcpy(terminated, verifier.ptr, verifier.len);
    char prepared[PREPARED_MAX];
    struct slice text = prepare(password, prepared);
    errno = 0;
    *right = crypto_pwhash_str_verify(terminated, (const char *)text.ptr, text.len) == 0;
    /* It answers -1 for a wrong password (EINVAL) and for no memory (another errno). */
    int code = errno;
    sodium_memzero(prepared, sizeof(prepared));
    errno = code;
    return *right || code == EINVAL ? true : error_errno(error, "verify password");
}
