/* Questions about names: answered from memory at once, except for system users not known yet. */
#include <stdlib.h>
#include <time.h>

#include "common/auth/auth_internal.h"
#include "common/auth/canonical.h"
#include "common/auth/recipient_targets.h"
#include "common/auth/record_texts.h"
#include "common/auth/resolve.h"
#include "common/auth/srs.h"
#include "common/size.h"

enum {
    FULL_MS = 60 * 1000, /* how long a report of a full mailbox is believed */
    FULL_MAX = 65536,    /* accounts; beyond it reports are not kept */
};

/* --- Full mailboxes --------------------------------------------------------------------------- */

static struct auth_full_account *find_full(const struct auth *auth, struct slice account)
{
    struct auth_full_account *found = NULL;
    HASH_FIND(hh, auth->full, account.ptr, account.len, found);
    return found;
}

static void forget_full(struct auth *auth, struct auth_full_account *full)
{
    if (!full)
        return;
    HASH_DEL(auth->full, full);
    free(full);
}

/* Where there is no memory the next delivery reports it again. */
static void note_full(struct auth *auth, struct slice account)
{
    struct auth_full_account *full = find_full(auth, account);
    if (!full && HASH_COUNT(auth->full) < FULL_MAX) {
        full = calloc(1, sizeof(*full));
        if (!full)
            return;
        full->octets = account.len;
        memcpy(full->account, account.ptr, account.len);
        HASH_ADD(hh, auth->full, account, (unsigned)account.len, full);
        if (!hash_table_holds(&full->hh)) {
            free(full);
            return;
        }
    }
    if (full)
        full->until_ms = turn_now_ms() + FULL_MS;
}

static bool is_full(struct auth *auth, struct slice account)
{
    struct auth_full_account *full = find_full(auth, account);
    if (full && full->until_ms > turn_now_ms())
        return true;
    forget_full(auth, full);
    return false;
}

bool auth_on_full(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct auth *auth = auth_of(owner);
    const struct auth_full *record = packet->record;
    struct slice account = {0};
    if (!record_texts(packet, sizeof(*record), &record->account_octets, &account, 1, error))
        return false;
    if (record->full)
        note_full(auth, account);
    else
        forget_full(auth, find_full(auth, account));
    return true;
}

/* --- Recipients ------------------------------------------------------------------------------- */

/* Mail for several accounts goes to those with room; queue keeps trying the others. */
static bool are_all_full(struct auth *auth, const struct resolution *resolution)
{
    for (size_t i = 0; i < resolution->count; i++)
        if (resolution->targets[i].is_foreign || !is_full(auth, resolution->targets[i].name))
            return false;
    return true;
}

static enum auth_recipient_verdict verdict_of(struct auth *auth,
                                              const struct resolution *resolution)
{
    switch (resolution->verdict) {
    case RESOLVE_TARGETS:
        return are_all_full(auth, resolution) ? AUTH_RECIPIENT_FULL : AUTH_RECIPIENT_TARGETS;
    case RESOLVE_UNKNOWN:
    case RESOLVE_MALFORMED: /* fine for the session, but with a domain that nobody can have */
        return AUTH_RECIPIENT_UNKNOWN;
    case RESOLVE_FOREIGN:
        return AUTH_RECIPIENT_FOREIGN;
    case RESOLVE_LOOP:
        return AUTH_RECIPIENT_LOOP;
    case RESOLVE_TEMPORARY:
        break;
    }
    return AUTH_RECIPIENT_TEMPORARY;
}

/* Queue takes an address from a session on port 25 only with a permit, so that a captured one can
 * send nothing but where we would have sent it anyway. Queue itself needs none. */
static void append_targets(const struct auth *auth, const struct auth_recipient *question,
                           const struct resolution *resolution, struct buffer *tail)
{
    for (size_t i = 0; i < resolution->count; i++) {
        const struct resolve_target *each = &resolution->targets[i];
        struct recipient_target target = {
            .kind = each->is_foreign ? AUTH_TARGET_ADDRESS : AUTH_TARGET_ACCOUNT,
            .name = each->name,
        };
        if (each->is_foreign && question->session != 0)
            token_issue(&target.permit, &auth->token_key, question->session, each->name,
                        turn_now_ms() + AUTH_TOKEN_LIFETIME_MS);
        recipient_target_append(&target, tail);
    }
}

