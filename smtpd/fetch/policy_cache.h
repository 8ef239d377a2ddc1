/*
 * The MTA-STS policies that are in force, kept over restarts: a Berkeley DB environment of the role
 * fetch's own, domain -> when it was fetched, until when it counts, its id, its text.
 *
 * What does not fit into POLICY_CACHE_OCTETS is not kept: it is fetched again when it is needed.
 */
#ifndef SMTPD_FETCH_POLICY_CACHE_H
#define SMTPD_FETCH_POLICY_CACHE_H

#include "common/error.h"
#include "smtpd/fetch/sts_policy.h"

struct policy_cache;

enum { POLICY_CACHE_OCTETS = 64 << 20 };

struct cached_policy {
    char id[STS_ID_MAX + 1]; /* of the record that was there when it was fetched */
    uint64_t fetched_s;      /* since 1970 */
    uint64_t expires_s;
    struct buffer text; /* the owner's */
};
#define CACHED_POLICY_INIT                                                                         \
    {                                                                                              \
        .text = BUFFER_WITH_LIMIT(STS_POLICY_MAX)                                                  \
    }

/* In the directory where the process is. A corrupt one is set aside below `corrupt-<time>`. False
 * with ERROR_TEMPORARY too while another process has it. */
bool policy_cache_open(void (*on_message)(void *context, const char *message), void *context,
                       struct policy_cache **cache, struct error *error);
void policy_cache_close(struct policy_cache *cache); /* NULL is fine */

/* False: ERROR_NOT_FOUND, or it cannot be read. Says nothing about whether it still counts. */
bool policy_cache_get(struct policy_cache *cache, struct slice domain, struct cached_policy *policy,
                      struct error *error);

/* On the disk when it returns. */
bool policy_cache_put(struct policy_cache *cache, struct slice domain,
                      const struct cached_policy *policy, struct error *error);

/* Removes what no longer counts; then a checkpoint. */
bool policy_cache_prune(struct policy_cache *cache, uint64_t now_s, struct error *error);

/* False: close it, and open it again. */
bool policy_cache_usable(const struct policy_cache *cache);

#endif
