/* libcurl on libev; see https_request.h. */
#include "smtpd/fetch/https_request.h"

#include <stdio.h>
#include <stdlib.h>

#include <curl/curl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "common/buffer.h"
#include "common/size.h"

enum {
    TIMEOUT_MS = 60000, /* of the whole, RFC 8461 3.3 */
    CONNECT_MS = 20000,
    ADDRESSES_GOOD_S = 300, /* longer than any request: libcurl must never look for them */
};

struct https_requests {
    CURLM *multi;
    struct ev_loop *loop;
    ev_timer timer;
    X509_STORE *authorities;
};

struct https_request {
    struct https_requests *requests;
    CURL *easy;
    struct curl_slist *resolved;
    struct curl_slist *fields;
    char host[HTTPS_HOST_MAX + 1];
    char failure[CURL_ERROR_SIZE];
    struct buffer body; /* empty: GET */
    struct buffer text;
    bool wants_text;
    https_answered *done;
    void *owner;
};

/* ---- the end of a request ---- */

static void free_request(struct https_request *request)
{
    if (request->easy)
        curl_multi_remove_handle(request->requests->multi, request->easy);
    curl_easy_cleanup(request->easy);
    curl_slist_free_all(request->resolved);
    curl_slist_free_all(request->fields);
    buffer_clear(&request->body);
    buffer_clear(&request->text);
    free(request);
}

static bool check_transfer(const struct https_request *request, CURLcode code, struct error *error)
{
    if (request->text.failed)
        return error_set(error, ERROR_PEER, "the answer is longer than %d octets", HTTPS_TEXT_MAX);
    if (code != CURLE_OK)
        return error_set(error, ERROR_PEER, "%s",
                         request->failure[0] ? request->failure : curl_easy_strerror(code));
    return true;
}

static void conclude(struct https_request *request, CURLcode code)
{
    struct error error;
    char *type = NULL;
    struct https_answer answer = {.text = buffer_slice(&request->text),
                                  .is_untrusted = code == CURLE_PEER_FAILED_VERIFICATION};
    if (!check_transfer(request, code, &error))
        answer.failure = &error;
    curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &answer.status);
    curl_easy_getinfo(request->easy, CURLINFO_CONTENT_TYPE, &type);
    answer.type = slice_of_string(type);
    request->done(request->owner, &answer);
    free_request(request);
}

static void conclude_all(struct https_requests *requests)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(requests->multi, &left))) {
        struct https_request *request = NULL;
        CURLcode code = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&request);
        conclude(request, code);
    }
}

/* ---- the loop ---- */

static void on_ready(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    struct https_requests *requests = watcher->data;
    int running;
    int bits =
        (events & EV_READ ? CURL_CSELECT_IN : 0) | (events & EV_WRITE ? CURL_CSELECT_OUT : 0);
    curl_multi_socket_action(requests->multi, watcher->fd, bits, &running);
    conclude_all(requests);
}

