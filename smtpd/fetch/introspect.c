/* Questions of auth; see introspect.h. fetch. */
#include "smtpd/fetch/introspect.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/auth/introspection_protocol.h"
#include "common/disk/fd.h"
#include "common/text/base64.h"
#include "common/text/https_url.h"
#include "smtpd/fetch/host_search.h"

enum { CREDENTIALS_OCTETS = 4096, BODY_OCTETS = 3 * INTROSPECTION_TOKEN_MAX + 256 };

struct introspect_request {
    struct fetch *fetch;
    struct fetch_asker asker; /* an auth */
    struct buffer url;
    struct https_url to; /* in url */
    char host[DNS_NAME_MAX + 1];
    struct buffer body;
};

/* ---- who asks ---- */

/* What is not unreserved (RFC 3986 2.3) by its number: good for a form and for what stands in Basic
 * (RFC 6749 2.3.1). */
static void append_encoded(struct buffer *out, struct slice text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        uint8_t octet = text.ptr[i];
        bool plain = (octet >= '0' && octet <= '9') || (octet >= 'A' && octet <= 'Z')
                     || (octet >= 'a' && octet <= 'z') || octet == '-' || octet == '.'
                     || octet == '_' || octet == '~';
        if (!plain) {
            buffer_append_octet(out, '%');
            buffer_append_octet(out, (uint8_t)digits[octet >> 4]);
            octet = (uint8_t)digits[octet & 15];
        }
        buffer_append_octet(out, octet);
    }
}

/* Two lines: the client's id and its secret. */
static bool parse_credentials(struct slice text, struct buffer *field, struct error *error)
{
    size_t end = slice_find_octet(text, '\n');
    struct slice rest = slice_from(text, end + 1);
    struct slice id = slice_trim(slice_range(text, 0, end));
    struct slice secret = slice_trim(slice_range(rest, 0, slice_find_octet(rest, '\n')));
    struct buffer pair = BUFFER_WITH_LIMIT(3 * CREDENTIALS_OCTETS);
    if (id.len == 0 || secret.len == 0)
        return error_set(error, ERROR_PERMANENT,
                         "its two lines are not the client's id and secret");
    append_encoded(&pair, id);
    buffer_append_octet(&pair, ':');
    append_encoded(&pair, secret);
    buffer_append(field, SLICE("Authorization: Basic "));
    base64_encode(buffer_slice(&pair), field);
    buffer_append_octet(field, 0);
    bool made = !pair.failed && !field->failed;
    explicit_bzero(pair.ptr, pair.len);
    buffer_clear(&pair);
    return made || error_memory(error);
}

static void forget_credentials(struct buffer *field)
{
    if (field->ptr)
        explicit_bzero(field->ptr, field->len);
    buffer_clear(field);
    buffer_init(field, 6 * CREDENTIALS_OCTETS);
}

void introspect_take_credentials(struct fetch *fetch)
{
    struct error error = {.text = "the file could not be opened"};
    struct buffer text = BUFFER_WITH_LIMIT(CREDENTIALS_OCTETS);
    int fd = role_take_file(fetch->role, DESCRIPTOR_INTROSPECTION, 0);
    forget_credentials(&fetch->authorization);
    if (fetch->role->config.oauth.introspection.text
        && (fd < 0 || !fd_read_all(fd, &text, &error)
            || !parse_credentials(buffer_slice(&text), &fetch->authorization, &error))) {
        LOG(&fetch->role->log, LOG_ERROR, "no_credentials", log_failure(&error));
        forget_credentials(&fetch->authorization);
    }
    fd_discard(&fd);
    if (text.ptr)
        explicit_bzero(text.ptr, text.len);
    buffer_clear(&text);
}

/* ---- answers ---- */

static void send_answer(struct fetch *fetch, const struct fetch_asker *asker, bool said,
                        struct slice text)
{
    struct error error;
    struct role_peer *auth = role_find_peer_number(fetch->role, ROLE_AUTH, asker->number);
    struct introspected answer = {.header = {.type = INTROSPECTED, .request = asker->request},
                                  .said = said};
    if (auth && !ipc_send_record(&auth->channel, &answer.header, sizeof(answer), text, &error))
        LOG(&fetch->role->log, LOG_WARNING, "not_answered",
            log_text("peer", role_kind_name(ROLE_AUTH)), log_failure(&error));
}

static void free_request(struct introspect_request *request)
{
    if (request->body.ptr) /* the token */
        explicit_bzero(request->body.ptr, request->body.len);
    buffer_clear(&request->body);
    buffer_clear(&request->url);
    free(request);
}

