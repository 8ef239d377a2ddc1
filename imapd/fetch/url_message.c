/* The messages of url_message.h. */
#include "imapd/fetch/url_message.h"

#include "common/config/config.h"
#include "common/mime/structure.h"
#include "imapd/mailbox.h"
#include "imapd/syntax/mailbox_name.h"
#include "storage/folder_name.h"

/* ---- who ---- */

static struct slice local_part(struct slice account)
{
    return slice_range(account, 0, slice_find_octet(account, '@'));
}

static struct slice domain_of(struct slice account)
{
    return slice_from(account, local_part(account).len);
}

/* The account by its whole name or, before its first "@", by what stands there. */
static bool is_called(struct slice account, struct slice name)
{
    return slice_equal_nocase(name, account) || slice_equal_nocase(name, local_part(account));
}

/* Of another account by its whole name, unless both are of one domain. */
static bool is_reader(const struct mailbox *mailbox, const struct url_reader *reader,
                      struct slice name)
{
    struct slice own = slice_of_string(mailbox->account);
    return slice_equal_nocase(name, reader->account)
           || (slice_equal_nocase(domain_of(own), domain_of(reader->account))
               && is_called(reader->account, name));
}

/* RFC 4467 3: "submit+" is for submissions of that user, "user+" for the user's IMAP sessions. */
static bool is_meant(const struct mailbox *mailbox, const struct auth_url *url,
                     const struct url_reader *reader)
{
    switch (url->access) {
    case AUTH_URL_SUBMIT:
        return reader->submits && is_reader(mailbox, reader, url->reader);
    case AUTH_URL_USER:
        return !reader->submits && is_reader(mailbox, reader, url->reader);
    default:
        return true;
    }
}

bool url_message_lets_in(const struct mailbox *mailbox, const struct url_message *message,
                         const struct url_reader *reader)
{
    const struct auth_url *url = &message->url;
    return slice_equal_nocase(url->mechanism, SLICE("INTERNAL"))
           && !(url->expires && url->until <= mailbox_now()) && is_meant(mailbox, url, reader)
           && url_key_verify(mailbox, message->directory, url->rump, url->token);
}

/* ---- what ---- */

/* The server, by its own name or by the domain whose mail it holds: clients know both. */
static bool is_here(const struct mailbox *mailbox, struct slice host)
{
    struct slice domain = domain_of(slice_of_string(mailbox->account));
    return slice_equal_nocase(host, slice_of_string(mailbox->config->hostname))
           || (domain.len > 1 && slice_equal_nocase(host, slice_from(domain, 1)));
}

bool url_message_parse(struct mailbox *mailbox, struct slice text, struct arena *arena,
                       struct url_message *message)
{
    struct buffer name = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    const char *problem;
    struct error error;
    *message = (struct url_message){.folder = NULL};
    if (!auth_url_parse(text, arena, &message->url)
        || !is_called(slice_of_string(mailbox->account), message->url.user)
        || !is_here(mailbox, message->url.host)
        || !message_url_parse(message->url.path, arena, &message->message))
        return false;
    struct slice mailbox_name = message->message.mailbox;
    bool found = mailbox_name.len > 0
                 && mailbox_name_parse(mailbox_name, MAILBOX_NAME_UTF8, &name, &problem)
                 && folder_name_to_directory(buffer_slice(&name), message->directory, &error);
    buffer_clear(&name);
    return found;
}

/* ---- reading it ---- */

void url_message_want_binary(struct url_message *message)
{
    struct fetch_item *item = message->message.item;
    if (item->section.kind == SECTION_ALL)
        item->kind = FETCH_BINARY;
}

bool url_message_open(struct mailbox *mailbox, struct url_message *message, struct error *error)
{
    if (!folder_open(mailbox, message->directory, &message->folder, error))
        return false;
    fetch_values_init(&message->values, message->folder, message->message.item);
    fetch_values_turn_to(&message->values, message->message.uid);
    return true;
}

enum source_result url_message_prepare(struct url_message *message, struct error *error)
{
    uint32_t uidvalidity = message->message.uidvalidity;
    if (folder_step(message->folder))
        return SOURCE_MORE;
    if (uidvalidity && uidvalidity != message->folder->record.uidvalidity) {
        error_set(error, ERROR_NOT_FOUND, "another UIDVALIDITY");
        return SOURCE_FAILED;
    }
    return fetch_values_prepare(&message->values, error);
}

enum source_result url_message_write(struct url_message *message, struct writer *writer,
                                     struct error *error)
{
    return fetch_value_write(&message->values, message->message.item, &message->position, writer,
                             error);
}

static const struct mime_part *part_of(const struct url_message *message)
{
    const struct section *section = &message->message.item->section;
    const struct mime_part *root = message->values.source.root;
    return section->depth > 0 ? section_part(root, section) : root;
}

enum source_result url_message_read_parts(struct url_message *message, struct error *error)
{
    enum source_result result = message_source_read(&message->values.source, SOURCE_PARTS, error);
    if (result != SOURCE_DONE || part_of(message))
        return result;
    error_set(error, ERROR_NOT_FOUND, "no such part");
    return SOURCE_FAILED;
}

/* The part with an encoding that stands before its own, and is the one that counts. */
static bool format_decoded(const struct mime_part *part, const struct fetch_binary *binary,
                           struct buffer *text)
{
    struct mime_field encoding = {.next = part->fields,
                                  .id = MIME_CONTENT_TRANSFER_ENCODING,
                                  .body = fetch_binary_domain(binary)};
    struct mime_part decoded = *part;
    decoded.fields = &encoding;
    decoded.body.crlf_octets = binary->octets;
    decoded.body.lines = binary->domain.lines;
    return structure_format_bodystructure(&decoded, text);
}

enum source_result url_message_write_structure(struct url_message *message, bool decoded,
                                               struct buffer *text, struct error *error)
{
    const struct mime_part *part = part_of(message);
    struct fetch_values *values = &message->values;
    const struct fetch_item *item = message->message.item;
    bool is_decoded = decoded && item->section.depth > 0 && part->kind == MIME_LEAF;
    enum source_result measured =
        is_decoded ? fetch_value_measure(values, item, error) : SOURCE_DONE;
    if (measured != SOURCE_DONE)
        return measured;
    if (is_decoded ? format_decoded(part, &values->binary, text)
                   : structure_format_bodystructure(part, text))
        return SOURCE_DONE;
    error_memory(error);
    return SOURCE_FAILED;
}

void url_message_close(struct url_message *message)
{
    if (!message->folder)
        return;
    fetch_values_clear(&message->values);
    folder_close(message->folder);
    message->folder = NULL;
    message->position = 0;
}
