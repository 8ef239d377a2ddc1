/* The answers of answer.h. */
#include "imapd/shared/answer.h"

/* Of "{23}\r\n" at the end of a line. */
enum { NOTHING, BRACE, DIGITS, CLOSED, RETURN };

bool answer_init(struct answer *answer, struct slice tag)
{
    *answer = (struct answer){.verdict = VERDICT_NONE};
    if (tag.len == 0 || tag.len >= ANSWER_TAG_MAX)
        return false;
    memcpy(answer->tag, tag.ptr, tag.len);
    answer->tag[tag.len] = ' ';
    answer->tag_octets = tag.len + 1;
    return true;
}

bool answer_retag(struct answer *answer, struct slice tag)
{
    const struct answer before = *answer;
    if (!answer_init(answer, tag)) {
        *answer = before;
        return false;
    }
    answer->literal_left = before.literal_left;
    answer->at = before.at;
    answer->announcing = before.announcing;
    answer->announced = before.announced;
    return true;
}

/* A number that is too large does not announce a literal: its octets are read as lines, as by a
 * client. */
static void look_for_literal(struct answer *answer, uint8_t octet)
{
    bool is_digit = octet >= '0' && octet <= '9';
    if (octet == '{') {
        answer->announcing = BRACE;
        answer->announced = 0;
    } else if (is_digit && (answer->announcing == BRACE || answer->announcing == DIGITS)
               && answer->announced < UINT64_MAX / 20) {
        answer->announcing = DIGITS;
        answer->announced = answer->announced * 10 + (octet - '0');
    } else if (octet == '}' && answer->announcing == DIGITS) {
        answer->announcing = CLOSED;
    } else if (octet == '\r' && answer->announcing == CLOSED) {
        answer->announcing = RETURN;
    } else if (octet != '\n' || answer->announcing != RETURN) {
        answer->announcing = NOTHING;
    }
}

/* One octet of a line. False: the part ends after it. */
static bool read_octet(struct answer *answer, uint8_t octet)
{
    if (answer->in_tagged && answer->at == answer->tag_octets)
        answer->verdict = octet == 'O' ? VERDICT_OK : VERDICT_REFUSED;
    if (answer->at <= answer->tag_octets)
        answer->at++;
    look_for_literal(answer, octet);
    if (octet != '\n')
        return true;
    bool announces = answer->announcing == RETURN && !answer->in_tagged;
    answer->literal_left = announces ? answer->announced : 0;
    answer->announcing = NOTHING;
    answer->is_over = answer->in_tagged;
    if (!announces)
        answer->at = 0;
    return false;
}

static enum answer_part read_literal(struct answer *answer, struct slice input, size_t *taken)
{
    *taken = input.len < answer->literal_left ? input.len : (size_t)answer->literal_left;
    answer->literal_left -= *taken;
    return *taken > 0 ? ANSWER_LITERAL : ANSWER_MORE;
}

/* At the start of a line: ANSWER_TEXT or ANSWER_TAGGED, or ANSWER_MORE if undecided yet. No tag
 * starts with "*" or "+". */
static enum answer_part recognise(struct answer *answer, struct slice input)
{
    struct slice tag = slice_of(answer->tag, answer->tag_octets);
    size_t there = input.len < tag.len ? input.len : tag.len;
    bool may_be = slice_equal(slice_range(input, 0, there), slice_range(tag, 0, there));
    answer->in_tagged = may_be && there == tag.len;
    if (answer->in_tagged)
        return ANSWER_TAGGED;
    if (may_be)
        return ANSWER_MORE;
    return input.ptr[0] == '*' || input.ptr[0] == '+' ? ANSWER_TEXT : ANSWER_LOST;
}

enum answer_part answer_next(struct answer *answer, struct slice input, size_t *taken)
{
    *taken = 0;
    if (answer->is_over)
        return ANSWER_END;
    if (input.len == 0)
        return ANSWER_MORE;
    if (answer->literal_left > 0)
        return read_literal(answer, input, taken);
    enum answer_part part = answer->at == 0 ? recognise(answer, input) : ANSWER_TEXT;
    if (part == ANSWER_MORE || part == ANSWER_LOST)
        return part;
    bool tagged = answer->in_tagged;
    while (*taken < input.len && read_octet(answer, input.ptr[(*taken)++]))
        continue;
    return tagged ? ANSWER_TAGGED : ANSWER_TEXT;
}
