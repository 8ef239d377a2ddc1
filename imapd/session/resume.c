/* The records of resume.h. */
#include "imapd/session/resume.h"

#include "common/net/deflate_stream.h"
#include "imapd/commands/commands.h"
#include "imapd/mailbox.h"
#include "storage/expunged.h"

enum {
    RESUME_VERSION = 1,
    RESUME_IDLES = 1 << 0,
    RESUME_SELECTED = 1 << 1,
    RESUME_FLAGS = RESUME_IDLES | RESUME_SELECTED,
    /* VIEW_HIDES_CHANGES is of NOTIFY, which does not sleep. */
    RESUME_MANNER = VIEW_TELLS_MODSEQ | VIEW_TELLS_VANISHED | VIEW_REV2 | VIEW_UTF8
                    | VIEW_NO_CHARSET | VIEW_UID_ONLY,
};

/* ---- in ---- */

static bool take_text(struct cursor *in, size_t most, struct slice *text)
{
    uint64_t octets;
    if (!past_take_number(in, most, &octets) || octets > cursor_left(in))
        return false;
    *text = slice_range(cursor_rest(in), 0, octets);
    in->at += octets;
    return true;
}

/* tag = 1*<any ASTRING-CHAR except "+">: what goes out again may not end a line. */
static bool is_tag(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f)
            return false;
    }
    return text.len > 0;
}

/* A folder of this account: "." or ".A.B"; or what was expunged, or a folder in it (expunged.h). */
static bool is_directory(struct slice text)
{
    static const struct slice expunged = SLICE(EXPUNGED_DIRECTORY "/");
    if (slice_equal(text, SLICE(MAILDIR_INBOX)) || slice_equal(text, SLICE(EXPUNGED_DIRECTORY)))
        return true;
    if (slice_starts_with(text, expunged))
        text = slice_from(text, expunged.len);
    return text.len > 1 && text.ptr[0] == '.' && !slice_ends_with(text, SLICE("."))
           && slice_find(text, SLICE("..")) == text.len && slice_find_octet(text, '/') == text.len
           && slice_find_octet(text, '\0') == text.len;
}

bool resume_parse(struct slice octets, struct resume_record *record)
{
    struct cursor in = cursor_of(octets);
    uint64_t version, flags, manner;
    *record = (struct resume_record){.idles = false};
    if (!past_take_number(&in, UINT8_MAX, &version) || version != RESUME_VERSION
        || !past_take_number(&in, RESUME_FLAGS, &flags)
        || !past_take_number(&in, RESUME_MANNER, &manner) || (manner & ~(uint64_t)RESUME_MANNER)
        || !past_take_number(&in, UINT64_MAX, &record->without)
        || !take_text(&in, RESUME_TAG_MAX, &record->tag))
        return false;
    record->idles = flags & RESUME_IDLES;
    record->selected = flags & RESUME_SELECTED;
    record->manner = (unsigned)manner;
    if (record->idles ? !is_tag(record->tag) : record->tag.len > 0)
        return false;
    if (record->selected
        && (!take_text(&in, MAILDIR_NAME_MAX, &record->directory)
            || !is_directory(record->directory) || !view_past_parse(&in, &record->view)))
        return false;
    return cursor_at_end(&in);
}

/* ---- out ---- */

static bool idles(const struct session *session)
{
    return session->command && session->command->handler == command_idle && session->on_line;
}

static bool has_unsaid(const struct session *session)
{
    const struct stream *stream = &session->stream;
    return session_has_input(session) || !stream_output_empty(stream)
           || (!session->command && !command_reader_is_idle(&session->reader))
           || (idles(session) && !command_reader_awaits_line(&session->reader))
           || (idles(session) && view_has_news(&session->view, VIEW_ALL));
}

bool resume_is_possible(const struct session *session)
{
    const struct stream *stream = &session->stream;
    if (!(session->state & SESSION_OPEN) || session->ended || stream_is_over(stream)
        || stream_at_end(stream) || stream_is_changing(stream) || deflate_stream_is_active(stream))
        return false;
    if (session->step || session->is_unasked || (session->command && !idles(session)))
        return false;
    if (session->visit || session->visitor)
        return false;
    if (session->notify || session->contexts || session->tag.len > RESUME_TAG_MAX)
        return false;
    return !has_unsaid(session);
}

static void append_text(struct buffer *text, struct slice octets)
{
    past_append_number(text, octets.len);
    buffer_append(text, octets);
}

static void append_head(const struct session *session, unsigned flags, struct buffer *text)
{
    past_append_number(text, RESUME_VERSION);
    past_append_number(text, flags);
    past_append_number(text, session->view.manner & RESUME_MANNER);
    past_append_number(text, session->without);
}

bool resume_format_manner(const struct session *session, struct buffer *text)
{
    append_head(session, 0, text);
    append_text(text, SLICE(""));
    return !text->failed;
}

bool resume_format(const struct session *session, struct buffer *text)
{
    bool selected = session->state == SESSION_SELECTED;
    append_head(session, (idles(session) ? RESUME_IDLES : 0U) | (selected ? RESUME_SELECTED : 0U),
                text);
    append_text(text, session->tag);
    if (!selected)
        return !text->failed;
    append_text(text, slice_of_string(session->view.folder->directory));
    return view_past_format(&session->view, text);
}

/* ---- as it was ---- */

static bool select_again(const struct resume_record *record, struct session *session,
                         struct error *error)
{
    char directory[MAILDIR_NAME_SIZE] = {0};
    struct folder *folder;
    memcpy(directory, record->directory.ptr, record->directory.len);
    if (!folder_open(session->mailbox, directory, &folder, error))
        return false;
    if (!view_past_restore(&record->view, &session->view, folder, error)) {
        folder_close(folder);
        return false;
    }
    session_select(session);
    return true;
}

bool resume_restore(const struct resume_record *record, struct session *session,
                    struct error *error)
{
    session_leave_out(session, record->without);
    session->view.manner = record->manner;
    if (record->selected && !select_again(record, session, error))
        return false;
    if (record->idles)
        command_idle_again(session, record->tag);
    return true;
}
