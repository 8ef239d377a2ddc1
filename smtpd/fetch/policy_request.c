/* libcurl on libev; see policy_request.h. */
#include "smtpd/fetch/policy_request.h"

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
#include "smtpd/fetch/sts_policy.h"

enum {
    PORT = 443,
    TIMEOUT_MS = 60000, /* of the whole, RFC 8461 3.3 */
    CONNECT_MS = 20000,
    ADDRESSES_GOOD_S = 300, /* longer than any request: libcurl must never look for them */
    URL_MAX = 320,
    HTTP_OK = 200,
};

struct policy_requests {
    CURLM *multi;
    struct ev_loop *loop;
    ev_timer timer;
    X509_STORE *authorities;
};

struct policy_request {
    struct policy_requests *requests;
    CURL *easy;
    struct curl_slist *resolved;
    char host[URL_MAX];
    char failure[CURL_ERROR_SIZE];
    struct buffer text;
    policy_requested *done;
    void *owner;
};

/* ---- the end of a request ---- */

static void free_request(struct policy_request *request)
{
    if (request->easy)
        curl_multi_remove_handle(request->requests->multi, request->easy);
    curl_easy_cleanup(request->easy);
    curl_slist_free_all(request->resolved);
    buffer_clear(&request->text);
    free(request);
}

/* RFC 8461 3.3: nothing but 200 counts; the media type keeps out what a host's users put there. */
static bool check_answer(const struct policy_request *request, CURLcode code, struct error *error)
{
    long status = 0;
    char *type = NULL;
    if (request->text.failed)
        return error_set(error, ERROR_PEER, "the policy is longer than %d octets", STS_POLICY_MAX);
    if (code != CURLE_OK)
        return error_set(error, ERROR_PEER, "%s",
                         request->failure[0] ? request->failure : curl_easy_strerror(code));
    curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(request->easy, CURLINFO_CONTENT_TYPE, &type);
    if (status != HTTP_OK)
        return error_set(error, ERROR_PEER, "the policy host answers with status %ld", status);
    if (!slice_starts_with_nocase(slice_of_string(type), SLICE("text/plain")))
        return error_set(error, ERROR_PEER, "the policy is not text/plain");
    return true;
}

static void conclude(struct policy_request *request, CURLcode code)
{
    struct error error;
    bool good = check_answer(request, code, &error);
    request->done(request->owner, good ? buffer_slice(&request->text) : SLICE(""),
                  good ? NULL : &error);
    free_request(request);
}

