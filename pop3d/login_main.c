/* The program `pop3d-login`: TLS and logins of POP3, see common/login/login.h and pop3d/login.h. */
#include "pop3d/login.h"

int main(void)
{
    struct login_server server = {.protocol = &pop3_login_protocol};
    return role_run(&login_role, &server);
}
