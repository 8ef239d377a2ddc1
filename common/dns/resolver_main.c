/* The program `resolver`: DNS with DNSSEC, see common/dns/resolver.h. */
#include "common/dns/resolver.h"

int main(void)
{
    static struct resolver resolver;
    return role_run(&resolver_role, &resolver);
}
