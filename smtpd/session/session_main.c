/* smtpd-session: SMTP from strangers or from users. Run by the master alone. */
#include "smtpd/session/session_internal.h"

int main(void)
{
    struct smtp_server server = {.role = NULL};
    return role_run(&smtp_session_role, &server);
}
