/* imapd/shared/answer.h: what the process of another account answers, cut in two somewhere: the
 * first octet says where. The same octets come out of it in the same parts; and the end is at the
 * same place. And storage/acl.h: the same octets as a list of rights, which gives back what it has.
 */
#include <stdlib.h>

#include "common/buffer.h"
#include "imapd/shared/answer.h"
#include "imapd/shared/shared_names.h"
#include "storage/acl.h"
#include "storage/foreign/foreign_acl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

enum { HEARD_PARTS = ANSWER_LOST + 1 };

struct heard {
    struct buffer parts[HEARD_PARTS]; /* octets of each kind */
    size_t taken;
    enum answer_part last; /* ANSWER_MORE: the answer goes on */
    enum answer_verdict verdict;
};

static void hear(struct slice all, size_t cut, struct heard *heard)
{
    struct answer answer;
    size_t there = cut, taken = 0;
    check(answer_init(&answer, SLICE("a")));
    *heard = (struct heard){.taken = 0};
    for (size_t i = 0; i < HEARD_PARTS; i++)
        buffer_init(&heard->parts[i], all.len + 1);
    for (bool is_all = false; !is_all;) {
        struct slice input = slice_range(all, heard->taken, there);
        enum answer_part part = answer_next(&answer, input, &taken);
        bool has_octets = part == ANSWER_TEXT || part == ANSWER_LITERAL || part == ANSWER_TAGGED;
        check(taken <= input.len && (!has_octets || taken > 0));
        buffer_append(&heard->parts[part], slice_range(input, 0, taken));
        heard->taken += taken;
        heard->last = part;
        is_all =
            part == ANSWER_END || part == ANSWER_LOST || (part == ANSWER_MORE && there == all.len);
        there = part == ANSWER_MORE ? all.len : there;
    }
    heard->verdict = answer.verdict;
}

static void try_answer(struct slice all, size_t cut)
{
    struct heard whole, cut_in_two;
    hear(all, all.len, &whole);
    hear(all, cut < all.len ? cut : all.len, &cut_in_two);
    check(whole.taken == cut_in_two.taken && whole.last == cut_in_two.last);
    check(whole.verdict == cut_in_two.verdict);
    for (size_t i = 0; i < HEARD_PARTS; i++) {
        check(slice_equal(buffer_slice(&whole.parts[i]), buffer_slice(&cut_in_two.parts[i])));
        buffer_clear(&whole.parts[i]);
        buffer_clear(&cut_in_two.parts[i]);
    }
}

/* Setting what there is changes no right. */
static void try_list(struct acl *acl)
{
    struct slice rest = buffer_slice(&acl->text);
    struct acl_entry entry;
    unsigned before = acl_rights_of(acl, SLICE("bob@x"));
    if (acl_next(&rest, &entry) && slice_equal(entry.identifier, SLICE("bob@x"))) {
        entry.rights = acl_find(acl, SLICE("bob@x"), entry.negative);
        entry.identifier = SLICE("bob@x");
        check(acl_set(acl, &entry, NULL));
        check(acl_rights_of(acl, SLICE("bob@x")) == before);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > ACL_OCTETS_MAX / 2)
        return 0;
    struct slice all = slice_of(data + 1, size - 1);
    struct acl acl;
    struct buffer names = BUFFER_WITH_LIMIT(1 << 20);
    try_answer(all, data[0]);
    acl_init(&acl);
    buffer_append(&acl.text, all);
    try_list(&acl);
    buffer_reset(&acl.text);
    foreign_acl_parse(all, SLICE("alice@x"), &acl);
    try_list(&acl);
    acl_clear(&acl);
    shared_names_append("Shared", SLICE("alice@x"), all, &names);
    buffer_clear(&names);
    return 0;
}
