/* The question to `keys`; see keys_client.h. Network roles. */
#include "common/auth/keys_client.h"

#include <stdalign.h>
#include <time.h>

#include "common/auth/keys_protocol.h"
#include "common/disk/fd.h"

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool ask(struct keys_client *client, uint32_t certificate, uint16_t scheme,
                struct slice message, struct error *error)
{
    struct keys_sign question = {
        .header = {.type = KEYS_SIGN, .request = ++client->request},
        .certificate = certificate,
        .scheme = scheme,
        .message_octets = (uint16_t)message.len,
    };
    struct ipc_message record = {.head = &question.header,
                                 .head_octets = sizeof(question),
                                 .tail = &message,
                                 .tail_count = 1};
    return ipc_send_blocking(client->fd, &record, error);
}

static bool read_answer(const struct ipc_packet *packet, uint8_t *signature, size_t *octets,
                        struct error *error)
{
    const struct keys_signature *answer = packet->record;
    if (answer->header.type == KEYS_NO_SIGNATURE)
        return error_set(error, ERROR_TEMPORARY, "no signature from keys");
    if (answer->header.type != KEYS_SIGNATURE || packet->length < sizeof(*answer)
        || answer->octets > KEYS_SIGNATURE_MAX
        || packet->length != sizeof(*answer) + answer->octets)
        return error_set(error, ERROR_PEER, "malformed answer of keys");
    memcpy(signature, (const uint8_t *)packet->record + sizeof(*answer), answer->octets);
    *octets = answer->octets;
    return true;
}

bool keys_client_sign(void *owner, uint32_t certificate, uint16_t scheme, struct slice message,
                      uint8_t *signature, size_t *octets, struct error *error)
{
    struct keys_client *client = owner;
    if (client->fd < 0)
        return error_set(error, ERROR_TEMPORARY, "keys is not running");
    if (message.len > KEYS_MESSAGE_MAX)
        return error_set(error, ERROR_PERMANENT, "too much to be signed");
    if (!ask(client, certificate, scheme, message, error))
        return error_prefix(error, "ask keys");
    /* See on_readable of common/role/ipc.c. */
    alignas(max_align_t) static uint8_t record[IPC_RECORD_MAX];
    int64_t deadline = now_ms() + KEYS_TIMEOUT_MS;
    for (;;) {
        int64_t left = deadline - now_ms();
        struct ipc_packet packet;
        if (!ipc_receive_blocking(client->fd, record, left > 0 ? (int)left : 0, &packet, error))
            return error_prefix(error, "answer of keys");
        for (size_t i = 0; i < packet.descriptor_count; i++)
            fd_discard(&packet.descriptors[i]);
        /* The answer to a question that was given up comes first. */
        if (ipc_packet_header(&packet)->request == client->request)
            return read_answer(&packet, signature, octets, error);
    }
}

static bool drop_late_answer(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)owner;
    (void)packet;
    (void)error;
    return true;
}

const struct ipc_rule keys_client_rules[2] = {
    {KEYS_SIGNATURE, sizeof(struct keys_signature),
     sizeof(struct keys_signature) + KEYS_SIGNATURE_MAX, 0, drop_late_answer},
    {KEYS_NO_SIGNATURE, sizeof(struct keys_no_signature), sizeof(struct keys_no_signature), 0,
     drop_late_answer},
};
