/*
 * Large memory that is about to be filled. The kernel gives it page by page, each with a fault,
 * which in a virtual machine takes 20 µs: 10 ms for 2 MiB. In huge pages it is 0.3 ms. Any process.
 */
#ifndef COMMON_FRESH_MEMORY_H
#define COMMON_FRESH_MEMORY_H

#include <stddef.h>

/* As malloc(); free() takes it. What is nearly as long as a huge page (2 MiB), or longer, is in
 * such, if the kernel has them. */
void *fresh_memory_new(size_t octets);

#endif
