/*
 * The role `keys`: holds the private keys and answers KEYS_SIGN, nothing else. keys_sign.h decides
 * what it signs; a peer that asks for anything else is ended by the master.
 */
#ifndef COMMON_AUTH_KEYS_H
#define COMMON_AUTH_KEYS_H

#include "common/role/role.h"

struct evp_pkey_st;

struct certificate_key {
    struct evp_pkey_st *key; /* NULL: not usable */
};

struct keys {
    struct certificate_key *keys; /* by index of the `certificate` section */
    size_t count;
};

extern const struct role_spec keys_role; /* its state: a zeroed struct keys */

#endif