static void end_request(struct introspect_request *request, bool said, struct slice text)
{
    send_answer(request->fetch, &request->asker, said, text);
    request->fetch->introspect_count--;
    free_request(request);
}

static void on_answer(void *owner, const struct https_answer *answer)
{
    char text[96];
    if (answer->failure) {
        end_request(owner, false, slice_of_string(answer->failure->text));
        return;
    }
    if (answer->status == 200 && answer->text.len <= INTROSPECTION_TEXT_MAX) {
        end_request(owner, true, answer->text);
        return;
    }
    if (answer->status == 200)
        snprintf(text, sizeof(text), "the server answers with more than %d octets",
                 INTROSPECTION_TEXT_MAX);
    else
        snprintf(text, sizeof(text), "the server answers with status %ld", answer->status);
    end_request(owner, false, slice_of_string(text));
}

/* ---- questions ---- */

static void send_request(void *owner, const struct host_found *found)
{
    struct introspect_request *request = owner;
    struct fetch *fetch = request->fetch;
    struct error error;
    const struct https_wish wish = {.host = request->host,
                                    .port = request->to.port,
                                    .path = request->to.path,
                                    .addresses = found->addresses,
                                    .address_count = found->count,
                                    .body = buffer_slice(&request->body),
                                    .type = "Content-Type: application/x-www-form-urlencoded",
                                    .authorization = (const char *)fetch->authorization.ptr,
                                    .wants_text = true,
                                    .timeout_ms =
                                        fetch->role->config.oauth.introspection_timeout_ms};
    bool begun = found->count > 0
                     ? https_request_begin(fetch->requests, &wish, on_answer, request, &error)
                     : host_search_explain(request->host, found, &error);
    if (!begun)
        end_request(request, false, slice_of_string(error.text));
}

/* Its address is the administrator's business: it may be a private one, or be named itself. */
static bool find_host(struct introspect_request *request)
{
    struct host_found found = {.count = 1};
    if (!ip_address_parse(slice_of_string(request->host), &found.addresses[0]))
        return host_search_begin(&request->fetch->dns, request->host, true, send_request, request);
    send_request(request, &found);
    return true;
}

static struct introspect_request *new_request(struct fetch *fetch, const struct fetch_asker *asker,
                                              struct slice token)
{
    struct introspect_request *request =
        fetch->introspect_count < INTROSPECTS_MAX ? calloc(1, sizeof(*request)) : NULL;
    if (!request)
        return NULL;
    request->fetch = fetch;
    request->asker = *asker;
    buffer_init(&request->url, HTTPS_URL_MAX);
    buffer_init(&request->body, BODY_OCTETS);
    buffer_append_string(&request->url, fetch->role->config.oauth.introspection.text);
    buffer_append(&request->body, SLICE("token_type_hint=access_token&token="));
    append_encoded(&request->body, token);
    if (!request->url.failed && !request->body.failed
        && https_url_parse(buffer_slice(&request->url), &request->to)
        && request->to.host.len <= DNS_NAME_MAX)
        return request;
    free_request(request);
    return NULL;
}

static void begin(struct fetch *fetch, const struct fetch_asker *asker, struct slice token)
{
    if (!fetch->role->config.oauth.introspection.text || fetch->authorization.len == 0) {
        send_answer(fetch, asker, false, SLICE("oauth.introspection-credentials are missing"));
        return;
    }
    struct introspect_request *request = new_request(fetch, asker, token);
    if (!request) {
        send_answer(fetch, asker, false, SLICE("too much is under way"));
        return;
    }
    fetch->introspect_count++;
    for (size_t i = 0; i < request->to.host.len; i++)
        request->host[i] = (char)ascii_lower(request->to.host.ptr[i]);
    if (!find_host(request))
        end_request(request, false, SLICE("out of memory"));
}

static bool on_introspect(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role_peer *peer = owner;
    struct fetch *fetch = peer->role->state;
    const struct fetch_asker asker = {.number = peer->number,
                                      .request = ipc_packet_header(packet)->request};
    ev_timer_again(fetch->role->loop, &fetch->idle);
    begin(fetch, &asker, ipc_packet_tail(packet, sizeof(struct introspect)));
    return true;
}

const struct ipc_rule introspect_rules[INTROSPECT_RULES] = {
    {INTROSPECT, sizeof(struct introspect) + 1, sizeof(struct introspect) + INTROSPECTION_TOKEN_MAX,
     0, on_introspect},
};
