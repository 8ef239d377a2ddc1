/* The record of a folder: text to struct and back, and its file; see folder_record.h. */
#include "storage/folder_record.h"

#include <assert.h>
#include <stdio.h>
#include <sys/random.h>

#include "common/size.h"
#include "storage/text_file.h"

#define UID_WATERMARK_MAX (UINT64_C(1) << 32)
#define MODSEQ_WATERMARK_MAX (UINT64_MAX >> 1) /* RFC 7162 9: a mod-sequence has 63 bits */
/* No folder can have reached this number: such a record is damaged, and would soon have no number
 * left to give. */
#define MODSEQ_WATERMARK_READ_MAX (MODSEQ_WATERMARK_MAX >> 1)

static const struct {
    unsigned bit;
    const char *name;
} special_uses[] = {
    {SPECIAL_ALL, "\\All"},       {SPECIAL_ARCHIVE, "\\Archive"},
    {SPECIAL_DRAFTS, "\\Drafts"}, {SPECIAL_FLAGGED, "\\Flagged"},
    {SPECIAL_JUNK, "\\Junk"},     {SPECIAL_SENT, "\\Sent"},
    {SPECIAL_TRASH, "\\Trash"},   {SPECIAL_IMPORTANT, "\\Important"},
};

const char *special_use_name(unsigned bit)
{
    for (size_t i = 0; i < ARRAY_LENGTH(special_uses); i++)
        if (special_uses[i].bit == bit)
            return special_uses[i].name;
    return NULL;
}

unsigned special_use_find(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(special_uses); i++)
        if (slice_equal_nocase(slice_of_string(special_uses[i].name), name))
            return special_uses[i].bit;
    return 0;
}

unsigned special_use_of_directory(const char *directory)
{
    static const struct {
        const char *directory;
        unsigned bit;
    } usual[] = {
        {".Drafts", SPECIAL_DRAFTS}, {".Sent", SPECIAL_SENT},       {".Junk", SPECIAL_JUNK},
        {".Trash", SPECIAL_TRASH},   {".Archive", SPECIAL_ARCHIVE},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(usual); i++)
        if (strcmp(usual[i].directory, directory) == 0)
            return usual[i].bit;
    return 0;
}

/* ---- what may stand in a field ---- */

/* ATOM-CHAR = any CHAR except ( ) { SP CTL % * DQUOTE \ ]    RFC 9051 9 */
static bool is_atom(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f || strchr("(){%*\"\\]", text.ptr[i]))
            return false;
    return text.len > 0;
}

/* objectid = 1*255(ALPHA / DIGIT / "_" / "-")    RFC 8474 7 */
static bool is_object_id(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!ascii_is_alpha(text.ptr[i]) && !ascii_is_digit(text.ptr[i]) && text.ptr[i] != '_'
            && text.ptr[i] != '-')
            return false;
    return text.len > 0;
}

static bool take_text(struct slice text, char *field, size_t size)
{
    if (text.len >= size)
        return false;
    if (text.len > 0)
        memcpy(field, text.ptr, text.len);
    field[text.len] = '\0';
    return true;
}

static bool take_number(struct slice text, uint64_t smallest, uint64_t largest, uint64_t *number)
{
    return slice_parse_number(text, number) && *number >= smallest && *number <= largest;
}

/* ---- one function a line; true if the value is as it must be ---- */

static bool on_uidvalidity(struct folder_record *record, struct slice value)
{
    uint64_t number;
    if (record->uidvalidity != 0 || !take_number(value, 1, UINT32_MAX, &number))
        return false;
    record->uidvalidity = (uint32_t)number;
    return true;
}

static bool on_uid_watermark(struct folder_record *record, struct slice value)
{
    return record->uid_watermark == 0
           && take_number(value, 1, UID_WATERMARK_MAX, &record->uid_watermark);
}

static bool on_modseq_watermark(struct folder_record *record, struct slice value)
{
    return record->modseq_watermark == 0
           && take_number(value, 1, MODSEQ_WATERMARK_READ_MAX, &record->modseq_watermark);
}

static bool on_mailbox_id(struct folder_record *record, struct slice value)
{
    return record->mailbox_id[0] == '\0' && is_object_id(value)
           && take_text(value, record->mailbox_id, sizeof(record->mailbox_id));
}

