"""UTF8=ACCEPT (RFC 6855). What it has in common with IMAP4rev2 is in test_imap_rev2.py. imapd-mailbox
alone."""

import pytest

from mailbox_role import client, mailbox, needs_mailbox  # noqa: F401

pytestmark = needs_mailbox
HEADER = "From: Jörg <jörg@bücher.example>\r\nSubject: Käse\r\n\r\n".encode()


@pytest.fixture
def utf8(client):
    assert b"UTF8=ACCEPT" in client.ok("CAPABILITY")[0].split()
    assert client.ok("ENABLE UTF8=ACCEPT") == [b"* ENABLED UTF8=ACCEPT"]
    return client


def append(client, data):
    return client.command(b"APPEND INBOX " + data)[1]


def test_append(mailbox, utf8):
    """4: with the UTF8 data extension; the header is given back as it came."""
    utf8.ok("SELECT INBOX")
    assert append(utf8, b"(\\Seen) UTF8 (~{%d+}\r\n%s)" % (len(HEADER), HEADER)).startswith(b"OK [AP")
    assert append(utf8, b"utf8 (~{%d+}\r\n%s) {1+}\r\nx UTF8 (~{1+}\r\ny)" % (len(HEADER), HEADER)
                  ).startswith(b"OK [AP")
    assert utf8.ok("FETCH 2 BODY.PEEK[]") == [
        b"* 2 FETCH (BODY[] {%d}\r\n%s)" % (len(HEADER), HEADER)]
    assert utf8.ok("SEARCH RETURN (COUNT) ALL") == [b'* ESEARCH (TAG "x") COUNT 4']
    assert utf8.ok('SEARCH SUBJECT "käse"'.encode()) == [b"* SEARCH 1 2"]
    with mailbox.connect() as other:  # 7: who has not enabled it gets the octets, too
        other.ok("SELECT INBOX")
        assert HEADER in other.ok("FETCH 1 BODY.PEEK[HEADER]")[0]


@pytest.mark.parametrize("data", [
    b"UTF8 (~{1+}\r\nx", b"UTF8 (~{1+}\r\nx) ", b"UTF8 (~{1+}\r\nx))", b"UTF8 ({1+}\r\nx)",
    b"UTF8 ~{1+}\r\nx", b"UTF8(~{1+}\r\nx)", b"UTF8 (x)", b"UTF8",
    b"UTF8 (~{1+}\r\nx {1+}\r\ny)"])
def test_bad_append(mailbox, utf8, data):
    assert append(utf8, data).startswith(b"BAD")
    assert mailbox.files() == [] and mailbox.files(place="tmp") == []


def test_search(utf8):
    """3: no charset any more, it is BAD; SORT needs one all the same."""
    utf8.ok("SELECT INBOX")
    assert utf8.command("SEARCH CHARSET UTF-8 ALL")[1].startswith(b"BAD")
    assert utf8.ok("SEARCH ALL") == [b"* SEARCH"]
    assert utf8.ok("SORT (DATE) UTF-8 ALL") == [b"* SORT"]


def test_names(mailbox, utf8):
    """3: LIST and LSUB in UTF-8, and RECENT as ever."""
    utf8.ok('CREATE "ü&"'.encode())
    assert utf8.ok('LIST "" "ü*"'.encode()) == ['* LIST (\\HasNoChildren) "/" "ü&"'.encode()]
    assert b"* 0 RECENT" in utf8.ok('SELECT "ü&"'.encode())
    with mailbox.connect() as other:
        assert other.ok('LIST "" &*') == [b'* LIST (\\HasNoChildren) "/" &APw-&-']
