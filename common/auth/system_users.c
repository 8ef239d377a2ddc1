/* The cache before NSS; see system_users.h. One place a name, by a keyed hash: whoever comes later
 * takes it. */
#include "common/auth/system_users.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>

#include <sodium.h>

enum {
    PLACES = 512,
    LIFETIME_MS = 60 * 1000,
    FIRST_UID = 1000, /* UID_MIN of Debian's login.defs */
    NOBODY_UID = 65534,
    ENTRY_OCTETS = 16384, /* what a line of passwd may be long */
};

struct place {
    uint64_t key; /* 0: empty */
    uint64_t expires_ms;
    bool exists;
    struct system_user user;
};

struct system_users {
    uint8_t key[crypto_shorthash_KEYBYTES];
    uint32_t only_uid;
    uint64_t first_expires_ms;
    char first[SYSTEM_USER_NAME_MAX + 1]; /* empty: there is none */
    struct place places[PLACES];
};

struct system_users *system_users_new(uint32_t only_uid, struct error *error)
{
    struct system_users *users = calloc(1, sizeof(*users));
    if (!users) {
        error_memory(error);
        return NULL;
    }
    randombytes_buf(users->key, sizeof(users->key));
    users->only_uid = only_uid;
    return users;
}

void system_users_free(struct system_users *users)
{
    free(users);
}

void system_users_forget(struct system_users *users)
{
    for (size_t i = 0; i < PLACES; i++)
        users->places[i].key = 0;
    users->first_expires_ms = 0;
}

static bool may_have_mail(const struct system_users *users, const struct passwd *entry)
{
    if (users->only_uid)
        return entry->pw_uid == users->only_uid;
    return entry->pw_uid >= FIRST_UID && entry->pw_uid != NOBODY_UID;
}

static bool copy_user(const struct passwd *entry, struct system_user *user)
{
    struct slice home = slice_of_string(entry->pw_dir);
    while (home.len > 0 && home.ptr[home.len - 1] == '/')
        home.len--;
    if (home.len == 0 || home.len >= sizeof(user->home) || home.ptr[0] != '/')
        return false; /* a home that is no directory of his own, "/" among them */
    *user = (struct system_user){.uid = entry->pw_uid, .gid = entry->pw_gid};
    memcpy(user->home, home.ptr, home.len);
    return true;
}

static bool look_up(const struct system_users *users, const char *name, struct place *place,
                    struct error *error)
{
    char memory[ENTRY_OCTETS];
    struct passwd entry;
    struct passwd *found = NULL;
    int code = getpwnam_r(name, &entry, memory, sizeof(memory), &found);
    /* getpwnam(3): these too say "not found", depending on the module. */
    if (code != 0 && code != ENOENT && code != ESRCH && code != EBADF && code != EPERM) {
        errno = code;
        error_errno(error, "look up system user");
        if (error)
            error->kind = ERROR_TEMPORARY;
        return false;
    }
    place->exists = found && strcmp(found->pw_name, name) == 0 && may_have_mail(users, found)
                    && copy_user(found, &place->user);
    return true;
}

static struct place *place_of(struct system_users *users, struct slice name, uint64_t *key)
{
    uint8_t digest[crypto_shorthash_BYTES];
    crypto_shorthash(digest, name.ptr, name.len, users->key);
    memcpy(key, digest, sizeof(*key));
    *key |= 1; /* never 0 */
    return &users->places[(*key >> 1) % PLACES];
}

bool system_users_find(struct system_users *users, struct slice name, uint64_t now_ms,
                       struct system_user *user, struct error *error)
{
    uint64_t key;
    struct place *place = place_of(users, name, &key);
    bool known = place->key == key && place->expires_ms > now_ms;
    if (!known) {
        char text[SYSTEM_USER_NAME_MAX + 1] = {0};
        if (name.len == 0 || name.len > SYSTEM_USER_NAME_MAX || memchr(name.ptr, '\0', name.len))
            return error_set(error, ERROR_NOT_FOUND, "no system user has such a name");
        memcpy(text, name.ptr, name.len);
        place->key = 0;
        if (!look_up(users, text, place, error))
            return false;
        place->key = key;
        place->expires_ms = now_ms + LIFETIME_MS;
    }
    if (!place->exists)
        return error_set(error, ERROR_NOT_FOUND, "no system user with mail has that name");
    *user = place->user;
    return true;
}

static void find_first(const struct system_users *users, char name[SYSTEM_USER_NAME_MAX + 1])
{
    char memory[ENTRY_OCTETS];
    struct passwd entry;
    struct passwd *found = NULL;
    uint32_t lowest = UINT32_MAX;
    name[0] = '\0';
    setpwent();
    while (getpwent_r(&entry, memory, sizeof(memory), &found) == 0) {
        struct slice text = slice_of_string(entry.pw_name);
        if (!may_have_mail(users, &entry) || entry.pw_uid >= lowest
            || text.len > SYSTEM_USER_NAME_MAX)
            continue;
        lowest = entry.pw_uid;
        memcpy(name, text.ptr, text.len + 1);
    }
    endpwent();
}

bool system_users_first(struct system_users *users, uint64_t now_ms,
                        char name[SYSTEM_USER_NAME_MAX + 1], struct error *error)
{
    if (users->first_expires_ms <= now_ms) {
        find_first(users, users->first);
        users->first_expires_ms = now_ms + LIFETIME_MS;
    }
    memcpy(name, users->first, sizeof(users->first));
    return name[0] ? true : error_set(error, ERROR_NOT_FOUND, "no system user has mail");
}
