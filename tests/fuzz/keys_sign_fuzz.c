/* The messages that a captured network process may put before `keys`. The first two octets are the
 * scheme, the rest the message: whatever they are, only a TLS server's handshake is signed. */
#include <stdlib.h>

#include <openssl/ec.h>
#include <openssl/evp.h>

#include "common/auth/keys_protocol.h"
#include "common/auth/keys_sign.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool has_form_of_handshake(struct slice message)
{
    static const char context[] = "TLS 1.3, server CertificateVerify";
    if (message.len == 64 + sizeof(context) + 32 || message.len == 64 + sizeof(context) + 48)
        return message.ptr[0] == ' ' && memcmp(message.ptr + 64, context, sizeof(context)) == 0;
    return message.len > 68 && message.ptr[64] == 3 && message.ptr[67] == message.len - 68;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static EVP_PKEY *key;
    if (!key)
        key = EVP_EC_gen("P-256");
    if (size < 2 || !key)
        return 0;
    struct slice message = slice_of(data + 2, size - 2);
    uint8_t signature[KEYS_SIGNATURE_MAX];
    size_t octets = 0;
    enum keys_message kind;
    bool known = keys_recognise(message, &kind);
    if (known && (!has_form_of_handshake(message) || message.len > KEYS_MESSAGE_MAX))
        abort();
    bool made = keys_sign_message(key, (uint16_t)(data[0] << 8 | data[1]), message, signature,
                                  &octets, NULL);
    if (made && (!known || octets == 0 || octets > KEYS_SIGNATURE_MAX))
        abort();
    return 0;
}
