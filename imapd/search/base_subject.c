/* The algorithm of base_subject.h, in the words of RFC 5256 5. */
#include "imapd/search/base_subject.h"

#include "common/mime/encoded_word.h"
#include "common/text/cursor.h"

void base_subject_decode(struct slice body, struct buffer *text)
{
    struct buffer decoded = BUFFER_WITH_LIMIT(3 * body.len + 1);
    bool space = false;
    encoded_word_decode(body, &decoded);
    for (size_t i = 0; i < decoded.len; i++) {
        uint8_t octet = decoded.ptr[i];
        if (octet == ' ' || octet == '\t' || octet == '\r' || octet == '\n') {
            space = true;
            continue;
        }
        if (space)
            buffer_append_octet(text, ' ');
        space = false;
        buffer_append_octet(text, octet);
    }
    if (space)
        buffer_append_octet(text, ' ');
    text->failed = text->failed || decoded.failed;
    buffer_clear(&decoded);
}

static bool skip_nocase(struct cursor *in, struct slice word)
{
    struct slice rest = cursor_rest(in);
    if (rest.len < word.len || !slice_equal_nocase(slice_range(rest, 0, word.len), word))
        return false;
    in->at += word.len;
    return true;
}

static void skip_spaces(struct cursor *in)
{
    while (cursor_skip(in, ' '))
        ;
}

/* subj-blob = "[" *BLOBCHAR "]" *WSP; BLOBCHAR: any octet but "[" and "]" */
static bool skip_blob(struct cursor *in)
{
    struct cursor start = *in;
    uint8_t octet;
    if (!cursor_skip(in, '['))
        return false;
    while (cursor_peek(in, &octet) && octet != '[' && octet != ']')
        in->at++;
    if (cursor_skip(in, ']')) {
        skip_spaces(in);
        return true;
    }
    *in = start;
    return false;
}

/* subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":" */
static bool skip_refwd(struct cursor *in)
{
    struct cursor start = *in;
    if (skip_nocase(in, SLICE("re")) || skip_nocase(in, SLICE("fwd"))
        || skip_nocase(in, SLICE("fw"))) {
        skip_spaces(in);
        skip_blob(in);
        if (cursor_skip(in, ':'))
            return true;
    }
    *in = start;
    return false;
}

/* subj-trailer = "(fwd)" / WSP */
static struct slice cut_trailers(struct slice text, bool *is_reply)
{
    struct slice mark = SLICE("(fwd)");
    for (;;) {
        if (text.len > 0 && text.ptr[text.len - 1] == ' ') {
            text.len--;
        } else if (text.len >= mark.len
                   && slice_equal_nocase(slice_from(text, text.len - mark.len), mark)) {
            text.len -= mark.len;
            *is_reply = true;
        } else {
            return text;
        }
    }
}

/* subj-leader = (*subj-blob subj-refwd) / WSP, and then blobs, while something is left. A run of
 * blobs is walked once: where no subj-refwd stands after it, none stands after a part of it. */
static struct slice cut_leaders(struct slice text, bool *is_reply)
{
    struct cursor in = cursor_of(text);
    for (;;) {
        skip_spaces(&in);
        struct cursor behind = in;
        struct cursor last = in; /* where the last of the blobs begins */
        for (struct cursor blob = in; skip_blob(&behind); blob = behind)
            last = blob;
        if (skip_refwd(&behind)) {
            in = behind;
            *is_reply = true;
            continue;
        }
        return cursor_rest(cursor_at_end(&behind) ? &last : &behind);
    }
}

/* subj-fwd = "[fwd:" subject "]" */
static bool cut_forward(struct slice *text)
{
    struct slice head = SLICE("[fwd:");
    if (text->len <= head.len || text->ptr[text->len - 1] != ']'
        || !slice_equal_nocase(slice_range(*text, 0, head.len), head))
        return false;
    *text = slice_range(*text, head.len, text->len - 1);
    return true;
}

struct slice base_subject_find(struct slice text, bool *is_reply)
{
    *is_reply = false;
    do {
        text = cut_leaders(cut_trailers(text, is_reply), is_reply);
    } while (cut_forward(&text) && (*is_reply = true));
    return text;
}
