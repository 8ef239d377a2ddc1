/*
 * Fills the AUTH_SASL record to `auth` with a message of a SASL mechanism. Pure; session and login
 * processes.
 */
#ifndef COMMON_LOGIN_SASL_QUESTION_H
#define COMMON_LOGIN_SASL_QUESTION_H

#include "common/auth/auth_protocol.h"
#include "common/login/sasl.h"
#include "common/tls/tls_binding.h"

enum { SASL_QUESTION_TAIL = 4 };

/* What the client's TLS connection contributes. */
struct sasl_connection {
    struct tls_bindings bindings;
    struct slice certificates; /* for EXTERNAL */
};

/* After SASL_ASK. Fills all but the request, the client and the service; the tail borrows from
 * both. */
void sasl_fill_question(const struct sasl *sasl, const struct sasl_connection *connection,
                        struct auth_sasl *question, struct slice tail[SASL_QUESTION_TAIL]);

#endif
