/*
 * URLFETCH (URLAUTH, RFC 4467 7), also of parts without their Content-Transfer-Encoding, and with
 * what BODYSTRUCTURE says of them (URLAUTH=BINARY, RFC 5524).
 *
 *     for each URL: judged and opened ──> prepared: all that can fail ──> its elements are written
 *                      └─ NIL                └─ NIL
 */
#include "common/login/imap_capability.h"
#include "imapd/commands/commands.h"
#include "imapd/fetch/url_message.h"
#include "imapd/mailbox.h"

enum { URLS_MAX = 1000, ELEMENTS_MAX = 2 };

enum element { ELEMENT_BODY, ELEMENT_BINARY, ELEMENT_STRUCTURE, ELEMENT_KINDS };

static const struct slice element_words[ELEMENT_KINDS] = {
    [ELEMENT_BODY] = SLICE("BODY"),
    [ELEMENT_BINARY] = SLICE("BINARY"),
    [ELEMENT_STRUCTURE] = SLICE("BODYPARTSTRUCTURE"),
};

struct wanted {
    struct slice url;
    uint8_t elements[ELEMENTS_MAX]; /* enum element */
    unsigned count;                 /* 0: the value alone, RFC 4467 */
};

struct urlfetch {
    struct wanted *all;
    size_t count;
    size_t next; /* that is being answered */
    struct url_message message;
    bool begun; /* its answer */
    bool cannot_decode;
    unsigned element; /* that is being written */
    bool element_begun;
};

/* ---- arguments ---- */

static bool has_element(const struct wanted *wanted, enum element element)
{
    for (unsigned i = 0; i < wanted->count; i++)
        if (wanted->elements[i] == element)
            return true;
    return false;
}

static bool parse_element(struct imap_parser *arguments, enum element *element)
{
    for (unsigned i = 0; i < ELEMENT_KINDS; i++) {
        *element = (enum element)i;
        if (imap_skip_word(arguments, element_words[i]))
            return true;
    }
    return imap_parser_fail(arguments, "BODYPARTSTRUCTURE, BINARY or BODY");
}

/* "Metadata items MUST NOT appear more than once per URL requested, and clients MUST NOT request
 * both BINARY and BODY" (RFC 5524 3.1). */
static bool add_element(struct imap_parser *arguments, struct wanted *wanted, enum element element)
{
    bool is_structure = element == ELEMENT_STRUCTURE;
    for (unsigned i = 0; i < wanted->count; i++)
        if ((wanted->elements[i] == ELEMENT_STRUCTURE) == is_structure)
            return imap_parser_fail(arguments, "one of BINARY and BODY, each once");
    if (is_structure) /* what is told first is how to read the rest */
        wanted->elements[1] = wanted->elements[0];
    wanted->elements[is_structure ? 0 : wanted->count] = (uint8_t)element;
    wanted->count++;
    return true;
}

/* url-fetch-arg = url-full / "(" url-full *(SP url-fetch-param) ")"    RFC 5524 5 */
static bool parse_wanted(struct imap_parser *arguments, bool may_extend, struct wanted *wanted)
{
    enum element element;
    bool extended = may_extend && imap_skip_octet(arguments, '(');
    if (!imap_parse_astring(arguments, &wanted->url))
        return false;
    while (extended && !imap_skip_octet(arguments, ')'))
        if (!imap_parse_space(arguments) || !parse_element(arguments, &element)
            || !add_element(arguments, wanted, element))
            return false;
    return true;
}

static bool parse(struct imap_parser *arguments, bool may_extend, struct urlfetch *fetch)
{
    do {
        if (fetch->count == URLS_MAX)
            return imap_parser_fail(arguments, "a thousand URLs at most");
        if (!imap_parse_space(arguments)
            || !parse_wanted(arguments, may_extend, &fetch->all[fetch->count++]))
            return false;
    } while (!imap_parser_at_end(arguments));
    return true;
}

/* ---- one URL ---- */

static void leave(struct urlfetch *fetch)
{
    url_message_close(&fetch->message);
    fetch->begun = fetch->cannot_decode = fetch->element_begun = false;
    fetch->element = 0;
}

static void give_back(struct session *session)
{
    leave(session->work);
}

/* False: the URL names nothing, or nothing that this reader may see; the client is not told
 * which. */
static bool open_named(struct session *session, struct urlfetch *fetch)
{
    struct error error;
    struct mailbox *mailbox = session->mailbox;
    struct url_message *message = &fetch->message;
    const struct wanted *wanted = &fetch->all[fetch->next];
    const struct url_reader reader = {.account = slice_of_string(mailbox->account)};
    if (!url_message_parse(mailbox, wanted->url, &session->arena, message)
        || !url_message_lets_in(mailbox, message, &reader))
        return false;
    if (has_element(wanted, ELEMENT_BINARY))
        url_message_want_binary(message);
    return url_message_open(mailbox, message, &error);
}

