/*
 * `staffetta import ACCOUNT maildir|mbox|imap ...` (ctl/import/import.h) and `staffetta export
 * ACCOUNT maildir|mbox DIRECTORY` (ctl/import/export.h). What needs rights is done first: the
 * account's sessions are opened over the control socket, the source or the directory is opened.
 * Then they are given up for those of whoever owns that (of role `fetch` for a server), before an
 * octet of it is read.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "common/role/role_user.h"
#include "ctl/command/command.h"
#include "ctl/command/password_prompt.h"
#include "ctl/import/export.h"
#include "ctl/import/import.h"

static const char import_usage[] = "ACCOUNT [--sessions N] maildir DIRECTORY | mbox FILE FOLDER | "
                                   "imap[s]://USER@HOST[:PORT] [--any-certificate]";
static const char export_usage[] = "ACCOUNT maildir|mbox DIRECTORY";

enum { SESSIONS = 4 };

/* ---- rights ---- */

static bool become(uid_t uid, gid_t gid, struct error *error)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return error_errno(error, "give up rights");
    if (geteuid() != 0 || uid == 0)
        return true;
    return (setgroups(0, NULL) == 0 && setresgid(gid, gid, gid) == 0
            && setresuid(uid, uid, uid) == 0)
           || error_errno(error, "become uid %u", uid);
}

static bool become_owner(int fd, struct error *error)
{
    struct stat status;
    return fstat(fd, &status) == 0 ? become(status.st_uid, status.st_gid, error)
                                   : error_errno(error, "fstat");
}

static bool become_fetch(const struct config *config, struct error *error)
{
    struct role_user user;
    return role_user_find(config, ROLE_FETCH, geteuid() == 0, &user, error)
           && become(user.uid, user.gid, error);
}

/* ---- the account ---- */

static bool open_sessions(const struct command *command, const struct config *config,
                          const char *account, int *sessions, size_t count, struct error *error)
{
    char *words[] = {(char *)(uintptr_t)account};
    const struct command question = {.verb = "imap", .count = 1, .arguments = words};
    (void)command;
    for (size_t i = 0; i < count; i++) {
        sessions[i] = command_ask_for_socket(&question, config->control_socket.text, error);
        if (sessions[i] < 0)
            return false;
    }
    return true;
}

/* ---- import ---- */

struct import_words {
    const char *account;
    const char *kind;
    const char *where;
    const char *folder; /* mbox */
    size_t sessions;
    bool any_certificate;
};

static bool take_words(const struct command *command, struct import_words *words)
{
    const char *plain[4] = {NULL};
    size_t count = 0;
    *words = (struct import_words){.sessions = SESSIONS};
    for (int i = 0; i < command->count; i++) {
        const char *word = command->arguments[i];
        if (strcmp(word, "--any-certificate") == 0) {
            words->any_certificate = true;
        } else if (strcmp(word, "--sessions") == 0) {
            uint64_t number;
            if (++i == command->count
                || !slice_parse_number(slice_of_string(command->arguments[i]), &number)
                || number == 0 || number > IMPORT_SESSIONS_MAX)
                return false;
            words->sessions = (size_t)number;
        } else if (count == 4 || word[0] == '\0') {
            return false;
        } else {
            plain[count++] = word;
        }
    }
    words->account = plain[0];
    words->kind = plain[1];
    words->where = plain[2];
    words->folder = plain[3];
    return count >= 2;
}

static bool open_files(struct import_source *source, const struct import_words *words, int flags,
                       struct error *error)
{
    if (!words->where)
        return error_set(error, ERROR_PERMANENT, "no file is named");
    source->fd = open(words->where, O_RDONLY | O_CLOEXEC | flags);
    return (source->fd >= 0 || error_errno(error, "open %.200s", words->where))
           && become_owner(source->fd, error);
}

