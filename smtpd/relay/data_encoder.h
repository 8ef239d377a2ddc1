/*
 * A message as DATA wants it, RFC 5321 4.5.2: a dot before each dot at the beginning of a line, and
 * nothing but CRLF ends a line. A bare CR or LF becomes CRLF: what one server takes for data, the
 * next may take for the end of it (request smuggling). Nothing is copied: runs of the input are
 * handed on as they are, the additions between them. Pure; relay.
 */
#ifndef SMTPD_RELAY_DATA_ENCODER_H
#define SMTPD_RELAY_DATA_ENCODER_H

#include "common/slice.h"

typedef void data_emit(void *owner, struct slice octets);

struct data_encoder {
    data_emit *emit; /* its slices are good during the call */
    void *owner;
    bool within_line; /* a line has begun and not ended */
    bool after_cr;    /* a CR was the last octet; it was not handed on yet */
};

void data_encoder_init(struct data_encoder *encoder, data_emit *emit, void *owner);

/* The next octets of the message, in pieces of any length. */
void data_encoder_write(struct data_encoder *encoder, struct slice octets);

/* The message is over: CRLF if its last line had none, then the dot. */
void data_encoder_end(struct data_encoder *encoder);

#endif
