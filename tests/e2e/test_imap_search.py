"""What SEARCH returns and saves: ESEARCH (RFC 4731), SEARCHRES (RFC 5182), PARTIAL (RFC 9394);
and what it need not read again. imapd-mailbox alone."""

import os
import re

import pytest

from mailbox_role import client, mailbox, needs_mailbox  # noqa: F401

pytestmark = needs_mailbox


@pytest.fixture
def nine(mailbox, client):
    """INBOX with the UIDs 1, 3 to 9; 3, 4, 5 and 8 are flagged."""
    for _ in range(9):
        mailbox.store()
    client.ok("SELECT INBOX")
    client.ok(r"STORE 2 FLAGS.SILENT (\Deleted)")
    client.ok("EXPUNGE")
    client.ok(r"UID STORE 3:5,8 FLAGS.SILENT (\Flagged)")
    return client


def saved(client):
    return client.ok("UID SEARCH $")[0].removeprefix(b"* SEARCH").strip()


# ---- ESEARCH ----

@pytest.mark.parametrize("command, answer", [
    ("SEARCH RETURN () FLAGGED", b' ALL 2:4,7'),
    ("SEARCH RETURN (ALL) FLAGGED", b' ALL 2:4,7'),
    ("UID SEARCH RETURN () FLAGGED", b' UID ALL 3:5,8'),
    ("UID SEARCH RETURN (MIN) FLAGGED", b' UID MIN 3'),
    ("UID SEARCH RETURN (MAX) FLAGGED", b' UID MAX 8'),
    ("SEARCH RETURN (MIN MAX) FLAGGED", b' MIN 2 MAX 7'),
    ("UID SEARCH RETURN (COUNT ALL MAX MIN) FLAGGED", b' UID MIN 3 MAX 8 COUNT 4 ALL 3:5,8'),
    ("UID SEARCH RETURN (MIN MAX ALL COUNT) ANSWERED", b' UID COUNT 0'),
    ("SEARCH RETURN (MIN) ANSWERED", b''),
    ("SEARCH RETURN (COUNT) CHARSET UTF-8 FLAGGED", b' COUNT 4')])
def test_esearch(nine, command, answer):
    """RFC 4731 3.1; without a match there is no MIN, MAX, ALL."""
    assert nine.ok(command) == [b'* ESEARCH (TAG "x")' + answer]


def test_esearch_in_an_empty_mailbox(client):
    client.ok("SELECT INBOX")
    assert client.ok("SEARCH RETURN (MAX) ALL") == [b'* ESEARCH (TAG "x")']
    assert client.ok("SEARCH RETURN (COUNT ALL) 1:*") == [b'* ESEARCH (TAG "x") COUNT 0']


def test_esearch_modseq(nine):
    """RFC 7162 3.1.10: of the messages that are returned."""
    def modseq(of):
        return int(re.search(rb"MODSEQ \((\d+)\)", nine.ok(f"UID FETCH {of} (MODSEQ)")[-1])[1])

    nine.ok("UID STORE 8 FLAGS.SILENT (one)")
    nine.ok("UID STORE 3 FLAGS.SILENT (one)")
    nine.ok("UID STORE 5 FLAGS.SILENT (one)")
    first, middle, last = modseq(3), modseq(5), modseq(8)
    assert last < first < middle
    for options, answer in [
            ("MIN", b"MIN 3 MODSEQ %d" % first), ("MAX", b"MAX 8 MODSEQ %d" % last),
            ("MIN MAX", b"MIN 3 MAX 8 MODSEQ %d" % first),
            ("MIN COUNT", b"MIN 3 COUNT 3 MODSEQ %d" % middle),
            ("", b"ALL 3,5,8 MODSEQ %d" % middle),
            ("PARTIAL -1:-1", b"PARTIAL (-1:-1 8) MODSEQ %d" % last)]:
        assert nine.ok(f"UID SEARCH RETURN ({options}) KEYWORD one MODSEQ 1") == [
            b'* ESEARCH (TAG "x") UID ' + answer]
    assert nine.ok("SEARCH RETURN () ANSWERED MODSEQ 1") == [b'* ESEARCH (TAG "x")']


@pytest.mark.parametrize("command", [
    "SEARCH RETURN", "SEARCH RETURN ()", "SEARCH RETURN (FOO) ALL", "SEARCH RETURN MIN ALL",
    "SEARCH RETURN (MIN ALL", "SEARCH CHARSET UTF-8 RETURN () ALL", "SEARCH RETURN (ALL PARTIAL 1:2) 1",
    "SEARCH RETURN (PARTIAL 0:1) ALL", "SEARCH RETURN (PARTIAL 1:*) ALL", "SEARCH $:2", "SEARCH $,2",
    "SEARCH RETURN (SAVE) FOO", "UID FETCH 1 (FLAGS) (PARTIAL 1)", "UID FETCH 1 (FLAGS) (PARTIAL 1:-2)",
    "FETCH 1 (FLAGS) (PARTIAL 1:2)", "SELECT INBOX (QRESYNC (1 1 $))"])
