/* LANG (RFC 6856 3): English is all there is, and what "*" and the default come to. Pure. */
#ifndef POP3D_LANGUAGE_H
#define POP3D_LANGUAGE_H

#include "common/slice.h"

/* The whole answer but its last CRLF, for a language range or, empty, for the list; NULL: that
 * language is not spoken here. */
const char *pop3_language_answer(struct slice range);

#endif
