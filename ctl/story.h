/*
 * The events of a message in plain words, for `staffetta why`. Pure; the journal only.
 */
#ifndef CTL_STORY_H
#define CTL_STORY_H

#include "common/buffer.h"
#include "common/log.h"

/* One line: the time (UTC), what happened, who said so. */
void story_format(unsigned role_kind, const struct log_entry *entry, struct buffer *out);

#endif
