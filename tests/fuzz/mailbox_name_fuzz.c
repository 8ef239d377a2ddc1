/* imapd/syntax/mailbox_name.h: a name that parses is formatted and parsed to the same; a pattern
 * that is the name matches it, and "*" matches every name. The first octet chooses the form. */
#include <stdlib.h>

#include "imapd/syntax/mailbox_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static bool has_wildcard(struct slice name)
{
    return slice_find_octet(name, '*') < name.len || slice_find_octet(name, '%') < name.len;
}

static void check_patterns(struct slice wire)
{
    static struct mailbox_pattern pattern;
    check(mailbox_pattern_init(&pattern, SLICE(""), SLICE("%*%")));
    check(pattern.length == 1 && mailbox_pattern_matches(&pattern, wire));
    if (mailbox_pattern_init(&pattern, SLICE(""), wire))
        check(mailbox_pattern_matches(&pattern, wire) || has_wildcard(wire));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    enum mailbox_name_form form = data[0] % 2 ? MAILBOX_NAME_UTF7 : MAILBOX_NAME_UTF8;
    struct slice wire = slice_of(data + 1, size - 1);
    struct buffer name = BUFFER_WITH_LIMIT(8000);
    struct buffer back = BUFFER_WITH_LIMIT(8000);
    struct buffer again = BUFFER_WITH_LIMIT(8000);
    const char *problem;
    if (mailbox_name_parse(wire, form, &name, &problem)) {
        check(mailbox_name_format(buffer_slice(&name), form, &back));
        check(slice_equal_nocase(buffer_slice(&back), wire));
        check(mailbox_name_parse(buffer_slice(&back), form, &again, &problem));
        check(slice_equal(buffer_slice(&again), buffer_slice(&name)));
        check_patterns(buffer_slice(&back));
    }
    mailbox_name_format(wire, MAILBOX_NAME_UTF7, &again);
    buffer_clear(&name);
    buffer_clear(&back);
    buffer_clear(&again);
    return 0;
}
