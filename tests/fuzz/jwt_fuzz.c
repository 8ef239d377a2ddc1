/* Access tokens: none is right whose signature nobody made; what is read of JSON lies in the text.
 */
#include <stdlib.h>

#include "common/auth/jwt.h"
#include "common/json_read.h"

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
    const struct jwt_policy policy = {"i", "a", "email", 1700000000};
    struct slice text = slice_of(octets, size);
    struct buffer account = BUFFER_WITH_LIMIT(512);
    struct json_value value, member;
    struct error error;
    require(!jwt_check(text, slice_of_string(keys), &policy, &account, &error));
    require(!jwt_check(SLICE("a.b.c"), text, &policy, &account, &error));
    if (json_parse(text, &value)) {
        require(value.text.len <= size);
        if (json_member(&value, "a", &member))
            require(member.text.ptr >= octets && member.text.len <= size);
    }
    buffer_clear(&account);
    return 0;
}
