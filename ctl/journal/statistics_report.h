/*
 * What `staffetta statistics` prints: the counters of the last days, as text, JSON or CSV.
 * The journal only.
 */
#ifndef CTL_JOURNAL_STATISTICS_REPORT_H
#define CTL_JOURNAL_STATISTICS_REPORT_H

#include "common/buffer.h"
#include "ctl/journal/statistics.h"

enum statistics_form { STATISTICS_FOR_PEOPLE, STATISTICS_JSON, STATISTICS_CSV };

struct statistics_question {
    uint32_t days; /* today among them */
    enum statistics_form form;
};

enum { STATISTICS_DAYS_MAX = 3650 };

/* Parses the words after the verb: [--days N] [--json|--csv]. False: anything else. Pure. */
bool statistics_question_parse(const struct slice *words, size_t count,
                               struct statistics_question *question);

/* Appends the answer; `today` in days since 1970. False: database error, or no memory. */
bool statistics_report(struct statistics *statistics, const struct statistics_question *question,
                       uint32_t today, struct buffer *out, struct error *error);

#endif
