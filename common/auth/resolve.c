/* Expansion of addresses; see resolve.h. Recursive, RESOLVE_DEPTH_MAX deep at most. */
#include "common/auth/resolve.h"

#include "common/auth/canonical.h"

enum { CHECK_ARENA = 8 << 20 };

/* An alias (or the catch-all of a domain) that was met, by its address. */
struct node {
    struct slice address; /* "sales@demo.test", "@demo.test" */
    const struct node *from;
    bool under_way;
    UT_hash_handle hh;
};

/* One recipient on its way to targets. */
struct expansion {
    const struct directory *directory;
    struct arena *arena;
    uint64_t now_ms;
    size_t most;       /* targets */
    size_t steps_left; /* of aliases, to be looked at */
    struct node *nodes;
    struct resolution *result;
};

/* An address of ours, taken apart. All canonical. */
struct name {
    struct slice address;
    struct slice local_part;
    struct slice base; /* local_part without its detail; the same where there is none */
    const struct directory_domain *domain;
};

static bool fail(struct expansion *expansion, enum resolve_verdict verdict)
{
    expansion->result->verdict = verdict;
    return false;
}

static bool fail_memory(struct expansion *expansion)
{
    error_memory(&expansion->result->text);
    return fail(expansion, RESOLVE_TEMPORARY);
}

/* A canonical text of two parts, in the arena; .ptr NULL where there is no memory. */
static struct slice join(struct arena *arena, struct slice local_part, struct slice domain)
{
    struct canonical joined;
    if (!canonical_join(local_part, domain, &joined))
        return slice_of(NULL, 0);
    return arena_copy(arena, canonical_text(&joined));
}

static struct slice without_detail(struct slice local_part)
{
    size_t plus = slice_find_octet(local_part, '+');
    bool quoted = local_part.len > 0 && local_part.ptr[0] == '"';
    return plus > 0 && !quoted ? slice_range(local_part, 0, plus) : local_part;
}

/* --- Aliases --------------------------------------------------------------------------------- */

/* The alias of that local part: written with its domain, or alone. */
static const struct address_map_entry *find_exact(const struct directory_domain *domain,
                                                  struct slice local_part)
{
    struct canonical key;
    const struct address_map_entry *found = NULL;
    if (canonical_join(local_part, domain->name, &key))
        found = address_map_find(&domain->aliases, canonical_text(&key));
    if (!found && canonical_join(local_part, slice_of(NULL, 0), &key))
        found = address_map_find(&domain->aliases, canonical_text(&key));
    return found;
}

/* Sets *local_part to the part that has the alias. */
static const struct address_map_entry *find_alias(const struct name *name, struct slice *local_part)
{
    *local_part = name->local_part;
    const struct address_map_entry *found = find_exact(name->domain, name->local_part);
    if (found || slice_equal(name->base, name->local_part))
        return found;
    *local_part = name->base;
    return find_exact(name->domain, name->base);
}

/* --- The way ---------------------------------------------------------------------------------- */

static void append_way(const struct node *node, struct slice first, struct buffer *text)
{
    if (!slice_equal(node->address, first) && node->from)
        append_way(node->from, first, text);
    buffer_append(text, node->address);
    buffer_append(text, SLICE(" -> "));
}

/* "a -> b -> a": the way from where `address` was met first to where it is met again. */
static bool fail_loop(struct expansion *expansion, const struct node *from, struct slice address)
{
    struct buffer way = BUFFER_WITH_LIMIT(sizeof(expansion->result->text.text));
    append_way(from, address, &way);
    buffer_append(&way, address);
    /* What does not fit is left out at the end. */
    error_set(&expansion->result->text, ERROR_PERMANENT, "aliases go in circles: %.*s%s",
              SLICE_PRINTF(buffer_slice(&way)), way.failed ? "..." : "");
    buffer_clear(&way);
    return fail(expansion, RESOLVE_LOOP);
}

/* Enters an alias. *again: it was expanded before, nothing is left to do. */
static bool enter(struct expansion *expansion, struct slice address, const struct node *from,
                  struct node **entered, bool *again)
{
    struct node *node = NULL;
    HASH_FIND(hh, expansion->nodes, address.ptr, address.len, node);
    *again = node && !node->under_way;
    if (node)
        return node->under_way ? fail_loop(expansion, from, address) : true;
    node = arena_alloc(expansion->arena, sizeof(*node));
    if (!node)
        return fail_memory(expansion);
    *node = (struct node){.address = address, .from = from, .under_way = true};
    HASH_ADD_KEYPTR(hh, expansion->nodes, node->address.ptr, node->address.len, node);
    *entered = node;
    return hash_table_holds(&node->hh) ? true : fail_memory(expansion);
}

