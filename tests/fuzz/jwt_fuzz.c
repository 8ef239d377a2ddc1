/* Access tokens: none is right whose signature nobody made. */
#include <stdlib.h>

#include "common/auth/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t size)
{
    /* RFC 8037 appendix A.2 */
    static const char keys[] = "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
                               "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";
    const struct jwt_policy policy = {
        .issuer = "i", .audience = "a", .claim = "email", .now = 1700000000};
    struct slice text = slice_of(octets, size);
    struct buffer account = BUFFER_WITH_LIMIT(512);
    struct error error;
    require(!jwt_check(text, slice_of_string(keys), &policy, &account, &error));
    require(!jwt_check(SLICE("a.b.c"), text, &policy, &account, &error));
    buffer_clear(&account);
    return 0;
}
