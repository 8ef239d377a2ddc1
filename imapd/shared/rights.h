/*
 * Who may do what in this account (RFC 4314 4). Its owner may do everything; a visitor, the client
 * of another account of the house, what the folder's list gives that account (storage/acl.h), as it
 * is at each command. This process is the owner's: nobody else judges. imapd-mailbox.
 */
#ifndef IMAPD_SHARED_RIGHTS_H
#define IMAPD_SHARED_RIGHTS_H

#include "common/role/master_protocol.h"
#include "imapd/session/session.h"
#include "storage/acl.h"

struct mailbox;

/* Of a session whose client is not the owner, or comes by way of another account's mailbox
 * (imapd/shared/carry.h). Who he is the master has said. */
struct visitor {
    char account[MASTER_ACCOUNT_MAX + 1];
    char top[MASTER_ACCOUNT_MAX + 102]; /* what he calls this account: "Shared/alice@example.org" */
};

/* NULL: no memory, or nothing can be shared here. From malloc(). */
struct visitor *visitor_new(const struct mailbox *mailbox, struct slice account);

/* What the owner calls the mailbox that the client calls so. */
struct slice rights_name_at_home(const struct session *session, struct slice name);

/* The inverse, appended; of no name, nothing. */
void rights_append_name(const struct session *session, struct slice name, struct buffer *called);

/* Whose client it is, if not the owner's; empty: his. */
struct slice rights_guest(const struct session *session);

/* enum acl_right. ERROR_NOT_FOUND: there is no such folder. */
bool rights_find(const struct session *session, const char *directory, unsigned *rights,
                 struct error *error);

/* The client has all of these rights there. False: the command was ended with NO; to who may not
 * even look it up there is no such mailbox. */
bool rights_suffice(struct session *session, const char *directory, unsigned needed);

/* The same of some of these, of which *rights has those that he has. */
bool rights_suffice_some(struct session *session, const char *directory, unsigned some,
                         unsigned *rights);

/* The visitor may use that command now. False: it was answered. */
bool rights_let_run(struct session *session, const struct command_spec *spec);

/* Rights to that folder have changed: of who has it selected and may not read it any more nothing
 * that was read for him, and waits, is sent; his session here is cut. Commands that begin later are
 * judged anew. */
void rights_on_change(struct session *by, const char *directory);

/* Which flags such rights leave as they are: enum view_fixed, and what that is as flags of storage.
 */
unsigned rights_fix(unsigned rights);
uint32_t rights_changeable_flags(unsigned rights); /* enum maildir_flag */

/* Of the selected folder, without a word; nothing where they cannot be found. */
unsigned rights_to_selected(const struct session *session);

#endif
