/* GENURLAUTH and RESETKEY (URLAUTH, RFC 4467 7); URLFETCH is urlfetch.c. */
#include <errno.h>

#include "imapd/commands/commands.h"
#include "imapd/fetch/url_message.h"
#include "imapd/mailbox.h"
#include "imapd/shared/shared_names.h"
#include "imapd/syntax/folder_argument.h"

enum { URLS_MAX = 1000 };

/* ---- GENURLAUTH ---- */

struct rumps {
    struct slice *urls;
    size_t count;
};

/* url-rump = astring, mechanism = atom */
static bool parse_rumps(struct imap_parser *arguments, struct rumps *rumps)
{
    do {
        if (rumps->count == URLS_MAX)
            return imap_parser_fail(arguments, "a thousand URLs at most");
        if (!imap_parse_space(arguments)
            || !imap_parse_astring(arguments, &rumps->urls[rumps->count++]))
            return false;
        if (!imap_parse_space(arguments) || !imap_skip_word(arguments, SLICE("INTERNAL")))
            return imap_parser_fail(arguments, "the mechanism INTERNAL");
    } while (!imap_parser_at_end(arguments));
    return true;
}

/* "* GENURLAUTH" and all of them, or NO. ENOTSUP: of another account's mailbox (docs/clients.md).
 */
static bool generate(struct session *session, struct slice rump, struct buffer *text,
                     struct error *error)
{
    struct url_message message;
    char token[URL_TOKEN_SIZE];
    struct buffer url = BUFFER_WITH_LIMIT(rump.len + 100);
    if (!url_message_parse(session->mailbox, rump, &session->arena, &message)
        || message.url.mechanism.len > 0)
        return error_set(error, ERROR_PERMANENT, "no rump of a URL of this account");
    if (shared_names_has(session, message.message.mailbox)) {
        error_set(error, ERROR_PERMANENT, "a mailbox of another account");
        error->code = ENOTSUP;
        return false;
    }
    if (!url_key_sign(session->mailbox, message.directory, message.url.rump, token, error))
        return false;
    buffer_append(&url, rump);
    buffer_append_format(&url, ":internal:%s", token);
    buffer_append_octet(text, ' ');
    imap_append_astring(text, buffer_slice(&url));
    buffer_clear(&url);
    return true;
}

void command_genurlauth(struct session *session, struct imap_parser *arguments)
{
    struct error error;
    struct buffer text = BUFFER_WITH_LIMIT(4 << 20);
    struct rumps rumps = {.urls = session_alloc(session, URLS_MAX * sizeof(struct slice))};
    if (!rumps.urls)
        return;
    if (!parse_rumps(arguments, &rumps)) {
        session_bad_arguments(session, arguments);
        return;
    }
    bool made = true;
    for (size_t i = 0; made && i < rumps.count; i++)
        made = generate(session, rumps.urls[i], &text, &error);
    if (made) {
        buffer_append(&session->writer.text, SLICE("* GENURLAUTH"));
        buffer_append(&session->writer.text, buffer_slice(&text));
        buffer_append(&session->writer.text, SLICE("\r\n"));
        session_ok(session, SLICE(""), "Those let in");
    } else if (error.code == ENOTSUP) {
        session_no(session, SLICE("CANNOT"), "Copy it into a mailbox of your own first");
    } else {
        session_failed(session, &error, "There is no such message or mailbox");
    }
    buffer_clear(&text);
}

/* ---- RESETKEY ---- */

/* resetkey = "RESETKEY" [SP mailbox *(SP mechanism)] */
void command_resetkey(struct session *session, struct imap_parser *arguments)
{
    struct folder_argument folder = {.problem = NULL};
    struct error error;
    bool all = imap_parser_at_end(arguments);
    bool parsed = all || (imap_parse_space(arguments) && folder_argument_parse(arguments, &folder));
    while (parsed && !imap_parser_at_end(arguments))
        parsed = imap_parse_space(arguments)
                 && (imap_skip_word(arguments, SLICE("INTERNAL"))
                     || imap_parser_fail(arguments, "the mechanism INTERNAL"));
    if (!parsed)
        session_bad_arguments(session, arguments);
    else if (folder.problem)
        session_no(session, folder_argument_code(&folder), folder.problem);
    else if (all ? url_key_reset_all(session->mailbox, &error)

                 : url_key_reset(session->mailbox, folder.directory, &error))
        session_ok(session, SLICE("URLMECH INTERNAL"), "No URL of before lets in");
    else
        session_failed(session, &error, "There is no such mailbox");
}
