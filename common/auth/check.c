/* Answering `auth`; see check.h. Every handler blocks until it has the answer. */
#include "common/auth/check.h"

#include <sodium.h>

#include "common/auth/auth_protocol.h"
#include "common/auth/pam_check.h"
#include "common/auth/password.h"
#include "common/auth/record_texts.h"
#include "common/auth/system_lookup.h"
#include "common/size.h"

#define PAM_SERVICE "staffetta"

/* The texts behind CHECK_PASSWORD. */
struct question {
    struct slice name;
    struct slice verifier;
    struct slice password;
};

static enum auth_verdict_kind verdict_of_pam(enum pam_verdict verdict)
{
    switch (verdict) {
    case PAM_CHECK_RIGHT:
        return AUTH_GRANTED;
    case PAM_CHECK_WRONG:
        return AUTH_WRONG;
    case PAM_CHECK_FORBIDDEN:
        return AUTH_EXPIRED;
    case PAM_CHECK_TEMPORARY:
        break;
    }
    return AUTH_TEMPORARY;
}

/* Why, for the administrator; a wrong password is auth's to report. */
static void log_trouble(struct role *role, const struct question *question,
                        enum auth_verdict_kind verdict, const struct error *error)
{
    if (verdict == AUTH_TEMPORARY)
        LOG(&role->log, LOG_ERROR, "password_not_checked", log_bytes("account", question->name),
            log_failure(error));
    else if (verdict == AUTH_EXPIRED)
        LOG(&role->log, LOG_INFO, "account_closed", log_bytes("account", question->name),
            log_failure(error));
}

static enum auth_verdict_kind check_by_pam(const struct question *question,
                                           const struct ip_address *address, struct error *error)
{
    char name[SYSTEM_USER_NAME_MAX + 1] = {0};
    char remote[IP_ADDRESS_TEXT_SIZE];
    if (question->name.len == 0 || question->name.len > SYSTEM_USER_NAME_MAX)
        return AUTH_WRONG;
    memcpy(name, question->name.ptr, question->name.len);
    const struct pam_request request = {
        .service = PAM_SERVICE,
        .user = name,
        .password = question->password,
        .remote = ip_address_format(address, remote),
    };
    return verdict_of_pam(pam_check(&request, error));
}

static enum auth_verdict_kind check_by_hash(const struct question *question, struct error *error)
{
    bool right;
    if (!password_verify(question->password, question->verifier, &right, error))
        return AUTH_TEMPORARY;
    return right ? AUTH_GRANTED : AUTH_WRONG;
}

static bool on_password(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *peer = owner;
    const struct check_password *record = packet->record;
    const uint32_t lengths[] = {record->name_octets, record->verifier_octets,
                                record->password_octets};
    struct slice texts[3];
    struct error reason = {0};
    if (!record_texts(packet, sizeof(*record), lengths, texts, ARRAY_LENGTH(texts), error))
        return false;
    struct question question = {texts[0], texts[1], texts[2]};
    enum auth_verdict_kind verdict = record->method == CHECK_PAM
                                         ? check_by_pam(&question, &record->address, &reason)
                                         : check_by_hash(&question, &reason);
    log_trouble(peer->role, &question, verdict, &reason);
    struct check_verdict answer = {
        .header = {.type = CHECK_VERDICT, .request = record->header.request}, .verdict = verdict};
    return ipc_send_record(&peer->channel, &answer.header, sizeof(answer), slice_of(NULL, 0),
                           error);
}

static bool look_up(const struct role *role, struct slice name, struct system_user *user,
                    struct error *error)
{
    char text[SYSTEM_USER_NAME_MAX + 1] = {0};
    if (name.len > SYSTEM_USER_NAME_MAX || slice_find_octet(name, '\0') < name.len)
        return error_set(error, ERROR_NOT_FOUND, "no system user has such a name");
    if (name.len > 0)
        memcpy(text, name.ptr, name.len);
    return role->is_root ? system_lookup_any(text, user, error)
                         : system_lookup_self(text, user, error);
}

static bool send_user(struct role_peer *peer, uint64_t request, const struct system_user *user,
                      struct error *error)
{
    struct slice texts[] = {slice_of_string(user->name), slice_of_string(user->home)};
    struct check_user_answer answer = {
        .header = {.type = CHECK_USER_ANSWER, .request = request},
        .found = CHECK_USER_FOUND,
        .uid = user->uid,
        .gid = user->gid,
        .name_octets = (uint32_t)texts[0].len,
        .home_octets = (uint32_t)texts[1].len,
    };
    struct ipc_message message = {
        .head = &answer.header, .head_octets = sizeof(answer), .tail = texts, .tail_count = 2};
    return ipc_send(&peer->channel, &message, error);
}

static bool on_user(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *peer = owner;
    const struct check_user *record = packet->record;
    struct slice name = {0};
    struct system_user user;
    struct error reason = {0};
    if (!record_texts(packet, sizeof(*record), &record->name_octets, &name, 1, error))
        return false;
    if (look_up(peer->role, name, &user, &reason))
        return send_user(peer, record->header.request, &user, error);
    if (reason.kind != ERROR_NOT_FOUND)
        LOG(&peer->role->log, LOG_ERROR, "user_not_looked_up", log_bytes("name", name),
            log_failure(&reason));
    struct check_user_answer answer = {
        .header = {.type = CHECK_USER_ANSWER, .request = record->header.request},
        .found = reason.kind == ERROR_NOT_FOUND ? CHECK_USER_NONE : CHECK_USER_TEMPORARY,
    };
    return ipc_send_record(&peer->channel, &answer.header, sizeof(answer), slice_of(NULL, 0),
                           error);
}

static bool prepare(struct role *role, struct error *error)
{
    (void)role;
    return sodium_init() >= 0 || error_set(error, ERROR_TEMPORARY, "libsodium does not start");
}

static const struct ipc_rule from_auth[] = {
    {CHECK_PASSWORD, sizeof(struct check_password),
     sizeof(struct check_password) + MASTER_ACCOUNT_MAX + PASSWORD_VERIFIER_MAX + PASSWORD_MAX, 0,
     on_password},
    {CHECK_USER, sizeof(struct check_user), sizeof(struct check_user) + MASTER_ACCOUNT_MAX, 0,
     on_user},
};

static const struct role_link links[] = {{ROLE_AUTH, from_auth, ARRAY_LENGTH(from_auth)}};

const struct role_spec check_role = {
    .sandbox = {.files = SANDBOX_NO_FILES, .modules = true, .no_seccomp = true},
    .links = links,
    .link_count = ARRAY_LENGTH(links),
    .prepare = prepare,
};