static void answer_recipient(struct role_peer *peer, const struct auth_recipient *question,
                             const struct resolution *resolution)
{
    struct auth *auth = auth_of(peer);
    struct buffer tail = BUFFER_WITH_LIMIT(IPC_RECORD_MAX - sizeof(struct auth_recipient_answer));
    struct slice text = slice_of_string(resolution->text.text);
    struct auth_recipient_answer answer = {
        .header = {.type = AUTH_RECIPIENT_ANSWER, .request = question->header.request},
        .verdict = verdict_of(auth, resolution),
        .text_octets = (uint32_t)text.len,
    };
    buffer_append(&tail, text);
    if (answer.verdict == AUTH_RECIPIENT_TARGETS) {
        answer.targets = (uint32_t)resolution->count;
        append_targets(auth, question, resolution, &tail);
    }
    if (tail.failed) {
        buffer_reset(&tail);
        answer.verdict = AUTH_RECIPIENT_TEMPORARY;
        answer.targets = answer.text_octets = 0;
    }
    struct slice octets = buffer_slice(&tail);
    struct ipc_message message = {
        .head = &answer.header, .head_octets = sizeof(answer), .tail = &octets, .tail_count = 1};
    auth_answer(peer, &message);
    buffer_clear(&tail);
}

static void log_doubts(struct auth *auth, struct slice address, const struct resolution *resolution)
{
    if (resolution->verdict == RESOLVE_LOOP || resolution->verdict == RESOLVE_TEMPORARY
        || resolution->dangling)
        LOG(&auth->role->log, LOG_WARNING, "recipient_doubtful", log_bytes("address", address),
            log_failure(&resolution->text));
}

static void become_foreign(struct auth *auth, struct slice address, struct resolution *resolution)
{
    resolution->targets = arena_alloc(&auth->arena, sizeof(*resolution->targets));
    if (!resolution->targets) {
        resolution->verdict = RESOLVE_TEMPORARY;
        return;
    }
    resolution->targets[0] = (struct resolve_target){.is_foreign = true, .name = address};
    resolution->count = 1;
    resolution->verdict = RESOLVE_TARGETS;
}

/* A client of relay.networks may send to other domains without AUTH. */
static void permit_relay(struct auth *auth, const struct auth_recipient *question,
                         struct slice address, struct resolution *resolution)
{
    if (resolution->verdict != RESOLVE_FOREIGN
        || !config_networks_have(&auth->role->config.relay.networks, &question->client))
        return;
    become_foreign(auth, address, resolution);
}

/* A sender that was rewritten here when its mail was sent on: what comes back goes to the one
 * after it, which *address becomes, in the arena. Any other stays as it is. */
static void unfold_sender(struct auth *auth, struct slice *address)
{
    struct buffer text = BUFFER_WITH_LIMIT(AUTH_ADDRESS_MAX);
    struct error reason = {0};
    struct srs_key key;
    if (!srs_is_claimed(canonical_local_part(*address))
        || !config_find_domain(&auth->role->config, canonical_domain(*address)))
        return;
    memcpy(key.octets, auth->role->srs_key, sizeof(key.octets));
    if (srs_reverse(&key, *address, time(NULL), &text, &reason)) {
        struct slice copy = arena_copy(&auth->arena, buffer_slice(&text));
        *address = copy.ptr ? copy : *address;
    } else {
        LOG(&auth->role->log, LOG_INFO, "return_refused", log_bytes("address", *address),
            log_failure(&reason));
    }
    buffer_clear(&text);
}

/* Who gets it in the end. What comes back to a rewritten sender goes out by a permit, as if an
 * alias led there. */
static void resolve_returned(struct auth *auth, struct slice given, struct slice address,
                             struct resolution *resolution)
{
    resolve_recipient(&auth->directory, address, AUTH_TARGETS_MAX, turn_now_ms(), &auth->arena,
                      resolution);
    if (resolution->verdict == RESOLVE_FOREIGN && !slice_equal(given, address))
        become_foreign(auth, address, resolution);
}

/* The number of a session says which process it lives in (smtpd/session/session_role.c), so none
 * asks for permits in another's name. */
