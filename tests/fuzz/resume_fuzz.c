/* imapd/session/resume.h, imapd/folder/view_past.h: what a login process gives back as the record
 * of a session that was asleep. Refused, or a view of a folder with ten messages, in order, that
 * has a record again, of the same messages. */
#include <stdlib.h>

#include "common/size.h"
#include "imapd/session/resume.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGES = 10, SLOTS_MAX = 1 << 16 };

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_view(const struct view *view)
{
    size_t gone = 0, changed = 0, recent = 0;
    for (size_t i = 0; i < view->count; i++) {
        check(view->slots[i].uid > (i > 0 ? view->slots[i - 1].uid : 0));
        check((view->slots[i].marks & (VIEW_GONE | VIEW_CHANGED)) != (VIEW_GONE | VIEW_CHANGED));
        check((view_message(view, i) == NULL) == ((view->slots[i].marks & VIEW_GONE) != 0));
        gone += (view->slots[i].marks & VIEW_GONE) != 0;
        changed += (view->slots[i].marks & VIEW_CHANGED) != 0;
        recent += (view->slots[i].marks & VIEW_RECENT) != 0;
    }
    check(view->gone == gone && view->changed == changed && view->recent == recent);
}

static void check_restored(const struct view_past *past)
{
    char name[] = "name";
    struct message messages[MESSAGES];
    struct folder folder = {.record = {.uidvalidity = past->uidvalidity},
                            .messages = messages,
                            .count = MESSAGES,
                            .modseq_next = 100,
                            .users = 2};
    struct view view = {.folder = NULL};
    struct view_past again;
    struct error error;
    struct buffer text = BUFFER_WITH_LIMIT(1 << 22);
    for (uint32_t i = 0; i < MESSAGES; i++)
        messages[i] = (struct message){.name = name, .uid = 3 * i + 1, .modseq = 10 * i + 1};
    check(view_past_restore(past, &view, &folder, &error));
    check(view.count == past->uids.size && view.last_uid == past->last_uid);
    check_view(&view);
    check(view_past_format(&view, &text));
    struct cursor in = cursor_of(buffer_slice(&text));
    check(view_past_parse(&in, &again) && cursor_at_end(&in));
    check(slice_equal(again.uids.ranges, past->uids.ranges));
    check(slice_equal(again.saved.ranges, past->saved.ranges));
    buffer_clear(&text);
    view_close(&view);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct resume_record record;
    if (!resume_parse(slice_of(data, size), &record))
        return 0;
    check(record.tag.len <= RESUME_TAG_MAX && (record.idles || record.tag.len == 0));
    check(slice_find(record.tag, SLICE("\r")) == record.tag.len);
    check(!record.selected || record.directory.len <= MAILDIR_NAME_MAX);
    if (record.selected && record.view.uids.size <= SLOTS_MAX)
        check_restored(&record.view);
    return 0;
}
