/* Any file name: parsed, changed and formatted, it is the same message with the change. */
#include <stdlib.h>

#include "storage/maildir_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct maildir_name name, again;
    if (!maildir_name_parse(slice_of(data, size), &name))
        return 0;
    must(name.key.len > 0 && name.unique.len > 0 && name.unique.len <= name.key.len);
    must((name.uid == 0) == (name.uidvalidity == 0));

    name.uidvalidity = 1700000000;
    name.uid = 4294967295;
    name.flags |= MAILDIR_SEEN;
    char text[MAILDIR_NAME_SIZE];
    bool fits = maildir_name_format(&name, text);
    must(fits || name.key.len + name.extra.len > MAILDIR_KEY_MAX);
    if (!fits)
        return 0;
    must(maildir_name_parse(slice_of_string(text), &again));
    must(slice_equal(again.key, name.key) && slice_equal(again.unique, name.unique));
    must(slice_equal(again.extra, name.extra));
    must(again.flags == name.flags && again.keywords == name.keywords);
    must(again.uid == name.uid && again.uidvalidity == name.uidvalidity);
    must(again.octets == name.octets && again.crlf_octets == name.crlf_octets);
    must(again.seconds == name.seconds);
    return 0;
}
