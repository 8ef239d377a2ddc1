/* The list of capability.h. */
#include "imapd/capability.h"

#include "common/config.h"
#include "common/sasl.h"

/* IMAP4rev2 RFC 9051, LITERAL+ RFC 7888, SASL-IR RFC 4959, ENABLE 5161, ID 2971, IDLE 2177,
 * NAMESPACE 2342, UIDPLUS 4315, MOVE 6851, UNSELECT 3691, CHILDREN 3348, SPECIAL-USE 6154,
 * CONDSTORE and QRESYNC 7162, ESEARCH 4731, SEARCHRES 5182, PARTIAL 9394, WITHIN 5032, SAVEDATE
 * 8514, OBJECTID 8474, SORT and THREAD= 5256, SORT=DISPLAY 5957, ESORT 5267,
 * MULTISEARCH 7377, UIDBATCHES draft-ietf-mailmaint-imap-uidbatches,
 * CONTEXT=SEARCH 5267. */
static const char always[] = "CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL+ ENABLE ID";
static const char before_login[] = " SASL-IR";
static const char after_login[] =
    " IDLE NAMESPACE UIDPLUS MOVE UNSELECT CHILDREN SPECIAL-USE"
    " CONDSTORE QRESYNC ESEARCH SEARCHRES PARTIAL WITHIN SAVEDATE OBJECTID"
    " MULTISEARCH UIDBATCHES CONTEXT=SEARCH SORT SORT=DISPLAY ESORT THREAD=ORDEREDSUBJECT"
    " THREAD=REFERENCES THREAD=REFS";

/* On what messages hold: BINARY 3516, UTF8=ACCEPT 6855, PREVIEW 8970, CATENATE 4469. */
static const char on_content[] = " BINARY UTF8=ACCEPT PREVIEW CATENATE";

/* On the connection: COMPRESS=DEFLATE 4978, NOTIFY 5465. */
static const char on_connection[] = " COMPRESS=DEFLATE NOTIFY";

/* On mailboxes and APPEND: CREATE-SPECIAL-USE 6154, LIST-EXTENDED 5258, LIST-STATUS 5819,
 * STATUS=SIZE 8438, QUOTA 9208, ACL 4314, LIST-MYRIGHTS 8440, METADATA 5464, LIST-METADATA 9590,
 * MULTIAPPEND 3502, REPLACE 8508; APPENDLIMIT 7889, to which its number is appended. */
static const char on_mailboxes[] = " CREATE-SPECIAL-USE LIST-EXTENDED LIST-STATUS STATUS=SIZE"
                                   " QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE ACL RIGHTS=kxte "
                                   "LIST-MYRIGHTS METADATA LIST-METADATA MULTIAPPEND REPLACE"
                                   " APPENDLIMIT=";

void capability_append_login(unsigned login, unsigned mechanisms, struct buffer *text)
{
    buffer_append_string(text, always);
    buffer_append_string(text, before_login);
    if (login & CAPABILITY_STARTTLS)
        buffer_append(text, SLICE(" STARTTLS"));
    if (login & CAPABILITY_PASSWORDS)
        sasl_append_mechanisms(mechanisms, " AUTH=", "", text);
    else
        buffer_append(text, SLICE(" LOGINDISABLED"));
}

void capability_append(const struct config *config, struct buffer *text)
{
    buffer_append_string(text, always);
    buffer_append_string(text, after_login);
    buffer_append_string(text, on_content);
    buffer_append_string(text, on_connection);
    buffer_append_string(text, on_mailboxes);
    buffer_append_number(text, config->limits.message_size_octets);
}
