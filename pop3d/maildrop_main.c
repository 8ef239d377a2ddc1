/* The program `pop3d-maildrop`: one POP3 session after its login, see pop3d/maildrop.h. */
#include "pop3d/maildrop.h"

int main(void)
{
    struct maildrop maildrop;
    maildrop_init(&maildrop);
    return role_run(&maildrop_role, &maildrop);
}
