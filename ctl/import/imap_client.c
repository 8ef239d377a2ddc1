/* The IMAP client of imap_client.h. */
#include "ctl/import/imap_client.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "common/disk/fd.h"
#include "common/text/base64.h"
#include "common/tls/tls_client.h"

enum { READ_OCTETS = 65536, WRITE_OCTETS = 1 << 20, LINE_MAX_OCTETS = 1 << 20 };

void imap_client_init(struct imap_client *client)
{
    *client = (struct imap_client){.fd = -1};
    buffer_init(&client->in, IMAP_RESPONSE_MAX);
}

void imap_client_clear(struct imap_client *client)
{
    SSL_free(client->ssl);
    tls_client_free(client->tls);
    fd_discard(&client->fd);
    buffer_clear(&client->in);
    imap_client_init(client);
}

/* ---- octets ---- */

static bool tls_failed(struct error *error)
{
    char text[120];
    unsigned long code = ERR_peek_last_error();
    ERR_error_string_n(code, text, sizeof(text));
    ERR_clear_error();
    return error_set(error, ERROR_TEMPORARY, "TLS: %s", code ? text : "the connection broke");
}

bool imap_client_send(struct imap_client *client, struct slice octets, struct error *error)
{
    while (client->ssl && octets.len > 0) {
        size_t sent;
        if (SSL_write_ex(client->ssl, octets.ptr,
                         octets.len < WRITE_OCTETS ? octets.len : WRITE_OCTETS, &sent)
            != 1)
            return tls_failed(error);
        octets = slice_from(octets, sent);
    }
    return octets.len == 0 || fd_write_all(client->fd, octets, error);
}

/* Reads more input from the server. */
static bool receive(struct imap_client *client, struct error *error)
{
    if (client->used > 0) {
        buffer_consume(&client->in, client->used);
        client->used = 0;
    }
    if (!buffer_reserve(&client->in, READ_OCTETS))
        return error_set(error, ERROR_PERMANENT, "the server says more than %d octets at once",
                         IMAP_RESPONSE_MAX);
    uint8_t *end = client->in.ptr + client->in.len;
    size_t got = 0;
    if (client->ssl) {
        if (SSL_read_ex(client->ssl, end, READ_OCTETS, &got) != 1)
            return tls_failed(error);
    } else {
        ssize_t read_octets = recv(client->fd, end, READ_OCTETS, 0);
        if (read_octets < 0)
            return error_errno(error, "read from the server");
        got = (size_t)read_octets;
    }
    if (got == 0)
        return error_set(error, ERROR_TEMPORARY, "the server closed the connection");
    buffer_commit(&client->in, got);
    return true;
}

/* ---- responses ---- */

/* literal = "{" number "}" CRLF, at the end of a line */
static bool ends_in_literal(struct slice line, uint64_t *octets)
{
    size_t at = line.len;
    if (at == 0 || line.ptr[at - 1] != '}')
        return false;
    while (at > 0 && line.ptr[at - 1] != '{')
        at--;
    return at > 0 && slice_parse_number(slice_range(line, at, line.len - 1), octets);
}

/* End of the response that starts at `used`, including CRLF; 0: incomplete. */
static size_t find_end(struct slice text, size_t *resume)
{
    size_t at = *resume;
    for (;;) {
        struct slice rest = slice_from(text, at);
        size_t lf = slice_find_octet(rest, '\n');
        uint64_t octets;
        if (lf == rest.len)
            return 0;
        size_t line_end = lf > 0 && rest.ptr[lf - 1] == '\r' ? lf - 1 : lf;
        if (!ends_in_literal(slice_range(rest, 0, line_end), &octets))
            return at + lf + 1;
        if (octets > IMAP_RESPONSE_MAX || text.len - at - lf - 1 < octets)
            return 0;
        at += lf + 1 + (size_t)octets;
        *resume = at;
    }
}

