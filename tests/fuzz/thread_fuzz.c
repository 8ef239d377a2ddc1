/* imapd/search/message_ids.h and thread.h: identifiers of any text are read again as they were
 * written, and each message is in the threads once. Messages are separated by NUL; the octet before
 * one says what its subject and date are. */
#include <stdlib.h>

#include "imapd/search/message_ids.h"
#include "imapd/search/thread.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGES = 64, ARENA_LIMIT = 4 << 20 };

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void make_message(struct slice text, uint32_t position, struct arena *arena,
                         struct thread_message *message)
{
    static const struct slice subjects[] = {SLICE(""), SLICE("A"), SLICE("B"), SLICE("C")};
    uint8_t first = text.len > 0 ? text.ptr[0] : 0;
    struct buffer ids = BUFFER_WITH_LIMIT(2 * text.len + 2);
    struct slice id;
    size_t listed = 0;
    size_t count = message_ids_append(slice_from(text, 1), SIZE_MAX, &ids);
    struct cursor in = cursor_of(buffer_slice(&ids));
    for (; message_ids_next(&in, &id); listed++)
        must(id.len >= 3 && slice_find_octet(id, '@') < id.len);
    must(!ids.failed && listed == count && cursor_at_end(&in));
    *message = (struct thread_message){.position = position,
                                       .date = first >> 3,
                                       .subject = subjects[first & 3],
                                       .is_reply = (first & 4) != 0,
                                       .ids = arena_copy(arena, buffer_slice(&ids))};
    must(message->ids.ptr != NULL);
    buffer_clear(&ids);
}

static uint32_t count_name(const void *owner, uint32_t position)
{
    unsigned *const *told = owner;
    must(position < MESSAGES && (*told)[position]++ == 0);
    return position + 1;
}

static void check(enum thread_algorithm algorithm, const struct thread_message *messages,
                  size_t count, struct arena *arena)
{
    struct thread_node *roots;
    unsigned told[MESSAGES] = {0};
    unsigned *owner = told;
    struct buffer text = BUFFER_WITH_LIMIT(1 << 16);
    long depth = 0;
    must(thread_build(algorithm, messages, count, arena, &roots));
    thread_format(roots, count_name, &owner, &text);
    for (size_t i = 0; i < count; i++)
        must(told[i] == 1);
    for (size_t i = 0; i < text.len; i++) {
        depth += (text.ptr[i] == '(') - (text.ptr[i] == ')');
        must(depth >= 0);
    }
    must(depth == 0);
    buffer_clear(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct thread_message messages[MESSAGES];
    struct arena arena;
    struct slice rest = slice_of(data, size);
    size_t count = 0;
    arena_init(&arena, ARENA_LIMIT);
    for (; rest.len > 0 && rest.len < 1 << 16 && count < MESSAGES; count++) {
        size_t length = slice_find_octet(rest, 0);
        make_message(slice_range(rest, 0, length), (uint32_t)count, &arena, &messages[count]);
        rest = slice_from(rest, length < rest.len ? length + 1 : length);
    }
    check(THREAD_ORDEREDSUBJECT, messages, count, &arena);
    check(THREAD_REFERENCES, messages, count, &arena);
    check(THREAD_REFS, messages, count, &arena);
    arena_clear(&arena);
    return 0;
}
