/*
 * Converts a header field with octets above 127 or overlong lines to ASCII on folded lines. By kind
 * of field:
 *
 *  - Text (Subject, Comments, X-...): words that need it become encoded words, RFC 2047 5 (1).
 *  - Addresses (From, To and similar): names and comments become encoded words too, 5 (2) and (3).
 *    An address with only an international domain gets A-labels. An international local part cannot
 *    be written in ASCII: the address becomes an encoded word that names an empty group (RFC 6857
 *    3.1.8, RFC 6854).
 *  - Content-Type, Content-Disposition: downgrade_parameters.h.
 *  - Message-ID, References, In-Reply-To: written as text under the name "Downgraded-..." (RFC 6857
 *    3.2), since a changed identifier would be a different one.
 *  - Structured fields that allow no encoded words, such as Received (RFC 2047 5): "=XX" for an
 *    octet; in URIs of lists (RFC 2369) "%XX" (RFC 3986 2.1).
 *
 * A line that is not a field gets "=XX". A word that is longer than a line and has no other form is
 * split by folds. Pure; relay.
 */
#ifndef SMTPD_RELAY_DOWNGRADE_FIELD_H
#define SMTPD_RELAY_DOWNGRADE_FIELD_H

#include "common/mime/header.h"
#include "common/mime/word_writer.h"

/* The most octets of a line, RFC 5322 2.1.1. */
enum { DOWNGRADE_LINE_OCTETS = 998 };

/* Whether these lines have octets above 127 or are too long. */
bool downgrade_is_needed(struct slice lines);

/* Appends the field with its line end, unchanged if it needs no change. Failure is recorded in the
 * buffer. */
void downgrade_field(const struct header_field *field, struct buffer *out);

/* Rewrites a field that has a name even if it needs no change. */
void downgrade_field_anew(const struct header_field *field, struct buffer *out);

/* ---- for downgrade_address.c ---- */

/* A word of more octets hardly fits into a line: it becomes encoded text where that is allowed. */
enum { DOWNGRADE_WORD_OCTETS = 900 };

/* Writes a word without white space: parts that need it become encoded text, encoded words in it
 * stay. */
void downgrade_word(struct word_writer *writer, struct slice blank, struct slice word);

#endif
