/*
 * The small text files that stand beside messages: read whole, replaced whole. After a crash or a
 * power cut either the old text stands there or the new one, never a part. Each file has one
 * writer; its header says which process that is. Blocking file I/O.
 */
#ifndef STORAGE_TEXT_FILE_H
#define STORAGE_TEXT_FILE_H

#include "common/buffer.h"
#include "common/error.h"

/* Appends the file's octets to `text`. ERROR_NOT_FOUND if there is no such file; ERROR_PERMANENT if
 * it is no regular file or passes the buffer's limit. */
bool text_file_load(int dir_fd, const char *name, struct buffer *text, struct error *error);

/* Writes "<name>.new", flushes it, renames it to <name> and flushes the directory: when it returns
 * true, the text will still be there after a power cut. When it returns false the old text stands,
 * save where the last of these steps failed: then either may. */
bool text_file_replace(int dir_fd, const char *name, struct slice text, struct error *error);

#endif
