/* See sasl_question.h. Pure. */
#include "common/login/sasl_question.h"

static const uint32_t mechanisms[SASL_MECHANISMS] = {
    [SASL_SCRAM_SHA_256] = AUTH_SCRAM_SHA_256, [SASL_SCRAM_SHA_256_PLUS] = AUTH_SCRAM_SHA_256_PLUS,
    [SASL_OAUTHBEARER] = AUTH_OAUTHBEARER,     [SASL_XOAUTH2] = AUTH_XOAUTH2,
    [SASL_EXTERNAL] = AUTH_EXTERNAL,
};

void sasl_fill_question(const struct sasl *sasl, const struct sasl_connection *connection,
                        struct auth_sasl *question, struct slice tail[SASL_QUESTION_TAIL])
{
    const struct tls_bindings *bindings = &connection->bindings;
    tail[0] = slice_of(bindings->exporter.octets, bindings->exporter.length);
    tail[1] = slice_of(bindings->end_point.octets, bindings->end_point.length);
    tail[2] = sasl->message;
    tail[3] = connection->certificates;
    question->header.type = AUTH_SASL;
    question->mechanism = mechanisms[sasl->mechanism];
    question->begins = sasl->messages == 1;
    question->exporter_octets = (uint32_t)tail[0].len;
    question->end_point_octets = (uint32_t)tail[1].len;
    question->message_octets = (uint32_t)tail[2].len;
    question->certificates_octets = (uint32_t)tail[3].len;
}
