/* `staffetta import ACCOUNT imap URL`: from a running server. See import.h. */
#include <stdlib.h>

#include "common/text/date.h"
#include "common/text/modified_utf7.h"
#include "ctl/import/import.h"

enum { SET_OCTETS = 8000, FETCH_OCTETS = 16 << 20, NAME_OCTETS = 4096 };

struct wanted {
    uint32_t uid;
    uint64_t octets;
};

/* Of one process. */
struct imap_source {
    struct imap_client client;
    struct import_folders *folders; /* while they are listed */
    struct buffer prefix;           /* of the personal namespace (RFC 2342), as "INBOX." */
    struct buffer subscribed;       /* names, LF after each */
    struct import_target *target;   /* while a folder is read */
    struct wanted *wanted;
    size_t count;
};

static void close_source(struct import_source *source)
{
    struct imap_source *state = source->state;
    if (!state)
        return;
    imap_client_clear(&state->client);
    buffer_clear(&state->prefix);
    buffer_clear(&state->subscribed);
    free(state->wanted);
    free(state);
    source->state = NULL;
}

static bool open_source(struct import_source *source, struct error *error)
{
    struct imap_source *state = calloc(1, sizeof(*state));
    if (!state)
        return error_memory(error);
    source->state = state;
    imap_client_init(&state->client);
    buffer_init(&state->prefix, NAME_OCTETS);
    buffer_init(&state->subscribed, 1 << 24);
    return imap_client_connect(&state->client, &source->server, error)
           && imap_client_login(&state->client, source->user, source->password, error);
}

/* ---- folders ---- */

/* NAMESPACE ((prefix separator)...) ... : the first prefix. */
static bool on_namespace(void *owner, struct slice response, struct error *error)
{
    struct imap_source *state = owner;
    struct cursor in = cursor_of(response);
    (void)error;
    if (!slice_equal_nocase(imap_take_token(&in).text, SLICE("NAMESPACE")))
        return true;
    struct imap_token open = imap_take_token(&in), inner = imap_take_token(&in);
    struct imap_token prefix = imap_take_token(&in);
    if (open.kind == IMAP_OPEN && inner.kind == IMAP_OPEN && prefix.kind == IMAP_STRING)
        imap_append_string(prefix, &state->prefix);
    return true;
}

struct listed {
    bool selectable;
    uint8_t separator; /* 0: none */
    struct buffer name;
};

/* LIST (attributes) separator name */
static bool take_list(struct slice response, struct slice word, struct listed *listed)
{
    struct cursor in = cursor_of(response);
    struct imap_token token;
    listed->selectable = true;
    if (!slice_equal_nocase(imap_take_token(&in).text, word)
        || imap_take_token(&in).kind != IMAP_OPEN)
        return false;
    while (token = imap_take_token(&in), token.kind == IMAP_ATOM) {
        static const struct slice left_out[] = {SLICE("\\Noselect"), SLICE("\\NonExistent"),
                                                SLICE("\\All"), SLICE("\\Flagged"),
                                                SLICE("\\Important")};
        for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
            if (slice_equal_nocase(token.text, left_out[i]))
                listed->selectable = false; /* not selectable, or a view of other folders */
    }
    struct imap_token separator = imap_take_token(&in), name = imap_take_token(&in);
    listed->separator = separator.kind == IMAP_STRING && separator.text.len > 0
                            ? separator.text.ptr[separator.text.len - 1]
                            : 0;
    buffer_reset(&listed->name);
    imap_append_string(name, &listed->name);
    return token.kind == IMAP_CLOSE && listed->name.len > 0 && !listed->name.failed;
}

static bool has_line(struct slice text, struct slice wanted)
{
    while (text.len > 0) {
        size_t end = slice_find_octet(text, '\n');
        if (slice_equal(slice_range(text, 0, end), wanted))
            return true;
        text = slice_from(text, end + 1);
    }
    return false;
}

