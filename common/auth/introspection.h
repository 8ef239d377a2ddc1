/*
 * Token introspection (RFC 7662): asks the server that issued an access token whether it is still
 * valid and for which account. `auth` neither speaks HTTP nor parses the answer: it asks the role
 * `fetch`, which the master starts on demand. If fetch dies, the question is asked once more.
 *
 * Granted tokens are cached, so that a client with five connections causes one question. As with
 * proofs (proof.h) the cache has a keyed hash of the token, never the token. Only `auth` uses this.
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
    bool called; /* MASTER_WANTED was sent, and no fetch has connected since */
    struct introspection_cache *cache;
};

/* After sodium_init(). False: no memory. */
bool introspections_init(struct introspections *introspections, struct role *role,
                         struct error *error);
/* Empties the cache: its grants are of the previous configuration. */
void introspections_reload(struct introspections *introspections);

/* The answer to introspections_ask(). `said`: `text` is the server's JSON; else it says why there
 * is none. `text` is valid during the call. */
typedef void introspected_call(void *owner, bool said, struct slice text);

enum { INTROSPECTIONS_MAX = 256 }; /* questions under way at the same time */

/* Calls `answered` exactly once, never before this returns, after oauth.introspection-timeout and a
 * second at the latest. False, and it is never called: no memory, or too many questions are under
 * way. */
bool introspections_ask(struct introspections *introspections, struct slice token,
                        introspected_call *answered, void *owner);

/* The account of a cached token. Empty: not in the cache, or too old by the configuration. Borrowed
 * until the next call of any function here. */
struct slice introspections_find(const struct introspections *introspections, struct slice token);
/* `until`: as in struct check_token_answer. */
void introspections_remember(struct introspections *introspections, struct slice token,
                             struct slice name, int64_t until);

/* For role_spec: the rules of the channel to ROLE_FETCH, and what to call when it connects or dies.
 */
enum { INTROSPECTION_RULES = 1 };
extern const struct ipc_rule introspection_rules[INTROSPECTION_RULES];
void introspections_up(struct introspections *introspections, struct role_peer *peer);
void introspections_down(struct introspections *introspections, struct role_peer *peer);

#endif
