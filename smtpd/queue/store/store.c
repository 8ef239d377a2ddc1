/* The tables of the queue; see store.h. All keys are big-endian, so the trees' order is that of the
 * numbers and new messages are always appended at the end. */
#include "smtpd/queue/store/store.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/disk/db.h"
#include "smtpd/queue/queue_id.h"

enum {
    MESSAGE_PAGE = 16384, /* three bodies of 4 KiB a page; a longer body has pages of its own */
    RECIPIENT_PAGE = 8192,
    STATE_PAGE = 4096,
    CACHE_OCTETS = 16 << 20,
    LOG_FILE_OCTETS = 8 << 20,
    SCAN_BLOCK = 1 << 20,

    ID_KEY = 8,
    RECIPIENT_KEY = ID_KEY + 4,
    WATERMARK_OCTETS = 8,

    /* One flush for so many ids; at most so many are lost with each start. */
    WATERMARK_STEP = 16 * QUEUE_STORE_LEND_MAX,
};

/* A new environment begins with a number no earlier one can have reached: 2^12 for each second
 * since 2025. 44 bits last until 2161. */
enum { FIRST_YEAR_SECONDS = 1735689600, COUNT_PER_SECOND_BITS = 12 };

static const struct slice watermark_key = SLICE("watermark");

struct queue_store {
    struct db *db;
    struct db_tree *messages;
    struct db_tree *recipients;
    struct db_tree *state;
    struct db_tree *tls;
    unsigned place, epoch;
    uint64_t next;      /* count of the next id to lend */
    uint64_t watermark; /* counts below it may be lent; durable */
    struct buffer record;
    void (*on_message)(void *context, const char *message);
    void *context;
};

/* ---- keys ---- */

static void write_number(uint8_t *octets, uint64_t number, size_t count)
{
    for (size_t i = count; i-- > 0; number >>= 8)
        octets[i] = (uint8_t)number;
}

static uint64_t read_number(const uint8_t *octets, size_t count)
{
    uint64_t number = 0;
    for (size_t i = 0; i < count; i++)
        number = number << 8 | octets[i];
    return number;
}

static struct slice id_key(uint8_t octets[ID_KEY], uint64_t id)
{
    write_number(octets, id, ID_KEY);
    return slice_of(octets, ID_KEY);
}

static struct slice recipient_key(uint8_t octets[RECIPIENT_KEY], uint64_t id, uint32_t number)
{
    write_number(octets, id, ID_KEY);
    write_number(octets + ID_KEY, number, RECIPIENT_KEY - ID_KEY);
    return slice_of(octets, RECIPIENT_KEY);
}

/* ---- ids ---- */

static uint64_t count_of_now(void)
{
    time_t seconds = time(NULL) - FIRST_YEAR_SECONDS;
    if (seconds < 0)
        return 0;
    uint64_t count = (uint64_t)seconds << COUNT_PER_SECOND_BITS;
    return count < QUEUE_ID_COUNT_MAX / 2 ? count : 0;
}

static bool read_watermark(struct queue_store *store, struct error *error)
{
    struct error problem = {0};
    struct buffer value = BUFFER_WITH_LIMIT(WATERMARK_OCTETS);
    bool found = db_get(store->state, watermark_key, &value, &problem);
    if (found && value.len == WATERMARK_OCTETS)
        store->watermark = read_number(value.ptr, WATERMARK_OCTETS);
    else if (!found && problem.kind == ERROR_NOT_FOUND)
        store->watermark = count_of_now();
    else
        found = error_set(&problem, ERROR_PERMANENT, "watermark is damaged: %s", problem.text);
    buffer_clear(&value);
    store->next = store->watermark;
    if (found || problem.kind == ERROR_NOT_FOUND)
        return true;
    if (error)
        *error = problem;
    return false;
}

