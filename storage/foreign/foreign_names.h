/*
 * Folders whose names another server wrote in UTF-8, as Courier does since 1.0 and Dovecot where it
 * was told to: ".Entwürfe". Here, as on most disks, it is ".Entw&APw-rfe" (storage/folder_name.h).
 */
#ifndef STORAGE_FOREIGN_FOREIGN_NAMES_H
#define STORAGE_FOREIGN_FOREIGN_NAMES_H

#include "common/buffer.h"
#include "common/error.h"
#include "common/slice.h"

/* Pure: the name that a directory means, whichever way it was written. What is modified UTF-7 is
 * taken for that. False: it means none. Look at name->failed besides. */
bool foreign_name_of(struct slice directory, struct buffer *name);

struct foreign_names {
    size_t renamed;
    size_t left; /* another folder has the name already; nobody can ask for this one */
};

/* Gives such folders of the account their names here. Nobody may have one of them open. Again:
 * nothing. */
bool foreign_names_rename(int account_fd, struct foreign_names *found, struct error *error);

#endif