static void on_timer(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    struct https_requests *requests = watcher->data;
    int running;
    curl_multi_socket_action(requests->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    conclude_all(requests);
}

/* CURLMOPT_TIMERFUNCTION */
static int set_timer(CURLM *multi, long wait_ms, void *owner)
{
    (void)multi;
    struct https_requests *requests = owner;
    ev_timer_stop(requests->loop, &requests->timer);
    if (wait_ms < 0)
        return 0;
    ev_timer_set(&requests->timer, (double)wait_ms / 1000.0, 0.0);
    ev_timer_start(requests->loop, &requests->timer);
    return 0;
}

/* CURLMOPT_SOCKETFUNCTION: -1 ends all transfers, which is what no memory deserves. */
static int set_socket(CURL *easy, curl_socket_t fd, int what, void *owner, void *known)
{
    (void)easy;
    struct https_requests *requests = owner;
    ev_io *watcher = known;
    if (watcher)
        ev_io_stop(requests->loop, watcher);
    if (what == CURL_POLL_REMOVE) {
        free(watcher);
        return 0;
    }
    if (!watcher) {
        watcher = calloc(1, sizeof(*watcher));
        if (!watcher)
            return -1;
        ev_init(watcher, on_ready);
        watcher->data = requests;
        curl_multi_assign(requests->multi, fd, watcher);
    }
    ev_io_set(watcher, fd,
              (what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0));
    ev_io_start(requests->loop, watcher);
    return 0;
}

/* ---- all requests ---- */

struct https_requests *https_requests_new(struct ev_loop *loop, struct error *error)
{
    struct https_requests *requests = calloc(1, sizeof(*requests));
    if (!requests || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(requests);
        error_set(error, ERROR_TEMPORARY, "libcurl does not start");
        return NULL;
    }
    requests->loop = loop;
    requests->multi = curl_multi_init();
    requests->authorities = X509_STORE_new();
    if (!requests->multi || !requests->authorities) {
        error_memory(error);
        curl_multi_cleanup(requests->multi);
        X509_STORE_free(requests->authorities);
        free(requests);
        return NULL;
    }
    ev_init(&requests->timer, on_timer);
    requests->timer.data = requests;
    curl_multi_setopt(requests->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
    curl_multi_setopt(requests->multi, CURLMOPT_SOCKETDATA, requests);
    curl_multi_setopt(requests->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(requests->multi, CURLMOPT_TIMERDATA, requests);
    return requests;
}

static size_t add_certificates(X509_STORE *store, BIO *bio)
{
    size_t count = 0;
    X509 *certificate;
    while ((certificate = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL))) {
        count += X509_STORE_add_cert(store, certificate) == 1;
        X509_free(certificate);
    }
    ERR_clear_error(); /* the end of the text is an error there */
    return count;
}

size_t https_requests_trust(struct https_requests *requests, struct slice pem)
{
    X509_STORE *store = X509_STORE_new();
    BIO *bio = pem.len < INT32_MAX ? BIO_new_mem_buf(pem.ptr, (int)pem.len) : NULL;
    size_t count = store && bio ? add_certificates(store, bio) : 0;
    BIO_free(bio);
    if (count > 0) {
        X509_STORE_free(requests->authorities);
        requests->authorities = store;
    } else {
        X509_STORE_free(store);
    }
    return count;
}

/* ---- one request ---- */

/* CURLOPT_WRITEFUNCTION: less than all of it ends the transfer. What is said of most POSTs beside
 * the status interests nobody. */
static size_t take_octets(char *octets, size_t size, size_t count, void *owner)
{
    struct https_request *request = owner;
    if (!request->wants_text)
        return size * count;
    buffer_append(&request->text, slice_of(octets, size * count));
    return request->text.failed ? 0 : size * count;
}

/* CURLOPT_SSL_CTX_FUNCTION. RFC 8461 3.3: the name must be a DNS-ID; libcurl alone would take the
 * common name of a certificate that has none. */
static CURLcode set_checks(CURL *easy, void *settings, void *owner)
{
    (void)easy;
    const struct https_request *request = owner;
    X509_VERIFY_PARAM *checks = SSL_CTX_get0_param(settings);
    SSL_CTX_set1_cert_store(settings, request->requests->authorities);
    X509_VERIFY_PARAM_set_hostflags(checks, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS
                                                | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    struct ip_address address;
    bool set = ip_address_parse(slice_of_string(request->host), &address)
                   ? X509_VERIFY_PARAM_set1_ip_asc(checks, request->host) == 1
                   : X509_VERIFY_PARAM_set1_host(checks, request->host, 0) == 1;
    return set ? CURLE_OK : CURLE_OUT_OF_MEMORY;
}

/* "+host:443:192.0.2.1,[2001:db8::1]": forgotten again, but not before the request is over. */
static bool give_addresses(struct https_request *request, const struct https_wish *wish)
{
    char text[IP_ADDRESS_TEXT_SIZE];
    struct buffer line = BUFFER_WITH_LIMIT(sizeof(request->host) + 16 + HTTPS_ADDRESSES_MAX * 64);
    buffer_append_format(&line, "+%s:%u:", request->host, (unsigned)wish->port);
    for (size_t i = 0; i < wish->address_count; i++)
        buffer_append_format(&line, wish->addresses[i].family == IP_V6 ? "%s[%s]" : "%s%s",
                             i > 0 ? "," : "", ip_address_format(&wish->addresses[i], text));
    buffer_append_octet(&line, 0);
    if (!line.failed)
        request->resolved = curl_slist_append(NULL, (const char *)line.ptr);
    buffer_clear(&line);
    return request->resolved
           && curl_easy_setopt(request->easy, CURLOPT_RESOLVE, request->resolved) == CURLE_OK;
}

static bool set_numbers(CURL *easy, uint64_t timeout_ms)
{
    static const struct {
        CURLoption option;
        long value;
    } numbers[] = {
        {CURLOPT_NOSIGNAL, 1},
        {CURLOPT_FOLLOWLOCATION, 0},
        {CURLOPT_TIMEOUT_MS, TIMEOUT_MS},
        {CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS},
        {CURLOPT_DNS_CACHE_TIMEOUT, ADDRESSES_GOOD_S},
        {CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1},
        {CURLOPT_FORBID_REUSE, 1},
        {CURLOPT_FRESH_CONNECT, 1},
        {CURLOPT_SSL_VERIFYPEER, 1},
        {CURLOPT_SSL_VERIFYHOST, 2},
        {CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
        {CURLOPT_SSL_SESSIONID_CACHE, 0},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++)
        if (curl_easy_setopt(easy, numbers[i].option, numbers[i].value) != CURLE_OK)
            return false;
    return timeout_ms == 0
           || curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms) == CURLE_OK;
}

static bool set_url(struct https_request *request, const struct https_wish *wish)
{
    struct buffer url = BUFFER_WITH_LIMIT(HTTPS_URL_MAX);
    buffer_append_format(&url, "https://%s", request->host);
    if (wish->port != HTTPS_PORT)
        buffer_append_format(&url, ":%u", (unsigned)wish->port);
    buffer_append(&url, wish->path);
    buffer_append_octet(&url, 0);
    bool set = !url.failed && curl_easy_setopt(request->easy, CURLOPT_URL, url.ptr) == CURLE_OK;
    buffer_clear(&url);
    return set;
}

/* No file of authorities, no proxy of the environment. */
static bool set_texts(struct https_request *request)
{
    return curl_easy_setopt(request->easy, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK
           && curl_easy_setopt(request->easy, CURLOPT_PROXY, "") == CURLE_OK
           && curl_easy_setopt(request->easy, CURLOPT_CAINFO, NULL) == CURLE_OK
           && curl_easy_setopt(request->easy, CURLOPT_CAPATH, NULL) == CURLE_OK
           && curl_easy_setopt(request->easy, CURLOPT_USERAGENT, "staffetta") == CURLE_OK;
}

static bool add_field(struct https_request *request, const char *field)
{
    struct curl_slist *fields = curl_slist_append(request->fields, field);
    if (fields)
        request->fields = fields;
    return fields != NULL;
}

/* Sent at once: "Expect: 100-continue" would cost a round trip, and a second with servers that do
 * not know it. */
static bool set_body(struct https_request *request, const struct https_wish *wish)
{
    if (wish->body.len == 0)
        return true;
    buffer_append(&request->body, wish->body);
    return add_field(request, wish->type) && add_field(request, "Expect:")
           && (!wish->authorization || add_field(request, wish->authorization))
           && !request->body.failed
           && curl_easy_setopt(request->easy, CURLOPT_HTTPHEADER, request->fields) == CURLE_OK
           && curl_easy_setopt(request->easy, CURLOPT_POSTFIELDSIZE, (long)request->body.len)
                  == CURLE_OK
           && curl_easy_setopt(request->easy, CURLOPT_POSTFIELDS, request->body.ptr) == CURLE_OK;
}

static bool set_calls(struct https_request *request)
{
    return curl_easy_setopt(request->easy, CURLOPT_PRIVATE, request) == CURLE_OK
           && curl_easy_setopt(request->easy, CURLOPT_ERRORBUFFER, request->failure) == CURLE_OK
           && curl_easy_setopt(request->easy, CURLOPT_WRITEFUNCTION, take_octets) == CURLE_OK
           && curl_easy_setopt(request->easy, CURLOPT_WRITEDATA, request) == CURLE_OK
           && curl_easy_setopt(request->easy, CURLOPT_SSL_CTX_FUNCTION, set_checks) == CURLE_OK
           && curl_easy_setopt(request->easy, CURLOPT_SSL_CTX_DATA, request) == CURLE_OK;
}

bool https_request_begin(struct https_requests *requests, const struct https_wish *wish,
                         https_answered *done, void *owner, struct error *error)
{
    struct https_request *request = calloc(1, sizeof(*request));
    if (!request)
        return error_memory(error);
    request->requests = requests;
    request->wants_text = wish->wants_text || wish->body.len == 0;
    request->done = done;
    request->owner = owner;
    request->easy = curl_easy_init();
    buffer_init(&request->body, wish->body.len);
    buffer_init(&request->text, HTTPS_TEXT_MAX);
    snprintf(request->host, sizeof(request->host), "%s", wish->host);
    if (request->easy && set_numbers(request->easy, wish->timeout_ms) && set_url(request, wish)
        && set_texts(request) && set_calls(request) && set_body(request, wish)
        && give_addresses(request, wish)
        && curl_multi_add_handle(requests->multi, request->easy) == CURLM_OK)
        return true;
    free_request(request);
    return error_set(error, ERROR_TEMPORARY, "libcurl takes no request");
}
