/* IMAP before the login: the Not Authenticated State of RFC 3501 3.1. imapd-login. */
#ifndef IMAPD_LOGIN_LOGIN_H
#define IMAPD_LOGIN_LOGIN_H

#include "common/login/login.h"

extern const struct login_protocol imap_login_protocol;

#endif