static bool raise_watermark(struct queue_store *store, struct error *error)
{
    uint64_t raised = store->watermark + WATERMARK_STEP;
    if (raised > QUEUE_ID_COUNT_MAX)
        return error_set(error, ERROR_TEMPORARY, "no ids are left in this epoch");
    uint8_t value[WATERMARK_OCTETS];
    write_number(value, raised, sizeof(value));
    if (!db_begin(store->db, error))
        return false;
    if (!db_put(store->state, watermark_key, slice_of(value, sizeof(value)), error)) {
        db_abort(store->db);
        return false;
    }
    if (!db_commit(store->db, error))
        return false;
    store->watermark = raised;
    return true;
}

/* A backup does not know the ids lent after it was made. `staffetta restore` marks this by an empty
 * file, removed once the watermark is above them. */
static bool leave_ids_behind(struct queue_store *store, const char *directory, struct error *error)
{
    int directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory_fd < 0)
        return error_errno(error, "open directory %s", directory);
    bool left = true;
    if (faccessat(directory_fd, QUEUE_STORE_RESTORED, F_OK, 0) == 0) {
        uint64_t now = count_of_now();
        store->watermark = now > store->watermark ? now : store->watermark;
        store->next = store->watermark;
        left = raise_watermark(store, error)
               && (unlinkat(directory_fd, QUEUE_STORE_RESTORED, 0) == 0
                   || error_errno(error, "remove %s", QUEUE_STORE_RESTORED));
    }
    close(directory_fd);
    return left;
}

bool queue_store_lend_ids(struct queue_store *store, uint32_t count, uint64_t *first,
                          struct error *error)
{
    assert(count <= QUEUE_STORE_LEND_MAX);
    if (store->watermark - store->next < count && !raise_watermark(store, error))
        return error_prefix(error, "lend ids");
    *first = queue_id_make(store->place, store->epoch, store->next);
    store->next += count;
    return true;
}

/* ---- open and close ---- */

static bool open_trees(struct queue_store *store, struct error *error)
{
    return db_tree_open(store->db, "messages.db", MESSAGE_PAGE, &store->messages, error)
           && db_tree_open(store->db, "recipients.db", RECIPIENT_PAGE, &store->recipients, error)
           && db_tree_open(store->db, "state.db", STATE_PAGE, &store->state, error)
           && db_tree_open(store->db, "tls.db", STATE_PAGE, &store->tls, error);
}

bool queue_store_open(const struct queue_store_options *options, struct queue_store **result,
                      struct error *error)
{
    *result = NULL;
    struct queue_store *store = calloc(1, sizeof(*store));
    if (!store)
        return error_memory(error);
    store->place = options->place;
    store->epoch = options->epoch;
    store->on_message = options->on_message;
    store->context = options->context;
    buffer_init(&store->record, STORED_MESSAGE_MAX);
    struct db_options db_options = {
        .directory = options->directory,
        .cache_octets = CACHE_OCTETS,
        .log_file_octets = LOG_FILE_OCTETS,
        .threads = true,
        .flush_commits = true,
        .reread_disk = true,
        .on_message = options->on_message,
        .context = options->context,
    };
    /* The checkpoint is what makes a failed flush of the last owner harmless: see queue.c. */
    if (!db_open(&db_options, &store->db, error) || !open_trees(store, error)
        || !read_watermark(store, error) || !leave_ids_behind(store, options->directory, error)
        || !db_checkpoint(store->db, true, error)) {
        queue_store_close(store);
        return error_prefix(error, "queue");
    }
    *result = store;
    return true;
}

void queue_store_close(struct queue_store *store)
{
    if (!store)
        return;
    db_close(store->db);
    buffer_clear(&store->record);
    free(store);
}

bool queue_store_usable(const struct queue_store *store)
{
    return db_usable(store->db);
}

bool queue_store_set_aside(const char *directory, const char *name, struct error *error)
{
    return db_set_aside(directory, name, error);
}

/* ---- writing ---- */

bool queue_store_begin(struct queue_store *store, struct error *error)
{
    return db_begin(store->db, error);
}

bool queue_store_commit(struct queue_store *store, struct error *error)
{
    return db_commit(store->db, error);
}

void queue_store_abort(struct queue_store *store)
{
    db_abort(store->db);
}

