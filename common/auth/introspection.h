/*
 * Asking a token's server whether it is still good, and whose it is (RFC 7662), by the role
 * `fetch`: from the loop of `auth`, which reads neither the network nor what comes back. As with
 * smtpd/fetch/fetch_client.h the master starts fetch when it is asked; one that dies is asked again
 * once. `auth`.
 *
 * And what was found out counts for a while: a client that opens five connections asks once. As
 * with proofs (proof.h) nothing can be read out of what is kept but the name; only grants are.
 */
#ifndef COMMON_AUTH_INTROSPECTION_H
#define COMMON_AUTH_INTROSPECTION_H

#include "common/auth/introspection_protocol.h"
#include "common/role/questions.h"
#include "common/role/role.h"

struct introspection_cache;

struct introspections {
    struct role *role;
    struct questions questions;
    bool called; /* the master was told that fetch is wanted; none has come since */
    struct introspection_cache *cache;
};

/* False: no memory. sodium_init() was called. */
bool introspections_init(struct introspections *introspections, struct role *role,
                         struct error *error);
/* What was granted by the configuration of before counts no more. */
void introspections_reload(struct introspections *introspections);

/* said: 1, the server's JSON; 0, why there is none. Good during the call. */
typedef void introspected_call(void *owner, bool said, struct slice text);

enum { INTROSPECTIONS_MAX = 256 }; /* under way */

/* `answered` is called once, never before this returns, in oauth.introspection-timeout or a second
 * more. False: it is not: no memory, or too many are under way. */
bool introspections_ask(struct introspections *introspections, struct slice token,
                        introspected_call *answered, void *owner);

/* Whose that token was, not longer ago than the configuration allows. Empty: not known. Borrowed
 * until the next call of any of these. */
struct slice introspections_find(const struct introspections *introspections, struct slice token);
/* until: of struct check_token_answer. */
void introspections_remember(struct introspections *introspections, struct slice token,
                             struct slice name, int64_t until);

/* For role_spec: the rule of the link to ROLE_FETCH, and its channel's coming and going. */
enum { INTROSPECTION_RULES = 1 };
extern const struct ipc_rule introspection_rules[INTROSPECTION_RULES];
void introspections_up(struct introspections *introspections, struct role_peer *peer);
void introspections_down(struct introspections *introspections, struct role_peer *peer);

#endif
