/*
 * See claim.h.
 */
#include "smtpd/queue/intake/claim.h"

#include <time.h>

#include "smtpd/queue/intake/submission.h"
#include "smtpd/queue/intake/submit_record.h"

static uint64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* A session cannot just name an account: it must show the token that auth gave it. On port 25 no
 * session has one. */
bool claim_check_account(const struct role_peer *peer, const struct submitted *submitted,
                         struct error *error)
{
    const struct stored_message *message = &submitted->message;
    bool has_account = message->account.len > 0;
    if (has_account != (peer->kind == ROLE_SUBMISSION))
        return error_set(error, ERROR_PEER, "an account where none belongs, or none");
    if (!has_account)
        return true;
    uint64_t now_ms = monotonic_ms();
    if (submitted->token.expires_ms <= now_ms)
        return error_set(error, ERROR_TEMPORARY, "the session's token has expired");
    struct token_key key;
    memcpy(key.octets, peer->role->token_key, sizeof(key.octets));
    if (!token_verify(&submitted->token, &key, message->session, message->account, now_ms))
        return error_set(error, ERROR_PEER, "no token for that account");
    return true;
}

/* The number of a session says which process it lives in (smtpd/session/session_role.c): a permit
 * is of no use to another. */
static bool is_session_of(const struct role_peer *peer, uint64_t session)
{
    return session >> 32 == ((uint64_t)peer->kind << 24 | peer->number);
}

static bool check_permit(const struct role_peer *peer, uint64_t session,
                         const struct recipient_texts *texts, struct error *error)
{
    struct token_key key;
    memcpy(key.octets, peer->role->token_key, sizeof(key.octets));
    /* An expired permit was valid once, so it is not a violation. */
    if (!token_verify(&texts->permit, &key, session, texts->address, 0))
        return error_set(error, ERROR_PEER, "no permit for that address");
    if (texts->permit.expires_ms <= monotonic_ms())
        return error_set(error, ERROR_TEMPORARY, "the permit for an address has expired");
    return true;
}

/* An account may send anywhere. Mail from port 25 goes to other domains only if auth permits it: by
 * an alias, or for a client of relay.networks. */
bool claim_check_foreign(const struct role_peer *peer, const struct submission *submission,
                         const struct submitted *submitted, struct error *error)
{
    uint64_t session = submitted->message.session;
    if (submitted->message.account.len > 0)
        return true;
    for (struct wanted_recipient *wanted = submission->wanted; wanted; wanted = wanted->hh.next) {
        if (wanted->texts.account.len > 0)
            continue;
        if (!is_session_of(peer, session))
            return error_set(error, ERROR_PEER, "a session of another process");
        if (!check_permit(peer, session, &wanted->texts, error))
            return false;
    }
    return true;
}
