/* COMPRESS (RFC 4978). For a client with TLS, output is compressed here, before imapd-login
 * encrypts it: so no network process uses zlib. */
#include "common/net/deflate_stream.h"
#include "imapd/commands/commands.h"

/* The OK goes out as it is, all after it compressed. */
static void compress_from_here(struct session *session)
{
    struct deflate_state *state = deflate_state_new();
    if (!state) {
        session_no(session, SLICE("LIMIT"), "Out of memory, try again later");
        return;
    }
    session_ok(session, SLICE(""), "DEFLATE from here on");
    writer_flush(&session->writer);
    deflate_stream_start(&session->stream, state);
}

/* compress = "COMPRESS" SP "DEFLATE" */
void command_compress(struct session *session, struct imap_parser *arguments)
{
    struct slice algorithm;
    if (!imap_parse_space(arguments) || !imap_parse_atom(arguments, &algorithm)
        || !imap_parse_end(arguments))
        session_bad_arguments(session, arguments);
    else if (!slice_equal_nocase(algorithm, SLICE("DEFLATE")))
        session_bad(session, "DEFLATE is the only algorithm");
    else if (deflate_stream_is_active(&session->stream))
        session_bad(session, "DEFLATE is active already");
    else if (session_has_input(session)) /* 3: "MUST NOT send any further commands" */
        session_bad(session, "Wait for the answer before you send more");
    else
        compress_from_here(session);
}
