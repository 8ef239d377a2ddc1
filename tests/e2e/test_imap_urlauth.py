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


def generate(client, path="/INBOX/;uid=1", access="authuser"):
    rump = f"{HOST}{path};urlauth={access}"
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
