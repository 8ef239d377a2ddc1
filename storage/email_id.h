/*
 * EMAILID (RFC 8474 5.1), which all copies of a message share: an identifier derived from the first
 * name of its file, and kept in the names of copied and moved files:
 *
 *     <seconds>.C<16 hexadecimal digits>E<24 hexadecimal digits>.<host>
 *     <seconds>.Q<queue id>R<recipient number>E<24 hexadecimal digits>.<host>    (expunged.h)
 *
 * Pure; mailbox and maildrop.
 */
#ifndef STORAGE_EMAIL_ID_H
#define STORAGE_EMAIL_ID_H

#include "storage/maildir_name.h"

enum { EMAIL_ID_DIGITS = 24, EMAIL_ID_SIZE = 1 + EMAIL_ID_DIGITS + 1 };

/* "M" and the digits, with a NUL. */
void email_id_format(const struct maildir_name *name, char id[EMAIL_ID_SIZE]);

/* Appends "E" and the digits to a unique part as above that has room for them. */
void email_id_append(const struct maildir_name *name, char unique[MAILDIR_UNIQUE_MAX + 1]);

#endif