def test_bad_arguments(nine, command):
    nine.ok("ENABLE QRESYNC")
    nine.ok("SEARCH RETURN (SAVE) UID 4")
    lines, tagged = nine.command(command)
    assert tagged.startswith(b"BAD") and lines == []
    assert saved(nine) == b"4"  # RFC 5182 2.1: BAD changes nothing


# ---- PARTIAL ----

@pytest.mark.parametrize("options, answer", [
    ("PARTIAL 1:2", b"PARTIAL (1:2 3:4)"), ("PARTIAL 4:3", b"PARTIAL (3:4 5,8)"),
    ("PARTIAL -1:-2", b"PARTIAL (-1:-2 5,8)"), ("PARTIAL 4:9", b"PARTIAL (4:9 8)"),
    ("PARTIAL 5:9", b"PARTIAL (5:9 NIL)"), ("PARTIAL -4:-9 COUNT", b"COUNT 4 PARTIAL (-4:-9 3)")])
def test_partial(nine, options, answer):
    """RFC 9394 3.1"""
    assert nine.ok(f"UID SEARCH RETURN ({options}) FLAGGED") == [
        b'* ESEARCH (TAG "x") UID ' + answer]


@pytest.mark.parametrize("numbers, partial, uids", [
    ("1:*", "1:2", [1, 3]), ("1:*", "-1:-3", [7, 8, 9]), ("3:7", "2:3", [4, 5]), ("2", "1:1", []),
    ("1:*", "9:20", []), ("1:*", "8:8", [9])])
def test_fetch_partial(nine, numbers, partial, uids):
    """RFC 9394 3.3: of the messages that there are."""
    assert [int(re.search(rb"UID (\d+)", line)[1])
            for line in nine.ok(f"UID FETCH {numbers} (UID) (PARTIAL {partial})")] == uids


def test_fetch_partial_of_what_changed(nine):
    """RFC 9394 3.4: in any order with CHANGEDSINCE."""
    nine.ok("ENABLE CONDSTORE")
    for modifiers in ("CHANGEDSINCE 1 PARTIAL 1:2", "PARTIAL 1:2 CHANGEDSINCE 1"):
        assert len(nine.ok(f"UID FETCH 1:* (UID) ({modifiers})")) == 2


# ---- SEARCHRES ----

def test_saved_result_is_used(mailbox, nine):
    """RFC 5182 2.1: in place of any sequence set, by numbers or UIDs."""
    nine.ok("CREATE Other")
    assert nine.ok("SEARCH RETURN (SAVE) FLAGGED") == []
    assert nine.ok("UID SEARCH UID $ UID 5:9") == [b"* SEARCH 5 8"]
    assert nine.ok("SEARCH NOT $") == [b"* SEARCH 1 5 6 8"]
    assert nine.ok("SEARCH 1,$") == [b"* SEARCH 1 2 3 4 7"]
    assert len(nine.ok("FETCH $ (UID)")) == len(nine.ok("UID FETCH $ (FLAGS)")) == 4
    nine.ok("STORE $ +FLAGS.SILENT (one)")
    nine.ok("UID STORE $ +FLAGS.SILENT (two)")
    assert nine.ok("UID SEARCH KEYWORD one KEYWORD two") == [b"* SEARCH 3 4 5 8"]
    assert re.search(rb"COPYUID \d+ 3:5,8 1:4", nine.command("UID COPY $ Other")[1])
    nine.ok("SEARCH RETURN (SAVE) UID 3:4")
    nine.ok("MOVE $ Other")
    assert len(mailbox.files("Other")) == 6
    nine.ok("SEARCH RETURN (SAVE) UID 8")
    nine.ok(r"STORE 1:* +FLAGS.SILENT (\Deleted)")
    nine.ok("UID EXPUNGE $")
    assert nine.ok("UID SEARCH ALL") == [b"* SEARCH 1 5 6 7 9"]


def test_expunged_messages_leave_it(nine):
    """RFC 5182 2.1"""
    with_all = b"* SEARCH 3 4 5 8"
    nine.ok("SEARCH RETURN (SAVE) FLAGGED")
    assert nine.ok("UID SEARCH $") == [with_all]
    nine.ok(r"UID STORE 4 +FLAGS.SILENT (\Deleted)")
    nine.ok("EXPUNGE")
    assert nine.ok("UID SEARCH $") == [b"* SEARCH 3 5 8"]
    assert nine.ok("SEARCH $") == [b"* SEARCH 2 3 6"]


def test_an_empty_result_names_nothing(mailbox, nine):
    """RFC 5182 2.1: "the resulting command will be a no-op", and OK."""
    nine.ok("CREATE Other")
    nine.ok("SEARCH RETURN (SAVE) ANSWERED")
    assert nine.ok("FETCH $ (UID)") == []
    for command in ("COPY $ Other", "UID MOVE $ Other", r"STORE $ +FLAGS (\Seen)", "UID EXPUNGE $"):
        assert nine.ok(command) == []
    assert mailbox.files("Other") == []
    assert nine.ok("SEARCH OR $ 1") == [b"* SEARCH 1"]


