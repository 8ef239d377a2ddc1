"""Messages of the selected mailbox: RFC 3501 6.3.1, 6.3.2, 6.3.11, 6.4, RFC 4315, RFC 6851.
imapd-mailbox alone."""

import os
import re

import pytest

from house import CORPUS
from mailbox_role import MESSAGE, Mailbox, client, mailbox, needs_mailbox  # noqa: F401

pytestmark = needs_mailbox


@pytest.fixture
def selected(mailbox):
    """INBOX with three messages: 1 seen, 2 flagged, 3 new."""
    mailbox.store(flags="S", place="cur")
    mailbox.store(flags="F", place="cur")
    mailbox.store()
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        yield client


def test_select_says_what_there_is(mailbox, client):
    """RFC 3501 6.3.1: FLAGS, EXISTS, RECENT, UNSEEN, PERMANENTFLAGS, UIDNEXT, UIDVALIDITY."""
    mailbox.store(flags="S", place="cur")
    mailbox.store()
    client.talk(r"""
        C: a SELECT INBOX
        S: * FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Forwarded)
        S: * OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Forwarded \\*)] *
        S: * 2 EXISTS
        S: * 2 RECENT
        S: * OK [UNSEEN 2] *
        S: * OK [UIDVALIDITY {validity}] *
        S: * OK [UIDNEXT 3] *
        S: * OK [HIGHESTMODSEQ *] *
        S: * OK [MAILBOXID (*)] *
        S: a OK [READ-WRITE] *
        C: b SELECT inBOX
        S: ...
        S: * 0 RECENT
        S: ...
        S: * OK [UIDVALIDITY {validity}] *
        S: ...
        S: b OK [READ-WRITE] *""")


def test_examine_changes_nothing(mailbox, client):
    """RFC 3501 6.3.2: not even \\Recent."""
    mailbox.store()
    client.talk(r"""
        C: a EXAMINE INBOX
        S: ...
        S: * OK [PERMANENTFLAGS ()] *
        S: * 1 EXISTS
        S: * 1 RECENT
        S: ...
        S: a OK [READ-ONLY] *
        C: b FETCH 1 BODY[TEXT]
        S: * 1 FETCH (BODY[TEXT] *
        S: Hello, world.
        S: )
        S: b OK *
        C: c STORE 1 FLAGS (\\Seen)
        S: c NO [READ-ONLY] *
        C: d EXPUNGE
        S: d NO [READ-ONLY] *
        C: e MOVE 1 Trash
        S: e NO [READ-ONLY] *
        C: f CLOSE
        S: f OK *
        C: g SELECT INBOX
        S: ...
        S: * 1 RECENT
        S: ...
        S: g OK *""")


def test_a_select_that_fails_leaves_nothing_selected(selected):
    """RFC 3501 6.3.1, RFC 7162 3.2.11"""
    selected.talk("""
        C: a SELECT nothing
        S: * OK [CLOSED] *
        S: a NO [NONEXISTENT] *
        C: b FETCH 1 FLAGS
        S: b BAD *""")


def test_unselect_keeps_what_is_deleted(mailbox, selected):
    """RFC 3691"""
    selected.ok(r"STORE 1 +FLAGS.SILENT (\Deleted)")
    selected.ok("UNSELECT")
    assert len(mailbox.files()) == 3
    lines, tagged = selected.command("UNSELECT")
    assert tagged.startswith(b"BAD")


def test_close_removes_it_silently(mailbox, selected):
    """RFC 3501 6.4.2"""
    selected.ok(r"STORE 1 +FLAGS.SILENT (\Deleted)")
    assert selected.ok("CLOSE") == []
    assert len(mailbox.files()) == 2


# ---- FETCH


