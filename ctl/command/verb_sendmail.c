/* `staffetta sendmail`: options as every sendmail has them; see sendmail.h. */
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "common/size.h"
#include "ctl/command/command.h"
#include "ctl/sendmail/sendmail.h"

enum { ARENA_MAX = 64 << 20 };

/* What is to be done, -b. */
enum mode { MODE_MESSAGE, MODE_SMTP, MODE_QUEUE, MODE_ALIASES, MODE_DROPPED };

struct options {
    enum mode mode;
    const char *sender; /* NULL: whoever runs this */
    const char *name;
    bool from_header;
    bool dot_ends;
};

/* -bm, -bs, -bp, -bi; -bd is the master's: a file that was dropped is on standard input. */
static bool take_mode(struct options *options, const char *value)
{
    static const char letters[] = {[MODE_MESSAGE] = 'm',
                                   [MODE_SMTP] = 's',
                                   [MODE_QUEUE] = 'p',
                                   [MODE_ALIASES] = 'i',
                                   [MODE_DROPPED] = 'd'};
    const char *at = memchr(letters, value[0], sizeof(letters));
    if (!at || value[1] != '\0')
        return false;
    options->mode = (enum mode)(at - letters);
    return true;
}

/* Those that say how a queue of another kind is to be run mean nothing here, and do no harm. */
static bool take_options(int count, char **words, struct options *options)
{
    int letter;
    *options = (struct options){.dot_ends = true};
    optind = 0;
    opterr = 0;
    while ((letter = getopt(count, words, "+b:B:e:f:F:Gh:iL:mnN:o:O:q::R:r:tUvV:X:")) != -1) {
        if (letter == 'b' && !take_mode(options, optarg))
            return false;
        if (letter == 'f' || letter == 'r')
            options->sender = optarg;
        if (letter == 'F')
            options->name = optarg;
        if (letter == 't')
            options->from_header = true;
        if (letter == 'i' || (letter == 'o' && strcmp(optarg, "i") == 0))
            options->dot_ends = false;
        if (letter == '?' || letter == ':')
            return false;
    }
    return true;
}

static enum sendmail_status fail(enum sendmail_status status, const struct error *error)
{
    fprintf(stderr, "sendmail: %s\n", error->text);
    return status;
}

/* --- A message -------------------------------------------------------------------------------- */

static bool set_people(struct sendmail *mail, const struct options *options, char **recipients,
                       struct error *error)
{
    const struct passwd *user = getpwuid(getuid());
    const char *login = user ? user->pw_name : "nobody";
    if (!sendmail_set_sender(mail, slice_of_string(login), error))
        return false;
    mail->author = mail->sender;
    mail->name = slice_of_string(options->name ? options->name : "");
    if (options->sender && !sendmail_set_sender(mail, slice_of_string(options->sender), error))
        return false;
    if (mail->sender.len > 0)
        mail->author = mail->sender;
    for (; *recipients; recipients++)
        if (!sendmail_add_recipients(mail, slice_of_string(*recipients), error))
            return false;
    return true;
}

static bool read_input(struct buffer *input, struct error *error)
{
    uint8_t octets[65536];
    size_t got;
    while ((got = fread(octets, 1, sizeof(octets), stdin)) > 0 && !input->failed)
        buffer_append(input, slice_of(octets, got));
    if (ferror(stdin))
        return error_errno(error, "standard input");
    return !input->failed
           || error_set(error, ERROR_PERMANENT, "the message is longer than limits.message-size");
}

static enum sendmail_status make_mail(struct sendmail *mail, const struct options *options,
                                      char **recipients, struct error *error)
{
    struct buffer input = BUFFER_WITH_LIMIT(mail->text.limit);
    uint64_t unique = 0;
    bool read = read_input(&input, error);
    bool named = read && set_people(mail, options, recipients, error);
    bool made = named && getrandom(&unique, sizeof(unique), 0) == sizeof(unique)
                && sendmail_make_text(mail, buffer_slice(&input), time(NULL), unique, error);
    buffer_clear(&input);
    if (!read)
        return SENDMAIL_DATA;
    if (!named)
        return SENDMAIL_USAGE;
    if (!made)
        return SENDMAIL_DATA;
    if (mail->recipients.count > 0)
        return SENDMAIL_DONE;
    error_set(error, ERROR_PERMANENT, "nobody is to get this: name recipients, or say -t");
    return SENDMAIL_USAGE;
}

static enum sendmail_status read_mail(struct sendmail *mail, struct error *error)
{
    struct buffer input = BUFFER_WITH_LIMIT(mail->text.limit + ARENA_MAX); /* and its envelope */
    bool read = read_input(&input, error) && sendmail_read_drop(mail, buffer_slice(&input), error);
    buffer_clear(&input);
    return read ? SENDMAIL_DONE : SENDMAIL_DATA;
}

