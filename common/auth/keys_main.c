/* The program `keys`: the private keys of TLS, see common/auth/keys.h. */
#include "common/auth/keys.h"

int main(void)
{
    struct keys keys = {0};
    return role_run(&keys_role, &keys);
}
