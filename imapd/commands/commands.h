/*
 * The handlers in command_table.c, grouped by source file; their type is explained in
 * imapd/session/session.h. imapd-mailbox.
 */
#ifndef IMAPD_COMMANDS_COMMANDS_H
#define IMAPD_COMMANDS_COMMANDS_H

#include "imapd/session/session.h"

/* any_state.c: RFC 3501 6.1 */
command_handler command_capability;
command_handler command_noop;
command_handler command_logout;
command_handler command_check;

command_handler command_enable; /* enable.c: RFC 5161 */
/* Enables the extensions in `arguments` without answering: another process answers. */
void enable_quietly(struct session *session, struct imap_parser arguments);
command_handler command_id;        /* id.c: RFC 2971 */
command_handler command_namespace; /* namespace.c: RFC 2342 */
command_handler command_idle;      /* idle.c: RFC 2177 */
/* Resumes the IDLE of a session that was hibernating. */
void command_idle_again(struct session *session, struct slice tag);
command_handler command_notify;         /* notify.c: RFC 5465 */
command_handler command_compress;       /* compress.c: RFC 4978 */
command_handler command_unauthenticate; /* unauthenticate.c: RFC 8437 */

/* select.c: RFC 3501 6.3.1, 6.3.2, 6.4.2, RFC 3691 */
command_handler command_select;
command_handler command_examine;
command_handler command_close;
command_handler command_unselect;

command_handler command_list; /* list.c: RFC 3501 6.3.8, RFC 5258, 5819, 6154 */

/* subscribe.c: RFC 3501 6.3.6, 6.3.7, 6.3.9 */
command_handler command_lsub;
command_handler command_subscribe;
command_handler command_unsubscribe;

/* mailboxes.c: RFC 3501 6.3.3 to 6.3.5, RFC 6154 3 */
command_handler command_create;
command_handler command_delete;
command_handler command_rename;

command_handler command_status; /* status.c: RFC 3501 6.3.10 */

/* quota.c: RFC 9208 */
command_handler command_getquota;
command_handler command_getquotaroot;
command_handler command_setquota;

/* metadata.c: RFC 5464 */
command_handler command_getmetadata;
command_handler command_setmetadata;

/* acl.c: RFC 4314 */
command_handler command_myrights;
command_handler command_getacl;
command_handler command_setacl;
command_handler command_deleteacl;
command_handler command_listrights;

/* append.c: RFC 3501 6.3.11, RFC 3502, RFC 8508 */
command_handler command_append;
command_handler command_replace;
literal_handler command_append_literal;
literal_handler command_replace_literal;
octets_handler command_append_octets; /* of both */

/* urlauth.c: RFC 4467 7 */
command_handler command_genurlauth;
command_handler command_urlfetch;
command_handler command_resetkey;

command_handler command_fetch;        /* fetch.c: RFC 3501 6.4.5, 6.4.8 */
command_handler command_store;        /* store.c: RFC 3501 6.4.6 */
command_handler command_cancelupdate; /* search.c: RFC 5267 4.3.5 */
command_handler command_search;       /* search.c: RFC 3501 6.4.4 */
command_handler command_sort;         /* search.c: RFC 5256 3 */
command_handler command_thread;       /* search.c: RFC 5256 3 */
command_handler command_uidbatches;   /* uidbatches.c */
command_handler command_esearch;      /* multisearch.c: RFC 7377 */
/* Whether an ESEARCH with these arguments concerns the selected mailbox only. */
bool esearch_is_of_selected(struct imap_parser arguments);
command_handler command_expunge; /* expunge.c: RFC 3501 6.4.3, RFC 4315 2.1 */

/* copy.c: RFC 3501 6.4.7, RFC 4315 3, RFC 6851 */
command_handler command_copy;
command_handler command_move;

#endif