@pytest.mark.parametrize("options, kept", [
    ("SAVE MIN", b"3"), ("SAVE MAX", b"8"), ("MIN SAVE MAX", b"3 8"), ("SAVE MIN ALL", b"3 4 5 8"),
    ("SAVE MAX COUNT", b"3 4 5 8"), ("SAVE ALL", b"3 4 5 8"), ("SAVE COUNT", b"3 4 5 8"),
    ("SAVE PARTIAL 2:3", b"4 5"), ("SAVE PARTIAL 2:3 MIN", b"3 4 5"), ("SAVE PARTIAL 9:10", b""),
    ("SAVE PARTIAL 2:2 MIN MAX", b"3 4 8"), ("SAVE PARTIAL 2:3 COUNT", b"3 4 5 8")])
def test_what_is_saved(nine, options, kept):
    """RFC 5182 2.4, RFC 9394 3.2"""
    assert nine.ok(f"SEARCH RETURN ({options}) FLAGGED")[0].startswith(b"* ESEARCH")
    assert saved(nine) == kept


def test_what_resets_it(nine):
    """RFC 5182 2.1"""
    def after(command, answer):
        nine.ok("SEARCH RETURN (SAVE) UID 8")
        assert nine.command(command)[1].startswith(answer)
        return saved(nine)

    assert after("SEARCH ALL", b"OK") == after("SEARCH RETURN (ALL) ALL", b"OK") == b"8"
    assert after("SEARCH CHARSET NONE ALL", b"NO [BADCHARSET") == b"8"
    assert after("SEARCH RETURN (SAVE) CHARSET NONE ALL", b"NO [BADCHARSET") == b""
    assert after("NOOP", b"OK") == b"8"
    assert after("EXAMINE INBOX", b"OK") == after("SELECT INBOX", b"OK") == b""


def test_saved_before_pipelined_commands(nine):
    """RFC 5182 2.3: what follows in the same packet sees it."""
    nine.send(b"a SEARCH RETURN (SAVE COUNT) FLAGGED\r\nb UID FETCH $ (UID)\r\n")
    assert nine.answer(b"a")[0] == [b'* ESEARCH (TAG "a") COUNT 4']
    assert len(nine.answer(b"b")[0]) == 4


# ---- what the index knows ----

def test_fields_are_read_once(mailbox, client):
    """RFC 9051 6.4.4, SUBJECT and its kin: of a message that was looked at the index answers, also in another process; what
    it does not keep is read."""
    for number in range(3):
        mailbox.store(b"Subject: about %d\r\nFrom: A <a%d@a.example>\r\nX-Other: x%d\r\n\r\n\r\n" % ((number,) * 3))
    client.ok("SELECT INBOX")
    assert client.ok("SEARCH SUBJECT ABOUT") == [b"* SEARCH 1 2 3"]
    assert client.ok("SEARCH BODY nowhere") == [b"* SEARCH"]  # so nothing is left to learn
    for file in (mailbox.folder() / "cur").iterdir():
        file.write_bytes(file.read_bytes().replace(b"about", b"other").replace(b": x", b": y"))
    mailbox.restart()
    again = mailbox.connect()
    again.ok("SELECT INBOX")
    assert again.ok("SEARCH SUBJECT other") == [b"* SEARCH"]
    assert again.ok("SEARCH OR SUBJECT bout FROM nobody") == [b"* SEARCH 1 2 3"]
    assert again.ok("SEARCH NOT FROM a2@a.example TEXT a.example") == [b"* SEARCH 1 2"]
    assert again.ok("SEARCH HEADER X-Other y1") == [b"* SEARCH 2"]
    assert again.ok("SEARCH TEXT other") == [b"* SEARCH 1 2 3"]


def test_internal_date_is_looked_at_once(mailbox, client):
    """RFC 9051 6.4.4, SINCE; a message does not change, so neither does its INTERNALDATE while it is known."""
    mailbox.store()
    client.ok("SELECT INBOX")
    day = client.ok("FETCH 1 INTERNALDATE")[0].split(b'"')[1].split()[0].decode().strip()
    assert client.ok(f"SEARCH ON {day}") == [b"* SEARCH 1"]
    os.utime(mailbox.folder() / "cur" / mailbox.files()[0], (86400, 86400))
    assert client.ok(f"SEARCH ON {day}") == [b"* SEARCH 1"]
    assert client.ok("SEARCH BEFORE 1-Jan-1990") == [b"* SEARCH"]


@pytest.mark.parametrize("pieces", [7, 8, 16])
def test_body_of_so_many_whole_pieces(mailbox, client, pieces):
    """It is looked through in pieces of 64 KiB, eight in one go: the end of one may be the text's."""
    mailbox.store(b"Subject: long\r\n\r\n" + b"a line of thirty-two octets...\r\n" * (2048 * pieces))
    client.ok("SELECT INBOX")
    assert client.ok('SEARCH BODY "no such text"') == [b"* SEARCH"]
    assert client.ok('SEARCH BODY "thirty-two"') == [b"* SEARCH 1"]
