/* The program `fetch`: policies over HTTPS, see smtpd/fetch/fetch.h. */
#include "smtpd/fetch/fetch.h"

int main(void)
{
    static struct fetch fetch;
    return role_run(&fetch_role, &fetch);
}
