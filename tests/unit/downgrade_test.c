/* Promises of smtpd/relay/downgrade: messages for a server without 8BITMIME. */
#include "tests/unit/test.h"

#include "common/size.h"
#include "smtpd/relay/downgrade/downgrade.h"
#include "smtpd/relay/downgrade/downgrade_field.h"
#include "smtpd/relay/downgrade/transfer_mender.h"

#define UE "\xc3\xbc"    /* u with two dots, UTF-8 */
#define LATIN1_UE "\xfc" /* the same in ISO 8859-1: no UTF-8 */
#define CJK "\xe4\xbd\xa0\xe5\xa5\xbd"
#define X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X250 X50 X50 X50 X50 X50
#define X1000 X250 X250 X250 X250
#define S50 "                                                  "
#define S250 S50 S50 S50 S50 S50
#define S1000 S250 S250 S250 S250
#define Q50                                                                                        \
    "\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"" \
    "\\\"\\\""
#define Q250 Q50 Q50 Q50 Q50 Q50

/* ---- fields ---- */

static const struct field_case {
    const char *field; /* without its line end */
    const char *ascii;
} fields[] = {
    /* RFC 2047 5 (1): the words that need it, and the space between two of them */
    {"Subject: Gr" UE "n", "Subject: =?utf-8?Q?Gr=C3=BCn?="},
    {"Subject:" UE, "Subject: =?utf-8?B?w7w=?="},
    {"Subject: a Gr" UE "n \tGr" UE "n b", "Subject: a =?utf-8?Q?Gr=C3=BCn_=09Gr=C3=BCn?= b"},
    {"X-Any: " LATIN1_UE, "X-Any: =?unknown-8bit?B?/A==?="}, /* RFC 1428 3 */
    {"Subject: " CJK, "Subject: =?utf-8?B?5L2g5aW9?="},
    {"Subject: a\r\n Gr" UE "n", "Subject: a =?utf-8?Q?Gr=C3=BCn?="},
    {"Subject: a\r\r\n Gr" UE "n", "Subject: a  =?utf-8?Q?Gr=C3=BCn?="},
    /* 6.2: a reader drops the space between encoded words */
    {"Subject: =?utf-8?Q?a?= Gr" UE "n", "Subject: =?utf-8?Q?a?= =?utf-8?Q?_Gr=C3=BCn?="},
    {"Subject: Gr" UE "n =?utf-8?Q?a?=", "Subject: =?utf-8?Q?Gr=C3=BCn_?= =?utf-8?Q?a?="},
    {"Subject: =?utf-8?Q?a?=Gr" UE "n", "Subject: =?utf-8?Q?a?= =?utf-8?Q?Gr=C3=BCn?="},
    {"Subject: =?utf-8?Q?Gr" UE "n?=", "Subject: =?utf-8?Q?=3D=3Futf-8=3FQ=3FGr=C3=BCn=3F=3D?="},
    /* 2: 75 octets a word, 76 a line, no character cut */
    {"Subject: " UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE UE
         UE,
     "Subject: =?utf-8?B?w7zDvMO8w7zDvMO8w7zDvMO8w7zDvMO8w7zDvMO8w7zDvMO8w7w=?=\r\n"
     " =?utf-8?B?w7zDvMO8w7zDvMO8w7zDvMO8?="},
    {"Subject: Gr" UE "n " X50 " and on and on",
     "Subject: =?utf-8?Q?Gr=C3=BCn?=\r\n " X50 " and on and on"},
    /* RFC 2047 5 (3): a phrase; quotes go with what was in them */
    {"From: J" UE "rg <j@x.example>", "From: =?utf-8?Q?J=C3=BCrg?= <j@x.example>"},
    {"To: \"J" UE "rg, der \\\"X\\\"\"<j@x.example>, b@x.example",
     "To: =?utf-8?Q?J=C3=BCrg=2C_der_=22X=22?= <j@x.example>, b@x.example"},
    {"To: \"J. K.\" M" UE "ller <j@x.example>,a@x.example",
     "To: \"J. K.\" =?utf-8?Q?M=C3=BCller?= <j@x.example>, a@x.example"},
    {"Cc: j@[IPv6:::1] (J" UE "rg)", "Cc: j@[IPv6:::1] (=?utf-8?Q?J=C3=BCrg?=)"},
    {"Cc: a@x.example (J" UE "rg \\) (nested " UE "))",
     "Cc: a@x.example (=?utf-8?Q?J=C3=BCrg?= \\) (nested =?utf-8?B?w7w=?=))"},
    {"Cc: a@x.example (open " UE " (", "Cc: a@x.example (open =?utf-8?B?w7w=?= ( ) )"},
    {"Keywords: Gr" UE "n, blau", "Keywords: =?utf-8?Q?Gr=C3=BCn?= , blau"},
    /* an international domain has an ASCII form; RFC 6857 3.1.8 for what has none */
    {"From: J <j@b" UE "cher.example>", "From: J <j@xn--bcher-kva.example>"},
    {"From: j@b" UE "cher.example (J)", "From: j@xn--bcher-kva.example (J)"},
    {"From: J <j" UE "rg@x.example> (c)", "From: J =?utf-8?Q?j=C3=BCrg=40x=2Eexample?= :; (c)"},
    {"From: j" UE "rg@x.example", "From: =?utf-8?Q?j=C3=BCrg=40x=2Eexample?= :;"},
    {"From: <j@x" LATIN1_UE ".example>", "From: =?unknown-8bit?Q?j=40x=FC=2Eexample?= :;"},
    {"To: T: a@x.example, J" UE " <j@x.example>;, b@x.example",
     "To: T: a@x.example, =?utf-8?B?SsO8?= <j@x.example>;, b@x.example"},
    {"To: T: a@x.example, j" UE "@x.example;, b@x.example",
     "To: T =?utf-8?Q?a=40x=2Eexample=2C_j=C3=BC=40x=2Eexample?= :;, b@x.example"},
    {"To: T: J" UE " <a" UE, "To: T =?utf-8?B?SsO8IDxhw7w=?= :;"},
    {"To: " UE "\"" UE, "To: =?utf-8?B?w7zDvA==?="},
    {"To: <" UE, "To: =?utf-8?B?w7w=?= :;"},
    {"To: @" UE, "To: =?utf-8?B?QMO8?= :;"},
    {"To: " UE ",;:" UE, "To: =?utf-8?B?w7w=?= ,;: =?utf-8?B?w7w=?="},
    /* RFC 2231 4 and 3 */
    {"Content-Disposition: attachment; filename=\"Gr" UE "n.txt\"; size=3",
     "Content-Disposition: attachment;\r\n filename*=utf-8''Gr%C3%BCn.txt;\r\n size=3"},
    {"Content-Disposition: attachment; filename=" UE ".txt; filename*=utf-8''%C3%BC.txt",
     "Content-Disposition: attachment;\r\n filename*=utf-8''%C3%BC.txt"},
    {"Content-Type: text/plain; name=\"a " LATIN1_UE "\"; charset=\"us-ascii\"",
     "Content-Type: text/plain;\r\n name*=unknown-8bit''a%20%FC;\r\n charset=us-ascii"},
    {"Content-Type: text/plain; name=" UE X50 UE,
     "Content-Type: text/plain;\r\n name*0*=utf-8''%C3%BCxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
     "xxxxxxxx;\r\n name*1*=%C3%BC"},
    {"Content-Type: text/plain; name*=''" UE "; x=\"" X50 " \\\"\"",
     "Content-Type: text/plain;\r\n name*=''%C3%BC;\r\n x=\"" X50 " \\\"\""},
    {"Content-Type: multipart/mixed; boundary=\"b" UE " x\"",
     "Content-Type: multipart/mixed;\r\n boundary=\"b=C3=BC x\""},
    {"Content-Type: t" UE "xt/plain; n" UE "=1", "Content-Type: t__xt/plain;\r\n n__=1"},
    {"Content-Type: " UE, "Content-Type: =C3=BC"},
    /* RFC 6857 3.2 */
    {"Message-ID: <" UE "@x.example>",
     "Downgraded-Message-ID: =?utf-8?Q?=3C=C3=BC=40x=2Eexample=3E?="},
    {"References: <a@x.example> <" UE "@x.example>",
     "Downgraded-References: <a@x.example> =?utf-8?Q?=3C=C3=BC=40x=2Eexample=3E?="},
    /* no encoded words there, RFC 2047 5 */
    {"Received: from x (" UE ") for <" UE "@x>; now",
     "Received: from x (=C3=BC) for <=C3=BC@x>; now"},
    {"List-Help: <http://x.example/" UE ">", "List-Help: <http://x.example/%C3%BC>"},
    {"no field " UE, "no field =C3=BC"},
    {UE ": x", "=C3=BC: x"},
    /* as it is */
    {"Subject:  a\r\n\tb  ", "Subject:  a\r\n\tb  "},
    {"To:a@x.example,b@x.example(\"", "To:a@x.example,b@x.example(\""},
    /* RFC 5322 2.1.1 */
    {"X-Long: " X250 " " X250 " " X250 " " X250,
     "X-Long:\r\n " X250 "\r\n " X250 "\r\n " X250 "\r\n " X250},
    {"References: <" X250 "> <" X250 "> <" X250 "> <" X250 ">",
     "References:\r\n <" X250 ">\r\n <" X250 ">\r\n <" X250 ">\r\n <" X250 ">"},
};

