/* No line breaks the parser; what it takes has no octet that could break a log or a report. */
#include <stdlib.h>

#include "smtpd/session/burl_url.h"
#include "smtpd/session/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_orcpt(struct slice orcpt)
{
    struct buffer text = BUFFER_WITH_LIMIT(orcpt.len);
    smtp_command_append_orcpt(orcpt, &text);
    require(!text.failed);
    for (size_t i = 0; i < text.len; i++)
        require(text.ptr[i] >= ' ' && text.ptr[i] != 127);
    buffer_clear(&text);
}

/* Whose message it is goes into a record: one line, no longer than it may be. */
static void check_burl(struct slice text)
{
    struct buffer owner = BUFFER_WITH_LIMIT(100);
    struct burl_url url;
    require(text.len > 0);
    if (burl_url_parse(text, &url, &owner)) {
        require(owner.len > 0 && url.host.len > 0 && !owner.failed);
        for (size_t i = 0; i < owner.len; i++)
            require(owner.ptr[i] >= ' ' && owner.ptr[i] != 127);
    }
    buffer_clear(&owner);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smtp_command command;
    struct smtp_reply reply = {.code = 0};
    if (!smtp_command_parse(slice_of(data, size), &command, &reply)) {
        struct buffer text = BUFFER_WITH_LIMIT(4096);
        require(reply.code >= 500 && reply.code <= 555);
        smtp_reply_format(&reply, &text);
        require(!text.failed);
        buffer_clear(&text);
        return 0;
    }
    require(command.verb != SMTP_UNKNOWN);
    if (command.verb == SMTP_BURL)
        check_burl(command.burl.url);
    if (command.verb == SMTP_RCPT) {
        require(command.rcpt.forward_path.local_part.len > 0);
        if (command.rcpt.orcpt.len > 0)
            check_orcpt(command.rcpt.orcpt);
    }
    return 0;
}
