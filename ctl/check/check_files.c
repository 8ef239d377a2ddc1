/* The directories and files that a configuration names, save for certificates. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/role/role_user.h"
#include "ctl/check/check.h"

/* The directory that holds the path, in `parent`. False if that is too long. */
static bool parent_of(const char *path, char parent[4096])
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    while (length > 1 && path[length - 1] != '/')
        length--;
    if (length >= 4096)
        return false;
    memcpy(parent, path, length);
    parent[length] = '\0';
    return true;
}

/* A directory that the master makes if it is missing: then its parent must be there. */
static void check_directory(const struct config_text *path, unsigned line, const char *key,
                            struct config_mistakes *mistakes)
{
    struct stat facts;
    char parent[4096];
    if (!path->text)
        return;
    if (stat(path->text, &facts) == 0) {
        if (!S_ISDIR(facts.st_mode))
            config_mistakes_add(mistakes, CONFIG_MISTAKE, line,
                                "%s: %.100s is no directory: write another path", key, path->text);
        else if (access(path->text, W_OK | X_OK) != 0)
            config_mistakes_add(mistakes, CONFIG_MISTAKE, line,
                                "%s: %.100s cannot be written (%s): change its owner, or write "
                                "another path",
                                key, path->text, strerrordesc_np(errno));
        return;
    }
    if (errno == ENOENT && parent_of(path->text, parent) && access(parent, W_OK | X_OK) == 0)
        return;
    config_mistakes_add(mistakes, CONFIG_MISTAKE, line,
                        "%s: %.100s cannot be made (%s): make its parent, or write another path",
                        key, path->text, strerrordesc_np(errno));
}

/* A file that must be there, be readable by us, and be written by nobody else. */
static void check_file(const struct config_text *path, unsigned line, const char *key,
                       const char *advice, struct config_mistakes *mistakes)
{
    struct stat facts;
    if (!path->text)
        return;
    if (stat(path->text, &facts) != 0 || access(path->text, R_OK) != 0) {
        config_mistakes_add(mistakes, CONFIG_MISTAKE, line, "%s: %.100s: %s: %s", key, path->text,
                            strerrordesc_np(errno), advice);
        return;
    }
    if (!S_ISREG(facts.st_mode))
        config_mistakes_add(mistakes, CONFIG_MISTAKE, line, "%s: %.100s is no file: %s", key,
                            path->text, advice);
    else if (facts.st_mode & S_IWOTH)
        config_mistakes_add(mistakes, CONFIG_WARNING, line,
                            "%s: anybody may write %.100s: chmod o-w", key, path->text);
}

/* The master opens it for the role that needs it: nobody but root has to read it. */
static void check_private(const struct config_text *path, const char *key,
                          struct config_mistakes *mistakes)
{
    struct stat facts;
    if (path->text && stat(path->text, &facts) == 0 && (facts.st_mode & S_IROTH))
        config_mistakes_add(mistakes, CONFIG_WARNING, path->line,
                            "%s: anybody may read %.100s: chmod 600", key, path->text);
}

static bool is_allowed(const struct stat *facts, const struct role_user *user, mode_t bits)
{
    if (facts->st_uid == user->uid)
        return (facts->st_mode & (bits << 6)) == bits << 6;
    if (facts->st_gid == user->gid)
        return (facts->st_mode & (bits << 3)) == bits << 3;
    return (facts->st_mode & bits) == bits;
}

/* The master opens the directory for auth, which then reads the file as who it is. */
static void check_readable_by_auth(const struct config *config, const struct config_text *path,
                                   unsigned line, const char *key, struct config_mistakes *mistakes)
{
    struct stat file, directory;
    struct role_user auth;
    char parent[4096];
    if (!path->text || geteuid() != 0 || !role_user_find(config, ROLE_AUTH, true, &auth, NULL)
        || !parent_of(path->text, parent) || stat(parent, &directory) != 0
        || stat(path->text, &file) != 0)
        return;
    if (!is_allowed(&directory, &auth, S_IXOTH))
        config_mistakes_add(mistakes, CONFIG_MISTAKE, line,
                            "%s: uid %u (auth) is not let into %.100s: chmod o+x", key, auth.uid,
                            parent);
    if (!is_allowed(&file, &auth, S_IROTH))
        config_mistakes_add(mistakes, CONFIG_MISTAKE, line,
                            "%s: uid %u (auth) cannot read %.100s: chgrp %u, chmod 640", key,
                            auth.uid, path->text, auth.gid);
}

