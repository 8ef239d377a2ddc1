/* UIDBATCHES (RFC 10022): ranges of UIDs that hold as many messages each, newest first, one
 * beginning where the other ends. */
#include "imapd/commands/commands.h"

enum { SMALLEST_BATCH = 500 };

struct batches {
    uint32_t size;
    bool some; /* only those from first to last, the newest being number 1 */
    uint32_t first;
    uint32_t last;
};

/* uidbatches = "UIDBATCHES" SP nz-number [SP nz-number ":" nz-number] */
static bool parse(struct imap_parser *arguments, struct batches *batches)
{
    if (!imap_parse_space(arguments) || !imap_parse_nz_number(arguments, &batches->size))
        return false;
    batches->some = imap_skip_octet(arguments, ' ');
    return (!batches->some
            || (imap_parse_nz_number(arguments, &batches->first)
                && imap_parse_octet(arguments, ':', "\":\"")
                && imap_parse_nz_number(arguments, &batches->last)))
           && imap_parse_end(arguments);
}

static void append_batch(struct buffer *text, bool first, uint32_t high, uint32_t low)
{
    buffer_append_octet(text, first ? ' ' : ',');
    buffer_append_number(text, high);
    buffer_append_octet(text, ':');
    buffer_append_number(text, low);
}

/* The oldest batch reaches down to UID 1, whatever was there. */
static void write_batches(struct session *session, const struct batches *batches)
{
    const struct view *view = &session->view;
    struct buffer *text = &session->writer.text;
    size_t left = view->count;
    uint32_t high = left ? view->slots[left - 1].uid : 0;
    bool first = true;
    buffer_append(text, SLICE("* UIDBATCHES (TAG \""));
    buffer_append(text, session->tag); /* has no quoted-specials */
    buffer_append(text, SLICE("\")"));
    for (uint32_t number = 1; left > 0; number++) {
        bool is_last = left <= batches->size;
        left = is_last ? 0 : left - batches->size;
        uint32_t low = is_last ? 1 : view->slots[left].uid;
        if (!batches->some || (number >= batches->first && number <= batches->last)) {
            append_batch(text, first, high, low);
            first = false;
        }
        high = low - 1;
    }
    buffer_append(text, SLICE("\r\n"));
}

void command_uidbatches(struct session *session, struct imap_parser *arguments)
{
    struct batches batches = {.some = false};
    if (!parse(arguments, &batches)) {
        session_bad_arguments(session, arguments);
    } else if (batches.some && batches.first > batches.last) {
        session_bad(session, "The first batch comes before the last");
    } else if (batches.size < SMALLEST_BATCH) {
        session_no(session, SLICE("TOOFEW"), "A batch has 500 messages or more");
    } else {
        write_batches(session, &batches);
        session_ok(session, SLICE(""), "Those are the batches");
    }
}
