/* The table of imap_capability.h, in the order in which clients read it. */
#include "common/login/imap_capability.h"

#include "common/size.h"

const struct imap_capability imap_capabilities[] = {
    {"IMAP4rev2", IMAP_ANY_TIME, NULL},         /* RFC 9051 */
    {"LITERAL+", IMAP_ANY_TIME, NULL},          /* RFC 7888 */
    {"ENABLE", IMAP_ANY_TIME, NULL},            /* RFC 5161 */
    {"ID", IMAP_ANY_TIME, NULL},                /* RFC 2971 */
    {"SASL-IR", IMAP_BEFORE_LOGIN, NULL},       /* RFC 4959 */
    {"IDLE", IMAP_AFTER_LOGIN, NULL},           /* RFC 2177 */
    {"NAMESPACE", IMAP_AFTER_LOGIN, NULL},      /* RFC 2342 */
    {"UIDPLUS", IMAP_AFTER_LOGIN, NULL},        /* RFC 4315 */
    {"MOVE", IMAP_AFTER_LOGIN, NULL},           /* RFC 6851 */
    {"UNSELECT", IMAP_AFTER_LOGIN, NULL},       /* RFC 3691 */
    {"CHILDREN", IMAP_AFTER_LOGIN, NULL},       /* RFC 3348 */
    {"SPECIAL-USE", IMAP_AFTER_LOGIN, NULL},    /* RFC 6154 */
    {"CONDSTORE", IMAP_AFTER_LOGIN, NULL},      /* RFC 7162 */
    {"QRESYNC", IMAP_AFTER_LOGIN, NULL},        /* RFC 7162 */
    {"ESEARCH", IMAP_AFTER_LOGIN, NULL},        /* RFC 4731 */
    {"SEARCHRES", IMAP_AFTER_LOGIN, NULL},      /* RFC 5182 */
    {"PARTIAL", IMAP_AFTER_LOGIN, NULL},        /* RFC 9394 */
    {"WITHIN", IMAP_AFTER_LOGIN, NULL},         /* RFC 5032 */
    {"SAVEDATE", IMAP_AFTER_LOGIN, NULL},       /* RFC 8514 */
    {"OBJECTID", IMAP_AFTER_LOGIN, NULL},       /* RFC 8474 */
    {"MULTISEARCH", IMAP_AFTER_LOGIN, NULL},    /* RFC 7377 */
    {"UIDBATCHES", IMAP_AFTER_LOGIN, NULL},     /* RFC 10022 */
    {"CONTEXT=SEARCH", IMAP_AFTER_LOGIN, NULL}, /* RFC 5267 */
    {"SORT", IMAP_AFTER_LOGIN, NULL},           /* RFC 5256 */
    {"SORT=DISPLAY", IMAP_AFTER_LOGIN, NULL},   /* RFC 5957 */
    {"ESORT", IMAP_AFTER_LOGIN, NULL},          /* RFC 5267 */
    {"THREAD", IMAP_AFTER_LOGIN,                /* RFC 5256 */
     "THREAD=ORDEREDSUBJECT THREAD=REFERENCES THREAD=REFS"},
    {"BINARY", IMAP_AFTER_LOGIN, NULL},             /* RFC 3516 */
    {"UTF8=ACCEPT", IMAP_AFTER_LOGIN, NULL},        /* RFC 6855 */
    {"PREVIEW", IMAP_AFTER_LOGIN, NULL},            /* RFC 8970 */
    {"CATENATE", IMAP_AFTER_LOGIN, NULL},           /* RFC 4469 */
    {"URLAUTH", IMAP_AFTER_LOGIN, NULL},            /* RFC 4467 */
    {"URLAUTH=BINARY", IMAP_AFTER_LOGIN, NULL},     /* RFC 5524 */
    {"COMPRESS=DEFLATE", IMAP_AFTER_LOGIN, NULL},   /* RFC 4978 */
    {"NOTIFY", IMAP_AFTER_LOGIN, NULL},             /* RFC 5465 */
    {"CREATE-SPECIAL-USE", IMAP_AFTER_LOGIN, NULL}, /* RFC 6154 */
    {"LIST-EXTENDED", IMAP_AFTER_LOGIN, NULL},      /* RFC 5258 */
    {"LIST-STATUS", IMAP_AFTER_LOGIN, NULL},        /* RFC 5819 */
    {"STATUS=SIZE", IMAP_AFTER_LOGIN, NULL},        /* RFC 8438 */
    {"STATUS=DELETED", IMAP_AFTER_LOGIN, NULL},     /* RFC 9051 6.3.11, RFC 9208 4.1.4 */
    {"QUOTA", IMAP_AFTER_LOGIN,                     /* RFC 9208 */
     "QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE"},
    {"ACL", IMAP_AFTER_LOGIN, "ACL RIGHTS=kxte"}, /* RFC 4314 */
    {"LIST-MYRIGHTS", IMAP_AFTER_LOGIN, NULL},    /* RFC 8440 */
    {"METADATA", IMAP_AFTER_LOGIN, NULL},         /* RFC 5464 */
    {"LIST-METADATA", IMAP_AFTER_LOGIN, NULL},    /* RFC 9590 */
    {"MULTIAPPEND", IMAP_AFTER_LOGIN, NULL},      /* RFC 3502 */
    {"REPLACE", IMAP_AFTER_LOGIN, NULL},          /* RFC 8508 */
    {"INPROGRESS", IMAP_AFTER_LOGIN, NULL},       /* RFC 9585 */
    {"UIDONLY", IMAP_AFTER_LOGIN, NULL},          /* RFC 9586 */
    {"UNAUTHENTICATE", IMAP_AFTER_LOGIN, NULL},   /* RFC 8437; where login carries the connection */
    /* Their numbers follow: RFC 7889, RFC 9738. */
    {"APPENDLIMIT", IMAP_AFTER_LOGIN, "APPENDLIMIT="},
    {"MESSAGELIMIT", IMAP_AFTER_LOGIN, "MESSAGELIMIT="},
};

const unsigned imap_capability_count = ARRAY_LENGTH(imap_capabilities);

_Static_assert(ARRAY_LENGTH(imap_capabilities) <= IMAP_CAPABILITIES_MAX, "a set holds them");

uint64_t imap_capability_find(struct slice name)
{
    for (unsigned i = 0; i < imap_capability_count; i++)
        if (slice_equal_nocase(slice_of_string(imap_capabilities[i].name), name))
            return UINT64_C(1) << i;
    return 0;
}
