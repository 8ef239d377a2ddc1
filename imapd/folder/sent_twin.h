/*
 * Sent mail arrives twice in the \Sent mailbox if submission files a copy (submission.sent-copy)
 * and the client APPENDs one. Two messages there are twins if submission filed one and a client
 * appended the other within the hour, and they have the same Message-ID and the same body, apart
 * from line ends and trailing lines. Headers may differ: submission adds fields, and a client
 * leaves Bcc out of what it sends. The twin that came first is kept. imapd-mailbox.
 */
#ifndef IMAPD_FOLDER_SENT_TWIN_H
#define IMAPD_FOLDER_SENT_TWIN_H

#include "imapd/fetch/message_source.h"
#include "imapd/folder/folder.h"
#include "storage/message_file.h"

enum { SENT_TWIN_ID_MAX = 998 }; /* a line, RFC 5322 2.1.1 */

/* A message under comparison. */
struct sent_text {
    struct message_file file;
    char id[SENT_TWIN_ID_MAX + 1]; /* Message-ID */
    uint64_t body;                 /* offset of the body */
};

struct sent_search {
    struct folder *folder; /* borrowed */
    bool for_filed;        /* the given message was filed by submission: look for an appended one */
    uint32_t except;       /* UID of a message to ignore; 0: none */
    uint32_t below;        /* only lower UIDs are still to be compared */
    unsigned looked;       /* messages compared so far */
    int64_t since;         /* seconds since 1970 */
    struct sent_text wanted;
    struct sent_text found; /* open while its body is compared */
    uint64_t compared;
};

/* Whether messages in this folder can have twins. */
bool sent_twin_is_possible(const struct folder *folder);

/* Begins the search for the twin of a message about to be appended; takes ownership of its file.
 * False: it has no twin. sent_search_end() may run twice, and on a zeroed struct. */
bool sent_search_begin(struct sent_search *search, struct folder *folder, uint32_t except,
                       struct message_file *file);
/* Searches one slice. SOURCE_DONE: *uid is the twin's; 0: there is none. Unreadable messages are
 * skipped. */
enum source_result sent_search_step(struct sent_search *search, uint32_t *uid);
void sent_search_end(struct sent_search *search);

/* Whether the client has already appended the twin of this copy, which submission has filed and
 * which has no UID yet. */
bool sent_twin_is_appended(struct folder *folder, enum maildir_place place, const char *name);

#endif
