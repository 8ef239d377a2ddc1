/*
 * One header field, with octets above 127 or lines that are too long, as ASCII on folded lines. By
 * what may stand in it:
 *
 *  - Text (Subject, Comments, X-...): the words that need it become encoded words, RFC 2047 5 (1).
 *  - Addresses (From, To and their kin): names and comments likewise, 5 (2) and (3). An address
 *    whose domain alone is international gets A-labels. Another one cannot be written: what it was
 *    is an encoded word, the name of an empty group (RFC 6857 3.1.8, RFC 6854).
 *  - Content-Type, Content-Disposition: downgrade_parameters.h.
 *  - Message-ID, References, In-Reply-To: as text under the name "Downgraded-..." (RFC 6857 3.2),
 *    for no other identifier is the same one.
 *  - What has a grammar and no place for encoded words, Received above all (RFC 2047 5): "=XX" for
 *    an octet; in URIs of lists (RFC 2369) "%XX" (RFC 3986 2.1).
 *
 * A line that is no field gets "=XX". A word that is longer than a line and has no other form is
 * cut by folds. Pure; relay.
 */
#ifndef SMTPD_RELAY_DOWNGRADE_FIELD_H
#define SMTPD_RELAY_DOWNGRADE_FIELD_H

#include "common/mime/header.h"
#include "common/mime/word_writer.h"

/* A line may have so many octets, RFC 5322 2.1.1. */
enum { DOWNGRADE_LINE_OCTETS = 998 };

/* Is there something to be done about these lines? */
bool downgrade_is_needed(struct slice lines);

/* Appends the field with its line end, as it is where nothing needs to be done. Failure is the
 * buffer's. */
void downgrade_field(const struct header_field *field, struct buffer *out);

/* The same of a field that has a name, whether it needs it or not. */
void downgrade_field_anew(const struct header_field *field, struct buffer *out);

/* ---- for downgrade_address.c ---- */

/* A word of more octets hardly fits into a line: it becomes text, where it can. */
enum { DOWNGRADE_WORD_OCTETS = 900 };

/* A word without white space: what needs it becomes text, encoded words in it stay. */
void downgrade_word(struct word_writer *writer, struct slice blank, struct slice word);

#endif