static size_t depth_of(const struct node *node)
{
    size_t depth = 0;
    for (; node; node = node->from)
        depth++;
    return depth;
}

/* --- Targets ---------------------------------------------------------------------------------- */

static bool fail_too_many(struct expansion *expansion, size_t most)
{
    error_set(&expansion->result->text, ERROR_PERMANENT,
              "an alias becomes more than %zu addresses (limits alias-expansion)", most);
    return fail(expansion, RESOLVE_LOOP);
}

static bool add_target(struct expansion *expansion, struct resolve_target target)
{
    struct resolution *result = expansion->result;
    for (size_t i = 0; i < result->count; i++)
        if (result->targets[i].is_foreign == target.is_foreign
            && slice_equal(result->targets[i].name, target.name))
            return true;
    if (result->count == expansion->most)
        return fail_too_many(expansion, expansion->most);
    if (!result->targets)
        result->targets =
            arena_alloc_array(expansion->arena, expansion->most, sizeof(*result->targets));
    target.name = arena_copy(expansion->arena, target.name);
    if (!result->targets || !target.name.ptr)
        return fail_memory(expansion);
    result->targets[result->count++] = target;
    return true;
}

static bool add_account(struct expansion *expansion, struct slice name)
{
    return add_target(expansion, (struct resolve_target){.name = name});
}

static bool add_foreign(struct expansion *expansion, struct slice address)
{
    return add_target(expansion, (struct resolve_target){.is_foreign = true, .name = address});
}

/* Adds the account of that address if there is one: *found says so. */
static bool try_account(struct expansion *expansion, struct slice address, bool *found)
{
    struct directory_account account;
    struct error *text = &expansion->result->text;
    struct error reason;
    *found =
        directory_find_account(expansion->directory, address, expansion->now_ms, &account, &reason);
    if (*found)
        return add_account(expansion, account.name);
    if (reason.kind == ERROR_NOT_FOUND)
        return true;
    *text = reason;
    return fail(expansion, RESOLVE_TEMPORARY);
}

static bool try_account_or_base(struct expansion *expansion, const struct name *name, bool *found)
{
    if (!try_account(expansion, name->address, found))
        return false;
    if (*found || slice_equal(name->base, name->local_part))
        return true;
    struct slice address = join(expansion->arena, name->base, name->domain->name);
    return address.ptr ? try_account(expansion, address, found) : fail_memory(expansion);
}

static const struct account *first_account_of(const struct directory *directory,
                                              struct slice domain)
{
    for (size_t i = 0; i < directory->source_count; i++)
        for (const struct account *account = directory->sources[i].accounts.by_address; account;
             account = account->hh.next)
            if (domain.len == 0 || slice_equal(canonical_domain(account->address), domain))
                return account;
    return NULL;
}

static bool try_first_user(struct expansion *expansion, bool *found)
{
    struct system_users *users = expansion->directory->system_users;
    struct system_user user;
    struct error reason;
    *found = users && system_users_find(users, SLICE(""), expansion->now_ms, &user, &reason);
    if (*found)
        return add_account(expansion, slice_of_string(user.name));
    if (!users || reason.kind == ERROR_NOT_FOUND)
        return true;
    expansion->result->text = reason;
    return fail(expansion, RESOLVE_TEMPORARY);
}

/* RFC 5321 4.5.1: somebody reads it. */
static bool try_postmaster(struct expansion *expansion, const struct name *name, bool *found)
{
    const struct directory *directory = expansion->directory;
    *found = false;
    if (!slice_equal(name->base, SLICE("postmaster")))
        return true;
    const struct account *account = first_account_of(directory, name->domain->name);
    if (!account)
        account = first_account_of(directory, slice_of(NULL, 0));
    *found = account != NULL;
    return account ? add_account(expansion, account->address) : try_first_user(expansion, found);
}

/* --- Expansion -------------------------------------------------------------------------------- */

static bool expand(struct expansion *expansion, struct slice address, const struct node *from);

/* A target as the alias means it: a local part alone is of the alias's domain. */
static struct slice target_address(struct expansion *expansion, struct slice target,
                                   struct slice domain)
{
    if (canonical_domain(target).len > 0)
        return target;
    return join(expansion->arena, canonical_local_part(target), domain);
}

