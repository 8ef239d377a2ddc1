/* `staffetta import`; see import.h. */
#include "ctl/import/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/size.h"
#include "common/text/date.h"
#include "common/text/modified_utf7.h"
#include "common/text/printable.h"

enum { BATCH_OCTETS = 4 << 20, BATCH_MESSAGES = 100, BODIES_MAX = 1 << 30 };

struct import_waiting {
    char flags[1024];
    char date[DATE_TEXT_OCTETS];
    size_t at; /* in bodies */
    size_t octets;
};

/* ---- folders ---- */

bool import_add_folder(struct import_folders *folders, struct slice from, struct slice name,
                       bool subscribed, struct error *error)
{
    if (folders->count == folders->capacity) {
        size_t capacity = folders->capacity ? folders->capacity : 8;
        if (!size_mul(capacity, 2, &capacity))
            return error_memory(error);
        struct import_folder *grown = reallocarray(folders->items, capacity, sizeof(*grown));
        if (!grown)
            return error_memory(error);
        folders->items = grown;
        folders->capacity = capacity;
    }
    struct import_folder folder = {arena_copy_string(&folders->memory, from),
                                   arena_copy_string(&folders->memory, name), subscribed};
    if (!folder.from || !folder.name)
        return error_memory(error);
    folders->items[folders->count++] = folder;
    return true;
}

/* verb SP mailbox [SP more] */
static bool append_command(const char *verb, const char *name, const char *more,
                           struct buffer *command)
{
    struct buffer wire = BUFFER_WITH_LIMIT(4096);
    buffer_reset(command);
    buffer_append_string(command, verb);
    bool encoded = modified_utf7_encode(slice_of_string(name), &wire) && !wire.failed;
    imap_append_quoted(buffer_slice(&wire), command);
    buffer_append_string(command, more);
    buffer_clear(&wire);
    return encoded && !command->failed;
}

/* ---- the account's messages ---- */

static void mix(uint64_t *hash, struct slice octets)
{
    for (size_t i = 0; i < octets.len; i++)
        *hash = (*hash ^ octets.ptr[i]) * UINT64_C(1099511628211); /* FNV-1a */
}

/* The field's body without white space, from the header or a part of it; false: no such field. */
static bool mix_message_id(struct slice header, uint64_t *hash)
{
    static const struct slice name = SLICE("Message-ID:");
    bool inside = false, found = false;
    while (header.len > 0) {
        size_t end = slice_find_octet(header, '\n');
        struct slice line = slice_range(header, 0, end);
        bool is_more = line.len > 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t');
        if (slice_trim(line).len == 0 || (line.len == 1 && line.ptr[0] == '\r'))
            break;
        if (!is_more && found)
            break;
        if (!is_more)
            inside = slice_starts_with_nocase(line, name);
        if (inside) {
            struct slice body = is_more ? line : slice_from(line, name.len);
            for (size_t i = 0; i < body.len; i++)
                if (body.ptr[i] > ' ')
                    mix(hash, slice_range(body, i, i + 1));
            found = true;
        }
        header = slice_from(header, end + 1);
    }
    return found;
}

static uint64_t hash_of(int64_t date, struct slice header, uint64_t octets)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    mix(&hash, slice_of(&date, sizeof(date)));
    if (!mix_message_id(header, &hash))
        mix(&hash, slice_of(&octets, sizeof(octets)));
    return hash;
}

static int compare_hashes(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* n FETCH (UID u INTERNALDATE "..." RFC822.SIZE s BODY[HEADER.FIELDS (MESSAGE-ID)] "...") */
static bool on_known(void *owner, struct slice response, struct error *error)
{
    struct import_target *target = owner;
    struct cursor in = cursor_of(response);
    struct date date = {0};
    uint64_t octets = 0;
    struct slice header = SLICE("");
    if (!imap_enter_fetch(&in))
        return true;
    for (struct imap_token name; name = imap_take_token(&in), name.kind == IMAP_ATOM;) {
        struct imap_token value = imap_take_token(&in);
        if (slice_equal_nocase(name.text, SLICE("INTERNALDATE")))
            date_parse_internal(slice_trim(value.text), &date);
        else if (slice_equal_nocase(name.text, SLICE("RFC822.SIZE")))
            slice_parse_number(value.text, &octets);
        else if (slice_starts_with_nocase(name.text, SLICE("BODY[")))
            header = value.text;
    }
    if ((target->known_count & (target->known_count - 1)) == 0) {
        uint64_t *grown = reallocarray(target->known, target->known_count * 2 + 1, sizeof(*grown));
        if (!grown)
            return error_memory(error);
        target->known = grown;
    }
    target->known[target->known_count++] = hash_of(date.seconds, header, octets);
    return true;
}

static bool load_known(struct import_target *target, struct error *error)
{
    struct buffer command = BUFFER_WITH_LIMIT(8192);
    target->known_count = 0;
    bool loaded = append_command("EXAMINE ", target->folder->name, "", &command)
                  && imap_client_command(&target->client, buffer_slice(&command), NULL, NULL, error)
                  && imap_client_command(&target->client,
                                         SLICE("UID FETCH 1:* (INTERNALDATE RFC822.SIZE "
                                               "BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])"),
                                         on_known, target, error);
    buffer_clear(&command);
    free(target->used);
    target->used = loaded ? calloc(target->known_count + 1, sizeof(*target->used)) : NULL;
    if (loaded && target->known_count > 0)
        qsort(target->known, target->known_count, sizeof(*target->known), compare_hashes);
    return loaded && (target->used || error_memory(error));
}

bool import_wants(struct import_target *target, int64_t date, struct slice header, uint64_t octets)
{
    uint64_t hash = hash_of(date, header, octets);
    size_t low = 0, high = target->known_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (target->known[middle] < hash)
            low = middle + 1;
        else
            high = middle;
    }
    atomic_fetch_add(&target->progress->seen, 1);
    for (; low < target->known_count && target->known[low] == hash; low++) {
        if (!target->used[low]) {
            target->used[low] = true;
            return false;
        }
    }
    return true;
}

