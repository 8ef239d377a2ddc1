/* Loading and refreshing of the directory; see directory.h. */
#include "common/auth/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "common/auth/canonical.h"
#include "common/auth/resolve.h"
#include "common/disk/fd.h"

enum { ARENA_MAX = 16 << 20 };

int directory_open_by_path(void *context, enum descriptor_purpose purpose, uint32_t index,
                           const char *path, struct error *error)
{
    (void)context;
    (void)purpose;
    (void)index;
    struct slice text = slice_of_string(path);
    const uint8_t *slash = memrchr(text.ptr, '/', text.len);
    char parent[4096] = ".";
    size_t len = slash ? (size_t)(slash - text.ptr) : 0;
    if (len >= sizeof(parent)) {
        error_set(error, ERROR_PERMANENT, "path too long");
        return -1;
    }
    if (slash)
        snprintf(parent, sizeof(parent), "%.*s", len ? (int)len : 1, path);
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        error_errno(error, "open directory %s", parent);
    return fd;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* --- One file -------------------------------------------------------------------------------- */

/* Where files are opened while the directory is loaded. */
struct opening {
    const struct directory_means *means;
    struct directory *directory;
};

/* Where a symbolic link of that name leads: its directory and the name there. *dir_fd is the
 * caller's in any case. False: it is no link. */
static bool follow_link(int *dir_fd, char name[NAME_MAX + 1])
{
    char target[PATH_MAX];
    ssize_t len = readlinkat(*dir_fd, name, target, sizeof(target) - 1);
    if (len <= 0)
        return false;
    target[len] = '\0';
    char *slash = strrchr(target, '/');
    const char *base = slash ? slash + 1 : target;
    if (strlen(base) > NAME_MAX)
        return false;
    memcpy(name, base, strlen(base) + 1);
    if (!slash)
        return true;
    slash[1] = '\0';
    int fd = openat(*dir_fd, target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fd_discard(dir_fd);
    *dir_fd = fd;
    return fd >= 0;
}

/* Once, before the sandbox, in which a link out of the directory leads nowhere. */
static const char *follow_links(struct arena *arena, int *dir_fd, const char *base)
{
    enum { LINKS_MAX = 10 };
    char name[NAME_MAX + 1];
    if (strlen(base) > NAME_MAX)
        return NULL;
    memcpy(name, base, strlen(base) + 1);
    for (int i = 0; i < LINKS_MAX && follow_link(dir_fd, name); i++)
        continue;
    return arena_copy_string(arena, slice_of_string(name));
}

static bool open_file(const struct opening *opening, enum descriptor_purpose purpose, size_t index,
                      const char *path, struct directory_file *file, struct error *error)
{
    if (!path)
        return true;
    file->path = arena_copy_string(&opening->directory->arena, slice_of_string(path));
    if (!file->path)
        return error_memory(error);
    int fd = opening->means->opener(opening->means->context, purpose, (uint32_t)index, path, error);
    if (fd < 0)
        return false;
    const char *name = follow_links(&opening->directory->arena, &fd, base_name(path));
    shared_file_init(&file->file, fd, name ? name : "");
    return (fd >= 0 && name)
           || error_set(error, ERROR_PERMANENT, "%s: a link that leads nowhere", path);
}

static void close_file(struct directory_file *file)
{
    shared_file_clear(&file->file);
    fd_discard(&file->file.dir_fd);
}

/* What one kind of file is read into. `take` replaces the old content only on success. */
struct reader {
    bool (*take)(struct directory *directory, void *target, struct buffer *text,
                 struct error *error);
    void *target;
};

static bool take_accounts(struct directory *directory, void *target, struct buffer *text,
                          struct error *error)
{
    (void)directory;
    struct directory_source *source = target;
    struct accounts fresh;
    accounts_init(&fresh);
    if (!accounts_parse(&fresh, text, error))
        return false;
    accounts_clear(&source->accounts);
    source->accounts = fresh;
    return true;
}

bool directory_try_aliases(struct directory *directory, struct directory_domain *domain,
                           struct slice text, struct error *error)
{
    struct address_map fresh;
    struct address_map old = domain->aliases;
    address_map_init(&fresh);
    if (!address_map_parse(&fresh, text, error))
        return false;
    domain->aliases = fresh;
    if (!resolve_check_aliases(directory, domain, error)) {
        address_map_clear(&domain->aliases);
        domain->aliases = old;
        return false;
    }
    address_map_clear(&old);
    return true;
}

static bool take_aliases(struct directory *directory, void *target, struct buffer *text,
                         struct error *error)
{
    return directory_try_aliases(directory, target, buffer_slice(text), error);
}

static bool take_senders(struct directory *directory, void *target, struct buffer *text,
                         struct error *error)
{
    (void)target;
    struct address_map fresh;
    address_map_init(&fresh);
    if (!address_map_parse(&fresh, buffer_slice(text), error))
        return false;
    address_map_clear(&directory->senders);
    directory->senders = fresh;
    return true;
}

static enum shared_file_news look(struct directory *directory, struct directory_file *file,
                                  const struct reader *reader, struct error *error)
{
    struct buffer text = BUFFER_WITH_LIMIT(SHARED_FILE_MAX);
    enum shared_file_news news = shared_file_look(&file->file, &text, error);
    if (news == SHARED_FILE_CHANGED && !reader->take(directory, reader->target, &text, error)) {
        error_prefix(error, "%s", file->path);
        news = SHARED_FILE_FAILED;
    }
    buffer_clear(&text);
    return news;
}

/* --- All of them ----------------------------------------------------------------------------- */

static bool load_sources(const struct opening *opening, const struct config *config,
                         struct error *error)
{
    struct directory *directory = opening->directory;
    for (size_t i = 0; i < config->accounts_count; i++) {
        const struct config_accounts *section = &config->accounts[i];
        struct directory_source *source = &directory->sources[i];
        source->source = section->source;
        source->quota_octets = section->quota_octets;
        source->mailbox =
            arena_copy_string(&directory->arena, slice_of_string(section->mailbox.text));
        if (!source->mailbox)
            return error_memory(error);
        if (section->source == CONFIG_SOURCE_FILE
            && !open_file(opening, DESCRIPTOR_ACCOUNTS, i, section->file.text, &source->file,
                          error))
            return false;
    }
    return true;
}

/* A name alone is an account, as at a login: of the first domain. */
static bool load_catch_all(struct directory *directory, const char *written,
                           struct directory_domain *domain, struct error *error)
{
    struct slice address;
    struct canonical full;
    if (!written)
        return true;
    if (!address_map_address(slice_of_string(written), &directory->arena, &address, error))
        return error_prefix(error, "catch-all");
    struct slice of = canonical_domain(address);
    if (canonical_local_part(address).len == 0
        || !canonical_join(canonical_local_part(address),
                           of.len > 0 ? of : directory->domains[0].name, &full))
        return error_set(error, ERROR_PERMANENT, "catch-all: name one address");
    domain->catch_all.address = arena_copy(&directory->arena, canonical_text(&full));
    return domain->catch_all.address.ptr ? address_map_exact(
               slice_of_string(written), &directory->arena, &domain->catch_all.exact, error)
                                         : error_memory(error);
}

static bool load_domains(const struct opening *opening, const struct config *config,
                         struct error *error)
{
    struct directory *directory = opening->directory;
    for (size_t i = 0; i < config->domain_count; i++) {
        const struct config_domain *section = &config->domains[i];
        struct directory_domain *domain = &directory->domains[i];
        domain->name = arena_copy(&directory->arena, slice_of_string(section->name));
        if (!domain->name.ptr)
            return error_memory(error);
        if (!load_catch_all(directory, section->catch_all.text, domain, error))
            return false;
        if (!open_file(opening, DESCRIPTOR_ALIASES, i, section->aliases.text, &domain->file, error))
            return false;
    }
    return true;
}

static bool make_room(struct directory *directory, const struct config *config, struct error *error)
{
    arena_init(&directory->arena, ARENA_MAX);
    address_map_init(&directory->senders);
    shared_file_init(&directory->senders_file.file, -1, NULL);
    directory->expansion_limit = config->limits.alias_expansion;
    directory->sources =
        arena_alloc_array(&directory->arena, config->accounts_count, sizeof(*directory->sources));
    directory->domains =
        arena_alloc_array(&directory->arena, config->domain_count, sizeof(*directory->domains));
    if (!directory->sources || !directory->domains)
        return error_memory(error);
    for (size_t i = 0; i < config->accounts_count; i++) {
        accounts_init(&directory->sources[i].accounts);
        shared_file_init(&directory->sources[i].file.file, -1, NULL);
    }
    for (size_t i = 0; i < config->domain_count; i++) {
        address_map_init(&directory->domains[i].aliases);
        shared_file_init(&directory->domains[i].file.file, -1, NULL);
    }
    directory->source_count = config->accounts_count;
    directory->domain_count = config->domain_count;
    return true;
}

static bool has_pam(const struct config *config)
{
    for (size_t i = 0; i < config->accounts_count; i++)
        if (config->accounts[i].source == CONFIG_SOURCE_PAM)
            return true;
    return false;
}

/* Calls `each` for every file there is, accounts first: whether an alias goes in circles can depend
 * on them. False as soon as `each` says so. */
struct walk {
    bool (*each)(struct directory *directory, struct directory_file *file,
                 const struct reader *reader, void *context);
    void *context;
};

static bool walk_files(struct directory *directory, const struct walk *walk)
{
    for (size_t i = 0; i < directory->source_count; i++) {
        struct reader reader = {take_accounts, &directory->sources[i]};
        if (directory->sources[i].file.path
            && !walk->each(directory, &directory->sources[i].file, &reader, walk->context))
            return false;
    }
    for (size_t i = 0; i < directory->domain_count; i++) {
        struct reader reader = {take_aliases, &directory->domains[i]};
        if (directory->domains[i].file.path
            && !walk->each(directory, &directory->domains[i].file, &reader, walk->context))
            return false;
    }
    struct reader reader = {take_senders, NULL};
    return !directory->senders_file.path
           || walk->each(directory, &directory->senders_file, &reader, walk->context);
}

static bool read_first(struct directory *directory, struct directory_file *file,
                       const struct reader *reader, void *context)
{
    return look(directory, file, reader, context) == SHARED_FILE_CHANGED;
}

/* Once more when all are there: a circle may go through the files of two domains, or through the
 * configuration's catch-all. */
static bool check_domains(const struct directory *directory, struct error *error)
{
    for (size_t i = 0; i < directory->domain_count; i++)
        if (!resolve_check_aliases(directory, &directory->domains[i], error))
            return error_prefix(error, "aliases of %.*s", SLICE_PRINTF(directory->domains[i].name));
    return true;
}

static bool load_all(const struct opening *opening, const struct config *config,
                     struct error *error)
{
    struct directory *directory = opening->directory;
    if (!make_room(directory, config, error) || !load_sources(opening, config, error)
        || !load_domains(opening, config, error))
        return false;
    if (!open_file(opening, DESCRIPTOR_SENDERS, 0, config->submission.sender_map.text,
                   &directory->senders_file, error))
        return false;
    if (has_pam(config)) {
        directory->system_users = system_users_new(opening->means->look_up, error);
        if (!directory->system_users)
            return false;
    }
    struct walk walk = {read_first, error};
    return walk_files(directory, &walk) && check_domains(directory, error);
}

bool directory_load(struct directory *directory, const struct config *config,
                    const struct directory_means *means, struct error *error)
{
    *directory = (struct directory){0};
    struct opening opening = {means, directory};
    if (load_all(&opening, config, error))
        return true;
    directory_clear(directory);
    return false;
}

void directory_clear(struct directory *directory)
{
    for (size_t i = 0; i < directory->source_count; i++) {
        close_file(&directory->sources[i].file);
        accounts_clear(&directory->sources[i].accounts);
    }
    for (size_t i = 0; i < directory->domain_count; i++) {
        close_file(&directory->domains[i].file);
        address_map_clear(&directory->domains[i].aliases);
    }
    if (directory->source_count) {
        close_file(&directory->senders_file);
        address_map_clear(&directory->senders);
    }
    system_users_free(directory->system_users);
    arena_clear(&directory->arena);
    *directory = (struct directory){0};
}

struct refreshing {
    directory_listener *listener;
    void *context;
};

static bool read_again(struct directory *directory, struct directory_file *file,
                       const struct reader *reader, void *context)
{
    const struct refreshing *refreshing = context;
    struct directory_news news = {.file = file->path};
    enum shared_file_news found = look(directory, file, reader, &news.error);
    news.refused = found == SHARED_FILE_FAILED;
    if (found != SHARED_FILE_SAME)
        refreshing->listener(refreshing->context, &news);
    return true;
}

void directory_refresh(struct directory *directory, directory_listener *listener, void *context)
{
    struct refreshing refreshing = {listener, context};
    struct walk walk = {read_again, &refreshing};
    walk_files(directory, &walk);
}

/* --- Questions ------------------------------------------------------------------------------- */

const struct directory_domain *directory_find_domain(const struct directory *directory,
                                                     struct slice name)
{
    for (size_t i = 0; i < directory->domain_count; i++)
        if (slice_equal(directory->domains[i].name, name))
            return &directory->domains[i];
    return NULL;
}

static bool find_system_user(const struct directory *directory, struct slice name, uint64_t now_ms,
                             struct directory_account *account, struct error *error)
{
    struct slice local = canonical_local_part(name);
    struct slice domain = canonical_domain(name);
    if (domain.len > 0 && !directory_find_domain(directory, domain))
        return error_set(error, ERROR_NOT_FOUND, "not a domain of ours");
    account->file = NULL;
    account->name = local;
    return system_users_find(directory->system_users, local, now_ms, &account->user, error);
}

bool directory_find_account(const struct directory *directory, struct slice name, uint64_t now_ms,
                            struct directory_account *account, struct error *error)
{
    for (size_t i = 0; i < directory->source_count; i++) {
        const struct directory_source *source = &directory->sources[i];
        struct error reason;
        account->source = i;
        if (source->source == CONFIG_SOURCE_FILE) {
            account->file = accounts_find(&source->accounts, name);
            account->name = name;
            if (account->file)
                return true;
        } else if (find_system_user(directory, name, now_ms, account, &reason)) {
            return true;
        } else if (reason.kind != ERROR_NOT_FOUND) {
            if (error)
                *error = reason;
            return false;
        }
    }
    return error_set(error, ERROR_NOT_FOUND, "no such account");
}

static int format_path(const struct directory *directory, const struct directory_account *account,
                       char path[MASTER_PATH_MAX + 1])
{
    if (account->file)
        return snprintf(path, MASTER_PATH_MAX + 1, "%.*s/%.*s/Maildir",
                        SLICE_PRINTF(canonical_domain(account->name)),
                        SLICE_PRINTF(canonical_local_part(account->name)));
    return snprintf(path, MASTER_PATH_MAX + 1, "%s/%s", account->user.home + strlen("/"),
                    directory->sources[account->source].mailbox + strlen("~/"));
}

bool directory_find_home(const struct directory *directory, const struct directory_account *account,
                         struct master_home *home, char path[MASTER_PATH_MAX + 1],
                         struct error *error)
{
    const struct directory_source *source = &directory->sources[account->source];
    int needed = format_path(directory, account, path);
    if (needed < 0 || needed > MASTER_PATH_MAX || account->name.len > MASTER_ACCOUNT_MAX)
        return error_set(error, ERROR_PERMANENT, "the path of the mailbox is too long");
    uint64_t quota_octets = account->file && account->file->quota_octets
                                ? account->file->quota_octets
                                : source->quota_octets;
    *home = (struct master_home){
        .place = account->file ? (uint32_t)account->source : (uint32_t)PLACE_FILESYSTEM,
        .uid = account->file ? source->uid : account->user.uid,
        .gid = account->file ? source->gid : account->user.gid,
        .account_octets = (uint32_t)account->name.len,
        .path_octets = (uint32_t)needed,
        .retrieved = account->file ? account->file->retrieved : (uint32_t)RETRIEVED_AS_CONFIGURED,
        .quota_octets = quota_octets == ACCOUNT_QUOTA_NONE ? 0 : quota_octets,
    };
    return true;
}
