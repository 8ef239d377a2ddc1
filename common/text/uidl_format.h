/*
 * Dovecot's setting pop3_uidl_format: how it made the unique-ids (RFC 1939 7) of mail that was
 * taken over from it. Text with variables: %u the UID, %v the UIDVALIDITY, %f the name of the file
 * without flags, %g the GUID, %% a percent sign; before the letter of a number may stand a width,
 * with zeros in front if it begins with 0, and X for hexadecimal. Pure; any process.
 */
#ifndef COMMON_TEXT_UIDL_FORMAT_H
#define COMMON_TEXT_UIDL_FORMAT_H

#include "common/buffer.h"

#define UIDL_FORMAT_DOVECOT "%08Xu%08Xv" /* Dovecot's own default */

struct uidl_facts {
    uint32_t uidvalidity;
    uint32_t uid;
    struct slice base; /* the file's name without flags */
    struct slice guid;
};

/* False: a variable or modifier that is none of those. */
bool uidl_format_is_valid(struct slice format);

/* Appends the unique-id; the format is a valid one. */
void uidl_format_apply(struct slice format, const struct uidl_facts *facts, struct buffer *uidl);

#endif
