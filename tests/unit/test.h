/* What every unit test includes: cmocka in the order it wants, and comparisons of slices. */
#ifndef TESTS_UNIT_TEST_H
#define TESTS_UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

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

/* A new directory for a test's files: below TMPDIR, else /tmp. Aborts the test where it cannot. */
static inline void make_test_directory(char *path, size_t size)
{
    const char *place = getenv("TMPDIR");
    int length = snprintf(path, size, "%s/staffetta-XXXXXX", place ? place : "/tmp");
    assert_true(length > 0 && (size_t)length < size);
    assert_non_null(mkdtemp(path));
}

#endif