def test_fetch_flags_and_numbers(selected):
    """RFC 3501 6.4.5, 7.4.2; UID FETCH says the UID, 6.4.8."""
    selected.talk(r"""
        C: a FETCH 1:2 FLAGS
        S: * 1 FETCH (FLAGS (\\Seen \\Recent))
        S: * 2 FETCH (FLAGS (\\Flagged \\Recent))
        S: a OK *
        C: b FETCH 3,1 (UID RFC822.SIZE)
        S: * 1 FETCH (UID 1 RFC822.SIZE 184)
        S: * 3 FETCH (UID 3 RFC822.SIZE 184)
        S: b OK *
        C: c UID FETCH 2:* FLAGS
        S: * 2 FETCH (UID 2 FLAGS (\\Flagged \\Recent))
        S: * 3 FETCH (UID 3 FLAGS (\\Recent))
        S: c OK *
        C: d UID FETCH 99:* (UID)
        S: * 3 FETCH (UID 3)
        S: d OK *
        C: e UID FETCH 7 FLAGS
        S: e OK *
        C: f FETCH 4 FLAGS
        S: f BAD *
        C: g FETCH 1:4 FLAGS
        S: g BAD *
        C: h FETCH * UID
        S: * 3 FETCH (UID 3)
        S: h OK *
        C: i FETCH 0 FLAGS
        S: i BAD *
        C: j FETCH 1
        S: j BAD *
        C: k FETCH 1 ()
        S: k BAD *
        C: l FETCH 1 (FLAGS
        S: l BAD *""")


def test_an_empty_mailbox_has_no_numbers(client):
    """RFC 3501 9, seq-number: "*" is an error there, too; by UID it names nothing (6.4.8)."""
    client.ok("SELECT INBOX")
    client.talk("""
        C: a FETCH 1:* FLAGS
        S: a BAD *
        C: b FETCH * FLAGS
        S: b BAD *
        C: c UID FETCH 1:* FLAGS
        S: c OK *
        C: d SEARCH ALL
        S: * SEARCH
        S: d OK *""")


def fetched(client, item, number=1):
    """The value of one item, as octets."""
    lines = client.ok(f"FETCH {number} ({item})")
    assert len(lines) == 1
    found = re.fullmatch(rb"\* \d+ FETCH \(BODY\[[^\]]*\](?:<\d+>)? (NIL|\"\"|\{\d+\}\r\n)(.*)\)",
                         lines[0], re.S)
    assert found, lines
    return None if found[1] == b"NIL" else found[2]


def test_fetch_sections(selected):
    """RFC 3501 6.4.5"""
    header, text = MESSAGE.split(b"\r\n\r\n", 1)
    header += b"\r\n\r\n"
    assert fetched(selected, "BODY[]") == MESSAGE
    assert fetched(selected, "BODY.PEEK[HEADER]") == header
    assert fetched(selected, "BODY.PEEK[TEXT]") == text
    assert fetched(selected, "BODY.PEEK[1]") == text
    assert fetched(selected, "BODY.PEEK[1.MIME]") == header
    assert fetched(selected, "BODY.PEEK[2]") is None
    assert fetched(selected, "BODY.PEEK[1.1]") is None
    assert (fetched(selected, "BODY.PEEK[HEADER.FIELDS (subject X-None)]")
            == b"Subject: IMAP4rev1 WG mtg\r\n\r\n")
    assert b"Subject" not in fetched(selected, "BODY.PEEK[HEADER.FIELDS.NOT (Subject)]")


@pytest.mark.parametrize("offset, octets", [
    (0, 10), (0, 10000), (5, 1), (180, 100), (184, 5), (185, 5), (10**9, 5)])
def test_partial_fetch(selected, offset, octets):
    """RFC 3501 6.4.5: what lies beyond the end is an empty string."""
    part = fetched(selected, f"BODY.PEEK[]<{offset}.{octets}>")
    assert part == MESSAGE[offset : offset + octets]


def test_fetch_sets_seen(selected):
    """RFC 3501 6.4.5: BODY[] and RFC822 do, and say so; PEEK and RFC822.HEADER do not."""
    selected.talk(r"""
        C: a FETCH 3 RFC822.HEADER
        S: * 3 FETCH (RFC822.HEADER *
        S: ...
        S: )
        S: a OK *
        C: b FETCH 3 (FLAGS BODY.PEEK[]<0.1>)
        S: * 3 FETCH (FLAGS (\\Recent) BODY[]<0> *
        S: D)
        S: b OK *
        C: c FETCH 3 BODY[]<0.1>
        S: * 3 FETCH (BODY[]<0> *
        S: D FLAGS (\\Seen \\Recent))
        S: c OK *
        C: d FETCH 2 (FLAGS RFC822.TEXT)
        S: * 2 FETCH (FLAGS (\\Flagged \\Seen \\Recent) RFC822.TEXT *
        S: Hello, world.
        S: )
        S: d OK *
        C: e SEARCH UNSEEN
        S: * SEARCH
        S: e OK *""")


