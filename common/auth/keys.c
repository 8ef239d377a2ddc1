/* The role `keys`; see keys.h. */
#include "common/auth/keys.h"

#include <stdlib.h>

#include <openssl/evp.h>
#include <sodium.h>

#include "common/auth/keys_protocol.h"
#include "common/auth/keys_sign.h"
#include "common/disk/fd.h"
#include "common/size.h"

enum { KEY_FILE_MAX = 65536 };

/* ---- reading ---- */

/* Reserved at once, the buffer never moves: no copy of the key stays in freed memory. */
static EVP_PKEY *read_key(int fd, struct error *error)
{
    struct buffer pem = BUFFER_WITH_LIMIT(KEY_FILE_MAX);
    EVP_PKEY *key = NULL;
    if (!buffer_reserve(&pem, KEY_FILE_MAX))
        error_memory(error);
    else if (fd_read_all(fd, &pem, error))
        key = keys_parse_private_key(buffer_slice(&pem), error);
    if (pem.ptr)
        sodium_memzero(pem.ptr, pem.capacity);
    buffer_clear(&pem);
    return key;
}

/* A key that cannot be used takes nothing from the others. */
static void take_key(struct keys *keys, struct role *role, uint32_t index)
{
    struct error error = {0};
    int fd = role_take_file(role, DESCRIPTOR_KEY, index);
    if (fd >= 0)
        keys->keys[index].key = read_key(fd, &error);
    else
        error_set(&error, ERROR_TEMPORARY, "the file was not given");
    fd_discard(&fd);
    if (!keys->keys[index].key)
        LOG(&role->log, LOG_ERROR, "key_unusable",
            log_text("certificate", role->config.certificates[index].name), log_failure(&error));
}

static bool prepare(struct role *role, struct error *error)
{
    struct keys *keys = role->state;
    /* Before the sandbox: OpenSSL must not look for its configuration later. */
    if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, NULL) != 1)
        return error_set(error, ERROR_TEMPORARY, "OpenSSL does not start");
    keys->count = role->config.certificate_count;
    keys->keys = calloc(keys->count + 1, sizeof(keys->keys[0]));
    if (!keys->keys)
        return error_memory(error);
    for (size_t i = 0; i < keys->count; i++)
        take_key(keys, role, (uint32_t)i);
    return true;
}

/* ---- answering ---- */

static bool sign(const struct keys *keys, const struct keys_sign *question, uint8_t *signature,
                 size_t *octets, struct error *error)
{
    if (question->certificate >= keys->count || !keys->keys[question->certificate].key)
        return error_set(error, ERROR_TEMPORARY, "no key for certificate %u",
                         question->certificate);
    struct slice message = slice_of(question + 1, question->message_octets);
    return keys_sign_message(keys->keys[question->certificate].key, question->scheme, message,
                             signature, octets, error);
}

static bool answer(struct role_peer *peer, uint64_t request, struct slice signature,
                   struct error *error)
{
    struct keys_signature record = {.header = {.type = KEYS_SIGNATURE, .request = request},
                                    .octets = (uint32_t)signature.len};
    return ipc_send_record(&peer->channel, &record.header, sizeof(record), signature, error);
}

static bool refuse(struct role_peer *peer, uint64_t request, struct error *error)
{
    struct keys_no_signature record = {.header = {.type = KEYS_NO_SIGNATURE, .request = request}};
    return ipc_send_record(&peer->channel, &record.header, sizeof(record), slice_of(NULL, 0),
                           error);
}

static bool on_sign(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *peer = owner;
    const struct keys_sign *question = packet->record;
    if (packet->length != sizeof(*question) + question->message_octets)
        return error_set(error, ERROR_PEER, "length of KEYS_SIGN");
    uint8_t signature[KEYS_SIGNATURE_MAX];
    size_t octets = 0;
    struct error why = {0};
    if (sign(peer->role->state, question, signature, &octets, &why))
        return answer(peer, question->header.request, slice_of(signature, octets), error);
    if (why.kind == ERROR_PEER) {
        *error = why;
        return false;
    }
    LOG(&peer->role->log, LOG_ERROR, "not_signed", log_text("peer", role_kind_name(peer->kind)),
        log_failure(&why));
    return refuse(peer, question->header.request, error);
}

static const struct ipc_rule questions[] = {
    {KEYS_SIGN, sizeof(struct keys_sign) + 1, sizeof(struct keys_sign) + KEYS_MESSAGE_MAX, 0,
     on_sign},
};

static const struct role_link links[] = {
    {ROLE_SMTP, questions, ARRAY_LENGTH(questions)},
    {ROLE_SUBMISSION, questions, ARRAY_LENGTH(questions)},
    {ROLE_IMAP_LOGIN, questions, ARRAY_LENGTH(questions)},
    {ROLE_POP3_LOGIN, questions, ARRAY_LENGTH(questions)},
};

/* ---- ending ---- */

/* Askers that were replaced by a reload still have handshakes to finish. */
static void stop(struct role *role)
{
    if (!role->peers)
        role_exit(role);
}

static void peer_down(struct role_peer *peer)
{
    if (peer->role->stopping)
        stop(peer->role);
}

const struct role_spec keys_role = {
    .sandbox = {.calls = SANDBOX_LOOP, .files = SANDBOX_NO_FILES},
    .links = links,
    .link_count = ARRAY_LENGTH(links),
    .prepare = prepare,
    .peer_down = peer_down,
    .stop = stop,
};
