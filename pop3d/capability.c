/* Capabilities; see capability.h. */
#include "pop3d/capability.h"

#include <inttypes.h>

enum { SECOND_MS = 1000, DAY_MS = 86400000 };

void pop3_capabilities_append(const struct config *config, struct buffer *text)
{
    buffer_append(text, SLICE("TOP\r\nUIDL\r\nPIPELINING\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"
                              "UTF8 USER\r\nLANG\r\n"));
    if (config->pop3.expire_ms == CONFIG_NEVER)
        buffer_append(text, SLICE("EXPIRE NEVER\r\n"));
    else
        buffer_append_format(text, "EXPIRE %" PRIu64 "\r\n", config->pop3.expire_ms / DAY_MS);
    if (config->pop3.login_delay_ms > 0)
        buffer_append_format(text, "LOGIN-DELAY %" PRIu64 "\r\n",
                             (config->pop3.login_delay_ms + SECOND_MS - 1) / SECOND_MS);
    buffer_append(text, SLICE("IMPLEMENTATION staffetta\r\n"));
}
