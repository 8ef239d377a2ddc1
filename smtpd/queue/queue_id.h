/*
 * The name of a message from its first RCPT to the end of its history: in each log line, in
 * Received, in the 250 reply, in the file name in the Maildir. A number of 64 bits: 10 of the place
 * that owns the queue, 10 of the place's epoch, 44 that count. No two messages ever have the same.
 *
 * As text 13 characters, four for place and epoch, nine for the count, in the base32 of Crockford:
 * digits and capitals without I, L, O and U, so that it survives a telephone and any file system.
 * Pure; any process.
 */
#ifndef SMTPD_QUEUE_QUEUE_ID_H
#define SMTPD_QUEUE_QUEUE_ID_H

#include "common/slice.h"

enum {
    QUEUE_ID_TEXT = 13,                /* characters */
    QUEUE_ID_SIZE = QUEUE_ID_TEXT + 1, /* with the NUL */
    QUEUE_ID_COUNT_BITS = 44,
    QUEUE_ID_PLACE_MAX = 1023,
    QUEUE_ID_EPOCH_MAX = 1023,
};

#define QUEUE_ID_COUNT_MAX ((UINT64_C(1) << QUEUE_ID_COUNT_BITS) - 1)

/* All three within their bits. */
uint64_t queue_id_make(unsigned place, unsigned epoch, uint64_t count);

/* Writes the text with its NUL and returns it. */
const char *queue_id_format(uint64_t id, char text[QUEUE_ID_SIZE]);

/* Takes small letters too, for people who type. False, *id untouched, for anything else. */
bool queue_id_parse(struct slice text, uint64_t *id);

#endif
