/* What auth tells the master, the one process that is root: refused, or texts that are all of the
 * record, and a path that stays below its place. */
#include <stdlib.h>

#include "ctl/master/master.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool leads_elsewhere(struct slice path)
{
    return path.len == 0 || path.ptr[0] == '/' || slice_equal(path, SLICE(".."))
           || slice_starts_with(path, SLICE("../")) || slice_ends_with(path, SLICE("/.."))
           || slice_find(path, SLICE("/../")) < path.len || slice_find_octet(path, '\0') < path.len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct named_home home;
    struct error error = {0};
    if (size < sizeof(struct master_target) || size > IPC_RECORD_MAX)
        return 0;
    struct master_target *record = malloc(size);
    if (!record)
        return 0;
    memcpy(record, data, size);
    struct ipc_packet packet = {.record = record, .length = size};
    if (!admission_take_home(&packet, sizeof(*record), &record->home, &home, &error)) {
        if (error.kind != ERROR_PEER)
            abort();
    } else if (home.account.len == 0 || home.account.len > MASTER_ACCOUNT_MAX
               || home.path.len > MASTER_PATH_MAX || leads_elsewhere(home.path)
               || sizeof(*record) + home.account.len + home.path.len != size) {
        abort();
    }
    free(record);
    return 0;
}
