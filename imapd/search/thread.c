/*
 * Threading; see thread.h. Chains may be as long as a mailbox, so nothing recurses. The steps are
 * those of RFC 5256 3, REFERENCES.
 */
#include "imapd/search/thread.h"

#include <stdlib.h>

#include <utlist.h>

#include "imapd/search/message_ids.h"

struct forest {
    struct arena *arena;
    struct thread_node *nodes; /* one for each message, then one for each unknown identifier */
    size_t count;
    struct thread_node *roots;
};

/* --- identifiers to nodes --- */

/* One mention of an identifier. */
struct mention {
    struct slice id;
    uint32_t message;
    uint32_t place; /* 0: the message's own; else its place among the references */
    struct thread_node *node;
};

static int compare_ids(const void *a, const void *b)
{
    const struct mention *left = a;
    const struct mention *right = b;
    int order = slice_compare(left->id, right->id);
    if (order == 0) /* of messages with the same identifier, the first comes first */
        order = (left->place > 0) - (right->place > 0);
    if (order == 0)
        order = (left->message > right->message) - (left->message < right->message);
    return order;
}

static int compare_places(const void *a, const void *b)
{
    const struct mention *left = a;
    const struct mention *right = b;
    if (left->message != right->message)
        return left->message < right->message ? -1 : 1;
    return (left->place > right->place) - (left->place < right->place);
}

static size_t count_ids(struct slice ids)
{
    struct cursor in = cursor_of(ids);
    struct slice id;
    size_t count = 0;
    while (message_ids_next(&in, &id))
        count++;
    return count;
}

/* Of too many references only the last are used. */
static size_t list_mentions(const struct thread_message *message, uint32_t number,
                            struct mention *mentions)
{
    struct cursor in = cursor_of(message->ids);
    struct slice id;
    size_t ids = count_ids(message->ids);
    size_t skipped = ids > THREAD_REFERENCES_MAX + 1 ? ids - THREAD_REFERENCES_MAX - 1 : 0;
    size_t count = 0;
    for (uint32_t place = 0; message_ids_next(&in, &id); place++)
        if (id.len > 0 && (place == 0 || place > skipped))
            mentions[count++] = (struct mention){.id = id, .message = number, .place = place};
    return count;
}

static struct mention *list_all(const struct thread_message *messages, size_t count,
                                struct arena *arena, size_t *listed)
{
    size_t sum = 0;
    *listed = 0;
    for (size_t i = 0; i < count; i++) {
        size_t ids = count_ids(messages[i].ids);
        sum += ids < THREAD_REFERENCES_MAX + 1 ? ids : THREAD_REFERENCES_MAX + 1;
    }
    struct mention *mentions = arena_alloc_array(arena, sum + 1, sizeof(*mentions));
    for (size_t i = 0; mentions && i < count; i++)
        *listed += list_mentions(&messages[i], (uint32_t)i, mentions + *listed);
    return mentions;
}

/* "If a message does not contain a Message-ID ... or has the same as another, assign a unique one"
 * (step 1): such a message's node is its own, and nobody's reference. */
static void find_nodes(struct forest *forest, struct mention *mentions, size_t count)
{
    struct thread_node *node = NULL;
    if (count > 1)
        qsort(mentions, count, sizeof(*mentions), compare_ids);
    for (size_t i = 0; i < count; i++) {
        struct mention *mention = &mentions[i];
        bool is_new = i == 0 || slice_compare(mentions[i - 1].id, mention->id) != 0;
        if (mention->place == 0 && is_new)
            node = &forest->nodes[mention->message];
        else if (is_new)
            node = &forest->nodes[forest->count++];
        mention->node = mention->place == 0 ? &forest->nodes[mention->message] : node;
    }
    if (count > 1)
        qsort(mentions, count, sizeof(*mentions), compare_places);
}

/* --- step 1: links --- */

static void unlink_node(struct forest *forest, struct thread_node *node)
{
    if (node->parent)
        DL_DELETE(node->parent->children, node);
    else
        DL_DELETE(forest->roots, node);
    node->parent = NULL;
}

