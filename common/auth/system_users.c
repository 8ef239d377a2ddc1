/* The cache of system users; see system_users.h. Sets of four by a keyed hash; a new entry replaces
 * the one of its set that expires first. */
#include "common/auth/system_users.h"

#include <stdlib.h>

#include <sodium.h>

enum { SETS = 128, WAYS = 4, LIFETIME_MS = 60 * 1000 };

struct known {
    uint64_t key; /* 0: nothing here */
    uint64_t expires_ms;
    bool exists;
    struct system_user user;
};

struct system_users {
    uint8_t key[crypto_shorthash_KEYBYTES];
    system_user_lookup *look_up;
    bool wants;
    char wanted[SYSTEM_USER_NAME_MAX + 1];
    struct known sets[SETS][WAYS];
};

struct system_users *system_users_new(system_user_lookup *look_up, struct error *error)
{
    struct system_users *users = calloc(1, sizeof(*users));
    if (!users) {
        error_memory(error);
        return NULL;
    }
    randombytes_buf(users->key, sizeof(users->key));
    users->look_up = look_up;
    return users;
}

void system_users_free(struct system_users *users)
{
    free(users);
}

static uint64_t hash(const struct system_users *users, struct slice name)
{
    uint8_t digest[crypto_shorthash_BYTES];
    uint64_t key;
    crypto_shorthash(digest, name.ptr, name.len, users->key);
    memcpy(&key, digest, sizeof(key));
    return key ? key : 1;
}

static const struct known *find_known(const struct system_users *users, uint64_t key,
                                      uint64_t now_ms)
{
    const struct known *set = users->sets[key % SETS];
    for (size_t way = 0; way < WAYS; way++)
        if (set[way].key == key && set[way].expires_ms > now_ms)
            return &set[way];
    return NULL;
}

static bool look_up(struct system_users *users, const char *name, uint64_t now_ms,
                    struct error *error)
{
    struct system_user user;
    struct error reason;
    bool exists = users->look_up(name, &user, &reason);
    if (exists || reason.kind == ERROR_NOT_FOUND) {
        system_users_learn(users, slice_of_string(name), exists ? &user : NULL, now_ms);
        return true;
    }
    if (error)
        *error = reason;
    return false;
}

static bool want(struct system_users *users, const char *name, struct error *error)
{
    users->wants = true;
    memcpy(users->wanted, name, sizeof(users->wanted));
    return error_set(error, ERROR_TEMPORARY, "system user not looked up yet");
}

bool system_users_find(struct system_users *users, struct slice name, uint64_t now_ms,
                       struct system_user *user, struct error *error)
{
    char text[SYSTEM_USER_NAME_MAX + 1] = {0};
    if (name.len > SYSTEM_USER_NAME_MAX)
        return error_set(error, ERROR_NOT_FOUND, "no system user has so long a name");
    if (name.len > 0)
        memcpy(text, name.ptr, name.len);
    uint64_t key = hash(users, name);
    const struct known *known = find_known(users, key, now_ms);
    if (!known) {
        if (!users->look_up)
            return want(users, text, error);
        if (!look_up(users, text, now_ms, error))
            return false;
        known = find_known(users, key, now_ms);
    }
    if (!known || !known->exists)
        return error_set(error, ERROR_NOT_FOUND, "no system user with mail has that name");
    *user = known->user;
    return true;
}

bool system_users_take_wanted(struct system_users *users, char name[SYSTEM_USER_NAME_MAX + 1])
{
    bool wants = users->wants;
    users->wants = false;
    memcpy(name, users->wanted, sizeof(users->wanted));
    return wants;
}

void system_users_learn(struct system_users *users, struct slice name,
                        const struct system_user *user, uint64_t now_ms)
{
    uint64_t key = hash(users, name);
    struct known *set = users->sets[key % SETS];
    struct known *chosen = &set[0];
    for (size_t way = 0; way < WAYS; way++) {
        if (set[way].key == key) {
            chosen = &set[way];
            break;
        }
        if (set[way].expires_ms < chosen->expires_ms)
            chosen = &set[way];
    }
    *chosen =
        (struct known){.key = key, .expires_ms = now_ms + LIFETIME_MS, .exists = user != NULL};
    if (user)
        chosen->user = *user;
}