static bool note_unknown(struct expansion *expansion, struct slice address, const struct node *from)
{
    if (!from)
        return true;
    expansion->result->dangling = true;
    error_set(&expansion->result->text, ERROR_NOT_FOUND,
              "alias %.*s leads to %.*s, which does not exist", SLICE_PRINTF(from->address),
              SLICE_PRINTF(address));
    return true;
}

/* An alias among its own targets: the account of that name. One that names nothing else, and has no
 * such account, is the smallest circle. */
static bool expand_itself(struct expansion *expansion, const struct node *node, bool alone)
{
    bool found;
    if (!try_account(expansion, node->address, &found))
        return false;
    if (!found && alone)
        return fail_loop(expansion, node, node->address);
    return found || note_unknown(expansion, node->address, node);
}

static bool expand_target(struct expansion *expansion, const struct address_map_target *target,
                          const struct node *from, bool alone)
{
    struct slice address =
        target_address(expansion, target->address, canonical_domain(from->address));
    if (!address.ptr)
        return fail_memory(expansion);
    if (expansion->steps_left == 0)
        return fail_too_many(expansion, expansion->directory->expansion_limit);
    expansion->steps_left--;
    if (!directory_find_domain(expansion->directory, canonical_domain(address)))
        return add_foreign(expansion, target->exact);
    return slice_equal(address, from->address) ? expand_itself(expansion, from, alone)
                                               : expand(expansion, address, from);
}

static bool expand_targets(struct expansion *expansion, struct slice address,
                           const struct address_map_target *targets, const struct node *from)
{
    struct node *node = NULL;
    bool again;
    if (!enter(expansion, address, from, &node, &again))
        return false;
    if (again)
        return true;
    if (depth_of(node) > RESOLVE_DEPTH_MAX) {
        error_set(&expansion->result->text, ERROR_PERMANENT,
                  "more than %d aliases in a row, the last is %.*s", RESOLVE_DEPTH_MAX,
                  SLICE_PRINTF(address));
        return fail(expansion, RESOLVE_LOOP);
    }
    for (const struct address_map_target *target = targets; target; target = target->next)
        if (!expand_target(expansion, target, node, targets->next == NULL))
            return false;
    node->under_way = false;
    return true;
}

static bool expand_alias(struct expansion *expansion, const struct name *name,
                         const struct node *from, bool *found)
{
    struct slice local_part;
    const struct address_map_entry *alias = find_alias(name, &local_part);
    *found = alias != NULL;
    if (!alias)
        return true;
    struct slice address = join(expansion->arena, local_part, name->domain->name);
    return address.ptr ? expand_targets(expansion, address, alias->targets, from)
                       : fail_memory(expansion);
}

static bool is_under_way(const struct expansion *expansion, struct slice address)
{
    struct node *node = NULL;
    HASH_FIND(hh, expansion->nodes, address.ptr, address.len, node);
    return node && node->under_way;
}

/* A name that the catch-all itself leads to and that does not exist is not caught again. */
static bool expand_catch_all(struct expansion *expansion, const struct name *name,
                             const struct node *from, bool *found)
{
    const struct directory_domain *domain = name->domain;
    const struct address_map_entry *alias = find_exact(domain, slice_of(NULL, 0));
    *found = false;
    if (!alias && domain->catch_all.address.len == 0)
        return true;
    struct slice address = join(expansion->arena, slice_of(NULL, 0), domain->name);
    if (!address.ptr)
        return fail_memory(expansion);
    if (is_under_way(expansion, address))
        return true;
    *found = true;
    return expand_targets(expansion, address, alias ? alias->targets : &domain->catch_all, from);
}

/* False: the verdict is settled, nothing else counts. */
static bool expand(struct expansion *expansion, struct slice address, const struct node *from)
{
    struct name name = {
        .address = address,
        .local_part = canonical_local_part(address),
        .base = without_detail(canonical_local_part(address)),
        .domain = directory_find_domain(expansion->directory, canonical_domain(address)),
    };
    bool found;
    if (!name.domain)
        return fail(expansion, RESOLVE_FOREIGN); /* of an alias it never comes so far */
    if (!expand_alias(expansion, &name, from, &found))
        return false;
    if (!found && !try_account_or_base(expansion, &name, &found))
        return false;
    if (!found && !expand_catch_all(expansion, &name, from, &found))
        return false;
    if (!found && !try_postmaster(expansion, &name, &found))
        return false;
    return found || note_unknown(expansion, address, from);
}