static bool is_session_of(const struct role_peer *peer, uint64_t session)
{
    return peer->kind == ROLE_QUEUE ? session == 0
                                    : session >> 32 == ((uint64_t)peer->kind << 24 | peer->number);
}

bool auth_on_recipient(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *peer = owner;
    struct auth *auth = auth_of(peer);
    const struct auth_recipient *record = packet->record;
    struct slice address = {0};
    struct resolution resolution;
    if (!record_texts(packet, sizeof(*record), &record->address_octets, &address, 1, error))
        return false;
    if (!is_session_of(peer, record->session))
        return error_set(error, ERROR_PEER, "a session of another process");
    auth_begin_request(auth);
    struct slice given = address;
    unfold_sender(auth, &address);
    resolve_returned(auth, given, address, &resolution);
    if (resolution.verdict == RESOLVE_TEMPORARY && auth_park(peer, packet, auth_on_recipient))
        return true;
    permit_relay(auth, record, address, &resolution);
    log_doubts(auth, address, &resolution);
    answer_recipient(peer, record, &resolution);
    return true;
}

/* --- Senders ---------------------------------------------------------------------------------- */

/* A token that was never good is a lie; one that was is a session that lasts too long. */
static bool judge_token(const struct auth *auth, const struct token *token, struct slice account,
                        bool *expired, struct error *error)
{
    *expired = token->expires_ms <= turn_now_ms();
    return token_verify(token, &auth->token_key, token->session, account, 0)
           || error_set(error, ERROR_PEER, "a token that was not issued here");
}

bool auth_on_sender(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *peer = owner;
    struct auth *auth = auth_of(peer);
    const struct auth_sender *record = packet->record;
    const uint32_t lengths[] = {record->account_octets, record->address_octets};
    struct slice texts[ARRAY_LENGTH(lengths)] = {{0}};
    bool expired;
    struct error reason = {0};
    if (!record_texts(packet, sizeof(*record), lengths, texts, ARRAY_LENGTH(texts), error)
        || !judge_token(auth, &record->token, texts[0], &expired, error))
        return false;
    auth_begin_request(auth);
    bool allowed =
        !expired && resolve_may_send(&auth->directory, texts[0], texts[1], turn_now_ms(), &reason);
    if (!allowed && reason.kind == ERROR_TEMPORARY && auth_park(peer, packet, auth_on_sender))
        return true;
    struct auth_sender_answer answer = {
        .header = {.type = AUTH_SENDER_ANSWER, .request = record->header.request},
        .allowed = allowed,
    };
    struct ipc_message message = {.head = &answer.header, .head_octets = sizeof(answer)};
    auth_answer(peer, &message);
    return true;
}

/* --- Reading by a URL ------------------------------------------------------------------------- */

static bool tell_read(struct auth *auth, const struct role_peer *peer, uint64_t request,
                      struct slice reader, const struct directory_account *account,
                      struct error *error)
{
    struct master_read record = {.header = {.type = MASTER_READ, .request = request},
                                 .submission_number = peer->number,
                                 .reader_octets = (uint32_t)reader.len};
    char path[MASTER_PATH_MAX + 1];
    if (!directory_find_home(&auth->directory, account, &record.home, path, error))
        return false;
    struct slice tail[] = {reader, account->name, slice_of_string(path)};
    struct ipc_message message = {.head = &record.header,
                                  .head_octets = sizeof(record),
                                  .tail = tail,
                                  .tail_count = ARRAY_LENGTH(tail)};
    return ipc_send(&auth->role->master, &message, error);
}

bool auth_on_read(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *peer = owner;
    struct auth *auth = auth_of(peer);
    const struct auth_read *record = packet->record;
    const uint32_t lengths[] = {record->account_octets, record->owner_octets};
    struct slice texts[ARRAY_LENGTH(lengths)] = {{0}}, counted_as;
    struct directory_account account;
    bool expired;
    struct error reason = {0};
    if (!record_texts(packet, sizeof(*record), lengths, texts, ARRAY_LENGTH(texts), error)
        || !judge_token(auth, &record->token, texts[0], &expired, error))
        return false;
    auth_begin_request(auth);
    if (expired)
        error_set(&reason, ERROR_TEMPORARY, "the session's token has expired");
    else if (resolve_login(&auth->directory, texts[1], turn_now_ms(), &auth->arena, &account,
                           &counted_as, &reason)
             && tell_read(auth, peer, record->header.request, texts[0], &account, &reason))
        return true;
    else if (reason.kind == ERROR_TEMPORARY && auth_park(peer, packet, auth_on_read))
        return true;
    struct auth_not_read answer = {
        .header = {.type = AUTH_NOT_READ, .request = record->header.request},
        .permanent = reason.kind == ERROR_NOT_FOUND,
    };
    struct ipc_message message = {.head = &answer.header, .head_octets = sizeof(answer)};
    auth_answer(peer, &message);
    return true;
}

