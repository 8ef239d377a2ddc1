/* The program `check`: passwords and system users, see common/auth/check.h. */
#include "common/auth/check.h"

int main(void)
{
    static struct check check;
    return role_run(&check_role, &check);
}
