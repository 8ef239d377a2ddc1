/* Every command of a logged in client: when it may run, what it may do to message numbers. */
#include "common/size.h"
#include "imapd/commands/commands.h"

#define LOGGED_IN (SESSION_AUTHENTICATED | SESSION_SELECTED)
#define SELECTED SESSION_SELECTED
#define KEEPS COMMAND_KEEPS_NUMBERS
#define UID COMMAND_HAS_UID
#define REMOVES COMMAND_REMOVES

static const struct command_spec commands[] = {
    {SLICE("FETCH"), SELECTED, KEEPS | UID, command_fetch, NULL, NULL},
    {SLICE("STORE"), SELECTED, KEEPS | UID, command_store, NULL, NULL},
    {SLICE("SEARCH"), SELECTED, KEEPS | UID, command_search, NULL, NULL},
    {SLICE("SORT"), SELECTED, KEEPS | UID, command_sort, NULL, NULL},
    {SLICE("THREAD"), SELECTED, KEEPS | UID, command_thread, NULL, NULL},
    {SLICE("UIDBATCHES"), SELECTED, KEEPS, command_uidbatches, NULL, NULL},
    {SLICE("ESEARCH"), LOGGED_IN, 0, command_esearch, NULL, NULL},
    {SLICE("CANCELUPDATE"), SELECTED, 0, command_cancelupdate, NULL, NULL},
    {SLICE("COPY"), SELECTED, UID, command_copy, NULL, NULL},
    {SLICE("MOVE"), SELECTED, UID | REMOVES, command_move, NULL, NULL},
    {SLICE("EXPUNGE"), SELECTED, UID | REMOVES, command_expunge, NULL, NULL},
    {SLICE("CHECK"), SELECTED, 0, command_check, NULL, NULL},
    {SLICE("CLOSE"), SELECTED, 0, command_close, NULL, NULL},
    {SLICE("UNSELECT"), SELECTED, 0, command_unselect, NULL, NULL},

    {SLICE("NOOP"), LOGGED_IN, 0, command_noop, NULL, NULL},
    {SLICE("IDLE"), LOGGED_IN, 0, command_idle, NULL, NULL},
    {SLICE("CAPABILITY"), LOGGED_IN, 0, command_capability, NULL, NULL},
    {SLICE("LOGOUT"), LOGGED_IN, 0, command_logout, NULL, NULL},
    {SLICE("SELECT"), LOGGED_IN, 0, command_select, NULL, NULL},
    {SLICE("EXAMINE"), LOGGED_IN, 0, command_examine, NULL, NULL},
    {SLICE("STATUS"), LOGGED_IN, 0, command_status, NULL, NULL},
    {SLICE("APPEND"), LOGGED_IN, 0, command_append, command_append_literal, command_append_octets},
    {SLICE("REPLACE"), SELECTED, UID | REMOVES, command_replace, command_replace_literal,
     command_append_octets},
    {SLICE("LIST"), LOGGED_IN, 0, command_list, NULL, NULL},
    {SLICE("LSUB"), LOGGED_IN, 0, command_lsub, NULL, NULL},
    {SLICE("SUBSCRIBE"), LOGGED_IN, 0, command_subscribe, NULL, NULL},
    {SLICE("UNSUBSCRIBE"), LOGGED_IN, 0, command_unsubscribe, NULL, NULL},
    {SLICE("CREATE"), LOGGED_IN, 0, command_create, NULL, NULL},
    {SLICE("DELETE"), LOGGED_IN, 0, command_delete, NULL, NULL},
    {SLICE("RENAME"), LOGGED_IN, 0, command_rename, NULL, NULL},
    {SLICE("GETQUOTA"), LOGGED_IN, 0, command_getquota, NULL, NULL},
    {SLICE("GETQUOTAROOT"), LOGGED_IN, 0, command_getquotaroot, NULL, NULL},
    {SLICE("SETQUOTA"), LOGGED_IN, 0, command_setquota, NULL, NULL},
    {SLICE("GETMETADATA"), LOGGED_IN, 0, command_getmetadata, NULL, NULL},
    {SLICE("SETMETADATA"), LOGGED_IN, 0, command_setmetadata, NULL, NULL},
    {SLICE("MYRIGHTS"), LOGGED_IN, 0, command_myrights, NULL, NULL},
    {SLICE("GETACL"), LOGGED_IN, 0, command_getacl, NULL, NULL},
    {SLICE("SETACL"), LOGGED_IN, 0, command_setacl, NULL, NULL},
    {SLICE("DELETEACL"), LOGGED_IN, 0, command_deleteacl, NULL, NULL},
    {SLICE("LISTRIGHTS"), LOGGED_IN, 0, command_listrights, NULL, NULL},
    {SLICE("NAMESPACE"), LOGGED_IN, 0, command_namespace, NULL, NULL},
    {SLICE("ENABLE"), LOGGED_IN, 0, command_enable, NULL, NULL},
    {SLICE("NOTIFY"), LOGGED_IN, 0, command_notify, NULL, NULL},
    {SLICE("ID"), LOGGED_IN, 0, command_id, NULL, NULL},
    {SLICE("COMPRESS"), LOGGED_IN, 0, command_compress, NULL, NULL},

    /* imapd-login has these. */
    {SLICE("LOGIN"), 0, 0, NULL, NULL, NULL},
    {SLICE("AUTHENTICATE"), 0, 0, NULL, NULL, NULL},
    {SLICE("STARTTLS"), 0, 0, NULL, NULL, NULL},
};

const struct command_spec *command_find(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++) {
        if (slice_equal_nocase(commands[i].name, name))
            return &commands[i];
    }
    return NULL;
}
