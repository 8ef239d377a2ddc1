/*
 * Handing in a TLS report by HTTPS (RFC 8460 5.4): one POST; whether it is tried again is queue's
 * to decide, which keeps the report. fetch.
 */
#ifndef SMTPD_FETCH_REPORT_POST_H
#define SMTPD_FETCH_REPORT_POST_H

#include "smtpd/fetch/fetch.h"

/* One answer, perhaps before this returns. False, ERROR_PEER: the request is malformed. */
bool report_post_begin(struct fetch *fetch, const struct fetch_asker *asker, struct slice uri,
                       struct slice report, struct error *error);

#endif
