/* ENABLE (RFC 5161). What is unknown is ignored, as 3.1 says. */
#include "common/login/imap_capability.h"
#include "common/size.h"
#include "imapd/commands/commands.h"

static const struct extension {
    struct slice name;
    unsigned manner; /* enum view_manner */
} extensions[] = {
    {SLICE("CONDSTORE"), VIEW_TELLS_MODSEQ},                     /* RFC 7162 3.1 */
    {SLICE("IMAP4rev2"), VIEW_REV2 | VIEW_UTF8},                 /* RFC 9051 appendix A */
    {SLICE("UTF8=ACCEPT"), VIEW_UTF8 | VIEW_NO_CHARSET},         /* RFC 6855 3 */
    {SLICE("QRESYNC"), VIEW_TELLS_MODSEQ | VIEW_TELLS_VANISHED}, /* RFC 7162 3.2.3 */
    {SLICE("UIDONLY"), VIEW_UID_ONLY},                           /* RFC 9586 3.1 */
};

/* Those that are kept from the client are as unknown as others. */
static bool may_enable(const struct session *session, const struct extension *extension)
{
    return !(session->without & imap_capability_find(extension->name));
}

/* enable = "ENABLE" 1*(SP capability). *wanted: bit n is extensions[n]. */
static bool parse(const struct session *session, struct imap_parser *arguments, unsigned *wanted)
{
    struct slice capability;
    *wanted = 0;
    do {
        if (!imap_parse_space(arguments) || !imap_parse_atom(arguments, &capability))
            return false;
        for (unsigned i = 0; i < ARRAY_LENGTH(extensions); i++)
            if (slice_equal_nocase(extensions[i].name, capability)
                && may_enable(session, &extensions[i]))
                *wanted |= 1U << i;
    } while (!imap_parser_at_end(arguments));
    return true;
}

void enable_quietly(struct session *session, struct imap_parser arguments)
{
    unsigned wanted;
    if (!parse(session, &arguments, &wanted))
        return;
    for (unsigned i = 0; i < ARRAY_LENGTH(extensions); i++)
        if (wanted & 1U << i)
            session_enable(session, extensions[i].manner);
}

void command_enable(struct session *session, struct imap_parser *arguments)
{
    struct buffer *text = &session->writer.text;
    unsigned wanted;
    if (!parse(session, arguments, &wanted)) {
        session_bad_arguments(session, arguments);
        return;
    }
    buffer_append(text, SLICE("* ENABLED"));
    for (unsigned i = 0; i < ARRAY_LENGTH(extensions); i++) {
        if (!(wanted & 1U << i))
            continue;
        buffer_append_octet(text, ' ');
        buffer_append(text, extensions[i].name);
    }
    buffer_append(text, SLICE("\r\n"));
    for (unsigned i = 0; i < ARRAY_LENGTH(extensions); i++)
        if (wanted & 1U << i)
            session_enable(session, extensions[i].manner);
    session_ok(session, SLICE(""), "Enabled what there is of it");
}