static bool put_record(struct queue_store *store, struct db_tree *tree, struct slice key,
                       struct error *error)
{
    if (store->record.failed)
        return error_set(error, ERROR_TEMPORARY, "no room for a record of %zu octets",
                         store->record.limit);
    return db_put(tree, key, buffer_slice(&store->record), error);
}

bool queue_store_put_message(struct queue_store *store, uint64_t id,
                             const struct stored_message *message, const struct filter_cut *cuts,
                             struct error *error)
{
    uint8_t key[ID_KEY];
    buffer_reset(&store->record);
    stored_message_format(message, cuts, &store->record);
    return put_record(store, store->messages, id_key(key, id), error);
}

bool queue_store_put_recipient(struct queue_store *store, uint64_t id, uint32_t number,
                               const struct stored_recipient *recipient, struct error *error)
{
    uint8_t key[RECIPIENT_KEY];
    buffer_reset(&store->record);
    stored_recipient_format(recipient, &store->record);
    return put_record(store, store->recipients, recipient_key(key, id, number), error);
}

bool queue_store_drop_message(struct queue_store *store, uint64_t id, struct error *error)
{
    uint8_t key[ID_KEY];
    return db_delete(store->messages, id_key(key, id), error);
}

bool queue_store_drop_recipient(struct queue_store *store, uint64_t id, uint32_t number,
                                struct error *error)
{
    uint8_t key[RECIPIENT_KEY];
    return db_delete(store->recipients, recipient_key(key, id, number), error);
}

/* ---- reading ---- */

static bool fail_unreadable(struct error *error)
{
    if (error)
        error->kind = ERROR_EXISTS;
    return false;
}

bool queue_store_get_message(struct queue_store *store, uint64_t id, struct buffer *record,
                             struct stored_message *message, struct error *error)
{
    uint8_t key[ID_KEY];
    if (!db_get(store->messages, id_key(key, id), record, error))
        return false;
    return stored_message_parse(buffer_slice(record), message, error) || fail_unreadable(error);
}

bool queue_store_get_recipient(struct queue_store *store, uint64_t id, uint32_t number,
                               struct buffer *record, struct stored_recipient *recipient,
                               struct error *error)
{
    uint8_t key[RECIPIENT_KEY];
    if (!db_get(store->recipients, recipient_key(key, id, number), record, error))
        return false;
    return stored_recipient_parse(buffer_slice(record), recipient, error) || fail_unreadable(error);
}

static void tell_unreadable(const struct queue_store *store, uint64_t id, uint32_t number,
                            const struct error *error)
{
    char text[sizeof(error->text) + 64], name[QUEUE_ID_SIZE];
    if (!store->on_message)
        return;
    snprintf(text, sizeof(text), "recipient %u of %s is left alone: %s", number,
             queue_id_format(id, name), error->text);
    store->on_message(store->context, text);
}

static bool visit_row(struct queue_store *store, struct slice key, struct slice value,
                      queue_store_visit *visit, void *context, struct error *error)
{
    struct stored_recipient recipient;
    if (key.len != RECIPIENT_KEY)
        return error_set(error, ERROR_PERMANENT, "a recipient has a key of %zu octets", key.len);
    uint64_t id = read_number(key.ptr, ID_KEY);
    uint32_t number = (uint32_t)read_number(key.ptr + ID_KEY, RECIPIENT_KEY - ID_KEY);
    struct error unreadable;
    if (stored_recipient_parse(value, &recipient, &unreadable))
        return visit(context, id, number, &recipient, error);
    tell_unreadable(store, id, number, &unreadable);
    return true;
}

bool queue_store_scan(struct queue_store *store, queue_store_visit *visit, void *context,
                      struct error *error)
{
    struct db_cursor cursor;
    struct slice key, value;
    struct error ended = {0};
    bool good = true;
    db_cursor_init(&cursor, store->recipients, slice_of(NULL, 0), SCAN_BLOCK);
    while (good && db_cursor_next(&cursor, &key, &value, &ended))
        good = visit_row(store, key, value, visit, context, error);
    db_cursor_clear(&cursor);
    if (!good || ended.kind == ERROR_NOT_FOUND)
        return good;
    if (error)
        *error = ended;
    return error_prefix(error, "scan recipients");
}

