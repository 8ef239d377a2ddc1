/*
 * Gives files to a fuzz target without libFuzzer, so that `make check` runs what was found before
 * in its own build. Linked with one NAME_fuzz.c.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t count);

static int replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0)
        return 1;
    long size = ftell(file);
    rewind(file);
    /* An allocation of its exact size, so that a sanitizer sees the first octet beyond. */
    uint8_t *octets = size >= 0 ? malloc((size_t)size + (size == 0)) : NULL;
    int failed = 1;
    if (octets && fread(octets, 1, (size_t)size, file) == (size_t)size)
        failed = LLVMFuzzerTestOneInput(octets, (size_t)size) != 0;
    free(octets);
    fclose(file);
    return failed;
}

int main(int count, char **paths)
{
    for (int i = 1; i < count; i++)
        if (replay(paths[i])) {
            fprintf(stderr, "%s: cannot be read or was refused\n", paths[i]);
            return 1;
        }
    return 0;
}