/* What the server does not take now is written down; a second time that is of no use. */
static enum sendmail_status hand_over(const struct config *config, const struct options *options,
                                      const struct sendmail *mail, struct error *error)
{
    int fd = sendmail_connect(config, error);
    enum sendmail_status status = fd >= 0 ? sendmail_send(mail, fd, error) : SENDMAIL_TRY_AGAIN;
    if (status != SENDMAIL_TRY_AGAIN || options->mode == MODE_DROPPED)
        return status;
    return sendmail_drop(mail, config->state.text, error) ? SENDMAIL_DONE : SENDMAIL_TRY_AGAIN;
}

static bool is_too_old(const struct config *config)
{
    struct stat facts;
    return fstat(STDIN_FILENO, &facts) == 0
           && time(NULL) - facts.st_mtime > (int64_t)(config->queue.lifetime_ms / 1000);
}

/* Of a message that waited on disk, refused with that status: its sender is told, if that is
 * possible now or ever. */
static enum sendmail_status give_back(const struct config *config, const struct sendmail *mail,
                                      enum sendmail_status status, const struct error *why)
{
    struct error error = {0};
    uint64_t unique = 0;
    struct sendmail report = {.domain = mail->domain, .hostname = mail->hostname};
    arena_init(&report.arena, ARENA_MAX);
    if (getrandom(&unique, sizeof(unique), 0) == sizeof(unique)
        && sendmail_make_return(mail, why->text, time(NULL), unique, &report, &error)) {
        int fd = sendmail_connect(config, &error);
        enum sendmail_status sent =
            fd >= 0 ? sendmail_send(&report, fd, &error) : (enum sendmail_status)SENDMAIL_TRY_AGAIN;
        if (sent == SENDMAIL_DONE)
            status = SENDMAIL_RETURNED;
        else if (sent == SENDMAIL_TRY_AGAIN)
            status = sent;
    }
    buffer_clear(&report.text);
    arena_clear(&report.arena);
    return status;
}

static bool is_refused(const struct config *config, enum sendmail_status status)
{
    return status == SENDMAIL_NO_USER || status == SENDMAIL_REFUSED
           || (status == SENDMAIL_TRY_AGAIN && is_too_old(config));
}

static enum sendmail_status send_message(const struct config *config, const struct options *options,
                                         char **recipients)
{
    struct error error = {0};
    struct sendmail mail = {.domain = config->domains[0].name,
                            .hostname = config->hostname,
                            .from_header = options->from_header,
                            .dot_ends = options->dot_ends};
    arena_init(&mail.arena, ARENA_MAX);
    buffer_init(&mail.text, (size_t)config->limits.message_size_octets);
    enum sendmail_status status = options->mode == MODE_DROPPED
                                      ? read_mail(&mail, &error)
                                      : make_mail(&mail, options, recipients, &error);
    if (status == SENDMAIL_DONE)
        status = hand_over(config, options, &mail, &error);
    if (options->mode == MODE_DROPPED && is_refused(config, status))
        status = give_back(config, &mail, status, &error);
    buffer_clear(&mail.text);
    arena_clear(&mail.arena);
    return status == SENDMAIL_DONE ? status : fail(status, &error);
}

/* --- The rest --------------------------------------------------------------------------------- */

static enum sendmail_status talk(const struct config *config)
{
    struct error error = {0};
    int fd = sendmail_connect(config, &error);
    enum sendmail_status status =
        fd >= 0 ? sendmail_talk(fd, &error) : (enum sendmail_status)SENDMAIL_TRY_AGAIN;
    return status == SENDMAIL_DONE ? status : fail(status, &error);
}

static enum sendmail_status list_queue(const struct command *command)
{
    const struct command queue = {.config_path = command->config_path, .verb = "queue"};
    return verb_ask_role(&queue) == COMMAND_DONE ? SENDMAIL_DONE : SENDMAIL_TRY_AGAIN;
}

int verb_sendmail(const struct command *command)
{
    struct options options;
    struct config config;
    /* getopt() wants the program's name before them. */
    char **words = command->arguments - 1;
    if (!take_options(command->count + 1, words, &options)) {
        fputs("usage: sendmail [-t] [-i] [-f SENDER] [-F NAME] [-bm|-bs|-bp] [RECIPIENT ...]\n",
              stderr);
        return SENDMAIL_USAGE;
    }
    if (options.mode == MODE_ALIASES)
        return SENDMAIL_DONE; /* alias files are read as they change */
    if (options.mode == MODE_QUEUE)
        return (int)list_queue(command);
    enum sendmail_status status = SENDMAIL_CONFIG;
    /* In silence: what check has to say is not for cron. */
    if (command_read_config_as_it_is(command, &config) && config.hostname && config.domain_count > 0
        && config.state.text)
        status = options.mode == MODE_SMTP ? talk(&config)
                                           : send_message(&config, &options, words + optind);
    config_clear(&config);
    return (int)status;
}
