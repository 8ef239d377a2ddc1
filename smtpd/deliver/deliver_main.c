/* The program `smtpd-deliver`: writes into the Maildirs of one uid, see smtpd/deliver/deliver.h. */
#include "smtpd/deliver/deliver.h"

int main(void)
{
    struct deliver deliver = {.sync_fd = -1};
    return role_run(&deliver_role, &deliver);
}
