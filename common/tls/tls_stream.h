/*
 * A stream (common/net/stream.h) that speaks TLS, as the server or the client. Only who calls this
 * links OpenSSL. Network roles.
 *
 * A server after STARTTLS: answer in the clear, stream_discard_input (not 0 is an attack, or a
 * client that does not wait: RFC 3207 6), tls_stream_start; then write nothing until on_secured. A
 * client the same, with tls_stream_connect, once it has read the answer.
 */
#ifndef COMMON_TLS_TLS_STREAM_H
#define COMMON_TLS_TLS_STREAM_H

#include "common/net/stream.h"
#include "common/tls/tls.h"

/* Begins the handshake once what waits has been written. Until on_secured the owner's deadline is
 * that of the handshake. A handshake that fails ends the stream: on_closed, ERROR_PEER where it was
 * the peer's doing, which it would do again, with a text for the log; one that just goes is
 * ERROR_TEMPORARY. The context outlives the stream. False: the stream is as it was. */
bool tls_stream_start(struct stream *stream, struct tls_context *context, struct error *error);

/* The same as a client, with a connection of tls_client_connection, which it takes. Nothing waits
 * to be written. */
void tls_stream_connect(struct stream *stream, struct ssl_st *ssl);

/* NULL: not TLS, or the handshake is not done. */
const struct ssl_st *tls_stream_connection(const struct stream *stream);

/* False: not TLS, or the handshake is not done. What it fills lives as long as the stream. */
bool tls_stream_facts(const struct stream *stream, struct tls_facts *facts);

#endif
