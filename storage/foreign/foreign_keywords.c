/* Reading the keywords of another server; see foreign_keywords.h. */
#include "storage/foreign/foreign_keywords.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>

#include "common/disk/fd.h"
#include "common/size.h"
#include "common/text/cursor.h"
#include "storage/directory.h"
#include "storage/maildir_name.h"
#include "storage/text_file.h"

enum {
    DOVECOT_OCTETS_MAX = 1 << 20,
    COURIER_OCTETS_MAX = 1 << 26,
    UPDATE_OCTETS_MAX = 1 << 16,
    FIRST_CAPACITY = 64,
};

struct foreign_letters {
    struct slice key;
    uint32_t letters;
    uint64_t rank; /* the highest of one key counts: ":list" 0, ".n.name" n + 1, "name" above all */
};

void foreign_keywords_init(struct foreign_keywords *keywords, struct folder_record *record)
{
    *keywords = (struct foreign_keywords){.record = record};
    arena_init(&keywords->memory, COURIER_OCTETS_MAX);
}

void foreign_keywords_clear(struct foreign_keywords *keywords)
{
    free(keywords->letters);
    arena_clear(&keywords->memory);
    foreign_keywords_init(keywords, keywords->record);
}

static bool take_line(struct slice *rest, struct slice *line)
{
    if (rest->len == 0)
        return false;
    size_t end = slice_find_octet(*rest, '\n');
    *line = slice_range(*rest, 0, end);
    *rest = slice_from(*rest, end + 1);
    return true;
}

static bool is_forwarded(struct slice keyword)
{
    return slice_equal_nocase(keyword, SLICE("$Forwarded"));
}

/* ---- Dovecot ---- */

/* number SP keyword. Names of files have no letter for a number above 25. */
static bool take_dovecot_line(struct slice line, struct foreign_keywords *keywords)
{
    struct cursor in = cursor_of(line);
    uint64_t number;
    if (!cursor_take_number(&in, &number) || !cursor_skip(&in, ' '))
        return false;
    if (number >= FOLDER_KEYWORDS)
        return true;
    if (is_forwarded(cursor_rest(&in))) {
        keywords->forwarded |= UINT32_C(1) << number;
        return true;
    }
    return folder_record_set_keyword(keywords->record, (unsigned)number, cursor_rest(&in));
}

void foreign_keywords_parse_dovecot(struct slice text, struct foreign_keywords *keywords)
{
    struct slice line;
    while (take_line(&text, &line))
        if (!take_dovecot_line(line, keywords))
            keywords->bad_lines++;
}

/* ---- Courier ---- */

static bool add(struct foreign_keywords *keywords, struct slice name, uint32_t letters,
                uint64_t rank, struct error *error)
{
    struct maildir_name parsed;
    if (!maildir_name_parse(name, &parsed)) {
        keywords->bad_lines++;
        return true;
    }
    if (keywords->count == keywords->capacity) {
        size_t capacity = keywords->capacity ? keywords->capacity : FIRST_CAPACITY / 2;
        if (!size_mul(capacity, 2, &capacity))
            return error_memory(error);
        struct foreign_letters *grown =
            reallocarray(keywords->letters, capacity, sizeof(*keywords->letters));
        if (!grown)
            return error_memory(error);
        keywords->letters = grown;
        keywords->capacity = capacity;
    }
    struct slice key = arena_copy(&keywords->memory, parsed.key);
    if (!key.ptr)
        return error_memory(error);
    keywords->letters[keywords->count++] =
        (struct foreign_letters){.key = key, .letters = letters, .rank = rank};
    return true;
}

/* The bit of that keyword, or 0: there is no letter for it. $Forwarded has one of its own, above
 * those of the record. */
static const uint32_t forwarded_bit = UINT32_C(1) << 31;

static uint32_t bit_of(struct foreign_keywords *keywords, struct slice keyword)
{
    unsigned letter;
    if (is_forwarded(keyword)) {
        keywords->forwarded |= forwarded_bit;
        return forwarded_bit;
    }
    if (folder_record_add_keyword(keywords->record, keyword, &letter))
        return UINT32_C(1) << letter;
    keywords->bad_lines++;
    return 0;
}

/* name ":" number *( SP number ) */
static bool take_message_line(struct slice line, const uint32_t *bits, size_t count,
                              struct foreign_keywords *keywords, struct error *error)
{
    size_t colon = slice_find_octet(line, ':');
    struct cursor in = cursor_of(slice_from(line, colon + 1));
    uint32_t letters = 0;
    uint64_t number;
    while (cursor_take_number(&in, &number)) {
        letters |= number < count ? bits[number] : 0;
        cursor_skip(&in, ' ');
    }
    if (colon == line.len || !cursor_at_end(&in))
        keywords->bad_lines++;
    else
        return add(keywords, slice_range(line, 0, colon), letters, 0, error);
    return true;
}

