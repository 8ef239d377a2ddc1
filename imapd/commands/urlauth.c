/* GENURLAUTH, URLFETCH and RESETKEY (URLAUTH, RFC 4467 7). */
#include "imapd/commands/commands.h"
#include "imapd/fetch/url_message.h"
#include "imapd/mailbox.h"
#include "imapd/syntax/folder_argument.h"

enum { URLS_MAX = 1000 };

/* ---- GENURLAUTH ---- */

struct pairs {
    struct slice *urls;
    size_t count;
    size_t next; /* URLFETCH */
    struct url_message message;
    bool begun; /* to write it */
};

/* url-rump = astring, mechanism = atom */
static bool parse_rumps(struct imap_parser *arguments, struct pairs *pairs, bool with_mechanism)
{
    do {
        if (pairs->count == URLS_MAX)
            return imap_parser_fail(arguments, "a thousand URLs at most");
        if (!imap_parse_space(arguments)
            || !imap_parse_astring(arguments, &pairs->urls[pairs->count++]))
            return false;
        if (with_mechanism
            && (!imap_parse_space(arguments) || !imap_skip_word(arguments, SLICE("INTERNAL"))))
            return imap_parser_fail(arguments, "the mechanism INTERNAL");
    } while (!imap_parser_at_end(arguments));
    return true;
}

static struct pairs *parse(struct session *session, struct imap_parser *arguments,
                           bool with_mechanism)
{
    struct pairs *pairs = session_alloc(session, sizeof(*pairs));
    if (!pairs)
        return NULL;
    pairs->urls = session_alloc(session, URLS_MAX * sizeof(*pairs->urls));
    if (!pairs->urls)
        return NULL;
    if (parse_rumps(arguments, pairs, with_mechanism))
        return pairs;
    session_bad_arguments(session, arguments);
    return NULL;
}

/* "* GENURLAUTH" and all of them, or NO. */
static bool generate(struct session *session, struct slice rump, struct buffer *text,
                     struct error *error)
{
    struct url_message message;
    char token[URL_TOKEN_SIZE];
    struct buffer url = BUFFER_WITH_LIMIT(rump.len + 100);
    if (!url_message_parse(session->mailbox, rump, &session->arena, &message)
        || message.url.mechanism.len > 0)
        return error_set(error, ERROR_PERMANENT, "no rump of a URL of this account");
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
    const struct pairs *pairs = parse(session, arguments, true);
    bool made = pairs != NULL;
    for (size_t i = 0; made && i < pairs->count; i++)
        made = generate(session, pairs->urls[i], &text, &error);
    if (made) {
        buffer_append(&session->writer.text, SLICE("* GENURLAUTH"));
        buffer_append(&session->writer.text, buffer_slice(&text));
        buffer_append(&session->writer.text, SLICE("\r\n"));
        session_ok(session, SLICE(""), "Those let in");
    } else if (pairs) {
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
        session_no(session, SLICE("NONEXISTENT"), folder.problem);
    else if (all ? url_key_reset_all(session->mailbox, &error)

                 : url_key_reset(session->mailbox, folder.directory, &error))
        session_ok(session, SLICE("URLMECH INTERNAL"), "No URL of before lets in");
    else
        session_failed(session, &error, "There is no such mailbox");
}

/* ---- URLFETCH ---- */

static void leave(struct pairs *pairs)
{
    url_message_close(&pairs->message);
    pairs->begun = false;
}

static void give_back(struct session *session)
{
    leave(session->work);
}

/* False: it names nothing that this reader may see, and which of the two is not said. */
static bool open_named(struct session *session, struct pairs *pairs)
{
    struct error error;
    struct mailbox *mailbox = session->mailbox;
    const struct url_reader reader = {.account = slice_of_string(mailbox->account)};
    struct slice url = pairs->urls[pairs->next];
    return url_message_parse(mailbox, url, &session->arena, &pairs->message)
           && url_message_lets_in(mailbox, &pairs->message, &reader)
           && url_message_open(mailbox, &pairs->message, &error);
}

static void write_url(struct session *session, const struct pairs *pairs)
{
    struct buffer *text = &session->writer.text;
    buffer_append(text, SLICE("* URLFETCH "));
    imap_append_astring(text, pairs->urls[pairs->next]);
    buffer_append_octet(text, ' ');
}

static void write_nil(struct session *session, struct pairs *pairs)
{
    write_url(session, pairs);
    buffer_append(&session->writer.text, SLICE("NIL\r\n"));
    leave(pairs);
    pairs->next++;
}

static void write_value(struct session *session, struct pairs *pairs)
{
    struct error error;
    enum source_result result = url_message_write(&pairs->message, &session->writer, &error);
    if (result == SOURCE_FAILED) {
        stream_fail(&session->stream, &error); /* half a value is none */
    } else if (result == SOURCE_DONE) {
        buffer_append(&session->writer.text, SLICE("\r\n"));
        leave(pairs);
        pairs->next++;
    }
}

static void urlfetch_step(struct session *session)
{
    struct pairs *pairs = session->work;
    struct error error;
    if (pairs->next == pairs->count) {
        session_ok(session, SLICE(""), "That is what they name");
        return;
    }
    if (!pairs->message.folder && !open_named(session, pairs)) {
        write_nil(session, pairs);
        return;
    }
    if (!pairs->begun) {
        enum source_result prepared = url_message_prepare(&pairs->message, &error);
        if (prepared == SOURCE_FAILED)
            write_nil(session, pairs);
        if (prepared != SOURCE_DONE)
            return;
        write_url(session, pairs);
        pairs->begun = true;
    }
    write_value(session, pairs);
}

void command_urlfetch(struct session *session, struct imap_parser *arguments)
{
    struct pairs *pairs = parse(session, arguments, false);
    if (!pairs)
        return;
    session->work = pairs;
    session->on_end = give_back;
    session_continue(session, urlfetch_step);
}
