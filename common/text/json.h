/*
 * JSON as it is written here, RFC 8259: strings of whatever octets, and members of objects. Pure;
 * any process. Failure is the buffer's.
 */
#ifndef COMMON_TEXT_JSON_H
#define COMMON_TEXT_JSON_H

#include "common/buffer.h"

/* A string with its quotes. What is not UTF-8 is taken as Latin-1: the text stays JSON whatever a
 * peer wrote. */
void json_string(struct buffer *out, struct slice text);

/* ,"name":"value" */
void json_field(struct buffer *out, const char *name, struct slice value);

#endif
