/* Whatever stands as a verifier is judged without a hash of unbounded price being made. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "common/auth/password.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t count)
{
    struct slice verifier = slice_of(octets, count);
    enum password_kind kind = password_kind(verifier);
    assert(kind != PASSWORD_ARGON2ID || count <= PASSWORD_VERIFIER_MAX);
    assert((kind == PASSWORD_LOCKED) <= (count > 0 && octets[0] == '!'));
    bool right = true;
    struct error error;
    if (kind != PASSWORD_ARGON2ID)
        assert(password_verify(SLICE("x"), verifier, &right, &error) == (kind == PASSWORD_LOCKED)
               && !right);
    return 0;
}
