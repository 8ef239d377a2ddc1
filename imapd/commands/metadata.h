/* What other commands have of GETMETADATA. imapd-mailbox. */
#ifndef IMAPD_COMMANDS_METADATA_H
#define IMAPD_COMMANDS_METADATA_H

#include "common/error.h"
#include "imapd/syntax/metadata.h"

struct session;

/* Writes the response for that folder (name: ours, UTF-8; empty: the server), as metadata_write()
 * has it. */
bool metadata_tell(struct session *session, const char *directory, struct slice name,
                   const struct metadata_request *request, uint64_t *longest, struct error *error);

/* The new folder gets the annotations of the other; a failure is logged. */
void metadata_copy(struct session *session, const char *from, const char *to);

/* Who may do what in that folder was changed: what was private to accounts that may do nothing
 * there any more is dropped; a failure is logged. */
void metadata_on_rights(struct session *session, const char *directory);

#endif
