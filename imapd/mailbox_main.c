/* The program `imapd-mailbox`: the IMAP sessions of one user, see imapd/mailbox_role.h. */
#include "imapd/mailbox_role.h"

int main(void)
{
    struct mailbox_process process = {.mailbox = {.account_fd = -1}};
    return role_run(&mailbox_role, &process);
}
