/* Replaces the running version by a new one; see upgrade.h. */
#include "ctl/master/upgrade.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "ctl/master/master.h"

enum { WORDS_MAX = INHERITED_MAX + 8, WORD_OCTETS = 32 };

/* --- What is inherited ------------------------------------------------------------------------ */

/* From here on no role inherits it by accident. */
static bool take_descriptor(struct slice digits, int *fd)
{
    uint64_t number;
    if (!slice_parse_number(digits, &number) || number > INT_MAX
        || fcntl((int)number, F_SETFD, FD_CLOEXEC) != 0)
        return false;
    *fd = (int)number;
    return true;
}

static bool take_listener(struct inheritance *inheritance, struct slice digits)
{
    size_t count = inheritance->listener_count;
    if (count == INHERITED_MAX || !take_descriptor(digits, &inheritance->listeners[count]))
        return false;
    inheritance->listener_count++;
    return true;
}

static bool take_word(struct inheritance *inheritance, struct slice word)
{
    struct slice name = slice_range(word, 0, slice_find_octet(word, '='));
    struct slice value = slice_from(word, name.len + 1);
    if (slice_equal(name, SLICE("listen")))
        return take_listener(inheritance, value);
    if (slice_equal(name, SLICE("control")))
        return take_descriptor(value, &inheritance->control_fd);
    if (slice_equal(name, SLICE("client")))
        return take_descriptor(value, &inheritance->client_fd);
    if (slice_equal(name, SLICE("previous")))
        return take_descriptor(value, &inheritance->previous_fd);
    return true;
}

bool inheritance_parse(int count, char **words, struct inheritance *inheritance)
{
    *inheritance = (struct inheritance){.control_fd = -1, .client_fd = -1, .previous_fd = -1};
    if (count == 0)
        return true;
    if (strcmp(words[0], "inherit") != 0)
        return false;
    for (int i = 1; i < count; i++)
        if (!take_word(inheritance, slice_of_string(words[i])))
            return false;
    return true;
}

void inheritance_clear(struct inheritance *inheritance)
{
    for (size_t i = 0; i < inheritance->listener_count; i++)
        fd_discard(&inheritance->listeners[i]);
    inheritance->listener_count = 0;
    fd_discard(&inheritance->control_fd);
    fd_discard(&inheritance->client_fd);
    fd_discard(&inheritance->previous_fd);
}

/* The argument list of a master. */
struct words {
    char *all[WORDS_MAX + 1]; /* ends with NULL */
    char texts[WORDS_MAX][WORD_OCTETS];
    size_t count;
};

__attribute__((format(printf, 2, 3))) static void put_word(struct words *words, const char *format,
                                                           ...)
{
    char *text = words->texts[words->count];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, WORD_OCTETS, format, arguments);
    va_end(arguments);
    words->all[words->count++] = text;
}

/* The next executable finds the descriptor open. */
static void put_descriptor(struct words *words, const char *name, int fd)
{
    if (fd >= 0 && words->count < WORDS_MAX && fcntl(fd, F_SETFD, 0) == 0)
        put_word(words, "%s=%d", name, fd);
}

static void put_inheritance(struct words *words, const char *config_path,
                            const struct inheritance *inheritance)
{
    *words = (struct words){0};
    put_word(words, "master");
    words->all[words->count++] = (char *)(uintptr_t)config_path;
    put_word(words, "inherit");
    for (size_t i = 0; i < inheritance->listener_count; i++)
        put_descriptor(words, "listen", inheritance->listeners[i]);
    put_descriptor(words, "control", inheritance->control_fd);
    put_descriptor(words, "client", inheritance->client_fd);
    put_descriptor(words, "previous", inheritance->previous_fd);
}

