/* libexec/journal; see journal.h. */
#include "ctl/journal/journal.h"

int main(void)
{
    struct journal journal = {.fd = -1};
    return role_run(&journal_role, &journal);
}
