"""CATENATE (RFC 4469): a message put together of pieces of others. imapd-mailbox alone."""

import re

import pytest

from mailbox_role import Mailbox, client, mailbox, needs_mailbox  # noqa: F401

pytestmark = needs_mailbox
OLD = (b"Subject: old\r\nTo: a@b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
       b"--b\r\nX: 1\r\n\r\none\r\n--b\r\nX: 2\r\n\r\n" + b"two" * 50_000 + b"\r\n--b--\r\n")


@pytest.fixture
def drafts(mailbox, client):
    """Drafts with a message of UID 1; *validity* is its UIDVALIDITY."""
    client.append(OLD, "Drafts")
    client.validity = re.search(rb"UIDVALIDITY (\d+)",
                                client.ok("STATUS Drafts (UIDVALIDITY)")[0]).group(1).decode()
    return client


def catenate(client, pieces, arguments=b"", behind=b"", folder=b"INBOX", command=b"APPEND"):
    """URLs as str, texts as bytes."""
    said = b" ".join(b'URL "%s"' % piece.encode() if isinstance(piece, str)
                     else b"TEXT {%d+}\r\n%s" % (len(piece), piece) for piece in pieces)
    return client.command(b"%s %s %sCATENATE (%s)%s" % (command, folder, arguments, said, behind))[1]


def newest(client, folder="INBOX"):
    client.ok(f"EXAMINE {folder}")
    found = re.match(rb"\* \d+ FETCH \(BODY\[\] \{\d+\}\r\n(.*)\)$",
                     client.ok("FETCH * BODY.PEEK[]")[0], re.S)
    return found.group(1)


def test_example(drafts):
    """Appendix A, 1: an attachment is replaced; 3: the flags; \\Seen of the pieces stays."""
    url = f"/Drafts;UIDVALIDITY={drafts.validity}/;UID=1"
    assert b"CATENATE" in drafts.ok("CAPABILITY")[0].split()
    answer = catenate(drafts, [url + "/;section=HEADER", b"--b\r\n", url + "/;section=1.MIME",
                               url + "/;SECTION=1", b"\r\n--b--\r\n"], rb"(\Seen) ")
    assert re.match(rb"OK \[APPENDUID \d+ 1\]", answer)
    assert newest(drafts) == OLD[:OLD.index(b"--b")] + b"--b\r\nX: 1\r\n\r\none\r\n--b--\r\n"
    assert drafts.ok("FETCH 1 FLAGS") == [rb"* 1 FETCH (FLAGS (\Seen \Recent))"]
    drafts.ok("EXAMINE Drafts")
    assert rb"\Seen" not in drafts.ok("FETCH 1 FLAGS")[0]


@pytest.mark.parametrize("url, octets", [
    ("/Drafts/;UID=1", OLD), ("/Dr%61fts/;uid=1/;section=2", b"two" * 50_000),
    ("/Drafts/;UID=1/;SECTION=HEADER.FIELDS%20(To)", b"To: a@b\r\n\r\n"),
    ("/Drafts/;UID=1/;PARTIAL=9.3", b"old"), ("/Drafts/;UID=1/;SECTION=1/;PARTIAL=1", b"ne"),
    ("/Drafts/;UID=1/;SECTION=1/;PARTIAL=1.1", b"n")])
def test_url(drafts, url, octets):
    """3, RFC 5092 11: as FETCH BODY has it."""
    assert catenate(drafts, [b"x", url]).startswith(b"OK")
    assert newest(drafts) == b"x" + octets


def test_selected_mailbox(drafts):
    """3: the base is the mailbox that is selected."""
    assert catenate(drafts, [b"x", "/;UID=1/;SECTION=1"]).startswith(b"NO [BADURL /;UID=1/;SECTION=1]")
    drafts.ok("SELECT Drafts")
    assert catenate(drafts, ["/;UID=1/;SECTION=1", ";UID=1/;SECTION=1"]).startswith(b"OK")
    assert newest(drafts) == b"oneone"


