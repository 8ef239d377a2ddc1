/* The names of folder_argument.h: from the wire to the directory. */
#include "imapd/folder_argument.h"

#include "imapd/mailbox_name.h"
#include "storage/folder_name.h"

static bool resolve(struct imap_parser *parser, struct slice wire, struct folder_argument *folder)
{
    struct buffer name = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    struct error error;
    bool parsed = mailbox_name_parse(wire, MAILBOX_NAME_UTF7, &name, &folder->problem);
    folder->name = parsed ? arena_copy(parser->arena, buffer_slice(&name)) : SLICE("");
    buffer_clear(&name);
    if (!parsed)
        return true;
    if (!folder->name.ptr)
        return imap_parser_exhaust(parser);
    folder->problem = folder_name_to_directory(folder->name, folder->directory, &error)
                          ? NULL
                          : "The mailbox name is too long";
    return true;
}

bool folder_argument_parse(struct imap_parser *parser, struct folder_argument *folder)
{
    struct slice wire;
    if (!imap_parse_astring(parser, &wire))
        return imap_parser_fail(parser, "a mailbox name");
    return resolve(parser, wire, folder);
}

bool folder_argument_parse_new(struct imap_parser *parser, struct folder_argument *folder)
{
    struct slice wire;
    if (!imap_parse_astring(parser, &wire))
        return imap_parser_fail(parser, "a mailbox name");
    if (wire.len > 1 && wire.ptr[wire.len - 1] == '/')
        wire.len--;
    return resolve(parser, wire, folder);
}