static bool on_special_use(struct folder_record *record, struct slice value)
{
    unsigned bit = special_use_find(value);
    if (bit == 0 || record->special_use & bit)
        return false;
    record->special_use |= bit;
    return true;
}

/* keyword = letter SP atom */
static bool on_keyword(struct folder_record *record, struct slice value)
{
    return value.len >= 3 && value.ptr[0] >= 'a' && value.ptr[0] <= 'z' && value.ptr[1] == ' '
           && folder_record_set_keyword(record, value.ptr[0] - (unsigned)'a', slice_from(value, 2));
}

static const struct {
    struct slice key;
    bool (*take)(struct folder_record *record, struct slice value);
} fields[] = {
    {SLICE("uidvalidity "), on_uidvalidity},           {SLICE("uid-watermark "), on_uid_watermark},
    {SLICE("modseq-watermark "), on_modseq_watermark}, {SLICE("mailbox-id "), on_mailbox_id},
    {SLICE("special-use "), on_special_use},           {SLICE("keyword "), on_keyword},
};

/* ---- the text ---- */

static bool take_field(struct folder_record *record, struct slice line)
{
    for (size_t i = 0; i < ARRAY_LENGTH(fields); i++)
        if (slice_starts_with(line, fields[i].key))
            return fields[i].take(record, slice_from(line, fields[i].key.len));
    return false;
}

static bool is_complete(const struct folder_record *record)
{
    return record->uidvalidity != 0 && record->uid_watermark != 0 && record->modseq_watermark != 0
           && record->mailbox_id[0] != '\0';
}

bool folder_record_parse(struct slice text, struct folder_record *record, struct error *error)
{
    struct folder_record parsed = {.uidvalidity = 0};
    struct slice rest = text, line;
    if (!slice_take_line(&rest, &line) || !slice_equal(line, SLICE(FOLDER_RECORD_FILE " 1")))
        return error_set(error, ERROR_PERMANENT,
                         "line 1: does not say \"" FOLDER_RECORD_FILE " 1\"");
    for (unsigned number = 2;; number++) {
        if (!slice_take_line(&rest, &line))
            return error_set(error, ERROR_PERMANENT, "line %u: cut off", number);
        if (slice_equal(line, SLICE("end")))
            break;
        if (!take_field(&parsed, line))
            return error_set(error, ERROR_PERMANENT, "line %u: malformed or repeated", number);
    }
    if (rest.len > 0 || !is_complete(&parsed))
        return error_set(error, ERROR_PERMANENT, "a line is missing, or one follows the end");
    *record = parsed;
    return true;
}

static void append_line(struct buffer *text, const char *key, const char *value)
{
    buffer_append_string(text, key);
    buffer_append_string(text, value);
    buffer_append_octet(text, '\n');
}

static void append_number_line(struct buffer *text, const char *key, uint64_t value)
{
    buffer_append_string(text, key);
    buffer_append_number(text, value);
    buffer_append_octet(text, '\n');
}

void folder_record_format(const struct folder_record *record, struct buffer *text)
{
    append_line(text, FOLDER_RECORD_FILE, " 1");
    append_number_line(text, "uidvalidity ", record->uidvalidity);
    append_number_line(text, "uid-watermark ", record->uid_watermark);
    append_number_line(text, "modseq-watermark ", record->modseq_watermark);
    append_line(text, "mailbox-id ", record->mailbox_id);
    for (size_t i = 0; i < ARRAY_LENGTH(special_uses); i++)
        if (record->special_use & special_uses[i].bit)
            append_line(text, "special-use ", special_uses[i].name);
    for (unsigned i = 0; i < FOLDER_KEYWORDS; i++) {
        const char key[] = {'k', 'e', 'y', 'w', 'o', 'r', 'd', ' ', (char)('a' + i), ' ', '\0'};
        if (record->keywords[i][0] != '\0')
            append_line(text, key, record->keywords[i]);
    }
    append_line(text, "end", "");
}

/* ---- keywords and watermarks ---- */

bool folder_record_find_keyword(const struct folder_record *record, struct slice keyword,
                                unsigned *letter)
{
    for (unsigned i = 0; i < FOLDER_KEYWORDS; i++) {
        if (record->keywords[i][0] == '\0'
            || !slice_equal_nocase(slice_of_string(record->keywords[i]), keyword))
            continue;
        *letter = i;
        return true;
    }
    return false;
}

