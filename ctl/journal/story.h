/*
 * Events of a message as text, for `staffetta why`. Pure; the journal only.
 */
#ifndef CTL_JOURNAL_STORY_H
#define CTL_JOURNAL_STORY_H

#include "common/buffer.h"
#include "common/log.h"

/* One line: the time (UTC), what happened, which role reported it. After an attempt follows its
 * conversation, indented. */
void story_format(unsigned role_kind, const struct log_entry *entry, struct buffer *out);

/* For `staffetta queue show`: the conversation of an attempt, and how it was secured. False,
 * without output, for other events. `first`: the first element of the JSON array. */
bool story_format_attempt(unsigned role_kind, const struct log_entry *entry, struct buffer *out);
bool story_format_attempt_json(unsigned role_kind, const struct log_entry *entry, bool first,
                               struct buffer *out);

#endif
