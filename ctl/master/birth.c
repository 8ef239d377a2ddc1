/*
 * What a new role gets from the master: the configuration, and the directories, listening sockets,
 * certificates and keys that the master opened for it, each as a ROLE_DESCRIPTOR; again at a
 * reload.
 */
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "ctl/master/master.h"

static void send_file(struct process *process, enum descriptor_purpose purpose, uint32_t index,
                      int fd)
{
    struct role_descriptor record = {
        .header = {.type = ROLE_DESCRIPTOR}, .purpose = purpose, .index = index};
    if (fd >= 0)
        process_send_with(process, &record.header, sizeof(record), slice_of(NULL, 0), fd);
}

static void send_opened(struct process *process, enum descriptor_purpose purpose, uint32_t index,
                        const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC | O_NOCTTY, 0640);
    if (fd < 0) {
        struct error error;
        error_errno(&error, "open %s", path);
        LOG(&process->master->log, LOG_ERROR, "not_opened", log_failure(&error));
        return;
    }
    send_file(process, purpose, index, fd);
    fd_discard(&fd);
}

/* The directory that holds a file: who has it finds the file again after it was replaced. */
static void send_directory_of(struct process *process, enum descriptor_purpose purpose,
                              uint32_t index, const char *path)
{
    char copy[4096];
    if (!path || snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy))
        return;
    send_opened(process, purpose, index, dirname(copy), O_RDONLY | O_DIRECTORY);
}

static bool takes_service(enum role_kind kind, enum config_service service)
{
    switch (service) {
    case CONFIG_SMTP:
        return kind == ROLE_SMTP;
    case CONFIG_SUBMISSION:
    case CONFIG_SUBMISSIONS:
        return kind == ROLE_SUBMISSION;
    case CONFIG_IMAP:
    case CONFIG_IMAPS:
        return kind == ROLE_IMAP_LOGIN;
    case CONFIG_POP3:
    case CONFIG_POP3S:
        return kind == ROLE_POP3_LOGIN;
    case CONFIG_HTTP:
        return kind == ROLE_HTTP;
    case CONFIG_SERVICES:
        break;
    }
    return false;
}

bool birth_is_network_role(enum role_kind kind)
{
    return kind == ROLE_SMTP || kind == ROLE_SUBMISSION || kind == ROLE_IMAP_LOGIN
           || kind == ROLE_POP3_LOGIN;
}

static void send_listeners(struct process *process)
{
    const struct setup *setup = &process->master->setup;
    for (size_t i = 0; i < setup->listener_count; i++)
        if (takes_service(process->kind, setup->listeners[i].section->service))
            send_file(process, DESCRIPTOR_LISTENER, setup->listeners[i].index,
                      setup->listeners[i].fd);
}

static void send_network_files(struct process *process)
{
    const struct setup *setup = &process->master->setup;
    for (size_t i = 0; i < setup->config.certificate_count; i++)
        send_opened(process, DESCRIPTOR_CHAIN, (uint32_t)i,
                    setup->config.certificates[i].chain.text, O_RDONLY);
    send_listeners(process);
}

static void send_auth_files(struct process *process)
{
    const struct config *config = &process->master->setup.config;
    for (size_t i = 0; i < config->accounts_count; i++)
        send_directory_of(process, DESCRIPTOR_ACCOUNTS, (uint32_t)i, config->accounts[i].file.text);
    for (size_t i = 0; i < config->domain_count; i++)
        send_directory_of(process, DESCRIPTOR_ALIASES, (uint32_t)i,
                          config->domains[i].aliases.text);
    send_directory_of(process, DESCRIPTOR_SENDERS, 0, config->submission.sender_map.text);
}

static void send_check_files(struct process *process)
{
    const struct config *config = &process->master->setup.config;
    send_directory_of(process, DESCRIPTOR_TOKEN_KEYS, 0, config->oauth.keys.text);
    send_directory_of(process, DESCRIPTOR_CLIENT_AUTHORITIES, 0,
                      config->client_certificates.authorities.text);
}

