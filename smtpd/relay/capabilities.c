/* The answer to EHLO; see capabilities.h. Pure; relay. */
#include "smtpd/relay/capabilities.h"

#include "common/size.h"

/* Takes the next word off the front of *rest; spaces and tabs separate words. */
static bool take_word(struct slice *rest, struct slice *word)
{
    *rest = slice_trim(*rest);
    size_t end = 0;
    while (end < rest->len && rest->ptr[end] != ' ' && rest->ptr[end] != '\t')
        end++;
    *word = slice_range(*rest, 0, end);
    *rest = slice_from(*rest, end);
    return word->len > 0;
}

static void read_size(struct slice rest, struct capabilities *capabilities)
{
    struct slice word;
    uint64_t size;
    if (take_word(&rest, &word) && slice_parse_number(word, &size))
        capabilities->size = size;
}

static void read_mechanisms(struct slice rest, struct capabilities *capabilities)
{
    static const struct {
        const char *name;
        unsigned offers;
    } mechanisms[] = {
        {"PLAIN", OFFERS_PLAIN},
        {"LOGIN", OFFERS_LOGIN},
        {"SCRAM-SHA-1", OFFERS_SCRAM_SHA_1},
        {"SCRAM-SHA-1-PLUS", OFFERS_SCRAM_SHA_1_PLUS},
        {"SCRAM-SHA-256", OFFERS_SCRAM_SHA_256},
        {"SCRAM-SHA-256-PLUS", OFFERS_SCRAM_SHA_256_PLUS},
    };
    struct slice word;
    while (take_word(&rest, &word))
        for (size_t i = 0; i < ARRAY_LENGTH(mechanisms); i++)
            if (slice_equal_nocase(word, slice_of_string(mechanisms[i].name)))
                capabilities->offered |= mechanisms[i].offers;
}

static void read_limit(struct slice word, struct slice name, uint32_t *limit)
{
    uint64_t number;
    if (slice_starts_with_nocase(word, name)
        && slice_parse_number(slice_from(word, name.len), &number) && number > 0
        && number <= UINT32_MAX)
        *limit = (uint32_t)number;
}

/* deliverby-param = min-by-time *( ',' extension-token )    RFC 2852 3 */
static void read_deliver_by(struct slice rest, struct capabilities *capabilities)
{
    struct slice word;
    uint64_t seconds;
    if (take_word(&rest, &word)
        && slice_parse_number(slice_range(word, 0, slice_find_octet(word, ',')), &seconds)
        && seconds <= UINT32_MAX)
        capabilities->by_least_s = (uint32_t)seconds;
}

/* limits-param = limit-name-value 0*[SP limit-name-value]    RFC 9422 4 */
static void read_limits(struct slice rest, struct capabilities *capabilities)
{
    struct slice word;
    while (take_word(&rest, &word)) {
        read_limit(word, SLICE("RCPTMAX="), &capabilities->recipients_max);
        read_limit(word, SLICE("MAILMAX="), &capabilities->messages_max);
    }
}

static const struct keyword {
    struct slice name;
    unsigned offers;
    void (*read)(struct slice rest, struct capabilities *capabilities);
} keywords[] = {
    {SLICE("PIPELINING"), OFFERS_PIPELINING, NULL},
    {SLICE("SIZE"), OFFERS_SIZE, read_size},
    {SLICE("8BITMIME"), OFFERS_8BITMIME, NULL},
    {SLICE("SMTPUTF8"), OFFERS_SMTPUTF8, NULL},
    {SLICE("CHUNKING"), OFFERS_CHUNKING, NULL},
    {SLICE("STARTTLS"), OFFERS_STARTTLS, NULL},
    {SLICE("DSN"), OFFERS_DSN, NULL},
    {SLICE("ENHANCEDSTATUSCODES"), OFFERS_ENHANCED, NULL},
    {SLICE("REQUIRETLS"), OFFERS_REQUIRETLS, NULL},
    {SLICE("DELIVERBY"), OFFERS_DELIVERBY, read_deliver_by},
    {SLICE("AUTH"), 0, read_mechanisms},
    {SLICE("LIMITS"), 0, read_limits},
};

static void read_keyword(struct slice line, struct capabilities *capabilities)
{
    struct slice word;
    if (!take_word(&line, &word))
        return;
    /* "AUTH=LOGIN PLAIN": the form that old servers wrote for Outlook. */
    if (slice_starts_with_nocase(word, SLICE("AUTH="))) {
        read_mechanisms(slice_from(word, 5), capabilities);
        read_mechanisms(line, capabilities);
        return;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(keywords); i++) {
        if (!slice_equal_nocase(word, keywords[i].name))
            continue;
        capabilities->offered |= keywords[i].offers;
        if (keywords[i].read)
            keywords[i].read(line, capabilities);
    }
}

void capabilities_read(const struct peer_reply *reply, struct capabilities *capabilities)
{
    struct slice rest = reply->lines, line;
    *capabilities = (struct capabilities){.offered = 0};
    bool greeted = peer_reply_next_line(&rest, &line); /* the server's name and greeting */
    while (greeted && peer_reply_next_line(&rest, &line))
        read_keyword(line, capabilities);
    /* RFC 6531 3.1: SMTPUTF8 requires 8BITMIME; without it octets above 127 cannot be sent. */
    if (!capabilities_offer(capabilities, OFFERS_8BITMIME))
        capabilities->offered &= ~(unsigned)OFFERS_SMTPUTF8;
}