/* Does all that can fail. A part in an unknown encoding exists, but cannot be decoded. */
static enum source_result prepare(struct urlfetch *fetch, struct error *error)
{
    struct url_message *message = &fetch->message;
    const struct wanted *wanted = &fetch->all[fetch->next];
    enum source_result result =
        fetch->cannot_decode ? SOURCE_DONE : url_message_prepare(message, error);
    if (result == SOURCE_FAILED && error->kind == ERROR_PERMANENT
        && has_element(wanted, ELEMENT_BINARY)) {
        fetch->cannot_decode = true;
        result = SOURCE_DONE;
    }
    bool wants_part = wanted->count > 0 && message->message.item->section.depth > 0;
    if (result == SOURCE_DONE && (wants_part || has_element(wanted, ELEMENT_STRUCTURE)))
        result = url_message_read_parts(message, error);
    return result;
}

static void write_url(struct session *session, const struct urlfetch *fetch)
{
    buffer_append(&session->writer.text, SLICE("* URLFETCH "));
    imap_append_astring(&session->writer.text, fetch->all[fetch->next].url);
    buffer_append_octet(&session->writer.text, ' ');
}

static void write_nil(struct session *session, struct urlfetch *fetch)
{
    write_url(session, fetch);
    buffer_append(&session->writer.text, SLICE("NIL\r\n"));
    leave(fetch);
    fetch->next++;
}

/* RFC 5524 4: then the structure is that of what BINARY gives. */
static bool decodes(const struct urlfetch *fetch)
{
    return !fetch->cannot_decode && has_element(&fetch->all[fetch->next], ELEMENT_BINARY);
}

static void begin_element(struct session *session, struct urlfetch *fetch, enum element element)
{
    struct buffer *text = &session->writer.text;
    if (fetch->element_begun)
        return;
    fetch->element_begun = true;
    buffer_append(text, fetch->element > 0 ? SLICE(" (") : SLICE("("));
    buffer_append(text, element_words[element]);
    buffer_append_octet(text, ' ');
}

static enum source_result write_element(struct session *session, struct urlfetch *fetch,
                                        struct error *error)
{
    struct buffer *text = &session->writer.text;
    const struct wanted *wanted = &fetch->all[fetch->next];
    enum element element = (enum element)wanted->elements[fetch->element];
    enum source_result result = SOURCE_DONE;
    begin_element(session, fetch, element);
    if (element == ELEMENT_STRUCTURE)
        result = url_message_write_structure(&fetch->message, decodes(fetch), text, error);
    else if (element == ELEMENT_BINARY && fetch->cannot_decode)
        buffer_append(text, SLICE("NIL")); /* RFC 5524 5: "On decoding error" */
    else
        result = url_message_write(&fetch->message, &session->writer, error);
    if (result != SOURCE_DONE)
        return result;
    buffer_append_octet(text, ')');
    fetch->element_begun = false;
    return ++fetch->element < wanted->count ? SOURCE_MORE : SOURCE_DONE;
}

static void write_some(struct session *session, struct urlfetch *fetch)
{
    struct error error;
    enum source_result result = fetch->all[fetch->next].count > 0
                                    ? write_element(session, fetch, &error)
                                    : url_message_write(&fetch->message, &session->writer, &error);
    if (result == SOURCE_FAILED) {
        stream_fail(&session->stream, &error); /* half a value is none */
    } else if (result == SOURCE_DONE) {
        buffer_append(&session->writer.text, SLICE("\r\n"));
        leave(fetch);
        fetch->next++;
    }
}

static void urlfetch_step(struct session *session)
{
    struct urlfetch *fetch = session->work;
    struct error error;
    if (fetch->next == fetch->count) {
        session_ok(session, SLICE(""), "That is what they name");
        return;
    }
    if (!fetch->message.folder && !open_named(session, fetch)) {
        write_nil(session, fetch);
        return;
    }
    if (!fetch->begun) {
        enum source_result prepared = prepare(fetch, &error);
        if (prepared == SOURCE_FAILED)
            write_nil(session, fetch);
        if (prepared != SOURCE_DONE)
            return;
        write_url(session, fetch);
        fetch->begun = true;
    }
    write_some(session, fetch);
}

void command_urlfetch(struct session *session, struct imap_parser *arguments)
{
    struct urlfetch *fetch = session_alloc(session, sizeof(*fetch));
    if (!fetch)
        return;
    fetch->all = session_alloc(session, URLS_MAX * sizeof(*fetch->all));
    if (!fetch->all)
        return;
    bool may_extend = !(session->without & imap_capability_find(SLICE("URLAUTH=BINARY")));
    if (!parse(arguments, may_extend, fetch)) {
        session_bad_arguments(session, arguments);
        return;
    }
    session->work = fetch;
    session->on_end = give_back;
    session_continue(session, urlfetch_step);
}