static bool on_subscribed(void *owner, struct slice response, struct error *error)
{
    struct imap_source *state = owner;
    struct listed listed = {.name = BUFFER_WITH_LIMIT(NAME_OCTETS)};
    (void)error;
    if (take_list(response, SLICE("LSUB"), &listed)) {
        buffer_append(&state->subscribed, buffer_slice(&listed.name));
        buffer_append_octet(&state->subscribed, '\n');
    }
    buffer_clear(&listed.name);
    return true;
}

/* Our name: without the namespace's prefix, in UTF-8, '/' between levels. */
static bool translate(const struct imap_source *state, const struct listed *listed,
                      struct buffer *name)
{
    struct slice theirs = buffer_slice(&listed->name);
    struct buffer utf8 = BUFFER_WITH_LIMIT(NAME_OCTETS);
    struct slice prefix = buffer_slice(&state->prefix);
    if (prefix.len > 0 && slice_starts_with_nocase(theirs, prefix))
        theirs = slice_from(theirs, prefix.len);
    if (!modified_utf7_decode(theirs, &utf8)) {
        buffer_reset(&utf8);
        buffer_append(&utf8, theirs);
    }
    buffer_reset(name);
    for (size_t i = 0; i < utf8.len; i++) {
        uint8_t octet = utf8.ptr[i];
        if (octet == listed->separator)
            octet = '/';
        else if (octet == '/')
            octet = '_';
        buffer_append_octet(name, octet);
    }
    if (slice_equal_nocase(buffer_slice(name), SLICE("INBOX"))) {
        buffer_reset(name);
        buffer_append(name, SLICE("INBOX"));
    }
    bool translated = name->len > 0 && !name->failed && !utf8.failed;
    buffer_clear(&utf8);
    return translated;
}

static bool on_folder(void *owner, struct slice response, struct error *error)
{
    struct imap_source *state = owner;
    struct listed listed = {.name = BUFFER_WITH_LIMIT(NAME_OCTETS)};
    struct buffer name = BUFFER_WITH_LIMIT(NAME_OCTETS);
    bool added = true;
    if (take_list(response, SLICE("LIST"), &listed) && listed.selectable
        && translate(state, &listed, &name)) {
        struct slice theirs = buffer_slice(&listed.name);
        added = import_add_folder(state->folders, theirs, buffer_slice(&name),
                                  has_line(buffer_slice(&state->subscribed), theirs), error);
    }
    buffer_clear(&name);
    buffer_clear(&listed.name);
    return added;
}

static bool list(struct import_source *source, struct import_folders *folders, struct error *error)
{
    struct imap_source *state = source->state;
    state->folders = folders;
    /* A server without NAMESPACE has no prefix; its answer does not matter. */
    if (!imap_client_command(&state->client, SLICE("NAMESPACE"), on_namespace, state, error)
        && error->kind != ERROR_PERMANENT)
        return false;
    return imap_client_command(&state->client, SLICE("LSUB \"\" \"*\""), on_subscribed, state,
                               error)
           && imap_client_command(&state->client, SLICE("LIST \"\" \"*\""), on_folder, state,
                                  error);
}

/* ---- messages ---- */

struct fetched {
    uint32_t uid;
    struct date date;
    bool has_date;
    uint64_t octets;
    struct buffer flags;
    struct slice body; /* of BODY[...] */
    bool has_body;
};

/* "(" flags ")", without \Recent, which clients cannot set */
static void take_flags(struct cursor *in, struct buffer *flags)
{
    struct imap_token token = imap_take_token(in);
    if (token.kind != IMAP_OPEN)
        return;
    while (token = imap_take_token(in), token.kind == IMAP_ATOM)
        if (!slice_equal_nocase(token.text, SLICE("\\Recent")))
            imap_append_flag(token.text, flags);
}

