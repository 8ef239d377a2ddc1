/* POP3 before the login: the AUTHORIZATION state of RFC 1939. pop3d-login. */
#ifndef POP3D_LOGIN_H
#define POP3D_LOGIN_H

#include "common/login/login.h"

extern const struct login_protocol pop3_login_protocol;

#endif
