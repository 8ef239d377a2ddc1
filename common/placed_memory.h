/*
 * A file mapped at the address that its writer has chosen, so that pointers in it are valid without
 * relocation: nothing is copied and no page is written to. The mapping is private: what is written
 * to it does not reach the file. Any process; 64 bits.
 */
#ifndef COMMON_PLACED_MEMORY_H
#define COMMON_PLACED_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* For a file to be written: another one each time, where nothing lies in a process of ours. 0: no
 * randomness. */
uint64_t placed_memory_choose(void);

/* The file's first octets, at that address; NULL: they cannot be there, so have to be read. Until
 * placed_memory_settle() truncating the file ends this process. */
void *placed_memory_map(int fd, uint64_t address, size_t octets);

/* Copies the octets, as they are now, into anonymous memory at the same address: the file may go.
 * False: no memory for the copy, and all is as before. If the kernel itself runs out of memory
 * while mremap() moves the copy, the file may be unmapped already: the next access then ends the
 * process. */
bool placed_memory_settle(void *memory, size_t octets);

void placed_memory_free(void *memory, size_t octets);

#endif
