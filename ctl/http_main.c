/* The http role. */
#include "ctl/http.h"

int main(void)
{
    static struct http http;
    return role_run(&http_role, &http);
}
