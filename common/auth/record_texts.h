/*
 * The texts behind a record's struct: they follow each other without a gap, in the order of the
 * lengths that the struct says. Pure; whoever reads records of auth_protocol.h.
 */
#ifndef COMMON_AUTH_RECORD_TEXTS_H
#define COMMON_AUTH_RECORD_TEXTS_H

#include "common/role/ipc.h"

/* Cuts what lies behind the first `fixed` octets of the record into `count` texts, borrowed from
 * the packet. ERROR_PEER if the lengths are not exactly what is there. */
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
