/* Every command of a logged in client: when it may run, what it may do to message numbers. */
#include "common/size.h"
#include "imapd/commands/commands.h"

#define SELECTED (SESSION_SELECTED | SESSION_VISITING)
#define LOGGED_IN (SESSION_AUTHENTICATED | SELECTED)
#define KEEPS COMMAND_KEEPS_NUMBERS
#define UID (COMMAND_HAS_UID | COMMAND_HAS_NUMBERS)
#define REMOVES COMMAND_REMOVES
#define MAILBOX COMMAND_NAMES_MAILBOX
#define TARGET COMMAND_NAMES_TARGET
#define VISITORS COMMAND_FOR_VISITORS
#define GOES_ON COMMAND_GOES_ON

static const struct command_spec commands[] = {
    {SLICE("FETCH"), SELECTED, KEEPS | UID | VISITORS, command_fetch, NULL, NULL, NULL},
    {SLICE("STORE"), SELECTED, KEEPS | UID | VISITORS, command_store, NULL, NULL, NULL},
    {SLICE("SEARCH"), SELECTED, KEEPS | UID | VISITORS, command_search, NULL, NULL, NULL},
    {SLICE("SORT"), SELECTED, KEEPS | UID | VISITORS, command_sort, NULL, NULL, "SORT"},
    {SLICE("THREAD"), SELECTED, KEEPS | UID | VISITORS, command_thread, NULL, NULL, "THREAD"},
    {SLICE("UIDBATCHES"), SELECTED, KEEPS | VISITORS, command_uidbatches, NULL, NULL, "UIDBATCHES"},
    {SLICE("ESEARCH"), LOGGED_IN, VISITORS, command_esearch, NULL, NULL, "MULTISEARCH"},
    {SLICE("CANCELUPDATE"), SELECTED, VISITORS, command_cancelupdate, NULL, NULL, "CONTEXT=SEARCH"},
    {SLICE("COPY"), SELECTED, UID | TARGET | VISITORS, command_copy, NULL, NULL, NULL},
    {SLICE("MOVE"), SELECTED, UID | REMOVES | TARGET | VISITORS, command_move, NULL, NULL, "MOVE"},
    {SLICE("EXPUNGE"), SELECTED, COMMAND_HAS_UID | REMOVES | VISITORS, command_expunge, NULL, NULL,
     NULL},
    {SLICE("CHECK"), SELECTED, VISITORS, command_check, NULL, NULL, NULL},
    {SLICE("CLOSE"), SELECTED, VISITORS, command_close, NULL, NULL, NULL},
    {SLICE("UNSELECT"), SELECTED, VISITORS, command_unselect, NULL, NULL, "UNSELECT"},

    {SLICE("NOOP"), LOGGED_IN, VISITORS, command_noop, NULL, NULL, NULL},
    {SLICE("IDLE"), LOGGED_IN, VISITORS, command_idle, NULL, NULL, "IDLE"},
    {SLICE("CAPABILITY"), LOGGED_IN, 0, command_capability, NULL, NULL, NULL},
    {SLICE("LOGOUT"), LOGGED_IN, VISITORS | GOES_ON, command_logout, NULL, NULL, NULL},
    {SLICE("SELECT"), LOGGED_IN, MAILBOX | VISITORS, command_select, NULL, NULL, NULL},
    {SLICE("EXAMINE"), LOGGED_IN, MAILBOX | VISITORS, command_examine, NULL, NULL, NULL},
    {SLICE("STATUS"), LOGGED_IN, MAILBOX | VISITORS, command_status, NULL, NULL, NULL},
    {SLICE("APPEND"), LOGGED_IN, MAILBOX | VISITORS, command_append, command_append_literal,
     command_append_octets, NULL},
    {SLICE("REPLACE"), SELECTED, UID | REMOVES | TARGET | VISITORS, command_replace,
     command_replace_literal, command_append_octets, "REPLACE"},
    {SLICE("LIST"), LOGGED_IN, 0, command_list, NULL, NULL, NULL},
    {SLICE("LSUB"), LOGGED_IN, 0, command_lsub, NULL, NULL, NULL},
    {SLICE("SUBSCRIBE"), LOGGED_IN, 0, command_subscribe, NULL, NULL, NULL},
    {SLICE("UNSUBSCRIBE"), LOGGED_IN, 0, command_unsubscribe, NULL, NULL, NULL},
    {SLICE("CREATE"), LOGGED_IN, MAILBOX | VISITORS, command_create, NULL, NULL, NULL},
    {SLICE("DELETE"), LOGGED_IN, MAILBOX | VISITORS, command_delete, NULL, NULL, NULL},
    {SLICE("RENAME"), LOGGED_IN, MAILBOX | VISITORS, command_rename, NULL, NULL, NULL},
    {SLICE("GETQUOTA"), LOGGED_IN, MAILBOX | VISITORS, command_getquota, NULL, NULL, "QUOTA"},
    {SLICE("GETQUOTAROOT"), LOGGED_IN, MAILBOX | VISITORS, command_getquotaroot, NULL, NULL,
     "QUOTA"},
    {SLICE("SETQUOTA"), LOGGED_IN, 0, command_setquota, NULL, NULL, "QUOTA"},
    {SLICE("GETMETADATA"), LOGGED_IN, MAILBOX | VISITORS, command_getmetadata, NULL, NULL,
     "METADATA"},
    {SLICE("SETMETADATA"), LOGGED_IN, MAILBOX | VISITORS, command_setmetadata, NULL, NULL,
     "METADATA"},
    {SLICE("MYRIGHTS"), LOGGED_IN, MAILBOX | VISITORS, command_myrights, NULL, NULL, "ACL"},
    {SLICE("GETACL"), LOGGED_IN, MAILBOX | VISITORS, command_getacl, NULL, NULL, "ACL"},
    {SLICE("SETACL"), LOGGED_IN, MAILBOX | VISITORS, command_setacl, NULL, NULL, "ACL"},
    {SLICE("DELETEACL"), LOGGED_IN, MAILBOX | VISITORS, command_deleteacl, NULL, NULL, "ACL"},
    {SLICE("LISTRIGHTS"), LOGGED_IN, MAILBOX | VISITORS, command_listrights, NULL, NULL, "ACL"},
    {SLICE("NAMESPACE"), LOGGED_IN, 0, command_namespace, NULL, NULL, "NAMESPACE"},
    {SLICE("ENABLE"), LOGGED_IN, VISITORS, command_enable, NULL, NULL, "ENABLE"},
    {SLICE("NOTIFY"), LOGGED_IN, VISITORS, command_notify, NULL, NULL, "NOTIFY"},
    {SLICE("ID"), LOGGED_IN, 0, command_id, NULL, NULL, NULL},
    {SLICE("GENURLAUTH"), LOGGED_IN, 0, command_genurlauth, NULL, NULL, "URLAUTH"},
    {SLICE("URLFETCH"), LOGGED_IN, 0, command_urlfetch, NULL, NULL, "URLAUTH"},
    {SLICE("RESETKEY"), LOGGED_IN, 0, command_resetkey, NULL, NULL, "URLAUTH"},
    {SLICE("COMPRESS"), LOGGED_IN, GOES_ON, command_compress, NULL, NULL, "COMPRESS=DEFLATE"},
    {SLICE("UNAUTHENTICATE"), LOGGED_IN, 0, command_unauthenticate, NULL, NULL, "UNAUTHENTICATE"},

    /* imapd-login has these. */
    {SLICE("LOGIN"), 0, 0, NULL, NULL, NULL, NULL},
    {SLICE("AUTHENTICATE"), 0, 0, NULL, NULL, NULL, NULL},
    {SLICE("STARTTLS"), 0, 0, NULL, NULL, NULL, NULL},
};

const struct command_spec *command_find(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++) {
        if (slice_equal_nocase(commands[i].name, name))
            return &commands[i];
    }
    return NULL;
}
