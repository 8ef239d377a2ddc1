/*
 * How a submission reads a message by a URL (BURL, RFC 4468) from the mailbox process of the
 * message's owner, on the stream socket that both got from the master (ROLE_ADMITTED, ROLE_READ):
 *
 *     submission ──> mailbox     the URL and CRLF; once
 *     submission <── mailbox     "{123}" CRLF and so many octets, or one of the lines below; once
 *
 * Then both close it. An end before that is a failure of whoever was there.
 */
#ifndef COMMON_ROLE_URL_READING_H
#define COMMON_ROLE_URL_READING_H

enum { URL_READING_URL_MAX = 8192, URL_READING_LINE_MAX = 64 };

#define URL_READING_DENIED "DENIED\r\n"   /* it does not let the reader in */
#define URL_READING_MISSING "MISSING\r\n" /* there is no such message, or no such part of it */
#define URL_READING_LATER "LATER\r\n"     /* it cannot be read now */

#endif
