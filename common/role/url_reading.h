/*
 * How a submission session reads a message by its URL (BURL, RFC 4468) from the mailbox process of
 * the message's owner, on the stream socket that both got from the master (ROLE_ADMITTED,
 * ROLE_READ):
 *
 *     submission ──> mailbox     the URL and CRLF; once
 *     submission <── mailbox     "{123}" CRLF and 123 octets, or one of the lines below; once
 *
 * Then both close the socket. If it closes earlier, the other process has failed.
 */
#ifndef COMMON_ROLE_URL_READING_H
#define COMMON_ROLE_URL_READING_H

enum { URL_READING_URL_MAX = 8192, URL_READING_LINE_MAX = 64 };

#define URL_READING_DENIED "DENIED\r\n"   /* the URL does not permit this reader */
#define URL_READING_MISSING "MISSING\r\n" /* the message, or that part of it, does not exist */
#define URL_READING_LATER "LATER\r\n"     /* it cannot be read now */

#endif