bool folder_record_add_keyword(struct folder_record *record, struct slice keyword, unsigned *letter)
{
    if (folder_record_find_keyword(record, keyword, letter))
        return true;
    if (!is_atom(keyword))
        return false;
    for (unsigned i = 0; i < FOLDER_KEYWORDS; i++) {
        if (record->keywords[i][0] != '\0')
            continue;
        *letter = i;
        return take_text(keyword, record->keywords[i], sizeof(record->keywords[i]));
    }
    return false;
}

bool folder_record_set_keyword(struct folder_record *record, unsigned letter, struct slice keyword)
{
    unsigned taken;
    char *text = record->keywords[letter];
    return text[0] == '\0' && is_atom(keyword)
           && !folder_record_find_keyword(record, keyword, &taken)
           && take_text(keyword, text, sizeof(record->keywords[0]));
}

bool folder_record_keywords_full(const struct folder_record *record)
{
    for (unsigned i = 0; i < FOLDER_KEYWORDS; i++)
        if (record->keywords[i][0] == '\0')
            return false;
    return true;
}

static bool raise_watermark(uint64_t *watermark, uint64_t number, uint64_t step, uint64_t largest)
{
    if (number < *watermark)
        return false;
    assert(number < largest);
    *watermark = number < largest - step ? number + 1 + step : largest;
    return true;
}

bool folder_record_cover(struct folder_record *record, uint32_t uid, uint64_t modseq)
{
    bool uid_raised =
        raise_watermark(&record->uid_watermark, uid, FOLDER_UID_STEP, UID_WATERMARK_MAX);
    bool modseq_raised = raise_watermark(&record->modseq_watermark, modseq, FOLDER_MODSEQ_STEP,
                                         MODSEQ_WATERMARK_MAX);
    return uid_raised || modseq_raised;
}

/* ---- the file ---- */

bool folder_record_load(int folder_fd, struct folder_record *record, struct error *error)
{
    struct buffer text = BUFFER_WITH_LIMIT(FOLDER_RECORD_MAX);
    bool loaded = text_file_load(folder_fd, FOLDER_RECORD_FILE, &text, error)
                  && (folder_record_parse(buffer_slice(&text), record, error)
                      || error_prefix(error, FOLDER_RECORD_FILE));
    buffer_clear(&text);
    return loaded;
}

bool folder_record_store(int folder_fd, const struct folder_record *record, struct error *error)
{
    struct buffer text = BUFFER_WITH_LIMIT(FOLDER_RECORD_MAX);
    folder_record_format(record, &text);
    bool stored =
        text.failed ? error_memory(error)
                    : text_file_replace(folder_fd, FOLDER_RECORD_FILE, buffer_slice(&text), error);
    buffer_clear(&text);
    return stored;
}

/* 96 random bits in 16 letters: no two folders share one, on this host or another. */
static bool make_mailbox_id(char id[FOLDER_MAILBOX_ID_MAX + 1], struct error *error)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t random[16];
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return error_errno(error, "get random octets");
    /* RFC 8474 7: a letter in front, so that no client takes it for a number. */
    id[0] = 'F';
    for (size_t i = 0; i < sizeof(random); i++)
        id[i + 1] = alphabet[random[i] % 64];
    id[sizeof(random) + 1] = '\0';
    return true;
}

static bool set_broken_aside(int folder_fd, struct error *error)
{
    if (renameat(folder_fd, FOLDER_RECORD_FILE, folder_fd, FOLDER_RECORD_FILE ".broken") == 0)
        return true;
    error_errno(error, "set " FOLDER_RECORD_FILE " aside");
    return error->kind == ERROR_NOT_FOUND;
}

bool folder_record_init(uint32_t uidvalidity, struct folder_record *record, struct error *error)
{
    assert(uidvalidity != 0);
    *record = (struct folder_record){
        .uidvalidity = uidvalidity, .uid_watermark = 1, .modseq_watermark = 1};
    return make_mailbox_id(record->mailbox_id, error);
}

bool folder_record_renew(int folder_fd, uint32_t uidvalidity, struct folder_record *record,
                         struct error *error)
{
    struct folder_record fresh;
    if (!folder_record_init(uidvalidity, &fresh, error) || !set_broken_aside(folder_fd, error)
        || !folder_record_store(folder_fd, &fresh, error))
        return false;
    *record = fresh;
    return true;
}