/* --- Delivery targets ------------------------------------------------------------------------- */

static bool tell_target(struct auth *auth, uint64_t request,
                        const struct directory_account *account, struct error *error)
{
    struct master_target record = {.header = {.type = MASTER_TARGET, .request = request}};
    char path[MASTER_PATH_MAX + 1];
    if (!directory_find_home(&auth->directory, account, &record.home, path, error))
        return false;
    struct slice tail[] = {account->name, slice_of_string(path)};
    struct ipc_message message = {
        .head = &record.header, .head_octets = sizeof(record), .tail = tail, .tail_count = 2};
    return ipc_send(&auth->role->master, &message, error);
}

static void answer_no_target(struct role_peer *peer, uint64_t request, const struct error *reason)
{
    struct auth_no_target answer = {
        .header = {.type = AUTH_NO_TARGET, .request = request},
        .permanent = reason->kind == ERROR_NOT_FOUND,
    };
    struct ipc_message message = {.head = &answer.header, .head_octets = sizeof(answer)};
    auth_answer(peer, &message);
}

bool auth_on_target(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *peer = owner;
    struct auth *auth = auth_of(peer);
    const struct auth_target *record = packet->record;
    struct slice name = {0};
    struct directory_account account;
    struct error reason = {0};
    if (!record_texts(packet, sizeof(*record), &record->account_octets, &name, 1, error))
        return false;
    auth_begin_request(auth);
    if (directory_find_account(&auth->directory, name, turn_now_ms(), &account, &reason)
        && tell_target(auth, record->header.request, &account, &reason))
        return true;
    if (reason.kind == ERROR_TEMPORARY && auth_park(peer, packet, auth_on_target))
        return true;
    LOG(&auth->role->log, LOG_WARNING, "no_target", log_bytes("account", name),
        log_failure(&reason));
    answer_no_target(peer, record->header.request, &reason);
    return true;
}

/* --- What an administrator asks --------------------------------------------------------------- */

static bool tell_found(struct auth *auth, struct master_found *answer,
                       const struct directory_account *account, struct error *error)
{
    char path[MASTER_PATH_MAX + 1];
    if (!directory_find_home(&auth->directory, account, &answer->home, path, error))
        return false;
    struct slice tail[] = {account->name, slice_of_string(path)};
    struct ipc_message message = {
        .head = &answer->header, .head_octets = sizeof(*answer), .tail = tail, .tail_count = 2};
    answer->outcome = ACCOUNT_FOUND;
    return ipc_send(&auth->role->master, &message, error);
}

bool auth_on_find(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role *role = owner;
    struct auth *auth = role->state;
    struct slice name = ipc_packet_tail(packet, sizeof(struct role_find)), counted_as;
    struct directory_account account;
    struct error reason = {0};
    struct master_found answer = {
        .header = {.type = MASTER_FOUND, .request = ipc_packet_header(packet)->request}};
    auth_begin_request(auth);
    if (resolve_login(&auth->directory, name, turn_now_ms(), &auth->arena, &account, &counted_as,
                      &reason)
        && tell_found(auth, &answer, &account, &reason))
        return true;
    if (reason.kind == ERROR_TEMPORARY && auth_park_of_master(auth, packet, auth_on_find))
        return true;
    answer.home = (struct master_home){.place = 0};
    answer.outcome = reason.kind == ERROR_NOT_FOUND ? ACCOUNT_UNKNOWN : ACCOUNT_TEMPORARY;
    struct ipc_message message = {.head = &answer.header, .head_octets = sizeof(answer)};
    return ipc_send(&role->master, &message, error);
}
