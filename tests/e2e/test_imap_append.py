"""MULTIAPPEND (RFC 3502) and REPLACE (RFC 8508); what a single APPEND does is in
test_imap_messages.py. imapd-mailbox alone."""

import os
import re

import pytest
from house import looking_into_a_role
from mailbox_role import MESSAGE, Mailbox, client, mailbox, needs_mailbox  # noqa: F401

pytestmark = needs_mailbox


def several(messages, command=b"a APPEND INBOX"):
    """Each with its arguments before it."""
    for arguments, octets in messages:
        command += b"%s {%d+}\r\n%s" % (arguments, len(octets), octets)
    return command + b"\r\n"


def bodies(client):
    """Those of INBOX, by UID."""
    client.ok("EXAMINE INBOX")
    lines = client.ok("UID FETCH 1:* (UID BODY.PEEK[])")
    found = [re.match(rb"\* \d+ FETCH \(UID (\d+) BODY\[\] \{\d+\}\r\n(.*)\)$", line, re.S)
             for line in lines]
    return {int(one.group(1)): one.group(2) for one in found}


def test_capabilities(client):
    words = client.ok("CAPABILITY")[0].split()
    assert b"MULTIAPPEND" in words and b"REPLACE" in words


# ---- MULTIAPPEND ----

def test_several_messages(mailbox, client):
    """RFC 3502 6.3.11: each with flags and date of its own; RFC 4315 3: one set of UIDs."""
    client.ok("SELECT INBOX")
    client.send(several([(b"", b"one"), (rb" (\Seen Work)", b"two"),
                         (b' () "17-Jul-1996 02:44:25 -0700"', b"three")]))
    lines, tagged = client.answer(b"a")
    assert re.match(rb"OK \[APPENDUID \d+ 1:3\]", tagged)
    assert lines[0].endswith(b" $Forwarded Work)")
    assert lines[-2:] == [b"* 3 EXISTS", b"* 3 RECENT"]
    assert client.ok("FETCH 2:3 FLAGS") == [rb"* 2 FETCH (FLAGS (\Seen Work \Recent))",
                                            rb"* 3 FETCH (FLAGS (\Recent))"]
    assert client.ok("FETCH 3 INTERNALDATE") == [
        b'* 3 FETCH (INTERNALDATE "17-Jul-1996 09:44:25 +0000")']
    assert bodies(client) == {1: b"one", 2: b"two", 3: b"three"}
    assert mailbox.files(place="tmp") == []


def test_each_waits_for_the_server(client):
    client.talk(r"""
        C: a APPEND INBOX {3}
        S: + *
        C: one (\\Flagged) {3}
        S: + *
        C: two
        S: a OK [APPENDUID * 1:2] *""")


@pytest.mark.parametrize("last, answer", [
    (b" {0+}\r\n", b"NO [CANNOT]"),  # RFC 3502 6.3.11: the client gives up
    (b" {9999999999+}\r\n", b"NO [TOOBIG]"),
    (b" (\\Seen {3+}\r\ntwo", b"BAD"),
    (b"  {3+}\r\ntwo", b"BAD"),
    (b" {3+}\r\nt\0o", b"BAD"),
    (b" {3+}\r\ntwo ", b"BAD"),
    (b" {3+}\r\ntwo (\\Seen)", b"BAD")])
def test_all_or_none(mailbox, client, last, answer):
    """RFC 3502 6.3.11: "If any of the messages fail, none is appended"."""
    client.send(b"a APPEND INBOX {3+}\r\none" + last + b"\r\n")
    assert client.read_line().startswith(b"a " + answer)
    with mailbox.connect() as other:
        assert other.ok("STATUS INBOX (MESSAGES)") == [b"* STATUS INBOX (MESSAGES 0)"]
    assert mailbox.files() == [] and mailbox.files(place="tmp") == []


def test_none_after_a_failure_on_disk(mailbox, client):
    """The file of the second has gone before it could be named: the first does not stay."""
    client.send(b"a APPEND INBOX {3}\r\n")
    assert client.read_line().startswith(b"+")
    first = set(mailbox.files(place="tmp"))
    client.send(b"one {3}\r\n")
    assert client.read_line().startswith(b"+")
    second = set(mailbox.files(place="tmp")) - first
    os.unlink(mailbox.maildir / "tmp" / second.pop())
    client.send(b"two\r\n")
    assert client.read_line().startswith(b"a NO [")
    assert mailbox.files() == [] and mailbox.files(place="tmp") == []
    client.append(MESSAGE)
    assert list(bodies(client).values()) == [MESSAGE]


def test_a_thousand_at_once(mailbox, client):
    """No descriptor for each."""
    client.send(several([(b"", b"%d" % i) for i in range(1000)]))
    assert re.match(rb"OK \[APPENDUID \d+ 1:1000\]", client.answer(b"a")[1])
    with looking_into_a_role():
        assert len(os.listdir(f"/proc/{mailbox.role.pid}/fd")) < 40
    assert bodies(client)[1000] == b"999"


def test_that_break_off_leave_nothing(mailbox, client):
    client.send(b"a APPEND INBOX {3+}\r\none {3+}\r\nt")
    mailbox.eventually(lambda: len(mailbox.files(place="tmp")) == 2)
    client.close()
    mailbox.eventually(lambda: not mailbox.files(place="tmp"))
    assert mailbox.files() == []


