/* TLS reports by POST; see report_post.h. fetch. */
#include "smtpd/fetch/report_post.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/text/https_url.h"
#include "smtpd/fetch/host_search.h"
#include "smtpd/tls_report/tls_record.h"

struct report_post {
    struct fetch *fetch;
    struct fetch_asker asker;
    struct buffer uri;
    struct https_url to; /* in uri */
    char host[DNS_NAME_MAX + 1];
    struct buffer report;
};

static void end_post(struct report_post *post, enum fetch_status status, struct slice text)
{
    fetch_send_answer(post->fetch, &post->asker, status, text);
    post->fetch->transfer_count--;
    buffer_clear(&post->uri);
    buffer_clear(&post->report);
    free(post);
}

/* RFC 8460 5.4 leaves it to us. Of 4yz only these two mean another time (RFC 9110 15.5.9, RFC 6585
 * 4). */
static enum fetch_status status_of(long status)
{
    if (status >= 200 && status < 300)
        return FETCH_POSTED;
    if (status >= 400 && status < 500 && status != 408 && status != 429)
        return FETCH_REFUSED;
    return FETCH_NOT_POSTED;
}

static void on_answer(void *owner, const struct https_answer *answer)
{
    char text[64];
    if (answer->failure) {
        end_post(owner, FETCH_NOT_POSTED, slice_of_string(answer->failure->text));
        return;
    }
    snprintf(text, sizeof(text), "the server answers with status %ld", answer->status);
    end_post(owner, status_of(answer->status), slice_of_string(text));
}

static void send_report(void *owner, const struct host_found *found)
{
    struct report_post *post = owner;
    struct error error;
    const struct https_wish wish = {.host = post->host,
                                    .port = post->to.port,
                                    .path = post->to.path,
                                    .addresses = found->addresses,
                                    .address_count = found->count,
                                    .body = buffer_slice(&post->report),
                                    .type = "Content-Type: application/tlsrpt+gzip"};
    bool begun = found->count > 0
                     ? https_request_begin(post->fetch->requests, &wish, on_answer, post, &error)
                     : host_search_explain(post->host, found, &error);
    if (!begun)
        end_post(post, FETCH_NOT_POSTED, slice_of_string(error.text));
}

static struct report_post *new_post(struct fetch *fetch, const struct fetch_asker *asker,
                                    struct slice uri, struct slice report)
{
    struct report_post *post =
        fetch->transfer_count < FETCH_TRANSFERS_MAX ? calloc(1, sizeof(*post)) : NULL;
    if (!post)
        return NULL;
    post->fetch = fetch;
    post->asker = *asker;
    buffer_init(&post->uri, uri.len);
    buffer_init(&post->report, report.len);
    buffer_append(&post->uri, uri);
    buffer_append(&post->report, report);
    if (!post->uri.failed && !post->report.failed) {
        fetch->transfer_count++;
        return post;
    }
    buffer_clear(&post->uri);
    buffer_clear(&post->report);
    free(post);
    return NULL;
}

bool report_post_begin(struct fetch *fetch, const struct fetch_asker *asker, struct slice uri,
                       struct slice report, struct error *error)
{
    struct https_url to;
    if (!https_url_parse(uri, &to) || report.len == 0)
        return error_set(error, ERROR_PEER, "malformed report");
    struct report_post *post = new_post(fetch, asker, uri, report);
    if (!post) {
        fetch_send_answer(fetch, asker, FETCH_UNKNOWN, SLICE("too much is under way"));
        return true;
    }
    https_url_parse(buffer_slice(&post->uri), &post->to);
    for (size_t i = 0; i < post->to.host.len; i++)
        post->host[i] = (char)ascii_lower(post->to.host.ptr[i]);
    if (!host_search_begin(&fetch->dns, post->host, fetch->role->config.relay.private_targets,
                           send_report, post))
        end_post(post, FETCH_UNKNOWN, SLICE("out of memory"));
    return true;
}
