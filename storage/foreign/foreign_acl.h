/*
 * The rights that a folder had at Dovecot: "dovecot-acl", a line an identifier,
 *
 *     user=bob@example.org lrs
 *     -user=carol@example.org w
 *     authenticated l
 *
 * Taken are `user=`, `anyone` and `authenticated`, with single letters. `owner` needs nothing: he
 * has all rights here. Groups and rights with long names are not known here, and nobody gets a
 * right by a line with one. Pure.
 */
#ifndef STORAGE_FOREIGN_FOREIGN_ACL_H
#define STORAGE_FOREIGN_FOREIGN_ACL_H

#include "storage/acl.h"

/* Adds what the text gives. A user without a domain is one of the owner's. */
void foreign_acl_parse(struct slice text, struct slice owner, struct acl *acl);

#endif
