/*
 * A stream (common/net/stream.h) over TLS, as server or client. Only callers of this link OpenSSL.
 * Network roles.
 *
 * A server after STARTTLS: answer in the clear, stream_discard_input (not 0 is an attack, or a
 * client that does not wait: RFC 3207 6), tls_stream_start; then write nothing until on_secured. A
 * client does the same with tls_stream_connect, once it has read the answer.
 */
#ifndef COMMON_TLS_TLS_STREAM_H
#define COMMON_TLS_TLS_STREAM_H

#include "common/net/stream.h"
#include "common/tls/tls.h"

/* Begins the handshake once pending output has been written. Until on_secured the owner's deadline
 * applies to the handshake. A failed handshake ends the stream with on_closed: ERROR_PEER, with a
 * text for the log, if the peer caused it and would again; ERROR_TEMPORARY if the peer just
 * disconnected. The context must outlive the stream. False: the stream is unchanged. */
bool tls_stream_start(struct stream *stream, struct tls_context *context, struct error *error);

/* Begins the handshake as a client with a connection from tls_client_connection, which it takes. No
 * output may be pending. */
void tls_stream_connect(struct stream *stream, struct ssl_st *ssl);

/* NULL: not TLS, or the handshake is not done. */
const struct ssl_st *tls_stream_connection(const struct stream *stream);

/* False: not TLS, or the handshake is not done. The facts are valid as long as the stream. */
bool tls_stream_facts(const struct stream *stream, struct tls_facts *facts);

#endif
