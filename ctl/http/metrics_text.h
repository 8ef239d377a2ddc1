/*
 * Formats http's answers: the numbers in Prometheus's text format, version 0.0.4. Pure; http only.
 */
#ifndef CTL_HTTP_METRICS_TEXT_H
#define CTL_HTTP_METRICS_TEXT_H

#include "common/buffer.h"
#include "common/role/master_protocol.h"
#include "ctl/http/metrics_protocol.h"

/* NULL: not received yet; its metrics are left out. */
struct metrics_view {
    const struct metrics_counts *counts;
    const struct role_census *census;
};

void metrics_text_format(const struct metrics_view *view, struct buffer *text);

/* Whether the wanted number of processes of each kind is ready. Appends a line to `text` for each
 * kind with fewer. */
bool metrics_text_is_healthy(const struct role_census *census, struct buffer *text);

#endif
