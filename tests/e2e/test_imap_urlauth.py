"""URLAUTH (RFC 4467): URLs that let in whoever they say, until they expire or the key is made anew. imapd-mailbox alone."""

import pytest

from mailbox_role import Mailbox, needs_mailbox  # noqa: F401

pytestmark = needs_mailbox
HOST = "imap://u@mail.test.example"
MESSAGE = (b"Subject: one\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
           b"--b\r\n\r\nfirst\r\n--b\r\nContent-Type: text/html\r\n\r\n<b>second</b>\r\n--b--\r\n")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    made = Mailbox(tmp_path_factory.mktemp("urlauth"))
    with made.connect() as client:
        client.append(MESSAGE)
        client.ok("CREATE \"caf&AOk-\"")
        client.append(b"Subject: two\r\n\r\nin the caf\r\n", "\"caf&AOk-\"")
    yield made
    made.stop()


@pytest.fixture
def client(shared):
    with shared.connect() as connected:
        yield connected


def generate(client, path="/INBOX/;uid=1", access="authuser", host=HOST):
    rump = f"{host}{path};urlauth={access}"
    [line] = client.ok(f'GENURLAUTH "{rump}" INTERNAL')
    url = line.decode().removeprefix("* GENURLAUTH ").strip('"')
    assert url.startswith(rump + ":internal:")
    token = url.rsplit(":", 1)[1]
    assert len(token) >= 32 and set(token) <= set("0123456789abcdef")  # 128 bits, RFC 4467 2
    return url


def fetch(client, url):
    """The value, without what stands around it."""
    [line] = client.ok(f'URLFETCH "{url}"')
    head = b"* URLFETCH "
    assert line.startswith(head) and url.encode() in line
    value = line[line.index(url.encode()) + len(url):].lstrip(b'" ')
    return value if value == b"NIL" else value.split(b"\r\n", 1)[1] if value.startswith(b"{") else value.strip(b'"')


@pytest.mark.parametrize("path, value", [
    ("/INBOX/;uid=1", MESSAGE), ("/INBOX/;UID=1/;SECTION=1", b"first"), ("/INBOX/;uid=1/;section=2", b"<b>second</b>"),
    ("/INBOX/;uid=1/;section=HEADER.FIELDS%20(SUBJECT)", b"Subject: one\r\n\r\n"), ("/INBOX/;uid=1/;section=1/;partial=1.3", b"irs"),
    ("/caf%C3%A9/;uid=1/;section=TEXT", b"in the caf\r\n"), ("/INBOX/;uid=1;EXPIRE=2999-12-31T23:59:59Z", MESSAGE),
    ("/INBOX/;uid=1/;section=1;expire=2999-12-31T23:59:59-11:00", b"first")])
def test_there_and_back(client, path, value):
    """RFC 4467 4, 5, 9: whatever part."""
    assert fetch(client, generate(client, path)) == value


@pytest.mark.parametrize("host", ["imap://u@test.example", "imap://u@TEST.example:143", "imap://u%40test.example@mail.test.example"])
def test_names_of_the_server(client, host):
    """RFC 4467 5: a URL of this server's; it is called by its name, and by the domain of its accounts."""
    assert fetch(client, generate(client, host=host)) == MESSAGE


@pytest.mark.parametrize("access, reads", [
    ("user+u", True), ("user+u@test.example", True), ("user+other", False), ("submit+u", False), ("anonymous", True),
    ("authuser", True)])
def test_who_reads(client, access, reads):
    """RFC 4467 3: "submit+" is for who sends mail, not for IMAP."""
    assert fetch(client, generate(client, access=access)) == (MESSAGE if reads else b"NIL")


def test_several_at_once(client):
    """RFC 4467 9: genurlauth-data, urlfetch-data."""
    one, two = generate(client), generate(client, "/INBOX/;uid=1/;section=1")
    lines = client.ok(f'GENURLAUTH "{one.split(":internal")[0]}" INTERNAL "{two.split(":internal")[0]}" INTERNAL')
    assert lines[0].count(b":internal:") == 2
    lines = client.ok(f'URLFETCH "{two}" "{one}x" "{two}"')
    assert [line.split(b" ", 3)[3] for line in lines] == [b'{5}\r\nfirst', b"NIL", b'{5}\r\nfirst']


@pytest.mark.parametrize("change", [
    ("uid=1", "uid=2"), ("authuser", "anonymous"), ("INBOX", "Sent"), ("internal:", "internal:0"), ("internal:", "external:"),
    ("imap://u@", "imap://other@"), ("mail.test.example", "elsewhere.example"), (":internal:", ";internal:"), ("imap:", "http:")])
def test_changed(client, change):
    """RFC 4467 7: nothing tells apart what is wrong with it."""
    url = generate(client)
    assert fetch(client, url.replace(*change)) == b"NIL"


