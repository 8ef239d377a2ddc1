/* The recipe of any message: cuts lie apart and inside, addresses of a submission are addresses,
 * and the prefix has no line that is no field. The first octet holds the flags. */
#include <stdlib.h>

#include "common/mime/header.h"
#include "common/text/address.h"
#include "smtpd/filter/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check_prefix(struct slice prefix)
{
    struct cursor in = cursor_of(prefix);
    struct header_field field;
    while (header_next(&in, &field))
        must(field.name.len > 0 && slice_ends_with(field.whole, SLICE("\r\n")));
    must(cursor_at_end(&in) || slice_equal(cursor_rest(&in), SLICE("\r\n")));
}

static void check_recipe(const struct recipe *recipe, size_t message_octets)
{
    size_t at = 0;
    for (size_t i = 0; i < recipe->cut_count; i++) {
        must(recipe->cuts[i].offset >= at && recipe->cuts[i].octets > 0);
        at = (size_t)recipe->cuts[i].offset + recipe->cuts[i].octets;
        must(at <= message_octets);
    }
    struct slice list = buffer_slice(&recipe->from);
    for (size_t i = 0; i < recipe->from_count; i++) {
        uint16_t octets;
        struct address address;
        memcpy(&octets, list.ptr, sizeof(octets));
        list = slice_from(list, sizeof(octets));
        must(address_parse_mailbox(slice_range(list, 0, octets), &address, NULL));
        list = slice_from(list, octets);
    }
    must(list.len == 0);
    check_prefix(buffer_slice(&recipe->prefix));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice text = slice_of(data + 1, size - 1);
    struct recipe_question question = {
        .flags = data[0] & (FILTER_SUBMISSION | FILTER_ESMTP | FILTER_UTF8),
        .helo = slice_range(text, 0, data[0] >> 3),
        .client = SLICE("192.0.2.7"),
        .tls = SLICE("TLSv1.3 TLS_AES_256_GCM_SHA384"),
        .id = SLICE("00410000000A2"),
        .account = slice_range(text, 0, data[0] >> 4),
        .recipient = slice_range(text, 0, data[0] >> 2),
        .header = text,
        .header_is_whole = true,
        .hostname = "mail.demo.test",
        .domain = "demo.test",
        .header_limit = 10000,
        .received_limit = 3,
    };
    struct recipe recipe;
    struct recipe_refusal refusal;
    recipe_init(&recipe);
    if (recipe_make(&question, &recipe, &refusal))
        check_recipe(&recipe, text.len);
    else
        must(refusal.code >= 400 && refusal.text[0] != 0);
    recipe_clear(&recipe);
    return 0;
}
