/* Twins among sent mail; see sent_twin.h. */
#include "imapd/folder/sent_twin.h"

#include "common/config/config.h"
#include "common/mime/header.h"
#include "imapd/mailbox.h"
#include "storage/tombstone.h"

enum {
    WITHIN_S = 3600,
    LOOKED_MAX = 64,      /* of the messages that came last */
    HEADER_MAX = 65536,   /* octets that are read of one */
    LONGER_MAX = 65536,   /* a header than its twin's */
    TAIL_MAX = 64,        /* empty lines at the end of one alone */
    BLOCK_OCTETS = 32768, /* compared at once */
    BLOCKS_A_SLICE = 32,
};

bool sent_twin_is_possible(const struct folder *folder)
{
    return folder->mailbox->config->submission.sent_copy
           && (folder->record.special_use & SPECIAL_SENT) != 0;
}

/* ---- one message ---- */

static void close_text(struct sent_text *text)
{
    message_file_close(&text->file);
    text->file = MESSAGE_FILE_CLOSED;
}

static bool take_id(const struct header_field *field, struct sent_text *text)
{
    struct slice id = slice_trim(field->body);
    if (!slice_equal_nocase(field->name, SLICE("Message-ID")) || id.len == 0
        || id.len > SENT_TWIN_ID_MAX || text->id[0] != '\0')
        return false;
    memcpy(text->id, id.ptr, id.len);
    text->id[id.len] = '\0';
    return true;
}

/* False: no Message-ID or incomplete header, so the message can have no twin. */
static bool read_header(struct sent_text *text)
{
    static const struct slice empty_line = SLICE("\r\n");
    uint8_t octets[HEADER_MAX];
    size_t got;
    struct error error;
    struct header_field field;
    text->id[0] = '\0';
    if (!message_file_read(&text->file, 0, octets, sizeof(octets), &got, &error))
        return false;
    struct cursor in = cursor_of(slice_of(octets, got));
    while (header_next(&in, &field))
        take_id(&field, text);
    if (!slice_starts_with(cursor_rest(&in), empty_line))
        return false;
    text->body = (uint64_t)(in.at - octets) + empty_line.len;
    return text->id[0] != '\0';
}

static uint64_t body_octets(const struct sent_text *text)
{
    return text->file.crlf_octets - text->body;
}

/* ---- two of them ---- */

static bool are_alike(const struct sent_text *a, const struct sent_text *b)
{
    uint64_t one = body_octets(a), other = body_octets(b);
    return strcmp(a->id, b->id) == 0 && (one > other ? one - other : other - one) <= TAIL_MAX;
}

/* Whether the rest of the longer body consists of line ends only. */
static bool is_end(struct sent_text *text, uint64_t at)
{
    uint8_t tail[TAIL_MAX];
    size_t got;
    struct error error;
    if (!message_file_read(&text->file, text->body + at, tail, sizeof(tail), &got, &error))
        return false;
    for (size_t i = 0; i < got; i++)
        if (tail[i] != '\r' && tail[i] != '\n')
            return false;
    return true;
}

/* False: they differ there. */
static bool compare_block(struct sent_search *search, size_t octets)
{
    uint8_t a[BLOCK_OCTETS], b[BLOCK_OCTETS];
    size_t got_a, got_b;
    struct error error;
    struct sent_text *wanted = &search->wanted, *found = &search->found;
    uint64_t at = search->compared;
    search->compared += octets;
    return message_file_read(&wanted->file, wanted->body + at, a, octets, &got_a, &error)
           && message_file_read(&found->file, found->body + at, b, octets, &got_b, &error)
           && got_a == octets && got_b == octets && memcmp(a, b, octets) == 0;
}

static enum source_result compare(struct sent_search *search)
{
    uint64_t one = body_octets(&search->wanted), other = body_octets(&search->found);
    uint64_t common = one < other ? one : other;
    for (int i = 0; i < BLOCKS_A_SLICE && search->compared < common; i++) {
        uint64_t left = common - search->compared;
        if (!compare_block(search, left < BLOCK_OCTETS ? (size_t)left : BLOCK_OCTETS))
            return SOURCE_FAILED;
    }
    if (search->compared < common)
        return SOURCE_MORE;
    bool same = is_end(&search->wanted, common) && is_end(&search->found, common);
    return same ? SOURCE_DONE : SOURCE_FAILED;
}