def test_quota_for_all_of_them(tmp_path):
    """RFC 9208 4.3.1; what counts is their sum, and their number, of a COPY too."""
    mailbox = Mailbox(tmp_path, quota_octets=1000, quota_messages=4)
    with mailbox.connect() as client:
        client.send(several([(b"", b"x" * 600), (b"", b"x" * 600)]))
        assert client.answer(b"a")[1].startswith(b"NO [OVERQUOTA]")
        client.send(several([(b"", b"x")] * 5))
        assert client.answer(b"a")[1].startswith(b"NO [OVERQUOTA]")
        assert mailbox.files() == []
        client.send(several([(b"", b"x")] * 3))
        assert client.answer(b"a")[1].startswith(b"OK")
        client.ok("SELECT INBOX")
        assert client.command("COPY 1:2 Sent")[1].startswith(b"NO [OVERQUOTA]")
        client.ok("COPY 1 Sent")
    mailbox.stop()


# ---- REPLACE ----

@pytest.fixture
def draft(mailbox, client):
    """INBOX, selected, with two messages; the second is to be replaced."""
    client.append(b"other")
    client.append(b"old")
    client.ok("SELECT INBOX")
    return client


def test_replace(mailbox, draft):
    """RFC 8508 3, 3.1: APPENDUID in an untagged OK, before the EXPUNGE."""
    draft.talk(r"""
        C: a REPLACE 2 INBOX (\\Seen \\Draft) "17-Jul-1996 02:44:25 +0000" {3}
        S: + *
        C: new
        S: * OK [APPENDUID * 3] *
        S: * 2 EXPUNGE
        S: * 2 EXISTS
        S: a OK *
        C: b FETCH 2 (UID FLAGS INTERNALDATE)
        S: * 2 FETCH (UID 3 FLAGS (\\Seen \\Draft \\Recent) INTERNALDATE "17-Jul-1996 02:44:25 +0000")
        S: b OK *""")
    assert bodies(draft) == {1: b"other", 3: b"new"}
    mailbox.restart()
    with mailbox.connect() as again:
        assert bodies(again) == {1: b"other", 3: b"new"}


def test_uid_replace_into_another_mailbox(mailbox, draft):
    """RFC 8508 3.2, 3.4: the mailbox may be another one, as when a draft is sent."""
    draft.talk(r"""
        C: a UID REPLACE 2 {4+}\r\nSent {4+}\r\nsent\r\n
        S: * OK [APPENDUID * 1] *
        S: * 2 EXPUNGE
        S: * 1 RECENT
        S: a OK *
        C: b STATUS Sent (MESSAGES)
        S: * STATUS Sent (MESSAGES 1)
        S: b OK *""")
    assert bodies(draft) == {1: b"other"}


def test_replace_refused(mailbox, draft):
    """Before the message comes; nothing has changed."""
    draft.talk(r"""
        C: a REPLACE 3 INBOX {3}
        S: a BAD *
        C: b UID REPLACE 9 INBOX {3}
        S: b NO [NONEXISTENT] *
        C: c REPLACE 2 nothing {3}
        S: c NO [TRYCREATE] *
        C: d REPLACE 2 INBOX {0}
        S: d NO [CANNOT] *
        C: e REPLACE 2 INBOX {9999999999}
        S: e NO [TOOBIG] *
        C: f REPLACE 1:2 INBOX {3}
        S: f BAD *
        C: g REPLACE 0 INBOX {3}
        S: g BAD *
        C: h REPLACE 2 INBOX
        S: h BAD *
        C: i REPLACE 2 {3}
        S: + *
        C: a/b
        S: i BAD *
        C: j REPLACE 2 INBOX {3+}\r\none {3+}\r\ntwo\r\n
        S: j BAD *
        C: k EXAMINE INBOX
        S: ...
        S: k OK *
        C: l REPLACE 2 INBOX {3}
        S: l NO [READ-ONLY] *
        C: m CLOSE
        S: m OK *
        C: n REPLACE 2 INBOX {3}
        S: n BAD *""")
    assert bodies(draft) == {1: b"other", 2: b"old"}
    assert mailbox.files(place="tmp") == []


def test_replace_that_cannot_be_stored(mailbox, draft):
    """RFC 8508 3.1: both or neither; here the new file is lost."""
    draft.send(b"a REPLACE 2 INBOX {3}\r\n")
    assert draft.read_line().startswith(b"+")
    for name in mailbox.files(place="tmp"):
        os.unlink(mailbox.maildir / "tmp" / name)
    draft.send(b"new\r\n")
    assert draft.read_line().startswith(b"a NO [")
    assert bodies(draft) == {1: b"other", 2: b"old"}


def test_replace_of_what_goes_meanwhile(mailbox, draft):
    """The new message is kept: nobody else has it."""
    draft.send(b"a REPLACE 2 INBOX {3}\r\n")
    assert draft.read_line().startswith(b"+")
    with mailbox.connect() as other:
        other.ok("SELECT INBOX")
        other.ok(r"STORE 2 +FLAGS (\Deleted)")
        other.ok("EXPUNGE")
    draft.send(b"new\r\n")
    assert draft.answer(b"a")[1].startswith(b"OK")
    assert bodies(draft) == {1: b"other", 3: b"new"}


def test_replace_in_a_full_mailbox(tmp_path):
    """RFC 8508 3.1: what goes makes room for what comes."""
    mailbox = Mailbox(tmp_path, quota_octets=1000)
    with mailbox.connect() as client:
        client.append(b"x" * 1000)
        client.ok("SELECT INBOX")
        client.send(b"a REPLACE 1 INBOX {1000+}\r\n" + b"y" * 1000 + b"\r\n")
        assert client.answer(b"a")[1].startswith(b"OK")
        client.send(b"a REPLACE 1 INBOX {1001}\r\n")
        assert client.answer(b"a")[1].startswith(b"NO [OVERQUOTA]")
        assert client.ok('GETQUOTA ""') == [b'* QUOTA "" (STORAGE 1 0)']
        assert list(bodies(client).values()) == [b"y" * 1000]
    mailbox.stop()
