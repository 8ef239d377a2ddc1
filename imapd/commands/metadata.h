/* The parts of GETMETADATA and SETMETADATA that other commands use. imapd-mailbox. */
#ifndef IMAPD_COMMANDS_METADATA_H
#define IMAPD_COMMANDS_METADATA_H

#include "common/error.h"
#include "imapd/syntax/metadata.h"

struct session;

/* Writes the METADATA response for a folder (`name` in UTF-8; empty: the server), as
 * metadata_write() does. */
bool metadata_tell(struct session *session, const char *directory, struct slice name,
                   const struct metadata_request *request, uint64_t *longest, struct error *error);

/* Copies the annotations of folder `from` to the new folder `to`; a failure is logged. */
void metadata_copy(struct session *session, const char *from, const char *to);

/* To be called when rights to a folder have changed: removes private annotations of accounts that
 * no longer have any right to it; a failure is logged. */
void metadata_on_rights(struct session *session, const char *directory);

#endif