static struct slice first_field(struct slice text, struct buffer *out)
{
    struct cursor in = cursor_of(text);
    struct header_field field;
    assert_true(header_next(&in, &field));
    downgrade_field(&field, out);
    assert_false(out->failed);
    return buffer_slice(out);
}

static void fields_become_ascii(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(fields); i++) {
        struct buffer field = BUFFER_WITH_LIMIT(10000), expected = BUFFER_WITH_LIMIT(10000);
        struct buffer out = BUFFER_WITH_LIMIT(10000);
        buffer_append_string(&field, fields[i].field);
        buffer_append(&field, SLICE("\r\n"));
        buffer_append_string(&expected, fields[i].ascii);
        buffer_append(&expected, SLICE("\r\n"));
        assert_slice_equal(first_field(buffer_slice(&field), &out), buffer_slice(&expected));
        /* What is ASCII already stays. */
        buffer_reset(&out);
        assert_slice_equal(first_field(buffer_slice(&expected), &out), buffer_slice(&expected));
        buffer_clear(&field);
        buffer_clear(&expected);
        buffer_clear(&out);
    }
}

/* RFC 5322 2.1.1: of what may stand on no other line, too, and no line is blank. */
static void long_words_are_cut(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "Received: from " X1000 X1000 " by " UE,
        "DKIM-Signature: v=1; b=" X1000 X1000,
        "References: <" X1000 "@x>",
        "List-Unsubscribe: <http://x.example/" X1000 UE ">",
        "X-" X1000 ": " UE,
        "Content-Type: text/plain; " X1000 "=" UE,
        "Content-Type: x" X1000 "/plain; n=" UE,
        "Content-Type: multipart/mixed; n=" UE "; boundary=\"" X1000 "\"",
        "Content-Disposition: inline; a=\"" Q250 Q250 "\"; n=" UE,
        "Content-Disposition: inline; filename=\"" S1000 S1000 "\"; n=" UE,
        "To: \"" S1000 S1000 "\" <a@x.example>, " UE,
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer out = BUFFER_WITH_LIMIT(20000);
        struct slice field = first_field(slice_of_string(cases[i]), &out);
        assert_false(downgrade_is_needed(field));
        assert_int_equal(slice_find(field, SLICE("\r\n\r\n")), field.len);
        assert_int_equal(slice_find(field, SLICE("\n \r\n")), field.len);
        buffer_clear(&out);
    }
}