static bool take_fetch(struct slice response, struct fetched *fetched)
{
    struct cursor in = cursor_of(response);
    uint64_t number = 0;
    if (!imap_enter_fetch(&in))
        return false;
    for (struct imap_token name; name = imap_take_token(&in), name.kind == IMAP_ATOM;) {
        if (slice_equal_nocase(name.text, SLICE("FLAGS"))) {
            take_flags(&in, &fetched->flags);
            continue;
        }
        struct imap_token value = imap_take_token(&in);
        if (slice_equal_nocase(name.text, SLICE("UID")) && slice_parse_number(value.text, &number))
            fetched->uid = number <= UINT32_MAX ? (uint32_t)number : 0;
        else if (slice_equal_nocase(name.text, SLICE("RFC822.SIZE")))
            slice_parse_number(value.text, &fetched->octets);
        else if (slice_equal_nocase(name.text, SLICE("INTERNALDATE")))
            fetched->has_date = date_parse_internal(slice_trim(value.text), &fetched->date);
        else if (slice_starts_with_nocase(name.text, SLICE("BODY["))) {
            fetched->body = value.text;
            fetched->has_body = value.kind == IMAP_STRING;
        }
    }
    return fetched->uid != 0 && fetched->has_date;
}

static bool on_listed(void *owner, struct slice response, struct error *error)
{
    struct imap_source *state = owner;
    struct fetched fetched = {.flags = BUFFER_WITH_LIMIT(4096)};
    bool taken = take_fetch(response, &fetched);
    buffer_clear(&fetched.flags);
    if (!taken || !import_wants(state->target, fetched.date.seconds, fetched.body, fetched.octets))
        return true;
    if ((state->count & (state->count - 1)) == 0) {
        struct wanted *grown =
            reallocarray(state->wanted, state->count * 2 + 1, sizeof(*state->wanted));
        if (!grown)
            return error_memory(error);
        state->wanted = grown;
    }
    state->wanted[state->count++] = (struct wanted){fetched.uid, fetched.octets};
    return true;
}

static bool on_message(void *owner, struct slice response, struct error *error)
{
    struct imap_source *state = owner;
    struct fetched fetched = {.flags = BUFFER_WITH_LIMIT(4096)};
    bool put = true;
    if (take_fetch(response, &fetched) && fetched.has_body) {
        struct import_message message = {buffer_slice(&fetched.flags), fetched.date.seconds,
                                         fetched.body};
        put = import_put(state->target, &message, error);
    }
    buffer_clear(&fetched.flags);
    return put;
}

/* One FETCH of as many UIDs as fit a line and the memory; advances *next. */
static bool fetch_some(struct imap_source *state, size_t *next, struct error *error)
{
    struct buffer command = BUFFER_WITH_LIMIT(2 * SET_OCTETS);
    uint64_t octets = 0;
    buffer_append(&command, SLICE("UID FETCH "));
    for (size_t first = *next; *next < state->count; ++*next) {
        octets += state->wanted[*next].octets;
        if (*next > first && (octets > FETCH_OCTETS || command.len > SET_OCTETS))
            break;
        if (*next > first)
            buffer_append_octet(&command, ',');
        buffer_append_number(&command, state->wanted[*next].uid);
    }
    buffer_append(&command, SLICE(" (UID FLAGS INTERNALDATE BODY.PEEK[])"));
    bool fetched =
        imap_client_command(&state->client, buffer_slice(&command), on_message, state, error);
    buffer_clear(&command);
    return fetched;
}

static bool read_folder(struct import_source *source, struct import_target *target,
                        struct error *error)
{
    struct imap_source *state = source->state;
    struct buffer command = BUFFER_WITH_LIMIT(2 * NAME_OCTETS);
    state->target = target;
    state->count = 0;
    buffer_append(&command, SLICE("EXAMINE "));
    imap_append_quoted(slice_of_string(target->folder->from), &command);
    bool done = imap_client_command(&state->client, buffer_slice(&command), NULL, NULL, error)
                && imap_client_command(&state->client,
                                       SLICE("UID FETCH 1:* (UID INTERNALDATE RFC822.SIZE "
                                             "BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])"),
                                       on_listed, state, error);
    for (size_t next = 0; done && next < state->count;)
        done = fetch_some(state, &next, error);
    buffer_clear(&command);
    return done;
}

const struct import_source import_from_imap = {
    .open = open_source, .close = close_source, .list = list, .read = read_folder, .fd = -1};
