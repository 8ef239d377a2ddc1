/*
 * What a connection keeps of what was said, until it is known whether anybody will want to read it;
 * see peer.h and transcript.h. What delivers costs two copies of some hundred octets. relay.
 */
#include <stdio.h>

#include "smtpd/relay/peer_internal.h"

enum { STRAY_OCTETS_MAX = 2000 }; /* of what is no reply */

static struct transcript *current_transcript(struct peer *peer)
{
    struct exchange *exchange = &peer->current;
    return peer->state == PEER_READY && exchange->message ? exchange->transcript : &peer->opening;
}

void peer_note_sent(struct peer *peer, struct slice octets)
{
    transcript_add(current_transcript(peer), TRANSCRIPT_OURS, octets);
}

void peer_note_secret(struct peer *peer, struct slice before)
{
    char line[64];
    int octets = snprintf(line, sizeof(line), "%.*s(not shown)", SLICE_PRINTF(before));
    peer_note_sent(peer, slice_of(line, (size_t)octets));
}

/* A question of AUTH may hold what our password could be guessed by. */
void peer_note_reply(struct peer *peer, const struct peer_reply *reply)
{
    bool is_secret = peer->state == PEER_LOGIN && reply->code == 334;
    transcript_add(current_transcript(peer), TRANSCRIPT_THEIRS,
                   is_secret ? SLICE("334 (not shown)") : reply->lines);
}

void peer_note_event(struct peer *peer, const char *words)
{
    transcript_add_event(current_transcript(peer), "%s", words);
}

void peer_note_end(struct peer *peer, const char *words)
{
    struct transcript *transcript = current_transcript(peer);
    struct slice stray = stream_input(&peer->stream);
    transcript_add(transcript, TRANSCRIPT_THEIRS, slice_range(stray, 0, STRAY_OCTETS_MAX));
    if (stray.len > STRAY_OCTETS_MAX)
        transcript_add_event(transcript, "%zu octets more", stray.len - STRAY_OCTETS_MAX);
    transcript_add_event(transcript, "%s", words);
    if (peer->ahead.message)
        transcript_add_event(peer->ahead.transcript, "%s", words);
}

void peer_tell_message(struct peer *peer, const struct exchange *exchange)
{
    struct outgoing *message = exchange->message;
    if (outgoing_first_undelivered(message) == message->recipient_count)
        return;
    transcript_join(&message->transcript, &peer->opening);
    if (peer->messages > 0)
        transcript_add_event(&message->transcript, "%u message%s before, on this connection",
                             peer->messages, peer->messages > 1 ? "s" : "");
    transcript_join(&message->transcript, exchange->transcript);
}