def test_fetch_macros(selected):
    lines = selected.ok("FETCH 1 FULL")
    for item in (b"FLAGS (", b"INTERNALDATE \"", b"RFC822.SIZE 184", b"ENVELOPE (\"Wed,", b"BODY (\""):
        assert item in lines[0]


def test_internaldate_is_the_date_of_the_file(mailbox, client):
    """RFC 3501 2.3.3"""
    os.utime(mailbox.store(), (1000000000, 1000000000))
    client.ok("SELECT INBOX")
    assert b'INTERNALDATE "09-Sep-2001 01:46:40 +0000"' in client.ok("FETCH 1 FAST")[0].replace(
        b'" 9', b'"09')


def test_a_message_with_lf_is_served_with_crlf(mailbox, client):
    """Other programs store such; RFC 3501 2.3.4 counts what is sent."""
    body = MESSAGE.replace(b"\r\n", b"\n")
    mailbox.store(body, name="1700000000.other.host")
    client.ok("SELECT INBOX")
    assert fetched(client, "BODY.PEEK[]") == MESSAGE
    assert fetched(client, "BODY.PEEK[]<30.70>") == MESSAGE[30:100]
    assert fetched(client, "BODY.PEEK[TEXT]") == b"Hello, world.\r\n"
    assert b"RFC822.SIZE 184" in client.ok("FETCH 1 RFC822.SIZE")[0]


@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])
def test_a_large_message(mailbox, client, line_end):
    """Sent from the file, or converted in pieces."""
    body = (b"Subject: large\r\n\r\n" + b"0123456789" * 7 + b"\r\n") + b"x" * 70 + b"\r\n"
    body += b"".join(b"%08d" % i + b"y" * 60 + b"\r\n" for i in range(100000))
    mailbox.store(body.replace(b"\r\n", line_end), name="1700000000.large.host")
    client.ok("SELECT INBOX")
    assert fetched(client, "BODY.PEEK[]") == body
    assert fetched(client, "BODY.PEEK[TEXT]<1000000.3000000>") == body[18 + 1000000 : 18 + 4000000]


CORPUS_FILES = sorted(CORPUS.glob("*.eml"))


@pytest.mark.skipif(not CORPUS_FILES, reason="no corpus (CORPUS)")
def test_awkward_messages_come_back_octet_for_octet(mailbox, client):
    texts = [re.sub(rb"\r?\n", b"\r\n", file.read_bytes()) for file in CORPUS_FILES]
    for number, text in enumerate(texts):
        mailbox.store(text, name=f"{1700000000 + number}.c{number:04}.host")
    client.ok("SELECT INBOX")
    client.ok("FETCH 1:* (ENVELOPE BODYSTRUCTURE BODY)")
    for number, text in enumerate(texts, 1):
        assert fetched(client, "BODY.PEEK[]", number) == text, CORPUS_FILES[number - 1]
        header, body = fetched(client, "BODY.PEEK[HEADER]", number), fetched(
            client, "BODY.PEEK[TEXT]", number)
        assert header + body == text


# ---- STORE


def test_store(mailbox, selected):
    """RFC 3501 6.4.6"""
    selected.talk(r"""
        C: a STORE 1 +FLAGS (\\Deleted)
        S: * 1 FETCH (FLAGS (\\Deleted \\Seen \\Recent))
        S: a OK *
        C: b STORE 1 -FLAGS \\Deleted \\Seen
        S: * 1 FETCH (FLAGS (\\Recent))
        S: b OK *
        C: c STORE 1:3 FLAGS (\\Draft)
        S: * 1 FETCH (FLAGS (\\Draft \\Recent))
        S: * 2 FETCH (FLAGS (\\Draft \\Recent))
        S: * 3 FETCH (FLAGS (\\Draft \\Recent))
        S: c OK *
        C: d STORE 1 FLAGS.SILENT ()
        S: d OK *
        C: e UID STORE 3 +flags.silent \\Seen
        S: e OK *
        C: f UID STORE 2 FLAGS \\Seen
        S: * 2 FETCH (UID 2 FLAGS (\\Seen \\Recent))
        S: f OK *
        C: g FETCH 1:* FLAGS
        S: * 1 FETCH (FLAGS (\\Recent))
        S: * 2 FETCH (FLAGS (\\Seen \\Recent))
        S: * 3 FETCH (FLAGS (\\Seen \\Draft \\Recent))
        S: g OK *
        C: h STORE 4 FLAGS ()
        S: h BAD *
        C: i STORE 1 FLAGS (\\Recent)
        S: i BAD *
        C: j STORE 1 FLAG ()
        S: j BAD *
        C: k STORE 1 +-FLAGS ()
        S: k BAD *
        C: l STORE 1 FLAGS
        S: l BAD *
        C: m UID STORE 99 FLAGS ()
        S: m OK *""")
    assert [name.split(":2,")[1] for name in mailbox.files()] == ["", "S", "DS"]


