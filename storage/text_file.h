/*
 * Small text files in account and folder directories: read whole, replaced whole. After a crash or
 * a power cut the file has either the old text or the new one, never a part. Each file has one
 * writer, named in its header. Blocking file I/O.
 */
#ifndef STORAGE_TEXT_FILE_H
#define STORAGE_TEXT_FILE_H

#include "common/buffer.h"
#include "common/error.h"

/* Appends the file's octets to `text`. ERROR_NOT_FOUND: there is no such file. ERROR_PERMANENT: it
 * is not a regular file or exceeds the buffer's limit. */
bool text_file_load(int dir_fd, const char *name, struct buffer *text, struct error *error);

/* Writes "<name>.new", flushes it, renames it to <name> and flushes the directory: when it returns
 * true, the text survives a power cut. When it returns false, the file has the old text, unless the
 * last of these steps failed: then it may have either. */
bool text_file_replace(int dir_fd, const char *name, struct slice text, struct error *error);

#endif