@pytest.mark.parametrize("path", ["/INBOX/;uid=99", "/INBOX;UIDVALIDITY=1/;uid=1", "/INBOX/;uid=1;EXPIRE=2001-01-01T00:00:00Z",
                                  "/INBOX/;uid=1/;section=7"])
def test_what_is_not_there(client, path):
    assert fetch(client, generate(client, path)) == b"NIL"


def test_reset_key(shared, client):
    """RFC 4467 6: of one mailbox, or of all; others stay as they are, and a restart changes nothing."""
    inbox, cafe = generate(client), generate(client, "/caf%C3%A9/;uid=1/;section=TEXT")
    shared.restart()
    with shared.connect() as again:
        assert fetch(again, inbox) == MESSAGE
        tagged = again.command("RESETKEY INBOX INTERNAL")[1]
        assert tagged.startswith(b"OK [URLMECH INTERNAL]")
        assert fetch(again, inbox) == b"NIL" and fetch(again, cafe) == b"in the caf\r\n"
        newer = generate(again)
        assert newer != inbox and fetch(again, newer) == MESSAGE
        again.ok("RESETKEY")
        assert fetch(again, newer) == fetch(again, cafe) == b"NIL"


@pytest.mark.parametrize("command, answer", [
    ("GENURLAUTH", b"BAD"), (f'GENURLAUTH "{HOST}/INBOX/;uid=1;urlauth=authuser"', b"BAD"),
    (f'GENURLAUTH "{HOST}/INBOX/;uid=1;urlauth=authuser" XSAMPLE', b"BAD"), (f'GENURLAUTH "{HOST}/INBOX/;uid=1" INTERNAL', b"NO"),
    (f'GENURLAUTH "{HOST}/none/;uid=1;urlauth=authuser" INTERNAL', b"NO"),
    (f'GENURLAUTH "{HOST}/INBOX/;uid=1;urlauth=everybody" INTERNAL', b"NO"),
    (f'GENURLAUTH "{HOST}/INBOX/;uid=1;urlauth=user+" INTERNAL', b"NO"),
    (f'GENURLAUTH "{HOST}/INBOX/;uid=1;expire=soon;urlauth=authuser" INTERNAL', b"NO"),
    ('GENURLAUTH "imap://other@mail.test.example/INBOX/;uid=1;urlauth=authuser" INTERNAL', b"NO"),
    (f'GENURLAUTH "{HOST}/INBOX/;uid=1;urlauth=authuser:internal:00" INTERNAL', b"NO"),
    ("URLFETCH", b"BAD"), ("RESETKEY INBOX XSAMPLE", b"BAD"), ("RESETKEY none", b"NO [NONEXISTENT]")])
def test_refused(client, command, answer):
    assert client.command(command)[1].startswith(answer)


def test_told(client):
    assert b"URLAUTH" in client.ok("CAPABILITY")[0].split()


# ---- URLAUTH=BINARY (RFC 5524) ----

ENCODED = (b"Subject: encoded\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
           b"--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORwAB\r\n"
           b"--b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A9\r\n"
           b"--b\r\nContent-Transfer-Encoding: x-unknown\r\n\r\nxyz\r\n"
           b"--b\r\nContent-Transfer-Encoding: base64\r\n\r\nMQ0KLS1iDQo=\r\n"
           b"--b\r\nContent-Transfer-Encoding: base64\r\n\r\nMQoyCg==\r\n--b--\r\n")
PNG, HTML = b"\x89PNG\0\1", "\u00e9".encode()


@pytest.fixture(scope="module")
def encoded(shared):
    """The path of that message."""
    with shared.connect() as connected:
        connected.ok("CREATE encoded")
        _, tagged = connected.append(ENCODED, "encoded")
        assert b"APPENDUID" in tagged
    return "/encoded/;uid=1"


def extended(client, url, elements):
    """What stands behind the URL, a line with its literals."""
    client.send(f'x URLFETCH ("{url}" {elements})\r\n'.encode())
    lines, tagged = client.answer()
    assert tagged.startswith(b"OK"), tagged
    [line] = lines
    head = b'* URLFETCH "' + url.encode() + b'" '
    assert line.startswith(head) or line.startswith(head.replace(b'"', b"")), line
    return line[line.index(url.encode()) + len(url):].lstrip(b'" ')