/* ---- APPEND ---- */

static bool send_one(struct import_target *target, const struct import_waiting *waiting,
                     struct error *error)
{
    struct buffer head = BUFFER_WITH_LIMIT(2048);
    buffer_append_format(&head, " (%s) \"%s\" {%zu+}\r\n", waiting->flags, waiting->date,
                         waiting->octets);
    struct slice body =
        slice_range(buffer_slice(&target->bodies), waiting->at, waiting->at + waiting->octets);
    bool sent = !head.failed && imap_client_send(&target->client, buffer_slice(&head), error)
                && imap_client_send(&target->client, body, error);
    buffer_clear(&head);
    return sent;
}

static bool append(struct import_target *target, size_t first, size_t end, struct error *error)
{
    struct buffer command = BUFFER_WITH_LIMIT(8192);
    bool sent = append_command("APPEND ", target->folder->name, "", &command)
                && imap_client_begin(&target->client, buffer_slice(&command), error);
    buffer_clear(&command);
    for (size_t i = first; sent && i < end; i++)
        sent = send_one(target, &target->waiting[i], error);
    if (!sent || !imap_client_send(&target->client, SLICE("\r\n"), error)
        || !imap_client_finish(&target->client, NULL, NULL, error))
        return false;
    for (size_t i = first; i < end; i++)
        atomic_fetch_add(&target->progress->octets, target->waiting[i].octets);
    atomic_fetch_add(&target->progress->brought, end - first);
    return true;
}

static void say_refused(const struct import_target *target, const struct import_waiting *waiting,
                        const struct error *error)
{
    struct buffer line = BUFFER_WITH_LIMIT(8192);
    printable_append(slice_of_string(target->folder->name), &line);
    buffer_append_format(&line, ": the message of %s: ", waiting->date);
    printable_append(slice_of_string(error->text), &line);
    fprintf(stderr, "%.*s\n", SLICE_PRINTF(buffer_slice(&line)));
    buffer_clear(&line);
}

/* All or nothing (RFC 3502); if one is refused, each separately. */
static bool flush(struct import_target *target, struct error *error)
{
    size_t count = target->waiting_count;
    bool flushed = count == 0 || append(target, 0, count, error);
    for (size_t i = 0; !flushed && error->kind == ERROR_PERMANENT && i < count; i++) {
        if (!append(target, i, i + 1, error) && error->kind == ERROR_PERMANENT) {
            atomic_fetch_add(&target->progress->refused, 1);
            say_refused(target, &target->waiting[i], error);
        }
    }
    target->waiting_count = 0;
    buffer_reset(&target->bodies);
    return flushed || error->kind == ERROR_PERMANENT;
}

static void append_with_crlf(struct slice octets, struct buffer *out)
{
    while (octets.len > 0) {
        size_t lf = slice_find_octet(octets, '\n');
        bool bare = lf < octets.len && (lf == 0 || octets.ptr[lf - 1] != '\r');
        buffer_append(out, slice_range(octets, 0, lf));
        if (lf < octets.len)
            buffer_append(out, bare ? SLICE("\r\n") : SLICE("\n"));
        octets = slice_from(octets, lf + 1);
    }
}

bool import_put(struct import_target *target, const struct import_message *message,
                struct error *error)
{
    if (target->waiting_count == BATCH_MESSAGES
        || (target->waiting_count > 0 && target->bodies.len + message->octets.len > BATCH_OCTETS)) {
        if (!flush(target, error))
            return false;
    }
    struct import_waiting *waiting = &target->waiting[target->waiting_count];
    struct date date = {.seconds = message->date};
    waiting->at = target->bodies.len;
    append_with_crlf(message->octets, &target->bodies);
    if (target->bodies.failed)
        return error_memory(error);
    waiting->octets = target->bodies.len - waiting->at;
    snprintf(waiting->flags, sizeof(waiting->flags), "%.*s",
             message->flags.len < sizeof(waiting->flags) ? (int)message->flags.len : 0,
             (const char *)message->flags.ptr);
    date_format_internal(&date, waiting->date);
    target->waiting_count++;
    return true;
}