static void conclude_all(struct policy_requests *requests)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(requests->multi, &left))) {
        struct policy_request *request = NULL;
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
    struct policy_requests *requests = watcher->data;
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
    struct policy_requests *requests = watcher->data;
    int running;
    curl_multi_socket_action(requests->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    conclude_all(requests);
}

/* CURLMOPT_TIMERFUNCTION */
static int set_timer(CURLM *multi, long wait_ms, void *owner)
{
    (void)multi;
    struct policy_requests *requests = owner;
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
    struct policy_requests *requests = owner;
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

struct policy_requests *policy_requests_new(struct ev_loop *loop, struct error *error)
{
    struct policy_requests *requests = calloc(1, sizeof(*requests));
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

size_t policy_requests_trust(struct policy_requests *requests, struct slice pem)
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

/* CURLOPT_WRITEFUNCTION: less than all of it ends the transfer. */
static size_t take_octets(char *octets, size_t size, size_t count, void *owner)
{
    struct policy_request *request = owner;
    buffer_append(&request->text, slice_of(octets, size * count));
    return request->text.failed ? 0 : size * count;
}

/* CURLOPT_SSL_CTX_FUNCTION. RFC 8461 3.3: the name must be a DNS-ID; libcurl alone would take the
 * common name of a certificate that has none. */
static CURLcode set_checks(CURL *easy, void *settings, void *owner)
{
    (void)easy;
    const struct policy_request *request = owner;
    X509_VERIFY_PARAM *checks = SSL_CTX_get0_param(settings);
    SSL_CTX_set1_cert_store(settings, request->requests->authorities);
    X509_VERIFY_PARAM_set_hostflags(checks, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS
                                                | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    return X509_VERIFY_PARAM_set1_host(checks, request->host, 0) == 1 ? CURLE_OK
                                                                      : CURLE_OUT_OF_MEMORY;
}

/* "+host:443:192.0.2.1,[2001:db8::1]": forgotten again, but not before the request is over. */
static bool give_addresses(struct policy_request *request, const struct ip_address *addresses,
                           size_t count)
{
    char text[IP_ADDRESS_TEXT_SIZE];
    struct buffer line = BUFFER_WITH_LIMIT(URL_MAX + POLICY_ADDRESSES_MAX * 64);
    buffer_append_format(&line, "+%s:%d:", request->host, PORT);
    for (size_t i = 0; i < count; i++)
        buffer_append_format(&line, addresses[i].family == IP_V6 ? "%s[%s]" : "%s%s",
                             i > 0 ? "," : "", ip_address_format(&addresses[i], text));
    buffer_append_octet(&line, 0);
    if (!line.failed)
        request->resolved = curl_slist_append(NULL, (const char *)line.ptr);
    buffer_clear(&line);
    return request->resolved
           && curl_easy_setopt(request->easy, CURLOPT_RESOLVE, request->resolved) == CURLE_OK;
}

static bool set_numbers(CURL *easy)
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
    return true;
}

/* No file of authorities, no proxy of the environment. */
static bool set_texts(struct policy_request *request)
{
    char url[URL_MAX + 32];
    snprintf(url, sizeof(url), "https://%s/.well-known/mta-sts.txt", request->host);
    return curl_easy_setopt(request->easy, CURLOPT_URL, url) == CURLE_OK
           && curl_easy_setopt(request->easy, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK
           && curl_easy_setopt(request->easy, CURLOPT_PROXY, "") == CURLE_OK
           && curl_easy_setopt(request->easy, CURLOPT_CAINFO, NULL) == CURLE_OK
           && curl_easy_setopt(request->easy, CURLOPT_CAPATH, NULL) == CURLE_OK
           && curl_easy_setopt(request->easy, CURLOPT_USERAGENT, "staffetta") == CURLE_OK;
}

static bool set_calls(struct policy_request *request)
{
    return curl_easy_setopt(request->easy, CURLOPT_PRIVATE, request) == CURLE_OK
           && curl_easy_setopt(request->easy, CURLOPT_ERRORBUFFER, request->failure) == CURLE_OK
           && curl_easy_setopt(request->easy, CURLOPT_WRITEFUNCTION, take_octets) == CURLE_OK
           && curl_easy_setopt(request->easy, CURLOPT_WRITEDATA, request) == CURLE_OK
           && curl_easy_setopt(request->easy, CURLOPT_SSL_CTX_FUNCTION, set_checks) == CURLE_OK
           && curl_easy_setopt(request->easy, CURLOPT_SSL_CTX_DATA, request) == CURLE_OK;
}

struct policy_request *policy_request_begin(struct policy_requests *requests, const char *host,
                                            const struct ip_address *addresses, size_t count,
                                            policy_requested *done, void *owner,
                                            struct error *error)
{
    struct policy_request *request = calloc(1, sizeof(*request));
    if (!request) {
        error_memory(error);
        return NULL;
    }
    request->requests = requests;
    request->done = done;
    request->owner = owner;
    request->easy = curl_easy_init();
    buffer_init(&request->text, STS_POLICY_MAX);
    snprintf(request->host, sizeof(request->host), "%s", host);
    if (request->easy && set_numbers(request->easy) && set_texts(request) && set_calls(request)
        && give_addresses(request, addresses, count)
        && curl_multi_add_handle(requests->multi, request->easy) == CURLM_OK)
        return request;
    free_request(request);
    error_set(error, ERROR_TEMPORARY, "libcurl takes no request");
    return NULL;
}
