/* The languages of the replies; see language.h. Pure; pop3d-login and pop3d-maildrop. */
#include "pop3d/language.h"

#include <stddef.h>

const char *pop3_language_answer(struct slice range)
{
    if (range.len == 0)
        return "+OK Languages\r\nen English\r\ni-default Default\r\n.";
    if (slice_equal(range, SLICE("*")) || slice_equal_nocase(range, SLICE("i-default")))
        return "+OK i-default";
    if (slice_equal_nocase(range, SLICE("en")) || slice_starts_with_nocase(range, SLICE("en-")))
        return "+OK en";
    return NULL;
}
