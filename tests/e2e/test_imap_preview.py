"""PREVIEW (RFC 8970): the beginning of what a message says. imapd-mailbox alone."""

import re

import pytest

from mailbox_role import Mailbox, needs_mailbox

pytestmark = needs_mailbox


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory):
    made = Mailbox(tmp_path_factory.mktemp("preview"))
    yield made
    made.stop()


@pytest.fixture
def client(mailbox):
    with mailbox.connect() as connected:
        connected.empty_inbox()
        yield connected


def html(body):
    return b"Content-Type: text/html; charset=utf-8\r\n\r\n" + body


def several(*parts, kind=b"mixed"):
    return (b"Content-Type: multipart/" + kind + b"; boundary=b\r\n\r\n"
            + b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n")


def preview(client, item="PREVIEW"):
    line = client.ok(f"FETCH * ({item})")[0]
    found = re.match(rb'\* \d+ FETCH \(PREVIEW (?:"(.*)"|\{\d+\}\r\n(.*)|NIL)\)$', line, re.S)
    assert found, line
    return found.group(1) if found.group(1) is not None else found.group(2)


TEXTS = [
    (b"Subject: x\r\n\r\n  Hello,\r\n\r\n\tworld.  \r\n", "Hello, world."),
    (b"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable"
     b"\r\n\r\nK=E4se=\r\nbrot", "Käsebrot"),
    (b"\r\n" + "ü".encode() * 300, "ü" * 200),  # 3.3: characters, not octets
    (b"\r\n\xff", "\ufffd"),
    (html(b"<html><head><title>No</title></head><style>p {}</style><p>Some <b>bold</b>te&auml;x"
          b"<br>t &amp; &#8364; &#x21; &no; <!-- <p> --><script>a < b</script> end"),
     "Some boldteäx t & € ! &no; end"),
    (html("\u200b\u00ad a\u00a0\u2003b".encode()), "a b"),
    (several(b"Content-Type: image/png\r\n\r\nx", b"Content-Disposition: attachment\r\n\r\ny",
             several(html(b""), html(b"<p>z</p>"), kind=b"alternative")), "z"),
    (b"Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nwords of another", ""),
    (b"Content-Type: application/pgp-encrypted\r\n\r\nx", ""), (b"Subject: x\r\n\r\n", ""),
    (html(b"<"), ""), (html(b"&"), "&"), (html(b"&#;&#0;&#x110001;"), "&#;&#0;&#x110001;")]


def previews(client, item="PREVIEW"):
    found = [re.match(rb'\* \d+ FETCH \(PREVIEW (?:"(.*)"|\{\d+\}\r\n(.*))\)$', line, re.S)
             for line in client.ok(f"FETCH 1:* ({item})")]
    return [(one[1] if one[1] is not None else one[2]).decode() for one in found]


def test_text(mailbox, client):
    """3.2, 3.3: text without markup in UTF-8, of 200 characters at most; else an empty string. It
    is the same from the index, and after a restart."""
    for message, _ in TEXTS:
        mailbox.store(message)
    wanted = [text for _, text in TEXTS]
    client.ok("EXAMINE INBOX")
    assert previews(client) == wanted
    assert previews(client) == wanted
    mailbox.restart()
    with mailbox.connect() as again:
        again.ok("EXAMINE INBOX")
        assert previews(again, "PREVIEW (LAZY)") == wanted


def test_lazy(mailbox, client):
    """4.1: NIL where it would have to be made; what is asked for without LAZY is kept."""
    mailbox.store(b"\r\nwords")
    client.ok("SELECT INBOX")
    assert preview(client, "PREVIEW (LAZY)") is None
    assert client.ok("FETCH 1 PREVIEW (LAZY)") == [b"* 1 FETCH (PREVIEW NIL)"]
    assert client.ok("FETCH 1 (PREVIEW (LAZY) PREVIEW)") == [
        b'* 1 FETCH (PREVIEW "words" PREVIEW "words")']
    assert preview(client, "PREVIEW (LAZY)") == b"words"
    assert client.ok("FETCH 1 FLAGS") == [b"* 1 FETCH (FLAGS (\\Recent))"]  # never \\Seen
    client.ok("ENABLE CONDSTORE")
    assert client.ok("FETCH 1 PREVIEW (CHANGEDSINCE 999)") == []


@pytest.mark.parametrize("items", [
    "PREVIEW (EAGER)", "(PREVIEW (EAGER))", "(PREVIEW ())", "(PREVIEW (LAZY)", "PREVIEW[]",
    "(PREVIEW(LAZY))"])
def test_bad_arguments(mailbox, client, items):
    mailbox.store()
    client.ok("SELECT INBOX")
    assert client.command(f"FETCH 1 {items}")[1].startswith(b"BAD")