@pytest.mark.parametrize("section, elements, value", [
    ("/;section=1", "BINARY", b"(BINARY ~{6}\r\n" + PNG + b")"),  # 5: "If content contains a NUL octet, literal8 MUST be used"
    ("/;section=2", "BINARY", b"(BINARY {2}\r\n" + HTML + b")"),  # "Otherwise, content SHOULD use nstring"
    ("/;section=3", "BINARY", b"(BINARY NIL)"),  # "On decoding error, NIL should be used"
    ("/;section=1/;partial=1.3", "BINARY", b"(BINARY {3}\r\nPNG)"),
    ("/;section=2", "BODY", b"(BODY {6}\r\n=C3=A9)"),
    ("/;section=HEADER.FIELDS%20(SUBJECT)", "BINARY", b"(BINARY {20}\r\nSubject: encoded\r\n\r\n)"),
    ("", "binary", b"(BINARY {%d}\r\n%b)" % (len(ENCODED), ENCODED)),
    ("/;section=1", "BODYPARTSTRUCTURE BINARY",  # 4: of what BINARY gives, and before it
     b'(BODYPARTSTRUCTURE ("image" "png" NIL NIL NIL "binary" 6 NIL NIL NIL NIL)) (BINARY ~{6}\r\n' + PNG + b")"),
    ("/;section=2", "BINARY BODYPARTSTRUCTURE",
     b'(BODYPARTSTRUCTURE ("text" "html" ("charset" "utf-8") NIL NIL "8bit" 2 0 NIL NIL NIL NIL)) (BINARY {2}\r\n' + HTML + b")"),
    ("/;section=4", "BINARY BODYPARTSTRUCTURE",
     b'(BODYPARTSTRUCTURE ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 8 2 NIL NIL NIL NIL)) (BINARY {8}\r\n1\r\n--b\r\n)'),
    ("/;section=5", "BINARY BODYPARTSTRUCTURE",  # RFC 2045 2.9: a LF without its CR
     b'(BODYPARTSTRUCTURE ("text" "plain" ("charset" "us-ascii") NIL NIL "binary" 4 0 NIL NIL NIL NIL)) (BINARY {4}\r\n1\n2\n)'),
    ("/;section=3", "BINARY BODYPARTSTRUCTURE",
     b'(BODYPARTSTRUCTURE ("text" "plain" ("charset" "us-ascii") NIL NIL "x-unknown" 3 0 NIL NIL NIL NIL)) (BINARY NIL)'),
    ("/;section=3", "BODY BODYPARTSTRUCTURE",
     b'(BODYPARTSTRUCTURE ("text" "plain" ("charset" "us-ascii") NIL NIL "x-unknown" 3 0 NIL NIL NIL NIL)) (BODY {3}\r\nxyz)'),
    ("/;section=7", "BINARY", b"NIL"), ("/;section=7", "BODYPARTSTRUCTURE", b"NIL")])
def test_elements(client, encoded, section, elements, value):
    """RFC 5524 3, 5."""
    assert extended(client, generate(client, encoded + section), elements) == value


def test_elements_of_several(client, encoded):
    """RFC 5524 3: each URL has its own; one without is answered as in RFC 4467."""
    one, two = generate(client, encoded + "/;section=2"), generate(client, "/INBOX/;uid=1/;section=1")
    lines = client.ok(f'URLFETCH "{two}" ("{one}" BINARY) ("{two}") ("{one}x" BINARY)')
    assert [line[line.index(b":internal:") + 42:].strip(b'x" ') for line in lines] == [
        b"{5}\r\nfirst", b"(BINARY {2}\r\n" + HTML + b")", b"{5}\r\nfirst", b"NIL"]


@pytest.mark.parametrize("elements", ["BINARY BODY", "BODY BODY", "BODYPARTSTRUCTURE BODYPARTSTRUCTURE", "OTHER", "BINARY BINARY"])
def test_bad_elements(client, encoded, elements):
    """RFC 5524 3.1: each once, and not both BINARY and BODY."""
    _, tagged = client.command(f'URLFETCH ("{generate(client, encoded)}" {elements})')
    assert tagged.startswith(b"BAD")


def test_of_elements_is_told(client):
    """RFC 5524 3: the capability."""
    assert b" URLAUTH=BINARY" in client.ok("CAPABILITY")[0]


def test_mask_of_elements(tmp_path):
    """`client` of the configuration: what is not told is not taken."""
    mailbox = Mailbox(tmp_path, config='client "*" { account = "u@test.example" without = { "URLAUTH=BINARY" } }')
    with mailbox.connect() as masked:
        assert b"URLAUTH=BINARY" not in masked.ok("CAPABILITY")[0]
        masked.append(MESSAGE)
        url = generate(masked)
        assert masked.command(f'URLFETCH ("{url}" BINARY)')[1].startswith(b"BAD")
        assert fetch(masked, url) == MESSAGE
    mailbox.stop()


def test_structure_is_that_of_fetch(client, encoded):
    """RFC 5524 3.1, RFC 9051 7.5.2: the part's piece of BODYSTRUCTURE, and all of it for the message."""
    client.ok("EXAMINE encoded")
    [line] = client.ok("FETCH 1 BODYSTRUCTURE")
    whole = line[line.index(b"BODYSTRUCTURE ") + 14 : -1]
    for section in ("", "/;section=1", "/;section=2", "/;section=3"):
        found = extended(client, generate(client, encoded + section), "BODYPARTSTRUCTURE")
        structure = found.removeprefix(b"(BODYPARTSTRUCTURE ")[:-1]
        assert structure == whole if section == "" else structure in whole
