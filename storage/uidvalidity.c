/* Giving UIDVALIDITY numbers; see uidvalidity.h. */
#include "storage/uidvalidity.h"

#include <stdio.h>

#include "common/text/cursor.h"
#include "storage/folder_record.h"
#include "storage/folders.h"
#include "storage/text_file.h"

#define FILE_NAME "staffetta-uidvalidity"
#define FIRST_LINE "staffetta-uidvalidity 1\nlast "

enum {
    FILE_MAX = 1 << 20,
    RECENT_SECONDS = 30 * 24 * 3600,
    FUTURE_SECONDS = 365 * 24 * 3600, /* a number so far ahead is no clock's */
};

/* What the file says. */
struct numbers {
    uint32_t last;       /* given by us, or taken over */
    struct buffer taken; /* lines "taken <number> <directory>" */
};

/* "taken " number SP directory; *directory is what follows the number. */
static bool parse_taken(struct slice line, uint32_t *number, struct slice *directory)
{
    static const struct slice word = SLICE("taken ");
    struct cursor in = cursor_of(slice_from(line, word.len));
    uint64_t value;
    if (!slice_starts_with(line, word) || !cursor_take_number(&in, &value) || value > UINT32_MAX
        || !cursor_skip(&in, ' '))
        return false;
    *number = (uint32_t)value;
    *directory = cursor_rest(&in);
    return true;
}

/* "staffetta-uidvalidity 1" LF "last " number LF *( "taken " number SP directory LF ) */
static bool parse_numbers(struct slice text, struct numbers *numbers)
{
    struct cursor in = cursor_of(text);
    struct slice line, directory;
    uint64_t last;
    uint32_t taken;
    if (!slice_starts_with(text, SLICE(FIRST_LINE)))
        return false;
    in.at += SLICE(FIRST_LINE).len;
    if (!cursor_take_number(&in, &last) || last > UINT32_MAX || !cursor_skip(&in, '\n'))
        return false;
    struct slice lines = cursor_rest(&in), rest = lines;
    while (rest.len > 0)
        if (!slice_take_line(&rest, &line) || !parse_taken(line, &taken, &directory))
            return false;
    numbers->last = (uint32_t)last;
    buffer_append(&numbers->taken, lines);
    return true;
}

/* ---- what the folders bear ---- */

struct use {
    uint32_t largest;
    uint32_t wanted;     /* is it that of a folder, */
    const char *besides; /* other than this one? */
    bool is_used;
};

static bool look_at_folders(int account_fd, struct use *use, struct error *error)
{
    struct folder_list folders;
    folder_list_init(&folders);
    bool listed = folders_list(account_fd, &folders, error);
    for (size_t i = 0; listed && i < folders.count; i++) {
        const char *directory = folders.entries[i].directory;
        struct maildir box;
        struct folder_record record;
        if (!maildir_open(account_fd, directory, &box, NULL))
            continue;
        if (folder_record_load(box.fd, &record, NULL)) {
            use->largest = record.uidvalidity > use->largest ? record.uidvalidity : use->largest;
            use->is_used = use->is_used
                           || (record.uidvalidity == use->wanted
                               && (!use->besides || strcmp(directory, use->besides) != 0));
        }
        maildir_close(&box);
    }
    folder_list_clear(&folders);
    return listed;
}

/* ---- the file ---- */

static bool load(int account_fd, struct numbers *numbers, struct error *error)
{
    struct buffer text = BUFFER_WITH_LIMIT(FILE_MAX);
    struct error why;
    struct use use = {.largest = 0};
    *numbers = (struct numbers){.taken = BUFFER_WITH_LIMIT(FILE_MAX)};
    bool loaded = text_file_load(account_fd, FILE_NAME, &text, &why);
    bool parsed = loaded && parse_numbers(buffer_slice(&text), numbers);
    buffer_clear(&text);
    if (parsed)
        return true;
    if (!loaded && why.kind == ERROR_TEMPORARY)
        return error_set(error, why.kind, "%s", why.text);
    if (!look_at_folders(account_fd, &use, error))
        return false;
    numbers->last = use.largest;
    return true;
}

static bool store(int account_fd, const struct numbers *numbers, struct error *error)
{
    struct buffer text = BUFFER_WITH_LIMIT(FILE_MAX);
    buffer_append(&text, SLICE(FIRST_LINE));
    buffer_append_number(&text, numbers->last);
    buffer_append_octet(&text, '\n');
    buffer_append(&text, buffer_slice(&numbers->taken));
    bool stored = text.failed || numbers->taken.failed
                      ? error_memory(error)
                      : text_file_replace(account_fd, FILE_NAME, buffer_slice(&text), error);
    buffer_clear(&text);
    return stored;
}

bool uidvalidity_next(int account_fd, int64_t now, uint32_t *uidvalidity, struct error *error)
{
    struct numbers numbers;
    bool given = false;
    if (!load(account_fd, &numbers, error))
        goto done;
    if (numbers.last == UINT32_MAX) {
        error_set(error, ERROR_PERMANENT, "no UIDVALIDITY is left in this account");
        goto done;
    }
    numbers.last = now > numbers.last && now <= UINT32_MAX ? (uint32_t)now : numbers.last + 1;
    given = store(account_fd, &numbers, error);
    if (given)
        *uidvalidity = numbers.last;
done:
    buffer_clear(&numbers.taken);
    return given;
}

/* ---- taking over ---- */

/* The folder that has taken the number, if any. */
static bool find_taken(const struct numbers *numbers, uint32_t wanted, struct slice *directory)
{
    struct slice rest = buffer_slice(&numbers->taken), line;
    uint32_t number;
    while (slice_take_line(&rest, &line))
        if (parse_taken(line, &number, directory) && number == wanted)
            return true;
    return false;
}

static bool take(int account_fd, struct numbers *numbers, const char *directory,
                 uint32_t uidvalidity, int64_t now, struct error *error)
{
    buffer_append(&numbers->taken, SLICE("taken "));
    buffer_append_number(&numbers->taken, uidvalidity);
    buffer_append_octet(&numbers->taken, ' ');
    buffer_append_string(&numbers->taken, directory);
    buffer_append_octet(&numbers->taken, '\n');
    /* Given numbers go on above it; above one that makes no sense few would be left. */
    if (uidvalidity > numbers->last && uidvalidity < now + FUTURE_SECONDS)
        numbers->last = uidvalidity;
    return store(account_fd, numbers, error);
}

bool uidvalidity_claim(int account_fd, const char *directory, uint32_t uidvalidity, int64_t now,
                       bool *claimed, struct error *error)
{
    struct numbers numbers;
    struct slice owner;
    struct use use = {.wanted = uidvalidity, .besides = directory};
    bool done = load(account_fd, &numbers, error);
    *claimed = false;
    if (done && find_taken(&numbers, uidvalidity, &owner)) {
        *claimed = slice_equal(owner, slice_of_string(directory)); /* a crash came between */
    } else if (done) {
        /* What we gave ourselves is not in the file; it is of our own time. */
        done = uidvalidity < now - RECENT_SECONDS || look_at_folders(account_fd, &use, error);
        *claimed = done && !use.is_used;
        done =
            done && (!*claimed || take(account_fd, &numbers, directory, uidvalidity, now, error));
    }
    buffer_clear(&numbers.taken);
    return done;
}
