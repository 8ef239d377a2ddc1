/*
 * The result of a SEARCH or SORT and its responses: SEARCH and SORT (RFC 3501 7.2.5, RFC 5256 4) or
 * ESEARCH (RFC 4731 3.1, RFC 9051 7.3.4), and "$" (RFC 5182 2.1). imapd-mailbox.
 */
#ifndef IMAPD_SEARCH_SEARCH_RESULT_H
#define IMAPD_SEARCH_SEARCH_RESULT_H

#include "imapd/folder/view.h"
#include "imapd/search/search_return.h"

/* Messages, in the order of the response. */
struct search_result {
    uint32_t *positions; /* indexes of the view */
    size_t count;
    size_t capacity;
};

bool search_result_add(struct search_result *result, size_t position, struct error *error);
void search_result_clear(struct search_result *result); /* may run twice, and on a zeroed struct */

/* The form of the response. All borrowed. */
struct search_telling {
    const struct view *view;
    const char *name; /* "SEARCH" or "SORT", for a response without RETURN */
    struct slice tag;
    bool by_uid;
    /* MULTISEARCH (RFC 7377 2.1): the mailbox name, UTF-8; then an empty result has no response.
     * NULL: not MULTISEARCH. */
    const char *mailbox;
    enum mailbox_name_form form;
    bool tells_modseq; /* there was a MODSEQ key, RFC 7162 3.1.6 and 3.1.10 */
};

/* Writes the response that `returns` asks for; nothing if the result is only saved. Failure is the
 * buffer's. */
void search_result_write(const struct search_result *result, const struct search_return *returns,
                         const struct search_telling *telling, struct buffer *text);

/* "* ESEARCH (TAG "B01") UID ADDTO (0 32768) REMOVEFROM (0 17)" (RFC 5267 4.3), in mailbox order:
 * without positions. */
void search_result_write_update(const struct search_result *added,
                                const struct search_result *removed,
                                const struct search_telling *telling, struct buffer *text);

/* Saves the result as "$". On failure "$" is empty. */
bool search_result_save(const struct search_result *result, const struct search_return *returns,
                        struct view *view, struct error *error);

#endif
