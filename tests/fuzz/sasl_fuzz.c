/* First octet: mechanism, and whether the first line is an initial response. The rest is lines. */
#include <stdlib.h>

#include "common/login/sasl.h"
#include "common/text/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static struct slice take_line(struct slice *text)
{
    size_t end = slice_find_octet(*text, '\n');
    struct slice line = slice_range(*text, 0, end);
    *text = slice_from(*text, end + 1);
    return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice text = slice_of(data + 1, size - 1);
    struct sasl *sasl = calloc(1, sizeof(*sasl));
    if (!sasl)
        return 0;
    struct slice challenge;
    struct slice initial;
    bool has_initial = (data[0] & 2) != 0;
    if (has_initial)
        initial = take_line(&text);
    enum sasl_mechanism mechanism = data[0] & 1 ? SASL_LOGIN : SASL_PLAIN;
    if (data[0] & 4)
        mechanism = SASL_SCRAM_SHA_256;
    enum sasl_result result =
        sasl_start(sasl, mechanism, has_initial ? &initial : NULL, &challenge);
    while ((result == SASL_CONTINUE || result == SASL_ASK) && text.len > 0)
        result = sasl_respond(sasl, take_line(&text), &challenge);
    if (result == SASL_ASK)
        require(sasl->messages > 0 && sasl->message.len <= SASL_MESSAGE_LIMIT);
    if (result == SASL_DONE) {
        require(sasl->authorization_id.len <= SASL_NAME_LIMIT);
        require(sasl->authentication_id.len - 1 < SASL_NAME_LIMIT);
        require(sasl->password.len - 1 < SASL_PASSWORD_LIMIT);
        require(slice_find_octet(sasl->password, 0) == sasl->password.len);
        require(slice_find_octet(sasl->authentication_id, 0) == sasl->authentication_id.len);
    }
    sasl_clear(sasl);
    free(sasl);
    return 0;
}