static void link_node(struct forest *forest, struct thread_node *parent, struct thread_node *child)
{
    unlink_node(forest, child);
    child->parent = parent;
    DL_APPEND(parent->children, child);
}

/* A child without children closes no loop. */
static bool may_link(const struct thread_node *parent, const struct thread_node *child)
{
    size_t climbed = 0;
    if (parent == child)
        return false;
    if (!child->children)
        return true;
    for (; parent && climbed < THREAD_CLIMB_MAX; parent = parent->parent, climbed++)
        if (parent == child)
            return false;
    return !parent;
}

static void make_root(struct forest *forest, struct thread_node *node)
{
    unlink_node(forest, node);
    DL_APPEND(forest->roots, node);
}

/* (A) links the references with each other unless linked already; (B) links the last one with the
 * message, whose own references take precedence: "if this message has no references, it will now
 * have no parent". */
static void link_all(struct forest *forest, const struct mention *mentions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct mention *mention = &mentions[i];
        bool has_next = i + 1 < count && mentions[i + 1].message == mention->message;
        struct thread_node *own = &forest->nodes[mention->message];
        if (mention->place == 0) {
            if (!has_next)
                make_root(forest, own);
        } else if (!has_next) {
            if (own->parent != mention->node && may_link(mention->node, own))
                link_node(forest, mention->node, own);
        } else if (!mentions[i + 1].node->parent && may_link(mention->node, mentions[i + 1].node)) {
            link_node(forest, mention->node, mentions[i + 1].node);
        }
    }
}

/* --- walking --- */

/* The next node in preorder, parents before children; NULL: none. */
static struct thread_node *next_node(const struct thread_node *node)
{
    if (node->children)
        return node->children;
    while (node && !node->next)
        node = node->parent;
    return node ? node->next : NULL;
}

/* Lists all nodes of the forest, parents first. */
static struct thread_node **list_nodes(struct forest *forest, size_t *count)
{
    struct thread_node **list =
        arena_alloc_array(forest->arena, forest->count + 1, sizeof(struct thread_node *));
    *count = 0;
    for (struct thread_node *node = forest->roots; node && list; node = next_node(node))
        list[(*count)++] = node;
    return list;
}

/* --- step 3: nodes without a message --- */

/* Its children take its place. */
static void dissolve(struct forest *forest, struct thread_node *node)
{
    struct thread_node **siblings = node->parent ? &node->parent->children : &forest->roots;
    struct thread_node *child;
    DL_FOREACH (node->children, child)
        child->parent = node->parent;
    DL_CONCAT(*siblings, node->children);
    node->children = NULL;
    unlink_node(forest, node);
}

/* "Do not promote the children if doing so would make them children of the root, unless there is
 * only one child." Children first, so that nodes that become empty go too. */
static bool prune(struct forest *forest)
{
    size_t count;
    struct thread_node **nodes = list_nodes(forest, &count);
    while (nodes && count > 0) {
        struct thread_node *node = nodes[--count];
        bool holds_roots = !node->parent && node->children && node->children->next;
        if (!node->message && !holds_roots)
            dissolve(forest, node);
    }
    return nodes != NULL;
}

/* --- steps 4 and 6: order --- */

static int compare_nodes(const void *a, const void *b)
{
    const struct thread_node *left = *(struct thread_node *const *)a;
    const struct thread_node *right = *(struct thread_node *const *)b;
    if (left->date != right->date)
        return left->date < right->date ? -1 : 1;
    return (left->position > right->position) - (left->position < right->position);
}

/* `room` holds all nodes. */
static void sort_siblings(struct thread_node **siblings, struct thread_node **room)
{
    struct thread_node *node, *following;
    size_t count = 0;
    DL_FOREACH_SAFE (*siblings, node, following)
        room[count++] = node;
    if (count < 2)
        return;
    qsort(room, count, sizeof(struct thread_node *), compare_nodes);
    *siblings = NULL;
    for (size_t i = 0; i < count; i++)
        DL_APPEND(*siblings, room[i]);
}

/* "In the case of a dummy message, use its first child." */
static void set_order(struct thread_node *node)
{
    if (node->message) {
        node->date = node->message->date;
        node->position = node->message->position;
    } else if (node->children) {
        node->date = node->children->date;
        node->position = node->children->position;
    }
}

