/* Asking NSS; see system_lookup.h. */
#include "common/auth/system_lookup.h"

#include <errno.h>
#include <pwd.h>
#include <unistd.h>

enum {
    FIRST_UID = 1000, /* UID_MIN of Debian's login.defs */
    NOBODY_UID = 65534,
    ENTRY_OCTETS = 16384, /* what a line of passwd may be long */
};

typedef bool condition(const struct passwd *entry);

static bool may_have_mail(const struct passwd *entry)
{
    return entry->pw_uid >= FIRST_UID && entry->pw_uid != NOBODY_UID;
}

static bool is_self(const struct passwd *entry)
{
    return entry->pw_uid == geteuid();
}

/* False where his home is no directory of his own ("/", or nothing). */
static bool copy_user(const struct passwd *entry, struct system_user *user)
{
    struct slice name = slice_of_string(entry->pw_name);
    struct slice home = slice_of_string(entry->pw_dir);
    while (home.len > 0 && home.ptr[home.len - 1] == '/')
        home.len--;
    if (home.len == 0 || home.len >= sizeof(user->home) || home.ptr[0] != '/'
        || name.len >= sizeof(user->name))
        return false;
    *user = (struct system_user){.uid = entry->pw_uid, .gid = entry->pw_gid};
    memcpy(user->name, name.ptr, name.len);
    memcpy(user->home, home.ptr, home.len);
    return true;
}

/* getpwnam(3): "not found" has many numbers, depending on the module. */
static bool means_not_found(int code)
{
    return code == 0 || code == ENOENT || code == ESRCH || code == EBADF || code == EPERM;
}

static bool find_named(const char *name, condition *fits, struct system_user *user,
                       struct error *error)
{
    char memory[ENTRY_OCTETS];
    struct passwd entry;
    struct passwd *found = NULL;
    int code = getpwnam_r(name, &entry, memory, sizeof(memory), &found);
    if (!found && !means_not_found(code))
        return error_set(error, ERROR_TEMPORARY, "look up system user: %s", strerrordesc_np(code));
    if (found && strcmp(found->pw_name, name) == 0 && fits(found) && copy_user(found, user))
        return true;
    return error_set(error, ERROR_NOT_FOUND, "no system user with mail has that name");
}

static bool find_first(condition *fits, struct system_user *user, struct error *error)
{
    char memory[ENTRY_OCTETS];
    struct passwd entry;
    struct passwd *found = NULL;
    struct system_user candidate;
    uint32_t lowest = UINT32_MAX;
    setpwent();
    while (getpwent_r(&entry, memory, sizeof(memory), &found) == 0) {
        if (!fits(&entry) || entry.pw_uid >= lowest || !copy_user(&entry, &candidate))
            continue;
        lowest = entry.pw_uid;
        *user = candidate;
    }
    endpwent();
    return lowest < UINT32_MAX || error_set(error, ERROR_NOT_FOUND, "no system user has mail");
}

static bool find(const char *name, condition *fits, struct system_user *user, struct error *error)
{
    return name[0] ? find_named(name, fits, user, error) : find_first(fits, user, error);
}

bool system_lookup_any(const char *name, struct system_user *user, struct error *error)
{
    return find(name, may_have_mail, user, error);
}

bool system_lookup_self(const char *name, struct system_user *user, struct error *error)
{
    return find(name, is_self, user, error);
}