/* Wherever the cut falls in a long run of spaces, what follows is still of this field (RFC 5322
 * 2.2.3), and no line is blank. */
static void what_is_cut_stays_one_field(void **state)
{
    (void)state;
    static const char *const before[] = {"X-Any: a",
                                         "X-Any:",
                                         "Received: a",
                                         "To: a",
                                         "Content-Type: text/plain; a=b;",
                                         "List-Help: <a>",
                                         "To: \"",
                                         "Content-Disposition: inline; filename=\"",
                                         "Subject: " UE};
    static const char *const behind[] = {"Bcc: b@x.example" X250 "\r\n", "\r\n", "b " UE "\r\n",
                                         "Bcc: b@x\" <a@x>\r\n"};
    for (size_t i = 0; i < ARRAY_LENGTH(before) * ARRAY_LENGTH(behind) * 1200; i++) {
        struct buffer in = BUFFER_WITH_LIMIT(20000), out = BUFFER_WITH_LIMIT(20000);
        buffer_append_string(&in, before[i % ARRAY_LENGTH(before)]);
        for (size_t spaces = i / (ARRAY_LENGTH(before) * ARRAY_LENGTH(behind)); spaces > 0;
             spaces--)
            buffer_append(&in, SLICE(" "));
        buffer_append_string(&in, behind[i / ARRAY_LENGTH(before) % ARRAY_LENGTH(behind)]);
        struct slice field = first_field(buffer_slice(&in), &out);
        struct cursor rest = cursor_of(field);
        struct header_field read;
        assert_true(header_next(&rest, &read) && cursor_at_end(&rest));
        assert_int_equal(slice_find(field, SLICE("\n \r\n")), field.len);
        buffer_clear(&in);
        buffer_clear(&out);
    }
}

