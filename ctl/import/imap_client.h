/*
 * An IMAP client (RFC 3501) for `staffetta import` and `export`: one command after the other,
 * blocking, with a limit to everything that the other side may send. Speaks with our own mailbox
 * process over the control socket, and with any server that mail is fetched from.
 */
#ifndef CTL_IMPORT_IMAP_CLIENT_H
#define CTL_IMPORT_IMAP_CLIENT_H

#include "common/buffer.h"
#include "common/error.h"
#include "common/text/cursor.h"

struct ssl_st;
struct tls_client;

enum {
    IMAP_RESPONSE_MAX = 1 << 30, /* octets, its literals among them */
    IMAP_SILENCE_S = 300,
};

struct imap_client {
    int fd;
    struct ssl_st *ssl; /* NULL: in the clear */
    struct tls_client *tls;
    struct buffer in; /* what has come and was not used yet */
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
    const char *authorities; /* file in PEM; NULL: any certificate will do */
};

void imap_client_init(struct imap_client *client);
void imap_client_clear(struct imap_client *client); /* may run twice */

/* Takes a connected socket whose other side greets. */
bool imap_client_take(struct imap_client *client, int fd, struct error *error);
bool imap_client_connect(struct imap_client *client, const struct imap_server *server,
                         struct error *error);
bool imap_client_login(struct imap_client *client, struct slice user, struct slice password,
                       struct error *error);

/* An untagged response, without "* " and CRLF, its literals as they came. Borrowed. */
typedef bool imap_visit(void *owner, struct slice response, struct error *error);

/* Sends it after a tag; a response for which `visit` says false ends the command with its error.
 * ERROR_PERMANENT: the server said NO or BAD, its words are the text. */
bool imap_client_command(struct imap_client *client, struct slice command, imap_visit *visit,
                         void *owner, struct error *error);

/* The same in parts: begin, send what belongs to it (with literals that do not wait), finish. */
bool imap_client_begin(struct imap_client *client, struct slice command, struct error *error);
bool imap_client_send(struct imap_client *client, struct slice octets, struct error *error);
bool imap_client_finish(struct imap_client *client, imap_visit *visit, void *owner,
                        struct error *error);

/* ---- reading responses; pure ---- */

enum imap_token_kind { IMAP_END, IMAP_ATOM, IMAP_STRING, IMAP_OPEN, IMAP_CLOSE, IMAP_BAD };
struct imap_token {
    enum imap_token_kind kind;
    struct slice text; /* of an atom (BODY[...] is one) or string; borrowed, escapes left in */
};
struct imap_token imap_take_token(struct cursor *in);

/* To the first item of a FETCH response; false if it is another one. */
bool imap_enter_fetch(struct cursor *in);

/* A quoted string's text without its escapes, a literal's as it is. */
void imap_append_string(struct imap_token token, struct buffer *text);

/* Appends one to a list of flags. What is none by RFC 3501 9 is left out: another server's words
 * stand in a command to ours, and shall not end it. */
void imap_append_flag(struct slice flag, struct buffer *flags);

/* Appends the text as a quoted string, or a literal of LITERAL+ where it must be one. */
void imap_append_quoted(struct slice text, struct buffer *command);

#endif
