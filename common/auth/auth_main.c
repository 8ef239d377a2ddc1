/* The program `auth`: see common/auth/auth.h. */
#include "common/auth/auth.h"

#include <stdlib.h>

int main(void)
{
    struct auth *auth = auth_new();
    return auth ? role_run(&auth_role, auth) : EXIT_FAILURE;
}
