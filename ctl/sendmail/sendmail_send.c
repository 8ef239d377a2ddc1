/* `staffetta sendmail` speaks with the server; see sendmail.h. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "ctl/sendmail/sendmail.h"

enum { PATIENCE_SECONDS = 300, REPLY_MAX = 2000 };

/* --- The way there ---------------------------------------------------------------------------- */

/* Where a listener for all addresses is reached from here. */
static struct ip_address reachable(const struct ip_address *address)
{
    static const struct ip_address all_v4 = {.family = IP_V4}, all_v6 = {.family = IP_V6};
    struct ip_address result = *address;
    if (ip_address_equal(address, &all_v4))
        ip_address_parse(SLICE("127.0.0.1"), &result);
    else if (ip_address_equal(address, &all_v6))
        ip_address_parse(SLICE("::1"), &result);
    return result;
}

static int connect_to(const struct ip_address *address, uint16_t port)
{
    const struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    struct ip_address there = reachable(address);
    struct sockaddr_storage name;
    socklen_t length = ip_address_to_sockaddr(&there, port, &name);
    int fd = socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (connect(fd, (struct sockaddr *)&name, length) != 0)
        fd_discard(&fd);
    return fd;
}

int sendmail_connect(const struct config *config, struct error *error)
{
    for (size_t i = 0; i < config->listen_count; i++) {
        const struct config_listen *listen = &config->listens[i];
        for (size_t j = 0; j < listen->addresses.count && listen->service == CONFIG_SMTP; j++) {
            int fd = connect_to(&listen->addresses.items[j], listen->port);
            if (fd >= 0)
                return fd;
        }
    }
    error_set(error, ERROR_TEMPORARY, "staffetta does not run, or has no listen smtp: %s",
              strerrordesc_np(errno));
    return -1;
}

/* --- The conversation ------------------------------------------------------------------------- */

struct talk {
    FILE *in;
    int fd;
    char reply[REPLY_MAX]; /* the last line of the last one */
};

/* The code of a reply; 0: the server is gone. */
static int read_reply(struct talk *talk)
{
    uint64_t code;
    do {
        if (!fgets(talk->reply, sizeof(talk->reply), talk->in)
            || !slice_parse_number(slice_range(slice_of_string(talk->reply), 0, 3), &code))
            return 0;
        talk->reply[strcspn(talk->reply, "\r\n")] = '\0';
    } while (talk->reply[3] == '-');
    return (int)code;
}

static bool say(struct talk *talk, struct slice line)
{
    return fd_write_all(talk->fd, line, NULL);
}

static enum sendmail_status judge(const struct talk *talk, int code, struct error *error)
{
    if (code == 0) {
        error_set(error, ERROR_TEMPORARY, "the connection broke off");
        return SENDMAIL_TRY_AGAIN;
    }
    error_set(error, code < 500 ? ERROR_TEMPORARY : ERROR_PERMANENT, "%s", talk->reply);
    if (code < 500)
        return SENDMAIL_TRY_AGAIN;
    return strncmp(talk->reply + 4, "5.1.1", 5) == 0 ? SENDMAIL_NO_USER : SENDMAIL_REFUSED;
}

/* One command, and what became of it. */
static enum sendmail_status ask(struct talk *talk, const struct buffer *line, int wanted,
                                struct error *error)
{
    int code = !line->failed && say(talk, buffer_slice(line)) ? read_reply(talk) : 0;
    return code / 100 == wanted ? SENDMAIL_DONE : judge(talk, code, error);
}

static enum sendmail_status ask_with(struct talk *talk, const char *before, struct slice argument,
                                     const char *behind, struct error *error)
{
    struct buffer line = BUFFER_WITH_LIMIT(1000);
    buffer_append_string(&line, before);
    buffer_append(&line, argument);
    buffer_append_string(&line, behind);
    buffer_append_string(&line, "\r\n");
    enum sendmail_status status = ask(talk, &line, 2, error);
    buffer_clear(&line);
    return status;
}