def test_keywords(mailbox, selected):
    """RFC 3501 2.3.2: made as they are used, compared without case, kept when nobody looks."""
    selected.talk(r"""
        C: a STORE 1 +FLAGS ($Junk Work)
        S: * FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Forwarded $Junk Work)
        S: * OK [PERMANENTFLAGS (* \\*)] *
        S: * 1 FETCH (FLAGS (\\Seen $Junk Work \\Recent))
        S: a OK *
        C: b STORE 2 +FLAGS.SILENT (work $Forwarded)
        S: b OK *
        C: c SEARCH KEYWORD WORK
        S: * SEARCH 1 2
        S: c OK *
        C: d SEARCH UNKEYWORD Work
        S: * SEARCH 3
        S: d OK *
        C: e SEARCH KEYWORD unknown
        S: * SEARCH
        S: e OK *
        C: f STORE 1 -FLAGS ($Junk unknown)
        S: * 1 FETCH (FLAGS (\\Seen Work \\Recent))
        S: f OK *""")
    mailbox.restart()
    with mailbox.connect() as again:
        lines = again.ok("SELECT INBOX")
        assert any(line.startswith(b"* FLAGS ") and b" Work" in line for line in lines)
        assert again.ok("FETCH 2 FLAGS") == [b"* 2 FETCH (FLAGS (\\Flagged $Forwarded Work))"]


def test_there_are_26_keywords(selected):
    """Then PERMANENTFLAGS drops \\* (RFC 3501 7.1), and others are not kept."""
    for number in range(26):
        selected.ok(f"STORE 1 +FLAGS.SILENT (k{number})")
    lines = selected.ok("STORE 1 +FLAGS (one-too-many)")
    assert b"k25" in lines[-1] and b"one-too-many" not in lines[-1]
    flags = selected.ok("EXAMINE INBOX") and selected.ok("SELECT INBOX")
    assert not any(b"PERMANENTFLAGS" in line and b"\\*" in line for line in flags)


def test_store_of_many(mailbox, client):
    """In slices: another session goes on meanwhile."""
    for _ in range(1000):
        mailbox.store()
    client.ok("SELECT INBOX")
    with mailbox.connect() as other:
        client.send(b"a STORE 1:* +FLAGS.SILENT (\\Flagged)\r\nb SEARCH UNFLAGGED\r\n")
        other.ok("NOOP")
        client.talk("""
            S: a OK *
            S: * SEARCH
            S: b OK *""")
    assert all(name.endswith(":2,F") for name in mailbox.files())


# ---- COPY and MOVE


def test_copy(mailbox, selected):
    """RFC 3501 6.4.7: flags and date come along, RFC 4315 3: COPYUID."""
    os.utime(mailbox.maildir / "cur" / mailbox.files()[0], (1000000000, 1000000000))
    selected.ok("STORE 1 +FLAGS.SILENT (Work)")
    selected.talk(r"""
        C: a COPY 1:2 Sent
        S: a OK [COPYUID {validity} 1:2 1:2] *
        C: b UID COPY 3 Sent
        S: b OK [COPYUID {validity} 3 3] *
        C: c COPY 1 nothing
        S: c NO [TRYCREATE] *
        C: d COPY 1 &
        S: d NO [CANNOT] *
        C: e COPY 4 Sent
        S: e BAD *
        C: f UID COPY 99 Sent
        S: f OK *
        C: g COPY 1
        S: g BAD *
        C: h COPY 1 INBOX
        S: * 4 EXISTS
        S: * 4 RECENT
        S: h OK [COPYUID * 1 4] *
        C: i SELECT Sent
        S: ...
        S: * OK [UIDVALIDITY {validity}] *
        S: ...
        S: i OK *
        C: j FETCH 1 (FLAGS INTERNALDATE)
        S: * 1 FETCH (FLAGS (\\Seen Work \\Recent) INTERNALDATE " 9-Sep-2001 01:46:40 +0000")
        S: j OK *""")


