/* The CAPABILITY lists; see capability.h. */
#include "imapd/syntax/capability.h"

#include <string.h>

#include "common/config/config.h"
#include "common/login/sasl.h"

static bool is_called(const struct imap_capability *capability, const char *name)
{
    return strcmp(capability->name, name) == 0;
}

static void append_words(const struct config *config, const struct imap_capability *capability,
                         struct buffer *text)
{
    buffer_append_octet(text, ' ');
    buffer_append_string(text, capability->words ? capability->words : capability->name);
    if (is_called(capability, "APPENDLIMIT"))
        buffer_append_number(text, config->limits.message_size_octets);
    else if (is_called(capability, "MESSAGELIMIT"))
        buffer_append_number(text, config->imap.message_limit);
}

/* Without those that depend on the connection. */
static void append_table(const struct config *config, unsigned when, uint64_t without,
                         struct buffer *text)
{
    buffer_append(text, SLICE("CAPABILITY IMAP4rev1"));
    for (unsigned i = 0; i < imap_capability_count; i++) {
        const struct imap_capability *capability = &imap_capabilities[i];
        if (!(capability->when & when) || (without & UINT64_C(1) << i))
            continue;
        append_words(config, capability, text);
    }
}

void capability_append_login(const struct config *config, unsigned login, unsigned mechanisms,
                             uint64_t without, struct buffer *text)
{
    append_table(config, IMAP_BEFORE_LOGIN, without, text);
    if (login & CAPABILITY_STARTTLS)
        buffer_append(text, SLICE(" STARTTLS"));
    if (login & CAPABILITY_PASSWORDS)
        sasl_append_mechanisms(mechanisms, " AUTH=", "", text);
    else
        buffer_append(text, SLICE(" LOGINDISABLED"));
}

void capability_append(const struct config *config, uint64_t without, struct buffer *text)
{
    append_table(config, IMAP_AFTER_LOGIN, without, text);
}