/* REFS: a thread is as new as its newest message. */
static void raise_roots(struct thread_node **nodes, size_t count)
{
    struct thread_node *root = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct thread_node *node = nodes[i];
        if (!node->parent)
            root = nodes[i];
        else if (node->message && root && node->message->date > root->date)
            root->date = node->message->date;
    }
}

/* All siblings, children before their parents. */
static bool sort_forest(struct forest *forest, bool by_newest)
{
    size_t count;
    struct thread_node **nodes = list_nodes(forest, &count);
    struct thread_node **room =
        arena_alloc_array(forest->arena, count + 1, sizeof(struct thread_node *));
    if (!nodes || !room)
        return false;
    for (size_t i = count; i > 0; i--) {
        sort_siblings(&nodes[i - 1]->children, room);
        set_order(nodes[i - 1]);
    }
    if (by_newest)
        raise_roots(nodes, count);
    sort_siblings(&forest->roots, room);
    return true;
}

/* --- step 5: one subject, one thread --- */

struct subject {
    struct slice text;
    uint32_t rank; /* of the root, in the order of step 4 */
    struct thread_node *root;
};

static const struct thread_message *speaker_of(const struct thread_node *root)
{
    return root->message ? root->message : root->children->message;
}

static int compare_subjects(const void *a, const void *b)
{
    const struct subject *left = a;
    const struct subject *right = b;
    int order = slice_compare(left->text, right->text);
    return order != 0 ? order : (left->rank > right->rank) - (left->rank < right->rank);
}

static bool is_reply(const struct thread_node *root)
{
    return root->message && root->message->is_reply;
}

/* (B): the one of those with the same subject that the others are merged into. */
static struct thread_node *choose(const struct subject *subjects, size_t count)
{
    struct thread_node *chosen = subjects[0].root;
    for (size_t i = 1; i < count; i++) {
        struct thread_node *root = subjects[i].root;
        if (chosen->message && (!root->message || (is_reply(chosen) && !is_reply(root))))
            chosen = root;
    }
    return chosen;
}

/* Puts both below a new node, in the place of `chosen`. */
static struct thread_node *join(struct forest *forest, struct thread_node *chosen,
                                struct thread_node *root)
{
    struct thread_node *both = arena_alloc(forest->arena, sizeof(*both));
    if (!both)
        return NULL;
    forest->count++;
    DL_APPEND(forest->roots, both);
    link_node(forest, both, chosen);
    link_node(forest, both, root);
    return both;
}

/* (C): NULL: no memory. */
static struct thread_node *merge(struct forest *forest, struct thread_node *chosen,
                                 struct thread_node *root)
{
    struct thread_node *child, *following;
    if (!chosen->message && !root->message) {
        DL_FOREACH_SAFE (root->children, child, following)
            link_node(forest, chosen, child);
        unlink_node(forest, root);
        return chosen;
    }
    if (!chosen->message || (is_reply(root) && !is_reply(chosen))) {
        link_node(forest, chosen, root);
        return chosen;
    }
    return join(forest, chosen, root);
}

static bool merge_same(struct forest *forest, const struct subject *subjects, size_t count)
{
    struct thread_node *chosen = choose(subjects, count);
    const struct thread_node *first = chosen;
    for (size_t i = 0; i < count && chosen; i++)
        if (subjects[i].root != first)
            chosen = merge(forest, chosen, subjects[i].root);
    return chosen != NULL;
}

static bool merge_subjects(struct forest *forest)
{
    struct thread_node *root;
    size_t count = 0, same = 0;
    struct subject *subjects =
        arena_alloc_array(forest->arena, forest->count + 1, sizeof(*subjects));
    if (!subjects)
        return false;
    DL_FOREACH (forest->roots, root) {
        struct slice text = speaker_of(root)->subject;
        if (text.len > 0)
            subjects[count] = (struct subject){text, (uint32_t)count, root};
        count += text.len > 0;
    }
    if (count > 1)
        qsort(subjects, count, sizeof(*subjects), compare_subjects);
    for (size_t i = 0; i < count; i += same) {
        for (same = 1; i + same < count; same++)
            if (slice_compare(subjects[i].text, subjects[i + same].text) != 0)
                break;
        if (!merge_same(forest, subjects + i, same))
            return false;
    }
    return true;
}