def test_move(mailbox, selected):
    """RFC 6851: COPYUID before EXPUNGE, both before the tagged OK."""
    selected.talk(r"""
        C: a MOVE 1,3 Archive
        S: * OK [COPYUID * 1,3 1:2] *
        S: * 1 EXPUNGE
        S: * 2 EXPUNGE
        S: * 1 RECENT
        S: a OK *
        C: b UID MOVE 2 Archive
        S: * OK [COPYUID * 2 3] *
        S: * 1 EXPUNGE
        S: * 0 RECENT
        S: b OK *
        C: c UID MOVE 2 Archive
        S: c OK *""")
    assert mailbox.files() == [] and len(mailbox.files("Archive")) == 3


def test_move_within_a_mailbox_gives_a_new_uid(selected):
    """RFC 6851 3.3"""
    selected.talk(r"""
        C: a MOVE 1 INBOX
        S: * OK [COPYUID * 1 4] *
        S: * 1 EXPUNGE
        S: * 3 EXISTS
        S: a OK *
        C: b UID SEARCH ALL
        S: * SEARCH 2 3 4
        S: b OK *""")


def test_copy_of_what_is_gone_copies_nothing(mailbox, selected):
    """RFC 3501 6.4.7: the destination is left as it was."""
    (mailbox.maildir / "cur" / mailbox.files()[2]).unlink()
    lines, tagged = selected.command("COPY 1:3 Sent")
    assert tagged.startswith(b"NO")
    assert mailbox.files("Sent") == []


# ---- EXPUNGE


def test_expunge(mailbox, selected):
    """RFC 3501 6.4.3, 7.4.1: each number counts after those before it."""
    selected.talk(r"""
        C: a STORE 1,3 +FLAGS.SILENT (\\Deleted)
        S: a OK *
        C: b EXPUNGE
        S: * 1 EXPUNGE
        S: * 2 EXPUNGE
        S: * 1 RECENT
        S: b OK *
        C: c FETCH 1:* UID
        S: * 1 FETCH (UID 2)
        S: c OK *
        C: d EXPUNGE 1
        S: d BAD *""")
    assert len(mailbox.files()) == 1


def test_uid_expunge(selected):
    """RFC 4315 2.1: only what is named and deleted."""
    selected.talk(r"""
        C: a STORE 1:2 +FLAGS.SILENT (\\Deleted)
        S: a OK *
        C: b UID EXPUNGE 2:3
        S: * 2 EXPUNGE
        S: * 2 RECENT
        S: b OK *
        C: c UID EXPUNGE
        S: c BAD *""")


def test_uids_never_come_back(mailbox, selected):
    """RFC 3501 2.3.1.1: not after EXPUNGE, a restart, or a kill."""
    selected.ok(r"STORE 3 +FLAGS.SILENT (\Deleted)")
    selected.ok("EXPUNGE")
    mailbox.restart()
    mailbox.store()
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        assert client.ok("UID SEARCH ALL") == [b"* SEARCH 1 2 4"]
        mailbox.kill()
    mailbox.start()
    mailbox.store()
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        uids = client.ok("UID SEARCH ALL")[0].split()[2:]
        assert uids[:3] == [b"1", b"2", b"4"] and int(uids[3]) > 4


# ---- APPEND


def append(client, octets, arguments="INBOX"):
    client.send(f"x APPEND {arguments} {{{len(octets)}+}}\r\n".encode() + octets + b"\r\n")
    return client.answer()


def test_append_with_flags_and_date(mailbox, client):
    lines, tagged = append(client, MESSAGE,
                           r'Drafts (\Draft \Seen Work) " 9-Sep-2001 01:46:40 +0000"')
    assert re.match(rb"OK \[APPENDUID \d+ 1\]", tagged)
    client.ok("SELECT Drafts")
    assert fetched(client, "BODY.PEEK[]") == MESSAGE
    assert client.ok("FETCH 1 (FLAGS INTERNALDATE)") == [
        rb'* 1 FETCH (FLAGS (\Seen \Draft Work \Recent) INTERNALDATE " 9-Sep-2001 01:46:40 +0000")']


