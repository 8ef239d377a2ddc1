/* Lists of targets; see recipient_targets.h. */
#include "common/auth/recipient_targets.h"

void recipient_target_append(const struct recipient_target *target, struct buffer *list)
{
    const struct auth_recipient_target head = {.kind = (uint16_t)target->kind,
                                               .octets = (uint16_t)target->name.len};
    buffer_append(list, slice_of(&head, sizeof(head)));
    if (target->kind == AUTH_TARGET_ADDRESS)
        buffer_append(list, slice_of(&target->permit, sizeof(target->permit)));
    buffer_append(list, target->name);
}

/* How many octets of permit stand before the name; SIZE_MAX: no such kind. */
static size_t permit_octets(uint16_t kind)
{
    if (kind == AUTH_TARGET_ACCOUNT)
        return 0;
    return kind == AUTH_TARGET_ADDRESS ? sizeof(struct token) : SIZE_MAX;
}

bool recipient_target_take(struct slice *list, struct recipient_target *target)
{
    struct auth_recipient_target head;
    struct slice rest = *list;
    if (rest.len < sizeof(head))
        return false;
    memcpy(&head, rest.ptr, sizeof(head));
    rest = slice_from(rest, sizeof(head));
    size_t permit = permit_octets(head.kind);
    if (head.octets == 0 || permit > rest.len || rest.len - permit < head.octets)
        return false;
    *target = (struct recipient_target){.kind = head.kind};
    if (permit > 0)
        memcpy(&target->permit, rest.ptr, permit);
    target->name = slice_range(rest, permit, permit + head.octets);
    *list = slice_from(rest, permit + head.octets);
    return true;
}

bool recipient_targets_are(struct slice list, uint32_t count)
{
    struct recipient_target target;
    while (count > 0 && recipient_target_take(&list, &target))
        count--;
    return count == 0 && list.len == 0;
}