/* One response, borrowed until the next call. */
static bool take_response(struct imap_client *client, struct slice *response, struct error *error)
{
    size_t resume = 0;
    for (;;) {
        struct slice text = slice_from(buffer_slice(&client->in), client->used);
        size_t end = find_end(text, &resume);
        if (end > 0) {
            size_t length = end - 1;
            if (slice_ends_with(slice_range(text, 0, length), SLICE("\r")))
                length--;
            *response = slice_range(text, 0, length);
            client->used += end;
            return true;
        }
        if (text.len - resume > LINE_MAX_OCTETS
            && slice_find_octet(slice_from(text, resume), '\n') == text.len - resume)
            return error_set(error, ERROR_PERMANENT, "the server writes lines without an end");
        if (!receive(client, error))
            return false;
    }
}

bool imap_client_begin(struct imap_client *client, struct slice command, struct error *error)
{
    char tag[24];
    snprintf(tag, sizeof(tag), "s%u ", ++client->tags);
    return imap_client_send(client, slice_of_string(tag), error)
           && imap_client_send(client, command, error);
}

static bool judge(struct slice status, struct error *error)
{
    if (slice_starts_with_nocase(status, SLICE("OK")))
        return true;
    char text[200];
    size_t length = 0;
    for (size_t i = 0; i < status.len && length + 1 < sizeof(text); i++)
        text[length++] = status.ptr[i] >= ' ' && status.ptr[i] < 0x7f ? (char)status.ptr[i] : '?';
    text[length] = '\0';
    return error_set(error, ERROR_PERMANENT, "the server said: %s", text);
}

bool imap_client_finish(struct imap_client *client, imap_visit *visit, void *owner,
                        struct error *error)
{
    char tag[24];
    struct slice response;
    bool seen_well = true;
    snprintf(tag, sizeof(tag), "s%u ", client->tags);
    while (take_response(client, &response, error)) {
        if (slice_starts_with(response, slice_of_string(tag)))
            return seen_well && judge(slice_from(response, strlen(tag)), error);
        if (slice_starts_with_nocase(response, SLICE("* BYE")))
            return judge(slice_from(response, 2), error);
        if (seen_well && visit && slice_starts_with(response, SLICE("* ")))
            seen_well = visit(owner, slice_from(response, 2), error);
    }
    return false;
}

bool imap_client_command(struct imap_client *client, struct slice command, imap_visit *visit,
                         void *owner, struct error *error)
{
    return imap_client_begin(client, command, error)
           && imap_client_send(client, SLICE("\r\n"), error)
           && imap_client_finish(client, visit, owner, error);
}

/* ---- beginnings ---- */

static bool on_capability(void *owner, struct slice response, struct error *error)
{
    struct imap_client *client = owner;
    static const struct slice word = SLICE("CAPABILITY ");
    (void)error;
    if (!slice_starts_with_nocase(response, word))
        return true;
    for (struct slice rest = slice_from(response, word.len); rest.len > 0;) {
        size_t end = slice_find_octet(rest, ' ');
        struct slice name = slice_range(rest, 0, end);
        client->has_literal_plus =
            client->has_literal_plus || slice_equal_nocase(name, SLICE("LITERAL+"));
        client->has_starttls = client->has_starttls || slice_equal_nocase(name, SLICE("STARTTLS"));
        client->has_plain = client->has_plain || slice_equal_nocase(name, SLICE("AUTH=PLAIN"));
        client->has_sasl_ir = client->has_sasl_ir || slice_equal_nocase(name, SLICE("SASL-IR"));
        client->has_special_use =
            client->has_special_use || slice_equal_nocase(name, SLICE("SPECIAL-USE"));
        rest = slice_from(rest, end + 1);
    }
    return true;
}

static bool ask_capabilities(struct imap_client *client, struct error *error)
{
    client->has_literal_plus = client->has_starttls = client->has_plain = false;
    return imap_client_command(client, SLICE("CAPABILITY"), on_capability, client, error);
}

static bool read_greeting(struct imap_client *client, struct error *error)
{
    struct slice greeting;
    if (!take_response(client, &greeting, error))
        return false;
    if (!slice_starts_with_nocase(greeting, SLICE("* OK"))
        && !slice_starts_with_nocase(greeting, SLICE("* PREAUTH")))
        return judge(slice_from(greeting, 2), error);
    return true;
}