def test_append_waits_for_the_server(client):
    """RFC 3501 6.3.11: what can be refused is refused before the message comes."""
    client.talk(r"""
        C: b APPEND nothing {10}
        S: b NO [TRYCREATE] *
        C: c APPEND INBOX (\\Seen {10}
        S: c BAD *
        C: d APPEND INBOX {0}
        S: d NO *
        C: e APPEND INBOX {9223372036854775807}
        S: e NO [TOOBIG] *
        C: f APPEND INBOX
        S: f BAD *
        C: g APPEND INBOX text
        S: g BAD *
        C: h APPEND {5}
        S: + *
        C: INBOX {3}
        S: + *
        C: a\r\n\r\n
        S: h OK [APPENDUID * 1] *""")


def test_append_to_the_selected_mailbox_is_told(client):
    """RFC 3501 6.3.11: EXISTS at once."""
    client.ok("SELECT INBOX")
    lines, tagged = append(client, MESSAGE)
    assert lines == [b"* 1 EXISTS", b"* 1 RECENT"]


def test_append_that_is_refused_is_skipped(client):
    lines, tagged = append(client, b"x LOGOUT\r\n" * 100000, "nothing")
    assert tagged.startswith(b"NO [TRYCREATE]")
    client.ok("NOOP")


def test_append_without_nul(mailbox, client):
    """RFC 3501 9: CHAR8 is any octet but NUL."""
    lines, tagged = append(client, MESSAGE + b"\0" * 100000 + b"\r\n")
    assert tagged.startswith(b"BAD")
    client.ok("NOOP")
    assert mailbox.files(place="tmp") == []


def test_append_that_breaks_off_leaves_nothing(mailbox, client):
    client.send(b"a APPEND INBOX {100000+}\r\nabc")
    mailbox.eventually(lambda: mailbox.files(place="tmp"))
    client.close()
    mailbox.eventually(lambda: not mailbox.files(place="tmp"))
    assert mailbox.files() == []


def test_append_of_a_large_message(mailbox, client):
    """Straight to the file, whatever its size."""
    body = b"Subject: large\r\n\r\n" + b"0123456789abcdef" * 4 * 1000 * 200
    lines, tagged = append(client, body)
    assert tagged.startswith(b"OK")
    client.ok("SELECT INBOX")
    assert fetched(client, "BODY.PEEK[]") == body


def test_the_message_size_is_limited(tmp_path):
    mailbox = Mailbox(tmp_path, config="limits { message-size = 1M header-size = 64K }")
    with mailbox.connect() as client:
        lines, tagged = append(client, b"x" * 1100000)
        assert tagged.startswith(b"NO [TOOBIG]")
        lines, tagged = append(client, b"x" * 60000)
        assert tagged.startswith(b"OK")
    mailbox.stop()


def test_quota(tmp_path):
    """RFC 5530 3: OVERQUOTA, for APPEND and COPY; what is removed makes room."""
    mailbox = Mailbox(tmp_path, quota_octets=1000)
    with mailbox.connect() as client:
        for _ in range(5):
            lines, tagged = append(client, MESSAGE)
            assert tagged.startswith(b"OK")
        lines, tagged = append(client, MESSAGE)
        assert tagged.startswith(b"NO [OVERQUOTA]")
        client.ok("SELECT INBOX")
        lines, tagged = client.command("COPY 1:3 Sent")
        assert tagged.startswith(b"NO [OVERQUOTA]")
        client.ok("MOVE 1 Sent")
        client.ok(r"STORE 1 +FLAGS.SILENT (\Deleted)")
        client.ok("EXPUNGE")
        client.ok("COPY 1 Sent")
        lines, tagged = append(client, MESSAGE)
        assert tagged.startswith(b"NO [OVERQUOTA]")
    mailbox.stop()


# ---- SEARCH


