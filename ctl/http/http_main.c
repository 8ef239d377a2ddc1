/* The program `http`; see http.h. */
#include "ctl/http/http.h"

int main(void)
{
    static struct http http;
    return role_run(&http_role, &http);
}
