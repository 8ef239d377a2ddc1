/* GENURLAUTH, URLFETCH and RESETKEY (URLAUTH, RFC 4467 7). A mailbox's access key lies in a file
 * beside its messages; without it none of its URLs is right. */
#include <errno.h>
#include <unistd.h>

#include <fcntl.h>
#include <sodium.h>

#include "common/config/config.h"
#include "common/disk/fd.h"
#include "imapd/commands/commands.h"
#include "imapd/fetch/fetch_value.h"
#include "imapd/folder/mailbox_tree.h"
#include "imapd/mailbox.h"
#include "imapd/syntax/auth_url.h"
#include "imapd/syntax/folder_argument.h"
#include "imapd/syntax/message_url.h"
#include "storage/folder_name.h"
#include "storage/text_file.h"

#define KEY_FILE "staffetta-urlauth"

enum {
    KEY_OCTETS = 32,
    TOKEN_OCTETS = 16, /* RFC 4467 2: at least 128 bits */
    URLS_MAX = 1000,
};

/* ---- keys ---- */

static bool open_directory(const struct mailbox *mailbox, const char *directory, int *fd,
                           struct error *error)
{
    *fd = openat(mailbox->account_fd, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd >= 0 || error_errno(error, "open %s", directory);
}

static bool read_key(int dir_fd, uint8_t key[KEY_OCTETS], struct error *error)
{
    struct buffer text = BUFFER_WITH_LIMIT(2 * KEY_OCTETS);
    size_t len = 0;
    bool read = text_file_load(dir_fd, KEY_FILE, &text, error);
    if (read
        && (sodium_hex2bin(key, KEY_OCTETS, (const char *)text.ptr, text.len, NULL, &len, NULL) != 0
            || len != KEY_OCTETS))
        read = error_set(error, ERROR_NOT_FOUND, KEY_FILE " holds no key");
    buffer_clear(&text);
    return read;
}

static bool make_key(int dir_fd, uint8_t key[KEY_OCTETS], struct error *error)
{
    char text[2 * KEY_OCTETS + 1];
    randombytes_buf(key, KEY_OCTETS);
    sodium_bin2hex(text, sizeof(text), key, KEY_OCTETS);
    return text_file_replace(dir_fd, KEY_FILE, slice_of_string(text), error);
}

/* ERROR_NOT_FOUND: there is no such mailbox, or (where none is to be made) it has none. */
static bool find_key(const struct mailbox *mailbox, const char *directory, bool make,
                     uint8_t key[KEY_OCTETS], struct error *error)
{
    int fd;
    if (!open_directory(mailbox, directory, &fd, error))
        return false;
    bool found = read_key(fd, key, error);
    if (!found && error->kind == ERROR_NOT_FOUND && make)
        found = make_key(fd, key, error);
    fd_discard(&fd);
    return found;
}

static void make_token(struct slice rump, const uint8_t key[KEY_OCTETS],
                       char token[2 * TOKEN_OCTETS + 1])
{
    uint8_t hash[TOKEN_OCTETS];
    crypto_generichash(hash, sizeof(hash), rump.ptr, rump.len, key, KEY_OCTETS);
    sodium_bin2hex(token, 2 * TOKEN_OCTETS + 1, hash, sizeof(hash));
}

/* ---- URLs ---- */

struct named {
    struct auth_url url;
    struct message_url message;
    char directory[MAILDIR_NAME_SIZE];
};

/* The account by its whole name or, before its first "@", by what stands there. */
static bool is_account(const struct session *session, struct slice user)
{
    struct slice account = slice_of_string(session->mailbox->account);
    return slice_equal_nocase(user, account)
           || slice_equal_nocase(user, slice_range(account, 0, slice_find_octet(account, '@')));
}

/* Of a message of this account, here. Mailboxes in a URL are in UTF-8. */
static bool parse_named(struct session *session, struct slice text, struct named *named)
{
    struct buffer name = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    struct slice host = slice_of_string(session->mailbox->config->hostname);
    const char *problem;
    struct error error;
    if (!auth_url_parse(text, &session->arena, &named->url) || !is_account(session, named->url.user)
        || !slice_equal_nocase(named->url.host, host)
        || !message_url_parse(named->url.path, &session->arena, &named->message))
        return false;
    bool found = named->message.mailbox.len > 0
                 && mailbox_name_parse(named->message.mailbox, MAILBOX_NAME_UTF8, &name, &problem)
                 && folder_name_to_directory(buffer_slice(&name), named->directory, &error);
    buffer_clear(&name);
    return found;
}

/* ---- GENURLAUTH ---- */

struct pairs {
    struct slice *urls;
    size_t count;
    size_t next; /* URLFETCH */
    struct named named;
    struct folder *folder; /* that is being read; NULL: none */
    bool begun;            /* to write it */
    struct fetch_values values;
    uint64_t position;
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
    struct named named;
    uint8_t key[KEY_OCTETS];
    char token[2 * TOKEN_OCTETS + 1];
    struct buffer url = BUFFER_WITH_LIMIT(rump.len + 100);
    if (!parse_named(session, rump, &named) || named.url.mechanism.len > 0)
        return error_set(error, ERROR_PERMANENT, "no rump of a URL of this account");
    if (!find_key(session->mailbox, named.directory, true, key, error))
        return false;
    make_token(named.url.rump, key, token);
    buffer_append(&url, rump);
    buffer_append_format(&url, ":internal:%s", token);
    buffer_append_octet(text, ' ');
    imap_append_astring(text, buffer_slice(&url));
    buffer_clear(&url);
    sodium_memzero(key, sizeof(key));
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

static bool reset_key(const struct mailbox *mailbox, const char *directory, struct error *error)
{
    int fd;
    if (!open_directory(mailbox, directory, &fd, error))
        return false;
    bool reset = unlinkat(fd, KEY_FILE, 0) == 0 || errno == ENOENT;
    if (!reset)
        error_errno(error, "unlink %s/%s", directory, KEY_FILE);
    else if (fsync(fd) != 0)
        reset = error_errno(error, "fsync %s", directory);
    fd_discard(&fd);
    return reset;
}

static bool reset_all(struct mailbox *mailbox, struct error *error)
{
    struct mailbox_tree tree = {0};
    bool reset =
        mailbox_tree_read(&tree, mailbox->account_fd, &mailbox->subscriptions, NULL, error);
    for (size_t i = 0; reset && i < tree.count; i++)
        reset = !tree.entries[i].directory || reset_key(mailbox, tree.entries[i].directory, error);
    mailbox_tree_clear(&tree);
    return reset;
}

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
    else if (all ? reset_all(session->mailbox, &error)
                 : reset_key(session->mailbox, folder.directory, &error))
        session_ok(session, SLICE("URLMECH INTERNAL"), "No URL of before lets in");
    else
        session_failed(session, &error, "There is no such mailbox");
}

/* ---- URLFETCH ---- */

static void leave(struct pairs *pairs)
{
    fetch_values_clear(&pairs->values);
    if (pairs->folder)
        folder_close(pairs->folder);
    pairs->folder = NULL;
    pairs->begun = false;
    pairs->position = 0;
}

static void give_back(struct session *session)
{
    leave(session->work);
}

/* Whoever is here has logged in, as this account; "submit+" is for those who send mail (RFC 4467
 * 3), and nobody here does. */
static bool may_read(const struct session *session, const struct auth_url *url)
{
    switch (url->access) {
    case AUTH_URL_SUBMIT:
        return false;
    case AUTH_URL_USER:
        return is_account(session, url->reader);
    default:
        return true;
    }
}

static bool is_right(const struct session *session, const struct named *named)
{
    uint8_t key[KEY_OCTETS];
    char token[2 * TOKEN_OCTETS + 1];
    struct error error;
    const struct auth_url *url = &named->url;
    if (!slice_equal_nocase(url->mechanism, SLICE("INTERNAL"))
        || url->token.len != 2 * (size_t)TOKEN_OCTETS
        || (url->expires && url->until <= mailbox_now()) || !may_read(session, url)
        || !find_key(session->mailbox, named->directory, false, key, &error))
        return false;
    make_token(url->rump, key, token);
    sodium_memzero(key, sizeof(key));
    return sodium_memcmp(token, url->token.ptr, url->token.len) == 0;
}

/* False: it names nothing that this reader may see, and which of the two is not said. */
static bool open_named(struct session *session, struct pairs *pairs)
{
    struct error error;
    struct named *named = &pairs->named;
    if (!parse_named(session, pairs->urls[pairs->next], named) || !is_right(session, named)
        || !folder_open(session->mailbox, named->directory, &pairs->folder, &error))
        return false;
    fetch_values_init(&pairs->values, pairs->folder, named->message.item);
    fetch_values_turn_to(&pairs->values, named->message.uid);
    return true;
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

/* All that can fail comes before the first octet. */
static enum source_result prepare(struct pairs *pairs, struct error *error)
{
    const struct message_url *url = &pairs->named.message;
    if (folder_step(pairs->folder))
        return SOURCE_MORE;
    if (url->uidvalidity && url->uidvalidity != pairs->folder->record.uidvalidity) {
        error_set(error, ERROR_NOT_FOUND, "another UIDVALIDITY");
        return SOURCE_FAILED;
    }
    return fetch_values_prepare(&pairs->values, error);
}

static void write_value(struct session *session, struct pairs *pairs)
{
    struct error error;
    enum source_result result = fetch_value_write(&pairs->values, pairs->named.message.item,
                                                  &pairs->position, &session->writer, &error);
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
    if (!pairs->folder && !open_named(session, pairs)) {
        write_nil(session, pairs);
        return;
    }
    if (!pairs->begun) {
        enum source_result prepared = prepare(pairs, &error);
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
