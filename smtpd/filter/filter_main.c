/* The program `smtpd-filter`: the content of messages, see smtpd/filter/filter.h. */
#include "smtpd/filter/filter.h"

int main(void)
{
    return role_run(&filter_role, NULL);
}