def test_literals(drafts):
    """URLs as literals, and texts that wait for the server."""
    drafts.talk(r"""
        C: a APPEND INBOX CATENATE (URL {25}
        S: + *
        C: /Drafts/;UID=1/;SECTION=1 URL {25+}\r\n/Drafts/;UID=1/;SECTION=1 TEXT {2}\r\n
        S: + *
        C: ab URL {25}
        S: + *
        C: /Drafts/;UID=1/;SECTION=1)
        S: a OK [APPENDUID * 1] *""")
    assert newest(drafts) == b"oneoneabone"


def test_empty_texts(mailbox, drafts):
    """RFC 3501 9: literal = "{" number "}" CRLF *CHAR8. An empty message is none, RFC 3502 6.3.11."""
    drafts.talk(r"""
        C: a APPEND INBOX CATENATE (TEXT {0}
        S: + *
        C:  TEXT {0+}\r\n URL "/Drafts/;UID=1/;SECTION=1" TEXT {0+}\r\n)\r\n
        S: a OK [APPENDUID * 1] *""")
    assert newest(drafts) == b"one"
    assert re.match(rb"OK \[APPENDUID \d+ 2:3\]", catenate(drafts, [b"", b"two"], behind=b" CATENATE (TEXT {1+}\r\nx TEXT {0+}\r\n)"))
    before = mailbox.files()
    for empty in (b"{0+}\r\n", b"CATENATE (TEXT {0+}\r\n)", b"CATENATE (TEXT {0+}\r\n TEXT {0+}\r\n)"):
        for earlier in (b"", b"{1+}\r\nx ", b"CATENATE (TEXT {1+}\r\nx) "):
            assert drafts.command(b"APPEND INBOX " + earlier + empty)[1].startswith(b"NO [CANNOT]")
    drafts.ok("SELECT INBOX")
    assert catenate(drafts, [b"", b""], folder=b"1 INBOX", command=b"REPLACE").startswith(b"NO [CANNOT]")
    assert drafts.command(b"APPEND INBOX CATENATE (TEXT {0+}\r\nURL x)")[1].startswith(b"BAD")
    assert drafts.ok("NOOP") == []
    assert mailbox.files() == before and mailbox.files(place="tmp") == []
    drafts.ok("ENABLE UTF8=ACCEPT")
    assert drafts.command(b"APPEND INBOX CATENATE (UTF8 (~{0+}\r\n) TEXT {1+}\r\nx)")[1].startswith(b"OK")
    assert newest(drafts) == b"x"
    assert drafts.command(b"APPEND INBOX CATENATE (UTF8 (~{0+}\r\n))")[1].startswith(b"NO [CANNOT]")


def test_several(mailbox, drafts):
    """RFC 3502 and RFC 4469: messages of each kind, all or none; RFC 8508."""
    one = b' CATENATE (URL "/Drafts/;UID=1/;SECTION=1")'
    assert re.match(rb"OK \[APPENDUID \d+ 1:2\]",
                    drafts.command(b"APPEND INBOX" + one + one)[1])
    assert re.match(rb"OK \[APPENDUID \d+ 3:5\]", drafts.command(
        b"APPEND INBOX" + one + b" {1+}\r\nx CATENATE (TEXT {1+}\r\ny)")[1])
    before = mailbox.files()
    for wrong in (one + b" x", one + b" {1+}\r\nx y", one + b' CATENATE (URL "/x/;UID=1")'):
        assert re.match(rb"BAD|NO \[BADURL", drafts.command(b"APPEND INBOX" + wrong)[1])
        assert drafts.ok("NOOP") == []
    assert mailbox.files() == before and mailbox.files(place="tmp") == []
    drafts.ok("SELECT INBOX")
    assert drafts.command(b"UID REPLACE 5 INBOX" + one)[1].startswith(b"OK")
    assert newest(drafts) == b"one"


