/*
 * The events of a message in plain words, for `staffetta why`. Pure; the journal only.
 */
#ifndef CTL_JOURNAL_STORY_H
#define CTL_JOURNAL_STORY_H

#include "common/buffer.h"
#include "common/log.h"

/* One line: the time (UTC), what happened, who said so. Behind an attempt to send it, what was said
 * there, indented. */
void story_format(unsigned role_kind, const struct log_entry *entry, struct buffer *out);

/* For `staffetta queue show`: what was said in an attempt, and how it was secured. Nothing of other
 * events: false. `first`: of the JSON array's elements. */
bool story_format_attempt(unsigned role_kind, const struct log_entry *entry, struct buffer *out);
bool story_format_attempt_json(unsigned role_kind, const struct log_entry *entry, bool first,
                               struct buffer *out);

#endif