/* ---- workers ---- */

/* It may exist already; EXAMINE shows whether it does. */
static bool make_folder(struct import_target *target, struct error *error)
{
    struct buffer command = BUFFER_WITH_LIMIT(8192);
    const char *name = target->folder->name;
    bool made =
        strcmp(name, "INBOX") == 0
        || (append_command("CREATE ", name, "", &command)
            && (imap_client_command(&target->client, buffer_slice(&command), NULL, NULL, error)
                || error->kind == ERROR_PERMANENT));
    if (made && target->folder->subscribed)
        made = append_command("SUBSCRIBE ", name, "", &command)
               && imap_client_command(&target->client, buffer_slice(&command), NULL, NULL, error);
    buffer_clear(&command);
    return made;
}

static bool import_folder(struct import_source *source, struct import_target *target,
                          struct error *error)
{
    return make_folder(target, error) && load_known(target, error)
           && source->read(source, target, error) && flush(target, error);
}

static void say_failed(const char *name, const struct error *error)
{
    struct buffer line = BUFFER_WITH_LIMIT(8192);
    printable_append(slice_of_string(name), &line);
    buffer_append(&line, SLICE(": "));
    printable_append(slice_of_string(error->text), &line);
    fprintf(stderr, "%.*s\n", SLICE_PRINTF(buffer_slice(&line)));
    buffer_clear(&line);
}

/* The exit status. A folder refused by the source is skipped; a broken connection ends it. */
static int work(struct import_source *source, const struct import_folders *folders, int session,
                struct import_progress *progress)
{
    struct import_target target = {.progress = progress};
    struct error error = {.kind = ERROR_NONE};
    imap_client_init(&target.client);
    buffer_init(&target.bodies, BODIES_MAX);
    target.waiting = calloc(BATCH_MESSAGES, sizeof(*target.waiting));
    bool works = target.waiting && imap_client_take(&target.client, session, &error)
                 && source->open(source, &error);
    if (!works)
        say_failed("import", &error);
    while (works) {
        size_t next = atomic_fetch_add(&progress->next_folder, 1);
        if (next >= folders->count)
            break;
        target.folder = &folders->items[next];
        if (import_folder(source, &target, &error)) {
            atomic_fetch_add(&progress->folders_done, 1);
            continue;
        }
        say_failed(target.folder->name, &error);
        atomic_fetch_add(&progress->failed, 1);
        target.waiting_count = 0;
        buffer_reset(&target.bodies);
        works = error.kind == ERROR_PERMANENT || error.kind == ERROR_NOT_FOUND;
    }
    source->close(source);
    imap_client_clear(&target.client);
    return works ? 0 : 1;
}

/* ---- all of it ---- */

static void show(const struct import_progress *progress, size_t folders, bool last)
{
    fprintf(stderr, "%s%zu of %zu folders, %llu messages seen, %llu brought (%llu MB)%s",
            isatty(STDERR_FILENO) ? "\r" : "", atomic_load(&progress->folders_done), folders,
            atomic_load(&progress->seen), atomic_load(&progress->brought),
            atomic_load(&progress->octets) >> 20, last || !isatty(STDERR_FILENO) ? "\n" : "\033[K");
}

static bool wait_for_all(struct import_progress *progress, size_t folders, size_t workers)
{
    enum { TICK_NS = 200 * 1000 * 1000 };
    const struct timespec tick = {.tv_nsec = TICK_NS};
    bool well = true;
    while (workers > 0) {
        int status;
        pid_t pid = waitpid(-1, &status, isatty(STDERR_FILENO) ? WNOHANG : 0);
        if (pid < 0)
            return false;
        if (pid == 0) {
            show(progress, folders, false);
            nanosleep(&tick, NULL);
            continue;
        }
        well = well && WIFEXITED(status) && WEXITSTATUS(status) == 0;
        workers--;
    }
    show(progress, folders, true);
    return well && atomic_load(&progress->failed) == 0
           && atomic_load(&progress->folders_done) == folders;
}

static bool list_folders(struct import_source *source, struct import_folders *folders,
                         struct error *error)
{
    bool listed = source->open(source, error) && source->list(source, folders, error);
    source->close(source);
    return listed;
}

bool import_run(struct import_source *source, const int *sessions, size_t count,
                struct error *error)
{
    struct import_folders folders = {.items = NULL};
    arena_init(&folders.memory, IMPORT_MEMORY);
    struct import_progress *progress =
        mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED)
        return error_errno(error, "share the progress");
    bool done = list_folders(source, &folders, error);
    size_t workers = 0;
    for (size_t i = 0; done && i < count; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(work(source, &folders, sessions[i], progress));
        workers += pid > 0;
    }
    for (size_t i = 0; i < count; i++)
        close(sessions[i]);
    if (done)
        done = (workers > 0 && wait_for_all(progress, folders.count, workers))
               || error_set(error, ERROR_TEMPORARY,
                            "not all of it was brought: begin it again, it goes on where it is");
    free(folders.items);
    arena_clear(&folders.memory);
    munmap(progress, sizeof(*progress));
    return done;
}
