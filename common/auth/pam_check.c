/* The conversation with PAM; see pam_check.h. Blocks; process `check`. */
#include "common/auth/pam_check.h"

#include <stdlib.h>

#include <security/pam_appl.h>
#include <sodium.h>

#include "common/auth/password.h"
#include "common/size.h"

/* Wiped and freed, as libpam does with what it has read; count of them, those not yet made NULL. */
static void discard_responses(struct pam_response *responses, int count)
{
    for (int i = 0; i < count; i++) {
        if (responses[i].resp)
            sodium_memzero(responses[i].resp, strlen(responses[i].resp));
        free(responses[i].resp);
    }
    free(responses);
}

static char *copy_string(struct slice text)
{
    char *copy = malloc(text.len + 1);
    if (!copy)
        return NULL;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return copy;
}

/* What is asked without echo is the password, what is asked with echo the name. Messages go
 * nowhere: no protocol of ours can show them before a login. */
static int answer_one(const struct pam_message *message, const struct pam_request *request,
                      struct pam_response *response)
{
    switch (message->msg_style) {
    case PAM_PROMPT_ECHO_OFF:
        response->resp = copy_string(request->password);
        return response->resp ? PAM_SUCCESS : PAM_BUF_ERR;
    case PAM_PROMPT_ECHO_ON:
        response->resp = copy_string(slice_of_string(request->user));
        return response->resp ? PAM_SUCCESS : PAM_BUF_ERR;
    case PAM_ERROR_MSG:
    case PAM_TEXT_INFO:
        return PAM_SUCCESS;
    default:
        return PAM_CONV_ERR;
    }
}

static int converse(int count, const struct pam_message **messages, struct pam_response **responses,
                    void *data)
{
    const struct pam_request *request = data;
    if (count <= 0 || count > PAM_MAX_NUM_MSG)
        return PAM_CONV_ERR;
    struct pam_response *answers = calloc((size_t)count, sizeof(*answers));
    if (!answers)
        return PAM_BUF_ERR;
    for (int i = 0; i < count; i++) {
        int code = answer_one(messages[i], request, &answers[i]);
        if (code != PAM_SUCCESS) {
            discard_responses(answers, count);
            return code;
        }
    }
    *responses = answers; /* PAM frees them */
    return PAM_SUCCESS;
}

static void no_delay(int code, unsigned microseconds, void *data)
{
    (void)code;
    (void)microseconds;
    (void)data;
}

static const struct {
    int code;
    enum pam_verdict verdict;
} verdicts[] = {
    {PAM_SUCCESS, PAM_CHECK_RIGHT},
    {PAM_AUTH_ERR, PAM_CHECK_WRONG},
    {PAM_USER_UNKNOWN, PAM_CHECK_WRONG},
    {PAM_CRED_INSUFFICIENT, PAM_CHECK_WRONG},
    {PAM_MAXTRIES, PAM_CHECK_WRONG},
    {PAM_PERM_DENIED, PAM_CHECK_FORBIDDEN},
    {PAM_ACCT_EXPIRED, PAM_CHECK_FORBIDDEN},
    {PAM_NEW_AUTHTOK_REQD, PAM_CHECK_FORBIDDEN},
    {PAM_AUTHTOK_EXPIRED, PAM_CHECK_FORBIDDEN},
    {PAM_CRED_EXPIRED, PAM_CHECK_FORBIDDEN},
};

static enum pam_verdict verdict_of(int code)
{
    for (size_t i = 0; i < ARRAY_LENGTH(verdicts); i++)
        if (verdicts[i].code == code)
            return verdicts[i].verdict;
    return PAM_CHECK_TEMPORARY;
}

static int set_items(pam_handle_t *pam, const struct pam_request *request)
{
    /* PAM wants a data pointer for what is a function pointer; POSIX lets them be one size. */
    void (*delay)(int, unsigned, void *) = no_delay;
    void *item;
    memcpy(&item, &delay, sizeof(item));
    int code = pam_set_item(pam, PAM_FAIL_DELAY, item);
    if (code == PAM_SUCCESS && request->remote)
        code = pam_set_item(pam, PAM_RHOST, request->remote);
    /* Modules want a terminal's name; this is what other servers without one say. */
    return code == PAM_SUCCESS ? pam_set_item(pam, PAM_TTY, "staffetta") : code;
}

/* A module may rewrite the name; then it was not this account's password that was right. */
static bool kept_user(pam_handle_t *pam, const struct pam_request *request)
{
    const void *user = NULL;
    return pam_get_item(pam, PAM_USER, &user) == PAM_SUCCESS && user
           && strcmp(user, request->user) == 0;
}

static enum pam_verdict explain(pam_handle_t *pam, int code, enum pam_verdict verdict,
                                struct error *error)
{
    error_set(error, verdict == PAM_CHECK_TEMPORARY ? ERROR_TEMPORARY : ERROR_PERMANENT, "PAM: %s",
              pam_strerror(pam, code));
    return verdict;
}

static enum pam_verdict run_stacks(pam_handle_t *pam, const struct pam_request *request, int *code,
                                   struct error *error)
{
    static const int flags = PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK;
    *code = set_items(pam, request);
    if (*code == PAM_SUCCESS)
        *code = pam_authenticate(pam, flags);
    if (*code != PAM_SUCCESS)
        return explain(pam, *code, verdict_of(*code), error);
    *code = pam_acct_mgmt(pam, flags);
    /* The password was right: what a module now calls a failed authentication is a closed door. */
    if (*code != PAM_SUCCESS)
        return explain(
            pam, *code,
            verdict_of(*code) == PAM_CHECK_WRONG ? PAM_CHECK_FORBIDDEN : verdict_of(*code), error);
    if (kept_user(pam, request))
        return PAM_CHECK_RIGHT;
    error_set(error, ERROR_PERMANENT, "PAM: a module changed the user's name");
    return PAM_CHECK_FORBIDDEN;
}

enum pam_verdict pam_check(const struct pam_request *request, struct error *error)
{
    struct slice password = request->password;
    if (password.len == 0 || password.len > PASSWORD_MAX
        || memchr(password.ptr, '\0', password.len)) {
        error_set(error, ERROR_PERMANENT, "PAM: no password has that length or a NUL in it");
        return PAM_CHECK_WRONG;
    }
    struct pam_request asked = *request; /* PAM's pointer has no const */
    const struct pam_conv conversation = {.conv = converse, .appdata_ptr = &asked};
    pam_handle_t *pam = NULL;
    int code = pam_start(request->service, request->user, &conversation, &pam);
    if (code != PAM_SUCCESS) {
        error_set(error, ERROR_TEMPORARY, "PAM: start of service %s failed, code %d",
                  request->service, code);
        return PAM_CHECK_TEMPORARY;
    }
    enum pam_verdict verdict = run_stacks(pam, request, &code, error);
    pam_end(pam, code);
    return verdict;
}
