/* Answering `auth`; see check.h. Every handler blocks until it has the answer. */
#include "common/auth/check.h"

#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <sodium.h>
#include <utlist.h>

#include "common/auth/auth_protocol.h"
#include "common/auth/client_certificate.h"
#include "common/auth/jwt.h"
#include "common/auth/pam_check.h"
#include "common/auth/password.h"
#include "common/auth/record_texts.h"
#include "common/auth/system_lookup.h"
#include "common/size.h"

#define PAM_SERVICE "staffetta"

enum { FILE_OCTETS = 1 << 20 };

/* The texts after CHECK_PASSWORD. */
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

/* ---- tokens and certificates ---- */

/* The text of that file, as it is now; one that has gone is as it was. */
static bool read_file(struct check_file *file, const char *path, struct error *error)
{
    struct buffer text = BUFFER_WITH_LIMIT(FILE_OCTETS);
    const char *name = strrchr(path ? path : "", '/');
    if (file->dir_fd < 0 || !name)
        return error_set(error, ERROR_TEMPORARY, "its file was not handed over");
    if (!file->file.name)
        shared_file_init(&file->file, file->dir_fd, name + 1);
    enum shared_file_news news = shared_file_look(&file->file, &text, error);
    if (news == SHARED_FILE_CHANGED) {
        buffer_clear(&file->text);
        file->text = text;
    }
    if (file->text.len > 0)
        return true;
    return news != SHARED_FILE_FAILED && error_set(error, ERROR_TEMPORARY, "%s is empty", path);
}

static struct jwt_policy policy_of(const struct config_oauth *oauth)
{
    return (struct jwt_policy){.issuer = oauth->issuer.text,
                               .audience = oauth->audience.text,
                               .scope = oauth->scope.text,
                               .claim = oauth->claim.text,
                               .now = (int64_t)time(NULL)};
}

static bool read_jwt(struct role *role, struct slice token, struct buffer *name,
                     struct error *error)
{
    struct check *check = role->state;
    const struct config_oauth *oauth = &role->config.oauth;
    const struct jwt_policy policy = policy_of(oauth);
    return read_file(&check->keys, oauth->keys.text, error)
           && jwt_check(token, buffer_slice(&check->keys.text), &policy, name, error);
}

static bool read_certificates(struct role *role, struct slice certificates, struct slice wanted,
                              struct buffer *name, struct error *error)
{
    struct check *check = role->state;
    const struct config_client_certificates *config = &role->config.client_certificates;
    return read_file(&check->authorities, config->authorities.text, error)
           && client_certificate_check(certificates, buffer_slice(&check->authorities.text),
                                       config->name, wanted, name, error);
}

static bool read_token(struct role *role, enum check_token_kind kind, const struct slice texts[2],
                       struct buffer *name, int64_t *until, struct error *error)
{
    const struct jwt_policy policy = policy_of(&role->config.oauth);
    *until = 0;
    if (kind == CHECK_CERTIFICATES)
        return read_certificates(role, texts[1], texts[0], name, error);
    if (kind == CHECK_INTROSPECTION)
        return jwt_check_introspection(texts[1], &policy, name, until, error);
    return read_jwt(role, texts[1], name, error);
}

static bool on_token(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *peer = owner;
    const struct check_token *record = packet->record;
    const uint32_t lengths[] = {record->name_octets, record->token_octets};
    struct slice texts[ARRAY_LENGTH(lengths)] = {{0}};
    struct error why = {0};
    struct buffer name = BUFFER_WITH_LIMIT(AUTH_NAME_MAX);
    if (!record_texts(packet, sizeof(*record), lengths, texts, ARRAY_LENGTH(texts), error))
        return false;
    int64_t until;
    bool right = read_token(peer->role, record->kind, texts, &name, &until, &why);
    struct check_token_answer answer = {
        .header = {.type = CHECK_TOKEN_ANSWER, .request = record->header.request},
        .verdict = right                         ? AUTH_GRANTED
                   : why.kind == ERROR_PERMANENT ? AUTH_WRONG
                                                 : AUTH_TEMPORARY,
        .name_octets = right ? (uint32_t)name.len : 0,
        .until = until};
    if (!right)
        LOG(&peer->role->log, answer.verdict == AUTH_WRONG ? LOG_INFO : LOG_ERROR, "token_refused",
            log_failure(&why));
    bool sent = ipc_send_record(&peer->channel, &answer.header, sizeof(answer),
                                right ? buffer_slice(&name) : slice_of(NULL, 0), error);
    buffer_clear(&name);
    return sent;
}

/* The file's directory stays readable in the sandbox. */
static void take_directory(struct role *role, enum descriptor_purpose purpose,
                           struct check_file *file)
{
    buffer_init(&file->text, FILE_OCTETS);
    file->dir_fd = role_take_file(role, purpose, 0);
    if (file->dir_fd >= 0)
        role->readable[role->readable_count++] = file->dir_fd;
}

static bool prepare(struct role *role, struct error *error)
{
    struct check *check = role->state;
    take_directory(role, DESCRIPTOR_TOKEN_KEYS, &check->keys);
    take_directory(role, DESCRIPTOR_CLIENT_AUTHORITIES, &check->authorities);
    return sodium_init() >= 0 || error_set(error, ERROR_TEMPORARY, "libsodium does not start");
}

/* Whatever auth has asked is answered; what it asks from here on goes to another one. */
static void stop(struct role *role)
{
    struct role_peer *peer, *next;
    DL_FOREACH_SAFE (role->peers, peer, next) {
        shutdown(peer->channel.fd, SHUT_RD);
        ipc_hear_now(&peer->channel);
    }
    role_exit(role);
}

static const struct ipc_rule from_auth[] = {
    {CHECK_PASSWORD, sizeof(struct check_password),
     sizeof(struct check_password) + MASTER_ACCOUNT_MAX + PASSWORD_VERIFIER_MAX + PASSWORD_MAX, 0,
     on_password},
    {CHECK_TOKEN, sizeof(struct check_token),
     sizeof(struct check_token) + AUTH_NAME_MAX + AUTH_MESSAGE_MAX, 0, on_token},
    {CHECK_USER, sizeof(struct check_user), sizeof(struct check_user) + MASTER_ACCOUNT_MAX, 0,
     on_user},
};

static const struct role_link links[] = {{ROLE_AUTH, from_auth, ARRAY_LENGTH(from_auth)}};

const struct role_spec check_role = {
    .sandbox = {.files = SANDBOX_NO_FILES, .modules = true, .no_seccomp = true},
    .links = links,
    .link_count = ARRAY_LENGTH(links),
    .prepare = prepare,
    .stop = stop,
};
