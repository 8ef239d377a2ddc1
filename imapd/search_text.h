/*
 * Looking for a text in a message: in header fields and bodies as people read them, transfer
 * encodings, encoded words and charsets undone, without regard to case (RFC 3501 6.4.4). Texts that
 * are looked for are folded UTF-8, see search_text_fold(). imapd-mailbox.
 */
#ifndef IMAPD_SEARCH_TEXT_H
#define IMAPD_SEARCH_TEXT_H

#include "imapd/message_source.h"

/* Case away, by Unicode. .ptr is NULL where the arena is full. The text is valid UTF-8. */
struct slice search_text_fold(struct slice text, struct arena *arena);

/* In one of the fields of that name of the message's header; with an empty text: there is one. */
bool search_text_in_field(struct message_source *source, struct slice field, struct slice text,
                          bool *found, struct error *error);

/* In the body: all parts of text, and the headers of messages inside. `header`: or in the message's
 * own header. */
bool search_text_in_message(struct message_source *source, struct slice text, bool header,
                            bool *found, struct error *error);

/* The day of the Date field, as written (RFC 3501 6.4.4, SENTON); *day is untouched and *found
 * false if there is none or it is no date. */
bool search_text_sent_day(struct message_source *source, int32_t *day, bool *found,
                          struct error *error);

#endif
