/* LANG (RFC 6856 3): the only language is English, also for "*" and as the default. Pure. */
#ifndef POP3D_LANGUAGE_H
#define POP3D_LANGUAGE_H

#include "common/slice.h"

/* The whole answer, without its last CRLF, to a language range, or if empty, to the request for the
 * list; NULL: the language is not supported. */
const char *pop3_language_answer(struct slice range);

#endif