static void send_keys(struct process *process)
{
    const struct config *config = &process->master->setup.config;
    for (size_t i = 0; i < config->certificate_count; i++)
        send_opened(process, DESCRIPTOR_KEY, (uint32_t)i, config->certificates[i].key.text,
                    O_RDONLY);
}

static void send_log_file(struct process *process)
{
    const char *path = process->master->setup.config.log.file.text;
    if (path)
        send_opened(process, DESCRIPTOR_LOG_FILE, 0, path, O_WRONLY | O_APPEND | O_CREAT);
}

static void send_passwords(struct process *process)
{
    const struct config *config = &process->master->setup.config;
    for (size_t i = 0; i < config->route_count; i++)
        if (config->routes[i].password_file.text)
            send_opened(process, DESCRIPTOR_PASSWORD, (uint32_t)i,
                        config->routes[i].password_file.text, O_RDONLY);
}

static void send_fetch_files(struct process *process)
{
    const struct config *config = &process->master->setup.config;
    send_opened(process, DESCRIPTOR_AUTHORITIES, 0, config->relay.authorities.text, O_RDONLY);
    if (config->oauth.credentials.text)
        send_opened(process, DESCRIPTOR_INTROSPECTION, 0, config->oauth.credentials.text, O_RDONLY);
}

const char *birth_place_path(const struct master *master, uint32_t place)
{
    const struct config *config = &master->setup.config;
    return place < config->accounts_count && config->accounts[place].source == CONFIG_SOURCE_FILE
               ? config->accounts[place].mail.text
               : "/";
}

static void send_place(struct process *process)
{
    const char *path = birth_place_path(process->master, process->place);
    struct stat tree;
    if (stat(path, &tree) == 0) {
        process->tree_device = tree.st_dev;
        process->tree_inode = tree.st_ino;
    }
    send_opened(process, DESCRIPTOR_PLACE, process->place, path, O_RDONLY | O_DIRECTORY);
}

static int directory_of(const struct setup *setup, enum role_kind kind)
{
    switch (kind) {
    case ROLE_QUEUE:
        return setup->queue_fd;
    case ROLE_JOURNAL:
        return setup->journal_fd;
    case ROLE_FETCH:
        return setup->fetch_fd;
    default:
        return setup->empty_fd;
    }
}

void birth_send_files(struct process *process)
{
    const struct setup *setup = &process->master->setup;
    if (process_is_per_account(process->kind)) {
        send_place(process);
        return;
    }
    send_file(process, DESCRIPTOR_DIRECTORY, 0, directory_of(setup, process->kind));
    if (birth_is_network_role(process->kind))
        send_network_files(process);
    else if (process->kind == ROLE_AUTH)
        send_auth_files(process);
    else if (process->kind == ROLE_CHECK)
        send_check_files(process);
    else if (process->kind == ROLE_KEYS)
        send_keys(process);
    else if (process->kind == ROLE_JOURNAL)
        send_log_file(process);
    else if (process->kind == ROLE_HTTP)
        send_listeners(process);
    else if (process->kind == ROLE_RELAY)
        send_passwords(process);
    else if (process->kind == ROLE_FETCH)
        send_fetch_files(process);
    else if (process->kind == ROLE_RESOLVER)
        send_opened(process, DESCRIPTOR_TRUST_ANCHOR, 0,
                    process->master->setup.config.resolver.trust_anchor.text, O_RDONLY);
}

void birth_send_start(struct process *process)
{
    struct master *master = process->master;
    struct role_start start = {.header = {.type = ROLE_START},
                               .kind = process->kind,
                               .number = process->number,
                               .is_root = master->is_root,
                               .configuration = master->setup.number};
    if (process->kind == ROLE_AUTH || process->kind == ROLE_QUEUE) {
        memcpy(start.token_key, master->token_key, sizeof(start.token_key));
        memcpy(start.srs_key, master->srs_key, sizeof(start.srs_key));
    }
    process_send_with(process, &start.header, sizeof(start), slice_of(NULL, 0),
                      master->setup.config_fd);
    birth_send_files(process);
}

void birth_go(struct process *process)
{
    struct ipc_header go = {.type = ROLE_GO};
    process_send(process, &go, sizeof(go), slice_of(NULL, 0));
}
