/* Original recipients; see orcpt.h. */
#include "smtpd/session/orcpt.h"

void orcpt_append(struct slice address, struct buffer *out)
{
    buffer_append(out, slice_is_ascii(address) ? SLICE("rfc822;") : SLICE("utf-8;"));
    buffer_append(out, address);
}