/* ---- the search ---- */

static bool is_candidate(const struct sent_search *search, const struct message *message)
{
    struct maildir_name name;
    if (!message->name || message->uid == search->except || (message->flags & MAILDIR_TRASHED)
        || !maildir_name_parse(slice_of_string(message->name), &name)
        || (int64_t)name.seconds < search->since)
        return false;
    uint64_t octets = search->wanted.file.crlf_octets;
    uint64_t longer =
        octets > name.crlf_octets ? octets - name.crlf_octets : name.crlf_octets - octets;
    return longer <= LONGER_MAX
           && (search->for_filed ? appended_is_young(&name, mailbox_now())
                                 : delivered_unique_is_one(&name));
}

/* The next one whose body is worth comparing; NULL: there is none. */
static const struct message *open_next(struct sent_search *search)
{
    struct folder *folder = search->folder;
    struct error error;
    for (size_t i = folder_position(folder, search->below); i-- > 0;) {
        const struct message *message = &folder->messages[i];
        search->below = message->uid;
        if (search->looked++ == LOOKED_MAX)
            return NULL;
        if (!is_candidate(search, message)
            || !message_file_open(&folder->box, MAILDIR_CUR, message->name, &search->found.file,
                                  &error))
            continue;
        if (read_header(&search->found) && are_alike(&search->wanted, &search->found))
            return message;
        close_text(&search->found);
    }
    return NULL;
}

static bool begin(struct sent_search *search, struct folder *folder, struct message_file *file)
{
    *search = (struct sent_search){.folder = folder,
                                   .below = UINT32_MAX,
                                   .since = mailbox_now() - WITHIN_S,
                                   .wanted = {.file = *file},
                                   .found = {.file = MESSAGE_FILE_CLOSED}};
    *file = MESSAGE_FILE_CLOSED;
    if (read_header(&search->wanted))
        return true;
    sent_search_end(search);
    return false;
}

bool sent_search_begin(struct sent_search *search, struct folder *folder, uint32_t except,
                       struct message_file *file)
{
    if (!begin(search, folder, file))
        return false;
    search->except = except;
    watch_poll(&folder->mailbox->watch); /* it may have been filed just now */
    return true;
}

static enum source_result search_on(struct sent_search *search, uint32_t *uid)
{
    *uid = 0;
    if (search->found.file.fd < 0) {
        search->compared = 0;
        return open_next(search) ? SOURCE_MORE : SOURCE_DONE;
    }
    enum source_result compared = compare(search);
    if (compared == SOURCE_MORE)
        return SOURCE_MORE;
    close_text(&search->found);
    *uid = compared == SOURCE_DONE ? search->below : 0;
    return compared == SOURCE_DONE ? SOURCE_DONE : SOURCE_MORE;
}

enum source_result sent_search_step(struct sent_search *search, uint32_t *uid)
{
    *uid = 0;
    return folder_step(search->folder) ? SOURCE_MORE : search_on(search, uid);
}

void sent_search_end(struct sent_search *search)
{
    if (!search->folder)
        return;
    close_text(&search->wanted);
    close_text(&search->found);
    search->folder = NULL;
}

/* ---- the copy comes second ---- */

bool sent_twin_is_appended(struct folder *folder, enum maildir_place place, const char *text)
{
    struct sent_search search;
    struct message_file file;
    struct maildir_name name;
    struct error error;
    uint32_t uid = 0;
    if (!sent_twin_is_possible(folder) || place != MAILDIR_NEW
        || !maildir_name_parse(slice_of_string(text), &name) || !delivered_unique_is_one(&name)
        || !message_file_open(&folder->box, place, text, &file, &error)
        || !begin(&search, folder, &file))
        return false;
    search.for_filed = true;
    search.since = (int64_t)name.seconds - WITHIN_S; /* when it was submitted: it may have waited */
    while (search_on(&search, &uid) == SOURCE_MORE)
        ;
    sent_search_end(&search);
    return uid != 0;
}