bool foreign_keywords_parse_list(struct slice text, struct foreign_keywords *keywords,
                                 struct error *error)
{
    uint32_t bits[256];
    size_t count = 0;
    struct slice line;
    while (take_line(&text, &line) && line.len > 0) {
        uint32_t bit = bit_of(keywords, line);
        if (count < ARRAY_LENGTH(bits))
            bits[count++] = bit;
    }
    while (take_line(&text, &line))
        if (!take_message_line(line, bits, count, keywords, error))
            return false;
    return true;
}

struct updates {
    struct foreign_keywords *keywords;
    int directory_fd;
};

/* [ "." number "." ] name */
static struct slice take_rank(struct slice file, uint64_t *rank)
{
    struct cursor in = cursor_of(file);
    uint64_t number;
    *rank = UINT64_MAX;
    if (!cursor_skip(&in, '.') || !cursor_take_number(&in, &number) || number >= UINT64_MAX - 1
        || !cursor_skip(&in, '.'))
        return file;
    *rank = number + 1;
    return cursor_rest(&in);
}

static bool on_file(void *owner, const char *name, unsigned char type, struct error *error)
{
    struct updates *updates = owner;
    struct foreign_keywords *keywords = updates->keywords;
    struct buffer text = BUFFER_WITH_LIMIT(UPDATE_OCTETS_MAX);
    uint32_t letters = 0;
    uint64_t rank;
    if ((type != DT_REG && type != DT_UNKNOWN) || name[0] == ':')
        return true;
    bool added = true;
    if (text_file_load(updates->directory_fd, name, &text, NULL)) {
        struct slice rest = buffer_slice(&text), line;
        while (take_line(&rest, &line))
            letters |= line.len > 0 ? bit_of(keywords, line) : 0;
        struct slice message = take_rank(slice_of_string(name), &rank);
        added = add(keywords, message, letters, rank, error);
    } else {
        keywords->bad_lines++;
    }
    buffer_clear(&text);
    return added;
}

static int compare(const void *left, const void *right)
{
    const struct foreign_letters *a = left, *b = right;
    int order = slice_compare(a->key, b->key);
    return order != 0 ? order : (a->rank < b->rank) - (a->rank > b->rank);
}

static void put_in_order(struct foreign_keywords *keywords)
{
    size_t kept = 0;
    struct foreign_letters *letters = keywords->letters;
    if (keywords->count > 0)
        qsort(letters, keywords->count, sizeof(*letters), compare);
    for (size_t i = 0; i < keywords->count; i++)
        if (kept == 0 || !slice_equal(letters[kept - 1].key, letters[i].key))
            letters[kept++] = letters[i];
    keywords->count = kept;
}

static bool load_courier(struct foreign_keywords *keywords, int directory_fd, struct error *error)
{
    struct buffer text = BUFFER_WITH_LIMIT(COURIER_OCTETS_MAX);
    struct updates updates = {keywords, directory_fd};
    struct error why;
    bool loaded = true;
    if (text_file_load(directory_fd, ":list", &text, &why))
        loaded = foreign_keywords_parse_list(buffer_slice(&text), keywords, error);
    else if (why.kind != ERROR_NOT_FOUND)
        keywords->bad_lines++;
    buffer_clear(&text);
    loaded = loaded && directory_read(directory_fd, on_file, &updates, error);
    put_in_order(keywords);
    return loaded;
}

bool foreign_keywords_load(struct foreign_keywords *keywords, int folder_fd, struct error *error)
{
    struct buffer text = BUFFER_WITH_LIMIT(DOVECOT_OCTETS_MAX);
    struct error why;
    if (text_file_load(folder_fd, "dovecot-keywords", &text, &why))
        foreign_keywords_parse_dovecot(buffer_slice(&text), keywords);
    else if (why.kind != ERROR_NOT_FOUND)
        keywords->bad_lines++;
    buffer_clear(&text);
    int fd =
        openat(folder_fd, "courierimapkeywords", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool loaded = fd < 0 || load_courier(keywords, fd, error);
    fd_discard(&fd);
    return loaded;
}

static int compare_key(const void *key, const void *item)
{
    return slice_compare(*(const struct slice *)key, ((const struct foreign_letters *)item)->key);
}

uint32_t foreign_keywords_of(const struct foreign_keywords *keywords, struct slice key)
{
    if (keywords->count == 0)
        return 0;
    const struct foreign_letters *found =
        bsearch(&key, keywords->letters, keywords->count, sizeof(*keywords->letters), compare_key);
    return found ? found->letters : 0;
}
