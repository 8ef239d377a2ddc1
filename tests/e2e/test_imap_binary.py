"""BINARY (RFC 3516): parts without their Content-Transfer-Encoding, and messages that have none.
imapd-mailbox alone."""

import base64
import random
import re

import pytest

from mailbox_role import Mailbox, needs_mailbox

pytestmark = needs_mailbox
NULS = b"\0\1\2\r\n\0" * 20
LARGE = random.Random(3516).randbytes(300_000)  # the same in each worker that collects tests
TEXT = "Käse, überall\r\nund Brot \r\n".encode()


def part(encoding, body, kind=b"application/octet-stream"):
    return (b"Content-Type: " + kind + b"\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n"
            + body)


def mixed(*parts):
    return (b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
            + b"".join(b"--b\r\n" + one + b"\r\n" for one in parts) + b"--b--\r\n")


def encoded(octets):
    return base64.encodebytes(octets).replace(b"\n", b"\r\n")


MESSAGE = mixed(part(b"quoted-printable", b"K=C3=A4se, =C3=BCber=\r\nall  \r\nund Brot=20=0D=0A",
                     b"text/plain; charset=utf-8"),
                part(b"BASE64 (of course)", encoded(NULS)), part(b"base64", encoded(LARGE)),
                part(b"7bit", mixed(part(b"base64", b"AQI=")), b"message/rfc822"), b"\r\nplain")


def value(client, item, message=1):
    """As (literal8, octets); NIL as None."""
    head = f"* {message} FETCH (".encode()
    client.send(b"x FETCH %d %s\r\n" % (message, item.encode()))
    line = client.read_line()
    assert line.startswith(head), line
    found = re.match(rb".*\] ?(?:<\d+>)? ?(~?)\{(\d+)\}$|.* NIL\)$", line[len(head):])
    assert found, line
    octets = None
    if found.group(2):
        octets = client.read_octets(int(found.group(2)))
        assert client.read_line().endswith(b")")
    assert client.read_line().startswith(b"x OK")
    return (bool(found.group(1)), octets) if octets is not None else None


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory):
    made = Mailbox(tmp_path_factory.mktemp("binary"))
    with made.connect() as client:
        client.ok("CREATE Parts")
    made.store(MESSAGE, folder="Parts")
    yield made
    made.stop()


@pytest.fixture
def client(mailbox):
    with mailbox.connect() as connected:
        connected.empty_inbox()
        yield connected


@pytest.fixture
def selected(mailbox):
    """With the one message of parts, that nothing changes."""
    with mailbox.connect() as connected:
        connected.ok("EXAMINE Parts")
        yield connected


@pytest.mark.parametrize("section, octets", [
    ("1", TEXT), ("2", NULS), ("3", LARGE), ("4.1", b"\1\2"), ("5", b"plain"), ("", MESSAGE),
    ("4", mixed(part(b"base64", b"AQI=")))], ids=str.split("1 2 3 4.1 5 whole 4"))
def test_fetch(selected, section, octets):
    """4.2, 4.3: BINARY, BINARY.PEEK and BINARY.SIZE, by literal8 only where there is a NUL."""
    for item in ("BINARY", "BINARY.PEEK"):
        literal8, found = value(selected, f"{item}[{section}]")
        assert found == octets and literal8 == (b"\0" in octets)
    assert selected.ok(f"FETCH 1 BINARY.SIZE[{section}]") == [
        b"* 1 FETCH (BINARY.SIZE[%s] %d)" % (section.encode(), len(octets))]


@pytest.mark.parametrize("first, count", [
    (0, 1), (1, 2), (100, 10), (119, 5), (120, 5), (4_000_000_000, 4_000_000_000)])
def test_partial(selected, first, count):
    """4.2: counted in decoded octets; beyond the end it is an empty string."""
    wanted = NULS[first:first + count]
    assert value(selected, f"BINARY.PEEK[2]<{first}.{count}>") == (b"\0" in wanted, wanted)


def test_partial_of_a_large_part(selected):
    assert value(selected, "BINARY.PEEK[3]<150000.100000>")[1] == LARGE[150000:250000]


def test_parts_that_are_not_there(selected):
    assert value(selected, "BINARY.PEEK[6]") is None
    assert selected.ok("FETCH 1 (BINARY.SIZE[6] BINARY.SIZE[1])") == [
        b"* 1 FETCH (BINARY.SIZE[6] 0 BINARY.SIZE[1] %d)" % len(TEXT)]


def test_seen(mailbox, client):
    """4.2: as of BODY and BODY.PEEK."""
    mailbox.store(MESSAGE)
    client.ok("SELECT INBOX")
    assert b"FLAGS" not in client.ok("FETCH 1 BINARY.PEEK[5]")[0]
    assert b"FLAGS" not in client.ok("FETCH 1 BINARY.SIZE[5]")[0]
    assert client.ok("FETCH 1 BINARY[5]") == [
        b"* 1 FETCH (BINARY[5] {5}\r\nplain FLAGS (\\Seen \\Recent))"]


def test_unknown_encoding(mailbox, client):
    """4.3: NO [UNKNOWN-CTE]; the message's other parts, and other messages, can be had."""
    mailbox.store(mixed(part(b"x-uuencode", b"M"), part(b"base64", b"AQI=")))
    mailbox.store(mixed(b"\r\nfine"))
    client.ok("SELECT INBOX")
    lines, tagged = client.command("FETCH 1:2 BINARY[1]")
    assert tagged.startswith(b"NO [UNKNOWN-CTE]")
    assert lines == [b"* 2 FETCH (BINARY[1] {4}\r\nfine FLAGS (\\Seen \\Recent))"]
    assert client.command("FETCH 1 BINARY.SIZE[1]")[1].startswith(b"NO [UNKNOWN-CTE]")
    assert client.ok("FETCH 1 BINARY.SIZE[2]") == [b"* 1 FETCH (BINARY.SIZE[2] 2)"]
    assert client.ok("FETCH 1 FLAGS") == [b"* 1 FETCH (FLAGS (\\Recent))"]