static void answer(int fd, const char *error_text)
{
    char text[600];
    int length = error_text ? snprintf(text, sizeof(text), "error: %.500s\n", error_text)
                            : snprintf(text, sizeof(text), "ok\n");
    /* A client that does not take it at once does not get it. */
    (void)!send(fd, text, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void upgrade_go_back(const char *config_path, const struct inheritance *inheritance,
                     const char *why)
{
    struct words words;
    struct inheritance left = *inheritance;
    if (left.previous_fd < 0)
        return;
    if (left.client_fd >= 0)
        answer(left.client_fd, why);
    left.client_fd = left.previous_fd = -1;
    put_inheritance(&words, config_path, &left);
    fexecve(inheritance->previous_fd, words.all, environ);
}

/* --- The trial -------------------------------------------------------------------------------- */

int upgrade_try(const char *config_path)
{
    struct error error = {0};
    struct config config = {0};
    struct config_mistakes mistakes = {0};
    int config_fd = config_open(config_path, &error);
    bool good = config_fd >= 0 && process_find_executables(&error);
    if (good && !config_parse_fd(config_fd, &config, &mistakes))
        good = error_set(&error, ERROR_PERMANENT, "the configuration has mistakes");
    if (!good)
        fprintf(stderr, "staffetta: upgrade: %s\n", error.text);
    config_mistakes_clear(&mistakes);
    config_clear(&config);
    fd_discard(&config_fd);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* --- The old master --------------------------------------------------------------------------- */

void upgrade_answer(struct upgrade *upgrade, const char *error_text)
{
    if (upgrade->client_fd >= 0)
        answer(upgrade->client_fd, error_text);
    fd_discard(&upgrade->client_fd);
}

static void refuse(struct upgrade *upgrade, const char *text)
{
    LOG(&upgrade->master->log, LOG_ERROR, "upgrade_refused",
        log_bytes("path", slice_of_string(upgrade->path)), log_text("error", text));
    upgrade_answer(upgrade, text);
}

static void on_child(struct ev_loop *loop, ev_child *watcher, int events);

/* "check --running" of the command that stands beside the new master's directory, or the new master
 * itself. Only calls that are safe between fork and exec; the result is the exit status. */
static int run_child(const struct upgrade *upgrade)
{
    char *config = (char *)(uintptr_t)upgrade->master->config_path;
    char path[sizeof(upgrade->path)];
    memcpy(path, upgrade->path, sizeof(path));
    if (upgrade->tried) {
        execv(path, (char *const[]){path, config, (char[]){"try"}, NULL});
        return 127;
    }
    static const char master[] = "libexec/master";
    static const char command[] = "staffetta";
    memcpy(path + strlen(path) - (sizeof(master) - 1), command, sizeof(command));
    execv(path, (char *const[]){path, (char[]){"-c"}, config, (char[]){"check"},
                                (char[]){"--running"}, NULL});
    return 127;
}

static void start_child(struct upgrade *upgrade)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(run_child(upgrade));
    if (pid < 0) {
        refuse(upgrade, "fork failed");
        return;
    }
    ev_child_init(&upgrade->child, on_child, pid, 0);
    upgrade->child.data = upgrade;
    ev_child_start(upgrade->master->loop, &upgrade->child);
}

static void on_child(struct ev_loop *loop, ev_child *watcher, int events)
{
    (void)events;
    struct upgrade *upgrade = watcher->data;
    struct master *master = upgrade->master;
    bool good = WIFEXITED(watcher->rstatus) && WEXITSTATUS(watcher->rstatus) == 0;
    ev_child_stop(loop, watcher);
    if (master->stopping) {
        refuse(upgrade, "staffetta stops");
    } else if (!good) {
        refuse(upgrade, upgrade->tried ? "the new version cannot be executed, and all stays as it "
                                         "was; see the log, or standard error"
                                       : "the new version finds mistakes in the configuration, and "
                                         "all stays as it was; its `staffetta check` names them");
    } else if (!upgrade->tried) {
        upgrade->tried = true;
        start_child(upgrade);
    } else {
        LOG(&master->log, LOG_INFO, "upgrading", log_bytes("path", slice_of_string(upgrade->path)));
        master_stop(master);
        upgrade->under_way = true;
    }
}

void upgrade_init(struct upgrade *upgrade, struct master *master)
{
    *upgrade = (struct upgrade){.master = master, .client_fd = -1};
}

static bool is_path_of_master(struct slice path)
{
    return slice_starts_with(path, SLICE("/")) && slice_ends_with(path, SLICE("/libexec/master"))
           && path.len < PATH_MAX && slice_find_octet(path, '\0') == path.len;
}

void upgrade_begin(struct upgrade *upgrade, struct slice path, int client_fd)
{
    struct master *master = upgrade->master;
    if (upgrade->client_fd >= 0 || ev_is_active(&upgrade->child) || master->stopping
        || ev_is_active(&master->check)) {
        answer(client_fd, "an upgrade, a reload or a stop is under way");
        fd_discard(&client_fd);
        return;
    }
    upgrade->client_fd = client_fd;
    upgrade->tried = false;
    if (!is_path_of_master(path)) {
        refuse(upgrade, "there is no new version at that path");
        return;
    }
    memcpy(upgrade->path, path.ptr, path.len);
    upgrade->path[path.len] = '\0';
    start_child(upgrade);
}

bool upgrade_forget(struct upgrade *upgrade)
{
    if (!upgrade->under_way)
        return false;
    upgrade->under_way = false;
    upgrade_answer(upgrade, "staffetta stops");
    return true;
}

void upgrade_become(struct upgrade *upgrade)
{
    struct master *master = upgrade->master;
    struct words words;
    struct inheritance left = {.control_fd = master->control_fd,
                               .client_fd = upgrade->client_fd,
                               .previous_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC)};
    for (size_t i = 0; i < master->setup.listener_count; i++)
        left.listeners[left.listener_count++] = master->setup.listeners[i].fd;
    put_inheritance(&words, master->config_path, &left);
    execv(upgrade->path, words.all);
    struct error error;
    error_errno(&error, "execute %s", upgrade->path);
    inheritance_parse((int)words.count - 2, words.all + 2, &left); /* close-on-exec again */
    fd_discard(&left.previous_fd);
    refuse(upgrade, error.text);
}
