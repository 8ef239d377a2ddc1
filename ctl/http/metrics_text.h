/*
 * What http answers: numbers as text that Prometheus reads (its text format, version 0.0.4). Pure;
 * http only.
 */
#ifndef CTL_HTTP_METRICS_TEXT_H
#define CTL_HTTP_METRICS_TEXT_H

#include "common/buffer.h"
#include "common/role/master_protocol.h"
#include "ctl/http/metrics_protocol.h"

/* NULL: was not heard yet, and is left out. */
struct metrics_view {
    const struct metrics_counts *counts;
    const struct role_census *census;
};

void metrics_text_format(const struct metrics_view *view, struct buffer *text);

/* Whether as many processes of each kind are ready as should stand. What is missing is appended to
 * `text`, a line for each kind. */
bool metrics_text_is_healthy(const struct role_census *census, struct buffer *text);

#endif