bool imap_client_take(struct imap_client *client, int fd, struct error *error)
{
    struct timeval silence = {.tv_sec = IMAP_SILENCE_S};
    client->fd = fd;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &silence, sizeof(silence));
    return read_greeting(client, error) && ask_capabilities(client, error);
}

static bool connect_socket(struct imap_client *client, const struct imap_server *server,
                           struct error *error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL, *each;
    int status = getaddrinfo(server->host, server->port, &hints, &found);
    if (status != 0)
        return error_set(error, ERROR_TEMPORARY, "%.100s: %s", server->host, gai_strerror(status));
    struct timeval silence = {.tv_sec = IMAP_SILENCE_S};
    for (each = found; each && client->fd < 0; each = each->ai_next) {
        client->fd = socket(each->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence));
        setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &silence, sizeof(silence));
        if (client->fd >= 0 && connect(client->fd, each->ai_addr, each->ai_addrlen) == 0)
            break;
        error_errno(error, "connect to %.100s", server->host);
        fd_discard(&client->fd);
    }
    freeaddrinfo(found);
    return client->fd >= 0;
}

static bool begin_tls(struct imap_client *client, const struct imap_server *server,
                      struct error *error)
{
    const struct tls_client_server judged = {
        .check = server->authorities ? TLS_CHECK_NAME : TLS_CHECK_NOTHING, .name = server->host};
    /* Plaintext received after STARTTLS is not trusted. */
    buffer_reset(&client->in);
    client->used = 0;
    client->tls = tls_client_new(server->authorities, error);
    if (client->tls)
        client->ssl = tls_client_connection(client->tls, client->fd, &judged, error);
    if (!client->ssl)
        return false;
    SSL_set_mode(client->ssl, SSL_MODE_AUTO_RETRY);
    if (SSL_connect(client->ssl) != 1)
        return tls_failed(error);
    return !server->authorities || strcmp(tls_client_verified(client->ssl), "name") == 0
           || error_set(error, ERROR_PERMANENT, "the certificate of %.100s is not right",
                        server->host);
}

bool imap_client_connect(struct imap_client *client, const struct imap_server *server,
                         struct error *error)
{
    if (!connect_socket(client, server, error))
        return false;
    if (server->security == IMAP_TLS && !begin_tls(client, server, error))
        return false;
    if (!read_greeting(client, error) || !ask_capabilities(client, error))
        return false;
    if (server->security != IMAP_STARTTLS)
        return true;
    return imap_client_command(client, SLICE("STARTTLS"), NULL, NULL, error)
           && begin_tls(client, server, error) && ask_capabilities(client, error);
}

/* message = [authzid] NUL authcid NUL passwd    RFC 4616 2; a literal of LOGIN may hold any octet
 */
bool imap_client_login(struct imap_client *client, struct slice user, struct slice password,
                       struct error *error)
{
    struct buffer command = BUFFER_WITH_LIMIT(8192), plain = BUFFER_WITH_LIMIT(4096);
    if (client->has_plain && client->has_sasl_ir) {
        buffer_append_octet(&plain, '\0');
        buffer_append(&plain, user);
        buffer_append_octet(&plain, '\0');
        buffer_append(&plain, password);
        buffer_append(&command, SLICE("AUTHENTICATE PLAIN "));
        base64_encode(buffer_slice(&plain), &command);
    } else {
        buffer_append(&command, SLICE("LOGIN "));
        imap_append_quoted(user, &command);
        buffer_append_octet(&command, ' ');
        imap_append_quoted(password, &command);
    }
    bool in = !command.failed && !plain.failed
              && imap_client_command(client, buffer_slice(&command), NULL, NULL, error);
    explicit_bzero(command.ptr, command.len);
    explicit_bzero(plain.ptr, plain.len);
    buffer_clear(&command);
    buffer_clear(&plain);
    return in && ask_capabilities(client, error);
}

/* ---- reading responses ---- */

static struct imap_token take_quoted(struct cursor *in)
{
    struct cursor start = *in;
    while (!cursor_at_end(in) && *in->at != '"')
        in->at += *in->at == '\\' && cursor_left(in) > 1 ? 2 : 1;
    struct slice text = cursor_since(in, &start);
    return cursor_skip(in, '"') ? (struct imap_token){IMAP_STRING, text}
                                : (struct imap_token){IMAP_BAD, text};
}

