/* Original recipients; see orcpt.h. */
#include "smtpd/session/orcpt.h"

static bool is_ascii(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] > 127)
            return false;
    return true;
}

void orcpt_append(struct slice address, struct buffer *out)
{
    buffer_append(out, is_ascii(address) ? SLICE("rfc822;") : SLICE("utf-8;"));
    buffer_append(out, address);
}
