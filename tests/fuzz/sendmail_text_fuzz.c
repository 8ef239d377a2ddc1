/* What programs hand to sendmail: every line of the message ends with CRLF, and every recipient is
 * an address. The first octet holds the options. */
#include <stdlib.h>

#include "common/text/address.h"
#include "ctl/sendmail/sendmail.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check(const struct sendmail *mail)
{
    struct slice text = buffer_slice(&mail->text);
    struct address address;
    require(slice_ends_with(text, SLICE("\r\n")));
    for (size_t i = 0; i < text.len; i++)
        require(text.ptr[i] != '\n' || (i > 0 && text.ptr[i - 1] == '\r'));
    for (size_t i = 0; i < mail->recipients.count; i++)
        require(address_parse_mailbox(mail->recipients.items[i], &address, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t size)
{
    if (size == 0)
        return 0;
    struct sendmail mail = {.domain = "demo.test",
                            .hostname = "mail.demo.test",
                            .author = SLICE("alice@demo.test"),
                            .from_header = octets[0] & 1,
                            .dot_ends = octets[0] & 2};
    arena_init(&mail.arena, 1 << 20);
    buffer_init(&mail.text, 1 << 20);
    if (sendmail_make_text(&mail, slice_of(octets + 1, size - 1), 1700000000, 7, NULL))
        check(&mail);
    buffer_clear(&mail.text);
    arena_clear(&mail.arena);
    return 0;
}
