/* The program `smtpd-relay`: mail to other hosts, see smtpd/relay/relay.h. */
#include "smtpd/relay/relay.h"

int main(void)
{
    struct relay relay = {.role = NULL};
    return role_run(&relay_role, &relay);
}
