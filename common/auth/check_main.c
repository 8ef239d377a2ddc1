/* The program `check`: passwords and system users, see common/auth/check.h. */
#include "common/auth/check.h"

int main(void)
{
    return role_run(&check_role, NULL);
}
