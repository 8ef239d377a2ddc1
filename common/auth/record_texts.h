/*
 * The texts after a record's struct: they follow each other without gaps, in the order of the
 * lengths in the struct. Pure; for all readers of auth_protocol.h's records.
 */
#ifndef COMMON_AUTH_RECORD_TEXTS_H
#define COMMON_AUTH_RECORD_TEXTS_H

#include "common/role/ipc.h"

/* Splits the octets after the first `fixed` ones of the record into `count` texts, borrowed from
 * the packet. ERROR_PEER if the lengths do not add up to exactly these octets. */
static inline bool record_texts(const struct ipc_packet *packet, size_t fixed,
                                const uint32_t *lengths, struct slice *texts, size_t count,
                                struct error *error)
{
    struct slice rest = ipc_packet_tail(packet, fixed);
    for (size_t i = 0; i < count; i++) {
        if (lengths[i] > rest.len)
            return error_set(error, ERROR_PEER, "a text longer than its record");
        texts[i] = slice_range(rest, 0, lengths[i]);
        rest = slice_from(rest, lengths[i]);
    }
    return rest.len == 0 || error_set(error, ERROR_PEER, "%zu octets behind the texts", rest.len);
}

#endif