/* RFC 5322 2.1.1: of addresses too, where nothing says where they may be folded. */
static void long_words_of_addresses_are_folded(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "To: <" X1000 "@x.example>, " UE,
        "To: \"" X1000 "\" <a@x.example>, " UE,
        "To: " X1000 " <a@x.example>, " UE,
        "To: a@x.example (" UE "(" X1000 "((" X1000 "))))",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer out = BUFFER_WITH_LIMIT(20000);
        assert_false(downgrade_is_needed(first_field(slice_of_string(cases[i]), &out)));
        buffer_clear(&out);
    }
}

/* ---- bodies that claim to be encoded ---- */

static void claims_are_mended_however_they_are_split(void **state)
{
    (void)state;
    static const struct {
        enum mend kind;
        struct slice body;
        const char *text;
    } cases[] = {
        {MEND_QUOTED_PRINTABLE, SLICE("a=3D" UE "=\r\nb=" UE "=c=\n"),
         "a=3D=C3=BC=\r\nb=3D=C3=BC=c=\n"},
        {MEND_QUOTED_PRINTABLE, SLICE(X50 "12345678901234567890123=3D"),
         X50 "12345678901234567890123=\r\n=3D"},
        {MEND_QUOTED_PRINTABLE, SLICE(X50 "1234567890123456789012345--b\r\n--"),
         X50 "1234567890123456789012345=\r\n=2D-b\r\n--"}, /* no boundary of ours */
        {MEND_QUOTED_PRINTABLE, SLICE("a="), "a="},
        {MEND_QUOTED_PRINTABLE, SLICE(X50 "12345678901234567890123456 \t \r\n" X50 X50),
         X50 "1234567890123456789012345=\r\n6 \t \r\n" X50
             "xxxxxxxxxxxxxxxxxxxxxxxxx=\r\nxxxxxxxxxxxxxxxxxxxxxxxxx"},
        {MEND_QUOTED_PRINTABLE,
         SLICE(X50 "123456789012345678901234 \t \r\n" X50 "123456789012345678901234   x"),
         X50 "123456789012345678901234 \t \r\n" X50 "123456789012345678901234   =\r\nx"},
        {MEND_BASE64, SLICE("YWJ" UE "j\r\n"),
         "YWJ?"
         "?j\r\n"},
        {MEND_AROUND, SLICE("\r\n--b" UE "--\r\n=x" LATIN1_UE), "\r\n--b=C3=BC--\r\n=x=FC"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        for (size_t first = 0; first <= cases[i].body.len; first++) {
            struct transfer_mender mender = {.kind = cases[i].kind};
            struct buffer text = BUFFER_WITH_LIMIT(1000);
            transfer_mend(&mender, slice_range(cases[i].body, 0, first), &text);
            transfer_mend(&mender, slice_from(cases[i].body, first), &text);
            transfer_mend_end(&mender, &text);
            assert_slice_is(buffer_slice(&text), cases[i].text);
            buffer_clear(&text);
        }
}

/* ---- messages ---- */

static const struct mime_limits limits = {.depth = 10, .parts = 20};

static struct outgoing message_of(struct slice text)
{
    return (struct outgoing){.body = text, .body_octets = text.len, .body_fd = -1};
}

/* What is sent of it. */
static void read_all(struct downgrade *downgrade, struct buffer *out)
{
    struct slice octets;
    do {
        assert_true(downgrade_read(downgrade, &octets, NULL));
        buffer_append(out, octets);
    } while (octets.len > 0);
}

static void downgrade_text(struct slice text, struct buffer *out)
{
    static uint8_t chunk[OUTGOING_CHUNK];
    struct outgoing message = message_of(text);
    struct downgrade *downgrade;
    struct error error;
    assert_true(downgrade_new(&message, &limits, &downgrade, &error));
    switch (downgrade_plan(downgrade, chunk, &error)) {
    case DOWNGRADE_FAILED:
        buffer_append_string(out, error.text);
        downgrade_free(downgrade);
        return;
    case DOWNGRADE_NOT_NEEDED:
        buffer_append(out, SLICE("fine"));
        downgrade_free(downgrade);
        return;
    case DOWNGRADE_MORE:
        fail();
    case DOWNGRADE_PLANNED:
        break;
    }
    struct buffer again = BUFFER_WITH_LIMIT(1 << 20);
    read_all(downgrade, out);
    downgrade_rewind(downgrade);
    read_all(downgrade, &again);
    assert_slice_equal(buffer_slice(&again), buffer_slice(out));
    buffer_clear(&again);
    downgrade_free(downgrade);
}

#define M "MIME-Version: 1.0\r\n"
#define CTE "Content-Transfer-Encoding: "
#define QP CTE "quoted-printable\r\n"
#define MIXED M "Content-Type: multipart/mixed; boundary=b\r\n"
#define UNKNOWN "Content-Type: text/plain; charset=unknown-8bit\r\n"

static const struct message_case {
    const char *message;
    const char *sent;
} messages[] = {
    /* ASCII goes as it is */
    {"", "fine"},
    {"Subject: a\r\n" CTE "8bit\r\n\r\n=\r\n", "fine"},
    {"X-Long: " X1000 "\r\n\r\n" X1000 "\r\n", "fine"},
    /* without MIME */
    {"Subject: a\r\n\r\n" UE "\r\n", "Subject: a\r\n" QP M UNKNOWN "\r\n=C3=BC\r\n"},
    {"Subject: " UE "\r\n\r\nbody=\r\n", "Subject: =?utf-8?B?w7w=?=\r\n\r\nbody=\r\n"},
    {UE, "=C3=BC"},
    {"\r\n" UE, QP M UNKNOWN "\r\n=C3=BC"},
    /* claims that are false */
    {M CTE "7bit\r\n\r\n" UE, M QP UNKNOWN "\r\n=C3=BC"},
    {M QP "\r\n=3D" UE, M QP "\r\n=3D=C3=BC"},
    {M CTE "base64\r\n\r\nYW" UE "Jj\r\n", M CTE "base64\r\n\r\nYW?"
                                                 "?Jj\r\n"},
    {M CTE "8bit\r\n" CTE "base64\r\n\r\n" UE, M QP UNKNOWN "\r\n=C3=BC"},
    /* all of a multipart: RFC 2046 5.1.1 */
    {MIXED CTE "8bit\r\n\r\npre " UE "\r\n--b\r\n\r\n" UE "\r\n--b " UE "\r\nContent-Type: x/y\r\n"
               "Content-Description: " UE "\r\n\r\n" UE "\r\n--b--\r\nepi " UE,
     MIXED CTE "7bit\r\n\r\npre =C3=BC\r\n--b\r\n" QP
               "\r\n=C3=BC\r\n--b =C3=BC\r\nContent-Type: x/y\r\n"
               "Content-Description: =?utf-8?B?w7w=?=\r\n" CTE
               "base64\r\n\r\nw7w=\r\n\r\n--b--\r\nepi =C3=BC"},
    /* its last boundary is missing; RFC 2045 6.4: an encoding that it may not have */
    {MIXED CTE "base64\r\n\r\n--b\r\n\r\n" UE, MIXED CTE "7bit\r\n\r\n--b\r\n" QP "\r\n=C3=BC"},
    {"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" UE "\r\n--b--",
     "Content-Type: multipart/mixed; boundary=b\r\n" M "\r\n--b\r\n" QP "\r\n=C3=BC\r\n--b--"},
    {MIXED CTE "8bit\r\n\r\n--b--\r\n" UE, MIXED CTE "7bit\r\n\r\n--b--\r\n=C3=BC"},
    /* a boundary that is not ASCII, as it is and by RFC 2231 */
    {M "Content-Type: multipart/mixed; boundary=\"" UE "\"\r\n\r\n--" UE "\r\n\r\na\r\n--" UE
       "--\r\n",
     M "Content-Type: multipart/mixed;\r\n "
       "boundary=\"=C3=BC\"\r\n\r\n--=C3=BC\r\n\r\na\r\n--=C3=BC--\r\n"},
    {M "Content-Type: multipart/mixed; boundary*=utf-8''%C3%BC\r\n\r\n--" UE "\r\n\r\n" UE
       "\r\n--" UE "--",
     M "Content-Type: multipart/mixed;\r\n boundary=\"=C3=BC\"\r\n\r\n--=C3=BC\r\n" QP
       "\r\n=C3=BC\r\n--=C3=BC--"},
    {M "Content-Type: multipart/mixed; boundary=\"" X250 X250 X250 X50 X50 X50 UE "\"\r\n\r\n" UE,
     "in a boundary that cannot be written otherwise"},
    {M "Content-Type: multipart/mixed; boundary*=utf-8''=C3%BC\r\n\r\n--" UE "\r\n",
     "in a boundary that cannot be written otherwise"},
    /* one that begins with a space, as it may */
    {M "Content-Type: multipart/mixed; boundary=\" b\"; n=" UE
       "\r\n\r\n-- b\r\n\r\na\r\n-- b--\r\n",
     M "Content-Type: multipart/mixed;\r\n boundary=\" b\";\r\n n*=utf-8''%C3%BC\r\n\r\n"
       "-- b\r\n\r\na\r\n-- b--\r\n"},
    /* a message inside: its own header, and MIME where it had none */
    {M "Content-Type: message/rfc822\r\n" CTE "quoted-printable\r\n\r\nSubject: " UE "\r\n\r\n" UE,
     M "Content-Type: message/rfc822\r\n" CTE
       "7bit\r\n\r\nSubject: =?utf-8?B?w7w=?=\r\n" QP M UNKNOWN "\r\n=C3=BC"},
    {M "Content-Type: message/rfc822\r\n\r\nSubject: " UE "\r\n\r\na",
     M "Content-Type: message/rfc822\r\n\r\nSubject: =?utf-8?B?w7w=?=\r\n\r\na"},
    /* no boundary, so text/plain (RFC 2045 5.2): what it claimed may not be encoded (6.4) */
    {M "Content-Type: multipart/mixed\r\n" CTE "8bit\r\n\r\n--b\r\n\r\n" UE "\r\n--b--\r\n",
     M UNKNOWN QP "\r\n--b\r\n\r\n=C3=BC\r\n--b--\r\n"},
    {M "Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n" UE, M UNKNOWN QP "\r\n=C3=BC"},
    {MIXED "\r\n--b\r\nContent-Type: multipart/x; y=z\r\n\r\n" UE "\r\n--b--",
     MIXED "\r\n--b\r\n" UNKNOWN QP "\r\n=C3=BC\r\n--b--"},
    /* reports, RFC 3464 2.1: 7bit, so that they can be read */
    {M "Content-Type: message/delivery-status\r\n" CTE "8bit\r\n\r\nReporting-MTA: dns; a\r\n\r\n"
       "Diagnostic-Code: smtp; 550 " UE "\r\n\r\n",
     M "Content-Type: message/delivery-status\r\n" CTE "7bit\r\n\r\nReporting-MTA: dns; a\r\n\r\n"
       "Diagnostic-Code: smtp; 550 =?utf-8?B?w7w=?=\r\n\r\n"},
    {M "Content-Type: message/external-body\r\n\r\nContent-Type: text/plain; name=" UE "\r\n\r\n" UE
       "\r\n",
     M "Content-Type: message/external-body\r\n\r\nContent-Type: text/plain;\r\n"
       " name*=utf-8''%C3%BC\r\n\r\n=C3=BC\r\n"},
    {M "Content-Type: message/partial; id=x; number=1\r\n\r\n" UE,
     "in a piece of a message (message/partial)"},
    {M "Subject: " UE "\r\nContent-Type: message/partial; id=x; number=1\r\n\r\n" X1000,
     M "Subject: =?utf-8?B?w7w=?=\r\nContent-Type: message/partial; id=x; number=1\r\n\r\n" X1000},
    /* along with it: lines that are too long */
    {M "Subject: " UE "\r\n\r\n" X1000, M "Subject: =?utf-8?B?w7w=?=\r\n" QP UNKNOWN "\r\n"},
};

static void messages_become_ascii(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(messages); i++) {
        struct buffer out = BUFFER_WITH_LIMIT(1 << 20);
        struct slice expected = slice_of_string(messages[i].sent);
        downgrade_text(slice_of_string(messages[i].message), &out);
        bool begins_so = i + 1 == ARRAY_LENGTH(messages);
        assert_slice_equal(slice_range(buffer_slice(&out), 0, begins_so ? expected.len : out.len),
                           expected);
        buffer_clear(&out);
    }
}

/* limits.mime-depth and -parts: what was not looked into cannot be encoded (RFC 2045 6.4). */
static void what_was_not_looked_into_is_refused(void **state)
{
    (void)state;
    const char *deep = "Content-Type: message/rfc822\r\n\r\n";
    struct buffer text = BUFFER_WITH_LIMIT(10000), out = BUFFER_WITH_LIMIT(10000);
    for (size_t i = 0; i < limits.depth + 1; i++)
        buffer_append_string(&text, deep);
    buffer_append_string(&text, UE);
    downgrade_text(buffer_slice(&text), &out);
    assert_true(slice_starts_with(buffer_slice(&out), SLICE("in more MIME parts")));
    buffer_reset(&text);
    buffer_reset(&out);
    buffer_append_string(&text, MIXED "\r\n");
    for (size_t i = 0; i < limits.parts; i++)
        buffer_append_string(&text, "--b\r\n\r\na\r\n");
    buffer_append_string(&text, UE "\r\n--b--\r\n");
    downgrade_text(buffer_slice(&text), &out);
    assert_true(slice_starts_with(buffer_slice(&out), SLICE("in more MIME parts")));
    /* behind the last boundary of a multipart inside, where no boundary counts any more */
    buffer_reset(&text);
    buffer_reset(&out);
    buffer_append_string(&text,
                         MIXED "\r\n--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n");
    for (size_t i = 2; i < limits.parts; i++)
        buffer_append_string(&text, "--c\r\n\r\na\r\n");
    buffer_append_string(&text, "--c--\r\n--b\r\nContent-Type: x/y\r\n\r\n" UE "\r\n--b--\r\n");
    downgrade_text(buffer_slice(&text), &out);
    assert_true(slice_starts_with(buffer_slice(&out), SLICE("in more MIME parts")));
    buffer_clear(&text);
    buffer_clear(&out);
}

/* ---- any message ---- */

/* Pieces that mean something to one parser or another. */
static const char *const pieces[] = {
    UE,
    LATIN1_UE,
    CJK,
    "\xe4\xbd",
    " ",
    " ",
    "\t",
    "\r\n",
    "\r\n",
    "\r\n\r\n",
    "\r\n ",
    "\r",
    "\n",
    "=",
    "=3D",
    "=?utf-8?Q?a?=",
    "?=",
    "\"",
    "\"",
    "(",
    ")",
    "<",
    ">",
    "@",
    ",",
    ";",
    ":",
    "[",
    "]",
    "\\",
    "--b\r\n",
    "--b--\r\n",
    "--" UE "\r\n",
    "a",
    "a@x.example",
    "x" UE ".example",
    "boundary=b",
    "boundary=" UE,
    "boundary*=utf-8''%C3%BC",
    "name=",
    "filename*0*=",
    "Subject:",
    "From:",
    "To: ",
    "Content-Type:",
    "Content-Type: multipart/mixed; ",
    "Content-Type: message/rfc822\r\n",
    "Content-Type: message/delivery-status\r\n",
    "Content-Disposition: attachment;",
    "Content-Transfer-Encoding: base64\r\n",
    "Content-Transfer-Encoding: 8bit\r\n",
    "Content-Transfer-Encoding: quoted-printable\r\n",
    "Message-ID: <",
    "Received: ",
    "X: ",
    X50,
    X1000,
};

static void append_pieces(struct buffer *text, uint64_t *seed)
{
    size_t count = 1 + (*seed >> 32) % 60;
    for (size_t i = 0; i < count; i++) {
        *seed = *seed * 6364136223846793005U + 1442695040888963407U;
        buffer_append_string(text, pieces[(*seed >> 33) % ARRAY_LENGTH(pieces)]);
    }
}

static void no_octet_above_127_is_left_of_any_message(void **state)
{
    (void)state;
    uint64_t seed = 1;
    struct buffer text = BUFFER_WITH_LIMIT(1 << 20), out = BUFFER_WITH_LIMIT(1 << 24);
    for (size_t i = 0; i < 20000; i++) {
        buffer_reset(&text);
        buffer_reset(&out);
        append_pieces(&text, &seed);
        downgrade_text(buffer_slice(&text), &out);
        assert_true(slice_is_ascii(buffer_slice(&out)));
        assert_int_equal(slice_equal(buffer_slice(&out), SLICE("fine")),
                         slice_is_ascii(buffer_slice(&text)));
    }
    buffer_clear(&text);
    buffer_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_become_ascii),
        cmocka_unit_test(long_words_of_addresses_are_folded),
        cmocka_unit_test(long_words_are_cut),
        cmocka_unit_test(what_is_cut_stays_one_field),
        cmocka_unit_test(claims_are_mended_however_they_are_split),
        cmocka_unit_test(messages_become_ascii),
        cmocka_unit_test(what_was_not_looked_into_is_refused),
        cmocka_unit_test(no_octet_above_127_is_left_of_any_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