@pytest.mark.parametrize("url", [
    "/Drafts/;UID=2", "/nothing/;UID=1", "/Drafts;UIDVALIDITY=1/;UID=1", "/Drafts/;UID=1/;SECTION=9",
    "/Drafts/;UID=0", "/Drafts/;UID=x", "/Drafts", "Drafts/;UID=1", "imap://host/Drafts/;UID=1",
    "//host/Drafts/;UID=1", "/Drafts/;UID=1/;SECTION=x", "/Drafts/;UID=1/;SECTION=1%", "/a/../;UID=1",
    "/Drafts/;UID=1;x", "/Drafts;UIDVALIDITY=x/;UID=1", "/Drafts/;UID=1/;PARTIAL=", "/%ff/;UID=1",
    "/Drafts/;UID=1/;SECTION=1]%20UID", "/Drafts/;UID=1/;PARTIAL=0.0", "/;UID=1", "", "a]b"])
def test_bad_urls(mailbox, drafts, url):
    """4.1, and 3: nothing but a message of the account; what follows is no command."""
    said = url.replace("]", "?").encode()
    for pieces in ([url], [url, b"text"], [b"text", url], [b"text", url, b"text"]):
        assert catenate(drafts, pieces).startswith(b"NO [BADURL %s]" % said)
        assert drafts.ok("NOOP") == []
    drafts.send(b'a APPEND INBOX CATENATE (URL "%s" TEXT {4}\r\n' % url.encode())
    assert drafts.read_line().startswith(b"a NO [BADURL ")
    assert mailbox.files() == [] and mailbox.files(place="tmp") == []


@pytest.mark.parametrize("arguments", [
    b"CATENATE", b"CATENATE ()", b"CATENATE (TEXT x)", b"CATENATE (URL)", b"CATENATE (URL x",
    b"CATENATE (URL x )", b"CATENATE(URL x)", b"CATENATE (FOO x)", b"CATENATE (TEXT {1+}\r\nx",
    b"CATENATE (TEXT {1+}\r\nxURL y)", b"CATENATE (TEXT {1+}\r\n\0)",
    b"CATENATE (UTF8 (~{1+}\r\nx))", b"CATENATE (TEXT ~{1+}\r\nx)"])
def test_bad_arguments(mailbox, client, arguments):
    """5"""
    assert client.command(b"APPEND INBOX " + arguments)[1].startswith(b"BAD")
    assert client.ok("NOOP") == []
    assert mailbox.files() == [] and mailbox.files(place="tmp") == []


def test_utf8(drafts):
    """RFC 6855 4: cat-part =/ utf8-literal"""
    drafts.ok("ENABLE UTF8=ACCEPT")
    assert drafts.command('APPEND INBOX CATENATE (UTF8 (~{11+}\r\nTo: ü@ü\r\n) URL '
                          '"/Drafts/;UID=1/;SECTION=1")'.encode())[1].startswith(b"OK")
    assert newest(drafts) == "To: ü@ü\r\none".encode()
    assert drafts.command(b"APPEND INBOX CATENATE (UTF8 (~{1+}\r\nx URL y)")[1].startswith(b"BAD")


def test_limits(tmp_path):
    """4.2, RFC 9208: the size of the whole counts."""
    mailbox = Mailbox(tmp_path, config="limits { message-size = 1M }\n", quota_octets=500_000)
    with mailbox.connect() as client:
        client.append(OLD, "Drafts")
        whole = "/Drafts/;UID=1"
        assert catenate(client, 7 * [whole]).startswith(b"NO [TOOBIG]")
        assert catenate(client, [whole, b"x" * 900_000]).startswith(b"NO [TOOBIG]")
        assert catenate(client, [whole]).startswith(b"OK")
        assert catenate(client, [whole], behind=b' CATENATE (URL "/Drafts/;UID=1")').startswith(
            b"NO [OVERQUOTA]")
        assert len(mailbox.files()) == 1 and mailbox.files(place="tmp") == []
    mailbox.stop()
