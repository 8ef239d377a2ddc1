/* What every unit test includes: cmocka in the order it wants, and comparisons of slices. */
#ifndef TESTS_UNIT_TEST_H
#define TESTS_UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/slice.h"

#define assert_slice_equal(actual, expected)                                                       \
    check_slice_equal((actual), (expected), __FILE__, __LINE__)

static inline void check_slice_equal(struct slice actual, struct slice expected, const char *file,
                                     int line)
{
    if (slice_equal(actual, expected))
        return;
    print_error("is     \"%.*s\"\nshould \"%.*s\"\n", SLICE_PRINTF(actual), SLICE_PRINTF(expected));
    _fail(file, line);
}

#define assert_slice_is(actual, text) assert_slice_equal((actual), slice_of_string(text))

#endif
