/* A name leads to one directory and back, a directory to one name and back. */
#include <stdlib.h>

#include "storage/folder_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_directory(const char *directory)
{
    char again[MAILDIR_NAME_SIZE];
    struct buffer name = BUFFER_WITH_LIMIT(1024);
    if (folder_name_from_directory(directory, &name)
        && (!folder_name_to_directory(buffer_slice(&name), again, NULL)
            || strcmp(again, directory) != 0))
        abort();
    buffer_clear(&name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char directory[MAILDIR_NAME_SIZE];
    struct buffer name = BUFFER_WITH_LIMIT(1024);
    struct slice input = slice_of(data, size);
    if (folder_name_to_directory(input, directory, NULL)) {
        if (!folder_name_from_directory(directory, &name)
            || !slice_equal_nocase(buffer_slice(&name), input))
            abort();
        if (strchr(directory, '/') || strcmp(directory, "..") == 0)
            abort();
    }
    if (size < sizeof(directory) && slice_find_octet(input, '\0') == size) {
        memcpy(directory, data, size);
        directory[size] = '\0';
        check_directory(directory);
    }
    buffer_clear(&name);
    return 0;
}
