/*
 * Renames folders that another server named in UTF-8, as Courier does since 1.0 and Dovecot if so
 * configured: ".Entwürfe". Here, as usual, that is ".Entw&APw-rfe" (storage/folder_name.h).
 */
#ifndef STORAGE_FOREIGN_FOREIGN_NAMES_H
#define STORAGE_FOREIGN_FOREIGN_NAMES_H

#include "common/buffer.h"
#include "common/error.h"
#include "common/slice.h"

/* Pure: the name for a directory in either encoding; if it is valid modified UTF-7, it is read as
 * that. False: there is none. The caller must check name->failed too. */
bool foreign_name_of(struct slice directory, struct buffer *name);

struct foreign_names {
    size_t renamed;
    size_t left; /* not renamed, as another folder has the name; clients cannot select these */
};

/* Renames such folders of the account. None of them may be open. Running it again does nothing. */
bool foreign_names_rename(int account_fd, struct foreign_names *found, struct error *error);

#endif
