/* TLS below a stream; see tls_stream.h. `state` of the stream is its SSL. Network roles. */
#include "common/tls/tls_stream.h"

#include <errno.h>
#include <sys/socket.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

/* A record's plaintext, RFC 8446 5.1: pieces are joined up to this size. */
enum { RECORD_OCTETS = 16384 };

static enum transport_result failure(SSL *ssl, int code, const char *what, struct error *error)
{
    int saved = errno;
    switch (SSL_get_error(ssl, code)) {
    case SSL_ERROR_WANT_READ:
        return TRANSPORT_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return TRANSPORT_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TRANSPORT_END;
    case SSL_ERROR_SYSCALL:
        if (ERR_peek_error() == 0 && saved != 0) {
            errno = saved;
            error_errno(error, "%s", what);
            return TRANSPORT_FAILED;
        }
        break;
    default:
        break;
    }
    tls_failure(error, ERROR_PEER, what);
    return TRANSPORT_FAILED;
}

/* SSL_get_error must see only errors of this call. */
static void forget_errors(void)
{
    ERR_clear_error();
    errno = 0;
}

/* Tells why the peer's certificate was rejected, which a person can fix. */
static bool is_distrusted(SSL *ssl, struct error *error)
{
    unsigned long code = ERR_peek_last_error();
    long result = SSL_get_verify_result(ssl);
    if (ERR_GET_LIB(code) != ERR_LIB_SSL || ERR_GET_REASON(code) != SSL_R_CERTIFICATE_VERIFY_FAILED
        || result == X509_V_OK)
        return false;
    return !error_set(error, ERROR_PEER, "TLS handshake: the certificate is not to be trusted: %s",
                      X509_verify_cert_error_string(result));
}

static enum transport_result tls_handshake(struct stream *stream, struct error *error)
{
    forget_errors();
    int code = SSL_do_handshake(stream->state);
    if (code == 1)
        return TRANSPORT_DONE;
    if (is_distrusted(stream->state, error))
        return TRANSPORT_FAILED;
    enum transport_result result = failure(stream->state, code, "TLS handshake", error);
    if (result != TRANSPORT_END)
        return result;
    error_set(error, ERROR_TEMPORARY, "TLS handshake: the peer closed the connection");
    return TRANSPORT_FAILED;
}

static enum transport_result tls_read(struct stream *stream, void *octets, size_t size, size_t *got,
                                      struct error *error)
{
    forget_errors();
    int code = SSL_read_ex(stream->state, octets, size, got);
    return code == 1 ? TRANSPORT_DONE : failure(stream->state, code, "TLS", error);
}

/* Small pieces in one record: each record costs 22 octets, a system call and a packet. */
static struct slice join(const struct iovec *pieces, int count, uint8_t record[RECORD_OCTETS])
{
    size_t length = 0;
    for (int i = 0; i < count && length < RECORD_OCTETS; i++) {
        size_t part = pieces[i].iov_len;
        if (part > RECORD_OCTETS - length)
            part = RECORD_OCTETS - length;
        memcpy(record + length, pieces[i].iov_base, part);
        length += part;
    }
    return slice_of(record, length);
}

static enum transport_result tls_write(struct stream *stream, const struct iovec *pieces, int count,
                                       bool more, size_t *taken, struct error *error)
{
    (void)more; /* a full record is sent as it is */
    uint8_t record[RECORD_OCTETS];
    struct slice octets = slice_of(pieces[0].iov_base, pieces[0].iov_len);
    if (count > 1 && octets.len < RECORD_OCTETS)
        octets = join(pieces, count, record);
    forget_errors();
    /* A repeated write begins with the same octets and is never shorter: SSL's condition. */
    int code = SSL_write_ex(stream->state, octets.ptr, octets.len, taken);
    if (code == 1)
        return TRANSPORT_DONE;
    enum transport_result result = failure(stream->state, code, "TLS", error);
    if (result != TRANSPORT_END)
        return result;
    error_set(error, ERROR_PEER, "TLS: closed by the peer");
    return TRANSPORT_FAILED;
}

static void tls_end_output(struct stream *stream)
{
    forget_errors();
    SSL_shutdown(stream->state); /* close_notify, if there is room for it */
    ERR_clear_error();
    shutdown(stream->fd, SHUT_WR);
}

static bool tls_pending(const struct stream *stream)
{
    return SSL_has_pending(stream->state) == 1;
}

static void tls_clear(struct stream *stream)
{
    SSL_free(stream->state);
    stream->state = NULL;
}

static const struct stream_transport tls_transport = {
    .handshake = tls_handshake,
    .peer_begins = true,
    .read = tls_read,
    .write = tls_write,
    .end_output = tls_end_output,
    .pending = tls_pending,
    .clear = tls_clear,
};

/* A client speaks first. */
static const struct stream_transport tls_client_transport = {
    .handshake = tls_handshake,
    .read = tls_read,
    .write = tls_write,
    .end_output = tls_end_output,
    .pending = tls_pending,
    .clear = tls_clear,
};

bool tls_stream_start(struct stream *stream, struct tls_context *context, struct error *error)
{
    SSL *ssl = tls_context_connection(context, stream->fd, error);
    if (!ssl)
        return false;
    stream_start_transport(stream, &tls_transport, ssl);
    return true;
}

void tls_stream_connect(struct stream *stream, SSL *ssl)
{
    stream_start_transport(stream, &tls_client_transport, ssl);
}

const SSL *tls_stream_connection(const struct stream *stream)
{
    bool is_tls = stream->transport == &tls_transport || stream->transport == &tls_client_transport;
    return is_tls && !stream->handshaking ? stream->state : NULL;
}

bool tls_stream_facts(const struct stream *stream, struct tls_facts *facts)
{
    const SSL *ssl = tls_stream_connection(stream);
    if (ssl)
        tls_connection_facts(ssl, facts);
    return ssl != NULL;
}