static void run_expansion(struct expansion *expansion, struct slice address)
{
    struct resolution *result = expansion->result;
    expansion->steps_left = expansion->directory->expansion_limit;
    if (expand(expansion, address, NULL))
        result->verdict = result->count > 0 ? RESOLVE_TARGETS : RESOLVE_UNKNOWN;
    HASH_CLEAR(hh, expansion->nodes);
}

/* The address itself, or `postmaster` completed. */
static bool parse_recipient(const struct directory *directory, struct slice text,
                            struct canonical *address, struct error *error)
{
    if (slice_equal_nocase(text, SLICE("postmaster")))
        return canonical_join(SLICE("postmaster"), directory->domains[0].name, address);
    return canonical_parse(text, address, error);
}

void resolve_recipient(const struct directory *directory, struct slice address, size_t most,
                       uint64_t now_ms, struct arena *arena, struct resolution *resolution)
{
    *resolution = (struct resolution){.verdict = RESOLVE_TEMPORARY};
    struct canonical canonical;
    if (!parse_recipient(directory, address, &canonical, &resolution->text)) {
        if (resolution->text.kind == ERROR_PEER)
            resolution->verdict = RESOLVE_MALFORMED;
        return;
    }
    struct expansion expansion = {
        .directory = directory,
        .arena = arena,
        .now_ms = now_ms,
        .most = most,
        .result = resolution,
    };
    run_expansion(&expansion, canonical_text(&canonical));
}

/* --- Logins ----------------------------------------------------------------------------------- */

static bool parse_login(const struct directory *directory, struct slice name,
                        struct canonical *address, struct error *error)
{
    if (slice_find_octet(name, '@') < name.len)
        return canonical_parse(name, address, error);
    struct canonical local;
    return canonical_parse_local_part(name, &local, error)
           && canonical_join(canonical_local_part(canonical_text(&local)),
                             directory->domains[0].name, address);
}

bool resolve_login(const struct directory *directory, struct slice name, uint64_t now_ms,
                   struct arena *arena, struct directory_account *account, struct slice *counted_as,
                   struct error *error)
{
    struct canonical parsed;
    *counted_as = name;
    if (!parse_login(directory, name, &parsed, error)) {
        if (error && error->kind == ERROR_PEER)
            error->kind = ERROR_NOT_FOUND;
        return false;
    }
    struct slice address = arena_copy(arena, canonical_text(&parsed));
    if (!address.ptr)
        return error_memory(error);
    /* A system user has one name in all domains; so has, lest the count tell, everybody else. */
    *counted_as = directory->system_users ? canonical_local_part(address) : address;
    if (!directory_find_domain(directory, canonical_domain(address)))
        return error_set(error, ERROR_NOT_FOUND, "not a domain of ours");
    return directory_find_account(directory, address, now_ms, account, error);
}

/* --- Senders ---------------------------------------------------------------------------------- */

static bool is_own(const struct directory *directory, struct slice account, struct slice address,
                   uint64_t now_ms, struct error *error)
{
    struct arena arena;
    struct resolution resolution;
    arena_init(&arena, CHECK_ARENA);
    resolve_recipient(directory, address, 1, now_ms, &arena, &resolution);
    bool own = resolution.verdict == RESOLVE_TARGETS && !resolution.dangling
               && resolution.count == 1 && !resolution.targets[0].is_foreign
               && slice_equal(resolution.targets[0].name, account);
    if (!own)
        error_set(error,
                  resolution.verdict == RESOLVE_TEMPORARY ? ERROR_TEMPORARY : ERROR_PERMANENT,
                  "not an address of this account");
    arena_clear(&arena);
    return own;
}

/* `@` stands for every address, `@domain` for all of a domain, `x@` for x in each of ours. */
static bool covers(const struct directory *directory, struct slice target, struct slice address)
{
    struct slice local_part = canonical_local_part(target);
    struct slice domain = canonical_domain(target);
    if (local_part.len > 0 && !slice_equal(local_part, canonical_local_part(address)))
        return false;
    if (domain.len > 0)
        return slice_equal(domain, canonical_domain(address));
    return local_part.len == 0 || directory_find_domain(directory, canonical_domain(address));
}

static bool map_entry_covers(const struct directory *directory, struct slice left,
                             struct slice address)
{
    const struct address_map_entry *entry = address_map_find(&directory->senders, left);
    const struct address_map_target *target = entry ? entry->targets : NULL;
    while (target && !covers(directory, target->address, address))
        target = target->next;
    return target != NULL;
}