/* Behind "{". */
static struct imap_token take_literal(struct cursor *in)
{
    uint64_t octets;
    struct imap_token bad = {.kind = IMAP_BAD};
    if (!cursor_take_number(in, &octets) || !cursor_skip(in, '}'))
        return bad;
    cursor_skip(in, '\r');
    if (!cursor_skip(in, '\n') || octets > cursor_left(in))
        return bad;
    struct slice text = slice_range(cursor_rest(in), 0, (size_t)octets);
    in->at += octets;
    return (struct imap_token){IMAP_STRING, text};
}

static bool is_control(uint8_t octet)
{
    return octet < ' ' || octet == 0x7f;
}

/* Text in brackets is part of the atom, including spaces. */
static struct imap_token take_atom(struct cursor *in)
{
    struct cursor start = *in;
    unsigned depth = 0;
    while (!cursor_at_end(in) && !is_control(*in->at) && (depth > 0 || !strchr(" ()", *in->at))) {
        depth += *in->at == '[';
        depth -= *in->at == ']' && depth > 0;
        in->at++;
    }
    struct slice text = cursor_since(in, &start);
    return (struct imap_token){text.len > 0 ? IMAP_ATOM : IMAP_BAD, text};
}

struct imap_token imap_take_token(struct cursor *in)
{
    while (cursor_skip(in, ' '))
        ;
    if (cursor_at_end(in))
        return (struct imap_token){.kind = IMAP_END};
    if (cursor_skip(in, '('))
        return (struct imap_token){.kind = IMAP_OPEN};
    if (cursor_skip(in, ')'))
        return (struct imap_token){.kind = IMAP_CLOSE};
    if (cursor_skip(in, '"'))
        return take_quoted(in);
    if (cursor_skip(in, '{'))
        return take_literal(in);
    return take_atom(in);
}

bool imap_enter_fetch(struct cursor *in)
{
    imap_take_token(in); /* the message's number */
    return slice_equal_nocase(imap_take_token(in).text, SLICE("FETCH"))
           && imap_take_token(in).kind == IMAP_OPEN;
}

void imap_append_string(struct imap_token token, struct buffer *text)
{
    /* Only quoted strings have escapes; a literal is preceded by LF. */
    bool is_quoted = token.kind == IMAP_STRING && token.text.len > 0 && token.text.ptr[-1] == '"';
    for (size_t i = 0; i < token.text.len; i++) {
        if (is_quoted && token.text.ptr[i] == '\\' && i + 1 < token.text.len)
            i++;
        buffer_append_octet(text, token.text.ptr[i]);
    }
}

/* flag = ["\\"] atom    RFC 3501 9 */
static bool is_flag(struct slice text)
{
    struct slice atom = slice_from(text, slice_starts_with(text, SLICE("\\")));
    for (size_t i = 0; i < atom.len; i++)
        if (is_control(atom.ptr[i]) || atom.ptr[i] > 0x7f || strchr(" (){%*\"\\]", atom.ptr[i]))
            return false;
    return atom.len > 0;
}

void imap_append_flag(struct slice flag, struct buffer *flags)
{
    if (!is_flag(flag))
        return;
    if (flags->len > 0)
        buffer_append_octet(flags, ' ');
    buffer_append(flags, flag);
}

/* QUOTED-CHAR has no CR, LF or octets above 127 (RFC 3501 9). */
static bool can_be_quoted(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (is_control(text.ptr[i]) || text.ptr[i] > 0x7f)
            return false;
    return true;
}

void imap_append_quoted(struct slice text, struct buffer *command)
{
    if (!can_be_quoted(text)) {
        buffer_append_format(command, "{%zu+}\r\n", text.len);
        buffer_append(command, text);
        return;
    }
    buffer_append_octet(command, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"' || text.ptr[i] == '\\')
            buffer_append_octet(command, '\\');
        buffer_append_octet(command, text.ptr[i]);
    }
    buffer_append_octet(command, '"');
}
