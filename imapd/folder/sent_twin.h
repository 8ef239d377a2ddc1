/*
 * Mail that an account sends comes into its mailbox with use \Sent twice, where submission files a
 * copy (submission.sent-copy) and the client APPENDs one. Two messages there are twins if one was
 * filed by the submission and the other appended by a client within the hour, their Message-ID is
 * the same, and their body, however its lines and its end are written: headers differ in what the
 * submission adds and in what a client leaves out of what it sends (Bcc). One of them is kept, the
 * one that came first. imapd-mailbox.
 */
#ifndef IMAPD_FOLDER_SENT_TWIN_H
#define IMAPD_FOLDER_SENT_TWIN_H

#include "imapd/fetch/message_source.h"
#include "imapd/folder/folder.h"
#include "storage/message_file.h"

enum { SENT_TWIN_ID_MAX = 998 }; /* a line, RFC 5322 2.1.1 */

/* A message that is looked at. */
struct sent_text {
    struct message_file file;
    char id[SENT_TWIN_ID_MAX + 1]; /* Message-ID */
    uint64_t body;                 /* octets before it */
};

struct sent_search {
    struct folder *folder; /* borrowed */
    bool for_filed;        /* an appended one is wanted, for one that the submission filed */
    uint32_t except;       /* a UID that is none; 0: any */
    uint32_t below;        /* UIDs that are still to be looked at */
    unsigned looked;
    int64_t since; /* seconds since 1970 */
    struct sent_text wanted;
    struct sent_text found; /* open while its body is compared */
    uint64_t compared;
};

/* Mail that comes into this folder may have a twin here. */
bool sent_twin_is_possible(const struct folder *folder);

/* For a message that is about to be appended: its file, which is taken. False: it has no twin. All
 * of these may be ended twice, and zeroed. */
bool sent_search_begin(struct sent_search *search, struct folder *folder, uint32_t except,
                       struct message_file *file);
/* In slices. SOURCE_DONE: *uid is the twin's, 0: there is none. What cannot be read is none. */
enum source_result sent_search_step(struct sent_search *search, uint32_t *uid);
void sent_search_end(struct sent_search *search);

/* The submission's copy lies in the folder without a UID: whether its client was faster. */
bool sent_twin_is_appended(struct folder *folder, enum maildir_place place, const char *name);

#endif
