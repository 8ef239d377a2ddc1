/* The program `imapd-login`: TLS and logins of IMAP, see common/login/login.h and
 * imapd/login/login.h. */
#include "imapd/login/login.h"

int main(void)
{
    struct login_server server = {.protocol = &imap_login_protocol};
    return role_run(&login_role, &server);
}
