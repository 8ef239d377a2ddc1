/*
 * An IMAP client (RFC 3501) for `staffetta import` and `export`: one command at a time,
 * blocking, with a limit on everything the server may send. Used with our own mailbox process, over
 * the control socket, and with the server that mail is imported from.
 */
#ifndef CTL_IMPORT_IMAP_CLIENT_H
#define CTL_IMPORT_IMAP_CLIENT_H

#include "common/buffer.h"
#include "common/error.h"
#include "common/text/cursor.h"

struct ssl_st;
struct tls_client;

enum {
    IMAP_RESPONSE_MAX = 1 << 30, /* octets, including literals */
    IMAP_SILENCE_S = 300,
};

struct imap_client {
    int fd;
    struct ssl_st *ssl; /* NULL: in the clear */
    struct tls_client *tls;
    struct buffer in; /* received, not consumed yet */
    size_t used;
    unsigned tags;
    bool has_literal_plus; /* RFC 7888 */
    bool has_starttls;
    bool has_plain;
    bool has_sasl_ir;
    bool has_special_use;
};

enum imap_security { IMAP_TLS, IMAP_STARTTLS, IMAP_IN_THE_CLEAR };

struct imap_server {
    const char *host;
    const char *port;
    enum imap_security security;
    const char *authorities; /* PEM file; NULL: any certificate is accepted */
};

void imap_client_init(struct imap_client *client);
void imap_client_clear(struct imap_client *client); /* may run twice */

/* Takes a connected socket and waits for the server's greeting. */
bool imap_client_take(struct imap_client *client, int fd, struct error *error);
bool imap_client_connect(struct imap_client *client, const struct imap_server *server,
                         struct error *error);
bool imap_client_login(struct imap_client *client, struct slice user, struct slice password,
                       struct error *error);

/* An untagged response, without "* " and CRLF, with literals as received. Borrowed. */
typedef bool imap_visit(void *owner, struct slice response, struct error *error);

/* Sends the command with a tag. If `visit` returns false for a response, the command ends with its
 * error. ERROR_PERMANENT: the server answered NO or BAD, with its text. */
bool imap_client_command(struct imap_client *client, struct slice command, imap_visit *visit,
                         void *owner, struct error *error);

/* The same in parts: begin, send the rest (with non-synchronising literals), finish. */
bool imap_client_begin(struct imap_client *client, struct slice command, struct error *error);
bool imap_client_send(struct imap_client *client, struct slice octets, struct error *error);
bool imap_client_finish(struct imap_client *client, imap_visit *visit, void *owner,
                        struct error *error);

/* ---- reading responses; pure ---- */

enum imap_token_kind { IMAP_END, IMAP_ATOM, IMAP_STRING, IMAP_OPEN, IMAP_CLOSE, IMAP_BAD };
struct imap_token {
    enum imap_token_kind kind;
    struct slice text; /* of an atom (BODY[...] is one) or string; borrowed, with escapes */
};
struct imap_token imap_take_token(struct cursor *in);

/* Moves to the first item of a FETCH response; false: another response. */
bool imap_enter_fetch(struct cursor *in);

/* The text of a quoted string without escapes, or of a literal unchanged. */
void imap_append_string(struct imap_token token, struct buffer *text);

/* Appends one to a list of flags. One that is invalid by RFC 3501 9 is left out: text of another
 * server goes into a command to ours, and must not end it. */
void imap_append_flag(struct slice flag, struct buffer *flags);

/* Appends the text as a quoted string or, if it must be one, a literal of LITERAL+. */
void imap_append_quoted(struct slice text, struct buffer *command);

#endif