/* imap[s]://USER@HOST[:PORT]; the user may have an @ in it. In place. */
static bool take_url(char *url, struct import_source *source)
{
    static const char imap[] = "imap://", imaps[] = "imaps://";
    bool is_tls = strncmp(url, imaps, strlen(imaps)) == 0;
    if (!is_tls && strncmp(url, imap, strlen(imap)) != 0)
        return false;
    char *user = url + (is_tls ? strlen(imaps) : strlen(imap));
    char *at = strrchr(user, '@');
    if (!at || at == user || at[1] == '\0')
        return false;
    *at = '\0';
    char *colon = strrchr(at + 1, ':');
    if (colon)
        *colon = '\0';
    source->server.host = at + 1;
    source->server.port = colon ? colon + 1 : is_tls ? "993" : "143";
    source->server.security = is_tls ? IMAP_TLS : IMAP_STARTTLS;
    source->user = slice_of_string(user);
    return true;
}

/* A server on this machine may be spoken to in the clear. */
static bool is_local(const char *host)
{
    return strcmp(host, "localhost") == 0 || strcmp(host, "127.0.0.1") == 0
           || strcmp(host, "::1") == 0;
}

static bool prepare_imap(struct import_source *source, const struct import_words *words,
                         const struct config *config, struct typed_password *password,
                         struct error *error)
{
    if (!password_prompt(password, false, error))
        return false;
    source->password = slice_of(password->octets, password->len);
    source->server.authorities =
        words->any_certificate ? NULL : "/etc/ssl/certs/ca-certificates.crt";
    if (source->server.security == IMAP_STARTTLS && is_local(source->server.host))
        source->server.security = IMAP_IN_THE_CLEAR;
    return become_fetch(config, error);
}

static enum command_status import_with(const struct command *command, struct import_source *source,
                                       const struct import_words *words)
{
    int sessions[IMPORT_SESSIONS_MAX];
    struct config config;
    struct error error = {0};
    struct typed_password password = {.len = 0};
    enum command_status status = COMMAND_FAILED;
    if (!command_read_config_as_it_is(command, &config))
        goto done;
    bool done = open_sessions(command, &config, words->account, sessions, words->sessions, &error)
                && (source->server.host
                        ? prepare_imap(source, words, &config, &password, &error)
                        : open_files(source, words, words->folder ? 0 : O_DIRECTORY, &error))
                && import_run(source, sessions, words->sessions, &error);
    status = done ? COMMAND_DONE : command_fail(command, &error);
done:
    explicit_bzero(&password, sizeof(password));
    fd_discard(&source->fd);
    config_clear(&config);
    return status;
}

enum command_status verb_import(const struct command *command)
{
    struct import_words words;
    struct import_source source;
    if (!take_words(command, &words))
        return command_usage(command, import_usage);
    if (strcmp(words.kind, "maildir") == 0 && words.where && !words.folder) {
        source = import_from_maildir;
    } else if (strcmp(words.kind, "mbox") == 0 && words.folder) {
        source = import_from_mbox;
        source.path = words.folder;
        words.sessions = 1;
    } else {
        source = import_from_imap;
        char *url = strdup(words.kind);
        bool taken = url && !words.where && take_url(url, &source);
        enum command_status status =
            taken ? import_with(command, &source, &words) : command_usage(command, import_usage);
        free(url);
        return status;
    }
    return import_with(command, &source, &words);
}

/* ---- export ---- */

static bool export_into(const struct command *command, const struct config *config,
                        enum export_kind kind, struct error *error)
{
    int session = -1;
    int fd = open(command->arguments[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(error, "open %.200s", command->arguments[2]);
    bool done = open_sessions(command, config, command->arguments[0], &session, 1, error)
                && become_owner(fd, error) && export_run(kind, session, fd, error);
    fd_discard(&fd);
    return done;
}

enum command_status verb_export(const struct command *command)
{
    struct config config;
    struct error error = {0};
    enum command_status status = COMMAND_FAILED;
    if (command->count != 3
        || (strcmp(command->arguments[1], "maildir") != 0
            && strcmp(command->arguments[1], "mbox") != 0))
        return command_usage(command, export_usage);
    enum export_kind kind =
        strcmp(command->arguments[1], "mbox") == 0 ? EXPORT_MBOX : EXPORT_MAILDIR;
    if (command_read_config_as_it_is(command, &config))
        status = export_into(command, &config, kind, &error) ? COMMAND_DONE
                                                             : command_fail(command, &error);
    config_clear(&config);
    return status;
}