/* --- ORDEREDSUBJECT --- */

/* "The first message in each thread is the parent ... the others are its children" */
static bool order_subjects(struct forest *forest, size_t count)
{
    struct thread_node *root, *following;
    struct thread_node *parent = NULL;
    size_t ranked = 0;
    if (!sort_forest(forest, false))
        return false;
    struct subject *subjects = arena_alloc_array(forest->arena, count + 1, sizeof(*subjects));
    if (!subjects)
        return false;
    DL_FOREACH_SAFE (forest->roots, root, following) {
        subjects[ranked] = (struct subject){root->message->subject, (uint32_t)ranked, root};
        ranked++;
    }
    if (ranked > 1)
        qsort(subjects, ranked, sizeof(*subjects), compare_subjects);
    for (size_t i = 0; i < ranked; i++) {
        if (i == 0 || slice_compare(subjects[i].text, subjects[i - 1].text) != 0)
            parent = subjects[i].root;
        else
            link_node(forest, parent, subjects[i].root);
    }
    return true;
}

/* --- all of it --- */

static bool build_by_references(struct forest *forest, const struct thread_message *messages,
                                size_t count, bool refs)
{
    size_t listed;
    struct mention *mentions = list_all(messages, count, forest->arena, &listed);
    if (!mentions)
        return false;
    forest->nodes = arena_alloc_array(forest->arena, count + listed + 1, sizeof(*forest->nodes));
    if (!forest->nodes)
        return false;
    forest->count = count;
    find_nodes(forest, mentions, listed);
    for (size_t i = 0; i < forest->count; i++) {
        forest->nodes[i].message = i < count ? &messages[i] : NULL;
        DL_APPEND(forest->roots, &forest->nodes[i]);
    }
    link_all(forest, mentions, listed);
    if (!prune(forest) || !sort_forest(forest, refs))
        return false;
    return refs || (merge_subjects(forest) && sort_forest(forest, false));
}

static bool build_by_subject(struct forest *forest, const struct thread_message *messages,
                             size_t count)
{
    forest->nodes = arena_alloc_array(forest->arena, count + 1, sizeof(*forest->nodes));
    if (!forest->nodes)
        return false;
    forest->count = count;
    for (size_t i = 0; i < count; i++) {
        forest->nodes[i].message = &messages[i];
        DL_APPEND(forest->roots, &forest->nodes[i]);
    }
    return order_subjects(forest, count);
}

bool thread_build(enum thread_algorithm algorithm, const struct thread_message *messages,
                  size_t count, struct arena *arena, struct thread_node **roots)
{
    struct forest forest = {.arena = arena};
    bool built = algorithm == THREAD_ORDEREDSUBJECT
                     ? build_by_subject(&forest, messages, count)
                     : build_by_references(&forest, messages, count, algorithm == THREAD_REFS);
    *roots = forest.roots;
    return built;
}

/* --- telling --- */

/* Whether a thread, or a part of one, starts with it. */
static bool is_nested(const struct thread_node *node)
{
    return !node->parent || node->parent->children->next;
}

static void open_node(const struct thread_node *node, thread_name *name, const void *owner,
                      struct buffer *text)
{
    if (is_nested(node))
        buffer_append_octet(text, '(');
    if (!node->message)
        return;
    buffer_append_number(text, name(owner, node->message->position));
    if (node->children)
        buffer_append_octet(text, ' ');
}

void thread_format(const struct thread_node *roots, thread_name *name, const void *owner,
                   struct buffer *text)
{
    const struct thread_node *node = roots;
    while (node) {
        open_node(node, name, owner, text);
        if (node->children) {
            node = node->children;
            continue;
        }
        while (node && !node->next) {
            buffer_append_string(text, is_nested(node) ? ")" : "");
            node = node->parent;
        }
        if (node) {
            buffer_append_octet(text, ')'); /* it has siblings */
            node = node->next;
        }
    }
}
