/* Any octets as the files of another server: lists of UIDs, keywords, subscriptions, formats of
 * unique-ids. */
#include <stdlib.h>

#include "common/text/uidl_format.h"
#include "storage/foreign/foreign_keywords.h"
#include "storage/foreign/foreign_subscriptions.h"
#include "storage/foreign/foreign_uids.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void try_uids(struct slice text)
{
    struct foreign_uids uids;
    if (foreign_uids_parse(text, &uids, NULL)) {
        must(uids.uidvalidity != 0 && uids.next_uid > 0);
        for (size_t i = 0; i < uids.count; i++) {
            must(uids.items[i].uid != 0 && uids.items[i].uid < uids.next_uid);
            must(foreign_uids_find(&uids, uids.items[i].key) == &uids.items[i]);
        }
    }
    foreign_uids_clear(&uids);
}

static void try_keywords(struct slice text)
{
    struct folder_record record = {.uidvalidity = 1};
    struct foreign_keywords keywords;
    foreign_keywords_init(&keywords, &record);
    foreign_keywords_parse_dovecot(text, &keywords);
    must(foreign_keywords_parse_list(text, &keywords, NULL));
    foreign_keywords_clear(&keywords);
}

static void try_subscriptions(struct slice text)
{
    struct subscriptions subscriptions;
    size_t bad_lines = 0;
    subscriptions_init(&subscriptions);
    foreign_subscriptions_parse(text, false, &subscriptions, &bad_lines);
    foreign_subscriptions_parse(text, true, &subscriptions, &bad_lines);
    subscriptions_clear(&subscriptions);
}

static void try_format(struct slice text)
{
    const struct uidl_facts facts = {1, 2, SLICE("base"), SLICE("guid")};
    struct buffer uidl = BUFFER_WITH_LIMIT(1 << 20);
    if (uidl_format_is_valid(text))
        uidl_format_apply(text, &facts, &uidl);
    buffer_clear(&uidl);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    try_uids(text);
    try_keywords(text);
    try_subscriptions(text);
    try_format(text);
    return 0;
}
