/*
 * A folder's rights from Dovecot: the file "dovecot-acl", one line for each identifier,
 *
 *     user=bob@example.org lrs
 *     -user=carol@example.org w
 *     authenticated l
 *
 * `user=`, `anyone` and `authenticated` are used, with single letters. `owner` is ignored: the
 * owner has all rights here. Groups and rights with long names are not supported; a line with one
 * grants nothing. Pure.
 */
#ifndef STORAGE_FOREIGN_FOREIGN_ACL_H
#define STORAGE_FOREIGN_FOREIGN_ACL_H

#include "storage/acl.h"

/* Adds the rights in the text. A user without a domain is in the owner's domain. */
void foreign_acl_parse(struct slice text, struct slice owner, struct acl *acl);

#endif
