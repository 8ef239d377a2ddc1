/*
 * Rights to the folders of this account (RFC 4314 4). The owner may do everything; a visitor, the
 * client of another account, may do what the folder's ACL grants (storage/acl.h) at the time of
 * each command. Only this process, the owner's, decides. imapd-mailbox.
 */
#ifndef IMAPD_SHARED_RIGHTS_H
#define IMAPD_SHARED_RIGHTS_H

#include "common/role/master_protocol.h"
#include "imapd/session/session.h"
#include "storage/acl.h"

struct mailbox;

/* The client of a session that is not the owner, or that comes from another account's process
 * (imapd/shared/carry.h). The master names its account. */
struct visitor {
    char account[MASTER_ACCOUNT_MAX + 1];
    char top[MASTER_ACCOUNT_MAX + 102]; /* what he calls this account: "Shared/alice@example.org" */
};

/* From malloc(). NULL: no memory, or sharing is not configured. */
struct visitor *visitor_new(const struct mailbox *mailbox, struct slice account);

/* The owner's name for a mailbox, given the client's name for it. */
struct slice rights_name_at_home(const struct session *session, struct slice name);

/* Appends the client's name for a mailbox, given the owner's; nothing for an empty name. */
void rights_append_name(const struct session *session, struct slice name, struct buffer *called);

/* The account of a client that is not the owner; empty: the client is the owner. */
struct slice rights_guest(const struct session *session);

/* The client's rights to a folder (enum acl_right). ERROR_NOT_FOUND: there is no such folder. */
bool rights_find(const struct session *session, const char *directory, unsigned *rights,
                 struct error *error);

/* Whether the client has all of these rights. False: the command was ended with NO; if the client
 * may not even look the mailbox up, with the answer for a mailbox that does not exist. */
bool rights_suffice(struct session *session, const char *directory, unsigned needed);

/* Whether the client has some of these rights; *rights receives those it has. */
bool rights_suffice_some(struct session *session, const char *directory, unsigned some,
                         unsigned *rights);

/* Whether the visitor may use this command now. False: it was answered. */
bool rights_let_run(struct session *session, const struct command_spec *spec);

/* To be called when rights to a folder have changed: cuts the session of every visitor that has it
 * selected and may no longer read it, and discards its unsent output. Later commands are checked
 * anew. */
void rights_on_change(struct session *by, const char *directory);

/* The flags that a client with these rights may not change: enum view_fixed. */
unsigned rights_fix(unsigned rights);
uint32_t rights_changeable_flags(unsigned rights); /* the others: enum maildir_flag */

/* The client's rights to the selected folder, without any response; 0: they cannot be read. */
unsigned rights_to_selected(const struct session *session);

#endif