def test_message_without_parts(mailbox, client):
    """Its body is part 1 (RFC 3501 6.4.5)."""
    mailbox.store(part(b"base64", b"AAE=\r\n"))
    client.ok("SELECT INBOX")
    assert value(client, "BINARY.PEEK[1]") == (True, b"\0\1")


@pytest.mark.parametrize("item", [
    "BINARY", "BINARY.PEEK", "BINARY.SIZE", "BINARY[HEADER]", "BINARY[1.MIME]", "BINARY[1.TEXT]",
    "BINARY[TEXT]", "BINARY[0]", "BINARY[1]<0.0>", "BINARY[1]<1>", "BINARY.SIZE[1]<0.1>",
    "BINARY.SIZE.PEEK[1]", "BINARY[HEADER.FIELDS (a)]"])
def test_bad_arguments(selected, item):
    """7: section-binary has no words."""
    lines, tagged = selected.command(f"FETCH 1 {item}")
    assert tagged.startswith(b"BAD") and lines == []


# ---- APPEND ----

def leftovers(mailbox):
    """Beside the tombstones of what other tests expunged."""
    return [name for name in mailbox.files(place="tmp") if not name.endswith(".gone")]


def append(client, octets, arguments="", closing=b"", sign="+"):
    """With a literal8."""
    client.send(f"x APPEND INBOX {arguments}~{{{len(octets)}{sign}}}\r\n".encode())
    if not sign:
        assert client.read_line().startswith(b"+ ")
    client.send(octets + closing + b"\r\n")
    return client.answer()[1]


@pytest.mark.parametrize("sign", ["", "+"])
def test_append(mailbox, client, sign):
    """4.4: binary parts are stored as base64, without loss; 6: BODYSTRUCTURE and BODY say so, and
    what is not binary stays as it is."""
    octets = mixed(part(b"binary", NULS), part(b"8bit", TEXT, b"text/plain"), part(b"binary", LARGE))
    client.ok("SELECT INBOX")
    assert re.match(rb"OK \[APPENDUID \d+ \d+\]", append(client, octets, "(\\Seen) ", sign=sign))
    stored = mixed(part(b"base64", encoded(NULS).rstrip()), part(b"8bit", TEXT, b"text/plain"),
                   part(b"base64", encoded(LARGE).rstrip()))
    assert value(client, "BINARY.PEEK[1]") == (True, NULS)
    assert value(client, "BINARY.PEEK[2]") == (False, TEXT)
    assert value(client, "BINARY.PEEK[3]")[1] == LARGE
    assert b'"BASE64"' in client.ok("FETCH 1 BODYSTRUCTURE")[0].upper()
    assert client.ok("FETCH 1 (FLAGS RFC822.SIZE)") == [
        b"* 1 FETCH (FLAGS (\\Seen \\Recent) RFC822.SIZE %d)" % len(client_body(client))]
    assert re.sub(rb"\s", b"", client_body(client)) == re.sub(rb"\s", b"", stored)


def client_body(client):
    return value(client, "BODY.PEEK[]")[1]


def test_append_of_what_needs_no_change(mailbox, client):
    """6: "Gratuitous encoding changes" are not made."""
    client.ok("SELECT INBOX")
    assert append(client, MESSAGE).startswith(b"OK")
    assert client_body(client) == MESSAGE


def test_several(mailbox, client):
    """RFC 3502: literals of both kinds; the quota counts what is stored."""
    client.send(b"x APPEND INBOX ~{26+}\r\nContent-Type: a/b\r\n\r\nplain {3+}\r\ntwo ~{0+}\r\n")
    assert client.answer()[1].startswith(b"NO [CANNOT]")
    assert mailbox.files() == [] and leftovers(mailbox) == []


@pytest.mark.parametrize("octets", [b"a: b\r\n\r\n\0", b"\0", mixed(part(b"8bit", b"\0")),
                                    mixed(part(b"base64", b"\0"))])
def test_nul_elsewhere(mailbox, client, octets):
    """4.4: NO [UNKNOWN-CTE]; only a binary part holds a NUL, and a literal never (RFC 3501 9)."""
    assert append(client, octets).startswith(b"NO [UNKNOWN-CTE]")
    client.send(b"x APPEND INBOX {%d+}\r\n%s\r\n" % (len(octets), octets))
    assert client.answer()[1].startswith(b"BAD")
    assert mailbox.files() == [] and leftovers(mailbox) == []


def test_too_large_as_base64(tmp_path):
    mailbox = Mailbox(tmp_path, config="limits { message-size = 1M }\n")
    with mailbox.connect() as client:
        assert append(client, part(b"binary", 3 * LARGE)).startswith(b"NO [TOOBIG]")
        assert append(client, part(b"binary", 2 * LARGE)).startswith(b"OK")
        assert len(mailbox.files()) == 1 and leftovers(mailbox) == []
    mailbox.stop()


@pytest.mark.parametrize("command", [
    b"APPEND ~{5+}\r\nINBOX {1+}\r\nx", b"APPEND INBOX ~{+}", b"APPEND INBOX ~ {1+}\r\nx",
    b"APPEND INBOX ~{1+}\r\nx)", b"APPEND INBOX UTF8 (~{1+}\r\nx)"])
def test_bad_append(mailbox, client, command):
    """7; RFC 6855 4: UTF8 is for those who have enabled it."""
    assert client.command(command)[1].startswith(b"BAD")
    assert mailbox.files() == []