static unsigned line_or(const struct config_text *text, unsigned line)
{
    return text->line ? text->line : line;
}

static void check_accounts(const struct config *config, const struct config_accounts *accounts,
                           struct config_mistakes *mistakes)
{
    struct stat facts;
    unsigned line = line_or(&accounts->file, accounts->line);
    if (accounts->source != CONFIG_SOURCE_FILE)
        return;
    check_file(&accounts->file, line, "accounts.file", "staffetta account add makes it", mistakes);
    check_readable_by_auth(config, &accounts->file, line, "accounts.file", mistakes);
    if (accounts->file.text && stat(accounts->file.text, &facts) == 0 && (facts.st_mode & S_IROTH))
        config_mistakes_add(mistakes, CONFIG_WARNING, line,
                            "accounts.file: anybody may read the hashes in %.100s: chmod o-r",
                            accounts->file.text);
    check_directory(&accounts->mail, line_or(&accounts->mail, accounts->line), "accounts.mail",
                    mistakes);
}

static void check_control_socket(const struct config_text *path, struct config_mistakes *mistakes)
{
    struct config_text directory = {.line = path->line};
    char parent[4096];
    if (!path->text)
        return;
    if (strlen(path->text) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        config_mistakes_add(mistakes, CONFIG_MISTAKE, path->line,
                            "control-socket: write a path of at most 107 octets");
    if (!parent_of(path->text, parent))
        return;
    directory.text = parent;
    check_directory(&directory, path->line, "control-socket", mistakes);
}

static void check_log(const struct config_text *path, struct config_mistakes *mistakes)
{
    char parent[4096];
    if (!path->text || !parent_of(path->text, parent) || access(parent, W_OK | X_OK) == 0)
        return;
    config_mistakes_add(mistakes, CONFIG_MISTAKE, path->line,
                        "log.file: %.100s: %s: make that directory, or write another path", parent,
                        strerrordesc_np(errno));
}

static void check_domain(const struct config *config, const struct config_domain *domain,
                         struct config_mistakes *mistakes)
{
    unsigned line = domain->aliases.line;
    check_file(&domain->aliases, line, "domain.aliases", "make it, it may be empty", mistakes);
    check_readable_by_auth(config, &domain->aliases, line, "domain.aliases", mistakes);
}

void check_files(const struct config *config, struct config_mistakes *mistakes)
{
    const struct config_text *senders = &config->submission.sender_map;
    check_directory(&config->state, config->state.line, "state", mistakes);
    check_control_socket(&config->control_socket, mistakes);
    check_log(&config->log.file, mistakes);
    for (size_t i = 0; i < config->domain_count; i++)
        check_domain(config, &config->domains[i], mistakes);
    for (size_t i = 0; i < config->accounts_count; i++)
        check_accounts(config, &config->accounts[i], mistakes);
    check_file(senders, senders->line, "submission.sender-map", "make it, or leave the key out",
               mistakes);
    check_readable_by_auth(config, senders, senders->line, "submission.sender-map", mistakes);
    check_file(&config->client_certificates.authorities,
               config->client_certificates.authorities.line, "client-certificates.authorities",
               "put certificates in PEM there, or leave the section out", mistakes);
    check_file(&config->oauth.credentials, config->oauth.credentials.line,
               "oauth.introspection-credentials",
               "put the client's id there, and its secret in the second line", mistakes);
    check_private(&config->oauth.credentials, "oauth.introspection-credentials", mistakes);
    check_file(&config->oauth.keys, config->oauth.keys.line, "oauth.keys",
               "put the issuer's jwks_uri there, or leave the section out", mistakes);
}