/* ---- counters for TLS reports ---- */

enum { TLS_DAY_OCTETS = 4, TLS_COUNT_OCTETS = 8, TLS_BLOCK = 64 << 10 };

struct slice queue_store_tls_key(uint8_t octets[QUEUE_STORE_TLS_KEY_MAX], uint32_t day,
                                 struct slice run)
{
    run = slice_range(run, 0, TLS_SESSION_MAX);
    write_number(octets, day, TLS_DAY_OCTETS);
    if (run.len > 0)
        memcpy(octets + TLS_DAY_OCTETS, run.ptr, run.len);
    return slice_of(octets, TLS_DAY_OCTETS + run.len);
}

bool queue_store_add_tls(struct queue_store *store, struct slice key, uint64_t count,
                         struct error *error)
{
    uint8_t octets[TLS_COUNT_OCTETS];
    struct buffer value = BUFFER_WITH_LIMIT(TLS_COUNT_OCTETS);
    bool found = db_get(store->tls, key, &value, error);
    if (found && value.len == TLS_COUNT_OCTETS)
        count += read_number(value.ptr, TLS_COUNT_OCTETS);
    buffer_clear(&value);
    if (!found && error->kind != ERROR_NOT_FOUND)
        return false;
    write_number(octets, count, sizeof(octets));
    return db_put(store->tls, key, slice_of(octets, sizeof(octets)), error);
}

bool queue_store_scan_tls(struct queue_store *store, uint32_t day, struct slice from,
                          queue_store_visit_tls *visit, void *context, struct error *error)
{
    uint8_t octets[QUEUE_STORE_TLS_KEY_MAX];
    struct db_cursor cursor;
    struct slice key, value;
    bool more = true, got = true;
    db_cursor_init(&cursor, store->tls, queue_store_tls_key(octets, day, from), TLS_BLOCK);
    while (more && (got = db_cursor_next(&cursor, &key, &value, error)))
        if (key.len > TLS_DAY_OCTETS && value.len == TLS_COUNT_OCTETS)
            more = visit(context, (uint32_t)read_number(key.ptr, TLS_DAY_OCTETS),
                         slice_from(key, TLS_DAY_OCTETS), read_number(value.ptr, value.len));
    db_cursor_clear(&cursor);
    return got || error->kind == ERROR_NOT_FOUND;
}

bool queue_store_drop_tls(struct queue_store *store, uint32_t day, struct slice domain,
                          struct error *error)
{
    uint8_t octets[QUEUE_STORE_TLS_KEY_MAX];
    struct db_cursor cursor;
    struct slice key, value;
    struct slice prefix = queue_store_tls_key(octets, day, domain);
    bool good = true, got;
    db_cursor_init(&cursor, store->tls, prefix, TLS_BLOCK);
    while ((got = db_cursor_next(&cursor, &key, &value, error)) && good
           && slice_starts_with(key, prefix) && key.len > prefix.len && key.ptr[prefix.len] == 0)
        good = db_delete(store->tls, key, error);
    db_cursor_clear(&cursor);
    return good && (got || error->kind == ERROR_NOT_FOUND);
}

/* ---- housekeeping ---- */

uint64_t queue_store_log_octets(const struct queue_store *store)
{
    return db_log_octets(store->db);
}

bool queue_store_wants_log(const struct queue_store *store)
{
    return db_wants_log(store->db);
}

bool queue_store_prepare_log(struct queue_store *store, struct error *error)
{
    return db_prepare_log(store->db, error);
}

bool queue_store_checkpoint(struct queue_store *store, bool force, struct error *error)
{
    return db_checkpoint(store->db, force, error);
}

bool queue_store_compact(struct queue_store *store, struct error *error)
{
    return db_tree_compact(store->messages, error) && db_tree_compact(store->recipients, error)
           && db_checkpoint(store->db, true, error);
}