/* The account by its full name; by its local part alone if it is of the first domain or a system
 * user. */
static bool map_covers(const struct directory *directory, struct slice account,
                       struct slice address)
{
    struct canonical alone;
    struct slice domain = canonical_domain(account);
    if (domain.len > 0 && map_entry_covers(directory, account, address))
        return true;
    return (domain.len == 0 || slice_equal(domain, directory->domains[0].name))
           && canonical_join(canonical_local_part(account), slice_of(NULL, 0), &alone)
           && map_entry_covers(directory, canonical_text(&alone), address);
}

bool resolve_may_send(const struct directory *directory, struct slice account, struct slice address,
                      uint64_t now_ms, struct error *error)
{
    struct canonical canonical;
    if (!parse_recipient(directory, address, &canonical, error)) {
        if (error && error->kind == ERROR_PEER)
            error->kind = ERROR_PERMANENT;
        return false;
    }
    return map_covers(directory, account, canonical_text(&canonical))
           || is_own(directory, account, address, now_ms, error);
}

/* --- Checks ----------------------------------------------------------------------------------- */

/* Whether the domain of a left side reads the file that this entry stands in. */
static bool reads_same_file(const struct directory *directory, struct slice domain_name,
                            const struct directory_domain *reader)
{
    const struct directory_domain *domain = directory_find_domain(directory, domain_name);
    return domain
           && slice_equal(slice_of_string(domain->file.path), slice_of_string(reader->file.path));
}

static bool check_entry(const struct directory *directory, const struct directory_domain *domain,
                        const struct address_map_entry *entry, struct error *error)
{
    struct slice of = canonical_domain(entry->left);
    if (of.len > 0 && !reads_same_file(directory, of, domain))
        return error_set(error, ERROR_PERMANENT, "%.*s is no domain with this alias file",
                         SLICE_PRINTF(of));
    for (const struct address_map_target *target = entry->targets; target; target = target->next)
        if (canonical_local_part(target->address).len == 0)
            return error_set(error, ERROR_PERMANENT,
                             "an alias leads to addresses, never to * or @domain");
    return true;
}

/* Whether what an alias of that domain leads to ends. */
static bool check_end(const struct directory *directory, struct slice domain,
                      const struct address_map_entry *entry, struct arena *arena,
                      struct error *error)
{
    struct resolution resolution = {.verdict = RESOLVE_TEMPORARY};
    struct expansion expansion = {
        .directory = directory,
        .arena = arena,
        .most = directory->expansion_limit,
        .steps_left = directory->expansion_limit,
        .result = &resolution,
    };
    struct slice of = canonical_domain(entry->left);
    arena_reset(arena);
    struct slice address = join(arena, canonical_local_part(entry->left), of.len > 0 ? of : domain);
    if (!address.ptr)
        return error_memory(error);
    expand_targets(&expansion, address, entry->targets, NULL);
    HASH_CLEAR(hh, expansion.nodes);
    if (resolution.verdict == RESOLVE_LOOP)
        *error = resolution.text;
    return resolution.verdict != RESOLVE_LOOP;
}

static bool check_entries(const struct directory *directory, const struct directory_domain *domain,
                          struct arena *arena, struct error *error)
{
    for (const struct address_map_entry *entry = domain->aliases.entries; entry;
         entry = entry->hh.next)
        if (!check_entry(directory, domain, entry, error)
            || !check_end(directory, domain->name, entry, arena, error))
            return error_prefix(error, "line %llu", (unsigned long long)entry->line);
    return true;
}

static bool check_catch_all(const struct directory *directory,
                            const struct directory_domain *domain, struct arena *arena,
                            struct error *error)
{
    struct address_map_target target = domain->catch_all;
    struct address_map_entry entry = {.left = SLICE("@"), .targets = &target};
    return target.address.len == 0 || check_end(directory, domain->name, &entry, arena, error)
           || error_prefix(error, "catch-all");
}

bool resolve_check_aliases(const struct directory *directory, const struct directory_domain *domain,
                           struct error *error)
{
    struct arena arena;
    struct error reason;
    arena_init(&arena, CHECK_ARENA);
    bool valid = check_entries(directory, domain, &arena, &reason)
                 && check_catch_all(directory, domain, &arena, &reason);
    arena_clear(&arena);
    if (!valid && error)
        *error = reason;
    return valid;
}
