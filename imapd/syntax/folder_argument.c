/* From a name on the wire to a directory; see folder_argument.h. */
#include "imapd/syntax/folder_argument.h"

#include <stdlib.h>
#include <uninorm.h>
#include <unistr.h>

#include "imapd/syntax/mailbox_name.h"
#include "storage/expunged.h"
#include "storage/folder_name.h"

static bool is_level_of(struct slice name, struct slice top)
{
    return slice_starts_with(name, top)
           && (name.len == top.len || name.ptr[top.len] == FOLDER_SEPARATOR);
}

/* What the owner calls it. */
static const char *find_for_guest(const struct imap_parser *parser, struct folder_argument *folder)
{
    struct slice top = slice_of_string(parser->visited);
    if (!is_level_of(folder->name, top) || folder->name.len <= top.len + 1)
        return "There is no such mailbox";
    bool named =
        folder_name_to_directory(slice_from(folder->name, top.len + 1), folder->directory, NULL);
    return named ? NULL : "The mailbox name is too long";
}

static bool find_directory(const struct imap_parser *parser, struct folder_argument *folder)
{
    char within[MAILDIR_NAME_SIZE];
    struct slice top = slice_of_string(parser->expunged);
    folder->is_expunged = parser->expunged && is_level_of(folder->name, top);
    if (!folder->is_expunged)
        return folder_name_to_directory(folder->name, folder->directory, NULL);
    if (folder->name.len == top.len) {
        memcpy(folder->directory, EXPUNGED_DIRECTORY, sizeof(EXPUNGED_DIRECTORY));
        return true;
    }
    return folder_name_to_directory(slice_from(folder->name, top.len + 1), within, NULL)
           && expunged_path(within, folder->directory);
}

static const char *find(const struct imap_parser *parser, struct folder_argument *folder)
{
    if (parser->visited)
        return find_for_guest(parser, folder);
    folder->is_shared =
        parser->shared && is_level_of(folder->name, slice_of_string(parser->shared));
    if (folder->is_shared)
        return "Only mailboxes of others are there";
    return find_directory(parser, folder) ? NULL : "The mailbox name is too long";
}

static bool resolve(struct imap_parser *parser, struct slice wire, struct folder_argument *folder)
{
    struct buffer name = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    enum mailbox_name_form form = parser->utf8 ? MAILBOX_NAME_UTF8 : MAILBOX_NAME_UTF7;
    bool parsed = mailbox_name_parse(wire, form, &name, &folder->problem);
    folder->name = parsed ? arena_copy(parser->arena, buffer_slice(&name)) : SLICE("");
    folder->given = slice_of(NULL, 0);
    folder->is_expunged = folder->is_shared = false;
    buffer_clear(&name);
    if (!parsed)
        return true;
    if (!folder->name.ptr)
        return imap_parser_exhaust(parser);
    folder->problem = find(parser, folder);
    return true;
}

bool folder_argument_parse(struct imap_parser *parser, struct folder_argument *folder)
{
    struct slice wire;
    if (!imap_parse_astring(parser, &wire))
        return imap_parser_fail(parser, "a mailbox name");
    return resolve(parser, wire, folder);
}

static bool parse_level(struct imap_parser *parser, struct slice *wire)
{
    if (!imap_parse_astring(parser, wire))
        return imap_parser_fail(parser, "a mailbox name");
    if (wire->len > 1 && wire->ptr[wire->len - 1] == '/')
        wire->len--;
    return true;
}

bool folder_argument_parse_level(struct imap_parser *parser, struct folder_argument *folder)
{
    struct slice wire;
    return parse_level(parser, &wire) && resolve(parser, wire, folder);
}

/* A literal may hold invalid UTF-8: resolve() finds that. */
static bool normalise(struct imap_parser *parser, struct slice wire, struct slice *normal)
{
    size_t octets;
    *normal = wire;
    if (!parser->utf8 || wire.len == 0 || u8_check(wire.ptr, wire.len))
        return true;
    uint8_t *made = u8_normalize(UNINORM_NFC, wire.ptr, wire.len, NULL, &octets);
    if (!made)
        return imap_parser_exhaust(parser);
    *normal = arena_copy(parser->arena, slice_of(made, octets));
    free(made);
    return normal->ptr || imap_parser_exhaust(parser);
}

bool folder_argument_parse_new(struct imap_parser *parser, struct folder_argument *folder)
{
    struct slice wire, normal;
    if (!parse_level(parser, &wire) || !normalise(parser, wire, &normal)
        || !resolve(parser, normal, folder))
        return false;
    if (!slice_equal(normal, wire))
        folder->given = wire;
    return true;
}