static bool needs_utf8(const struct sendmail *mail)
{
    bool needs = !slice_is_ascii(mail->sender);
    for (size_t i = 0; i < mail->recipients.count; i++)
        needs |= !slice_is_ascii(mail->recipients.items[i]);
    return needs;
}

static enum sendmail_status send_envelope(struct talk *talk, const struct sendmail *mail,
                                          struct error *error)
{
    enum sendmail_status status =
        ask_with(talk, "EHLO ", slice_of_string(mail->hostname), "", error);
    if (status == SENDMAIL_DONE)
        status = ask_with(talk, "MAIL FROM:<", mail->sender,
                          needs_utf8(mail) ? "> BODY=8BITMIME SMTPUTF8" : "> BODY=8BITMIME", error);
    for (size_t i = 0; i < mail->recipients.count && status == SENDMAIL_DONE; i++) {
        status = ask_with(talk, "RCPT TO:<", mail->recipients.items[i], ">", error);
        if (status != SENDMAIL_DONE)
            error_prefix(error, "%.*s", SLICE_PRINTF(mail->recipients.items[i]));
    }
    return status;
}

/* RFC 5321 4.5.2 */
static bool send_text(struct talk *talk, struct slice text)
{
    while (text.len > 0) {
        size_t end = slice_find_octet(text, '\n') + 1;
        struct slice line = slice_range(text, 0, end);
        if ((line.ptr[0] == '.' && !say(talk, SLICE("."))) || !say(talk, line))
            return false;
        text = slice_from(text, end);
    }
    return say(talk, SLICE(".\r\n"));
}

static enum sendmail_status send_message(struct talk *talk, const struct sendmail *mail,
                                         struct error *error)
{
    int code = say(talk, SLICE("DATA\r\n")) ? read_reply(talk) : 0;
    if (code != 354)
        return judge(talk, code, error);
    code = send_text(talk, buffer_slice(&mail->text)) ? read_reply(talk) : 0;
    return code == 250 ? SENDMAIL_DONE : judge(talk, code, error);
}

enum sendmail_status sendmail_send(const struct sendmail *mail, int fd, struct error *error)
{
    struct talk talk = {.fd = fd, .in = fdopen(fd, "r")};
    if (!talk.in) {
        fd_discard(&fd);
        error_errno(error, "open a stream");
        return SENDMAIL_FAULT;
    }
    int greeting = read_reply(&talk);
    enum sendmail_status status =
        greeting == 220 ? send_envelope(&talk, mail, error) : judge(&talk, greeting, error);
    if (status == SENDMAIL_DONE)
        status = send_message(&talk, mail, error);
    say(&talk, SLICE("QUIT\r\n")); /* whatever comes of it */
    fclose(talk.in);
    return status;
}

/* --- -bs -------------------------------------------------------------------------------------- */

/* Copies what there is. False: this way is at its end. */
static bool copy(int from, int to)
{
    uint8_t octets[65536];
    ssize_t got = read(from, octets, sizeof(octets));
    return got > 0 && fd_write_all(to, slice_of(octets, (size_t)got), NULL);
}

enum sendmail_status sendmail_talk(int fd, struct error *error)
{
    struct pollfd ways[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    bool open = true;
    while (open) {
        if (poll(ways, 2, -1) < 0 && errno != EINTR) {
            error_errno(error, "poll");
            fd_discard(&fd);
            return SENDMAIL_FAULT;
        }
        if (ways[0].revents != 0 && !copy(STDIN_FILENO, fd)) {
            shutdown(fd, SHUT_WR);
            ways[0].fd = -1;
        }
        if (ways[1].revents != 0)
            open = copy(fd, STDOUT_FILENO);
    }
    fd_discard(&fd);
    return SENDMAIL_DONE;
}