@pytest.fixture
def searched(mailbox):
    """Some messages to find."""
    latin = ("Subject: =?iso-8859-1?Q?Gr=FC=DFe?= aus =?utf-8?B?WsO8cmljaA==?=\r\n"
             "From: =?utf-8?Q?J=C3=BCrgen?= <j@a.example>\r\nDate: Thu, 1 Feb 2001 23:30:00 -0500\r\n"
             "Content-Type: text/plain; charset=iso-8859-1\r\n"
             "Content-Transfer-Encoding: quoted-printable\r\n\r\nSch=F6ne Gr=\r\n=FC=DFe\r\n")
    base64 = ("Subject: folded\r\n subject line\r\nTo: b@b.example\r\nX-Empty:\r\n"
              "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n"
              "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
              "w4RyZ2VyIHVuZCBWZXJncsO8Z2Vu\r\n--x\r\nContent-Type: image/png\r\n\r\nneedle\r\n--x--\r\n")
    for number, text in enumerate((MESSAGE.decode(), latin, base64)):
        path = mailbox.store(text.encode(), flags="FS"[: number], place="cur")
        os.utime(path, (1000000000 + number * 86400,) * 2)
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        yield client


@pytest.mark.parametrize("keys, found", [
    ("ALL", "1 2 3"),
    ("1:2", "1 2"),
    ("UID 2:*", "2 3"),
    ("4", ""),  # of messages that are not there
    ("1:4", "1 2 3"),
    ("5:*", "3"),
    ("NOT 2", "1 3"),
    ("OR 1 3", "1 3"),
    ("(1 2)", ""),
    ("FLAGGED", "2 3"),
    ("SEEN", "3"),
    ("UNSEEN FLAGGED", "2"),
    ("RECENT", "1 2 3"),
    ("NEW", "1 2"),
    ("OLD", ""),
    ("DELETED", ""),
    ("LARGER 184", "2 3"),
    ("SMALLER 185", "1"),
    ("ON 9-Sep-2001", "1"),
    ("SINCE 10-Sep-2001", "2 3"),
    ("BEFORE 10-Sep-2001", "1"),
    ("SENTON 1-Feb-2001", "2"),  # the sender's day, whatever the zone
    ("SENTSINCE 1-Jan-1996 SENTBEFORE 1-Jan-1997", "1"),
    ("SUBJECT mtg", "1"),
    ("SUBJECT \"WG MTG\"", "1"),
    ("SUBJECT \"folded subject\"", "3"),
    ("FROM gray", "1"),
    ("TO imap@cac", "1"),
    ("CC x", ""),
    ("HEADER Message-ID B27397", "1"),
    ("HEADER X-Empty \"\"", "3"),
    ("HEADER X-None \"\"", ""),
    ("BODY hello", "1"),
    ("BODY mtg", ""),
    ("TEXT mtg", "1"),
    ("BODY needle", ""),  # of an image
    ("TEXT \"\"", "1 2 3"),
])
def test_search(searched, keys, found):
    """RFC 3501 6.4.4"""
    assert searched.ok(f"SEARCH {keys}") == [(b"* SEARCH " + found.encode()).strip()]


@pytest.mark.parametrize("key, text, charset, found", [
    ("SUBJECT", "GRÜSSE", "utf-8", "2"),  # ß folds to ss
    ("SUBJECT", "Zürich", "UTF-8", "2"),
    ("SUBJECT", "zÜRICH", "iso-8859-1", "2"),
    ("FROM", "jürgen", "UTF-8", "2"),
    ("BODY", "schöne grüße", "UTF-8", "2"),
    ("BODY", "ÄRGER UND VERGN", "UTF-8", ""),
    ("BODY", "ÄRGER UND VERGR", "UTF-8", "3"),
])
def test_search_over_charsets(searched, key, text, charset, found):
    octets = text.encode(charset)
    searched.send(f"x SEARCH CHARSET {charset} {key} {{{len(octets)}+}}\r\n".encode() + octets
                  + b"\r\n")
    lines, tagged = searched.answer()
    assert tagged.startswith(b"OK") and lines == [(b"* SEARCH " + found.encode()).strip()]


def test_search_of_unknown_charset(searched):
    """RFC 3501 6.4.4: NO [BADCHARSET]"""
    lines, tagged = searched.command("SEARCH CHARSET X-UNKNOWN SUBJECT a")
    assert tagged.startswith(b"NO [BADCHARSET (")


@pytest.mark.parametrize("keys", ["", "FOO", "0", "SUBJECT", "(ALL", "NOT", "ON 31-Feb-2001"])
def test_search_that_is_bad(searched, keys):
    lines, tagged = searched.command(f"SEARCH {keys}")
    assert tagged.startswith(b"BAD") and not lines
