"""What imapd-mailbox remembers of messages it read: the same answers with and without the index, whole
or damaged; large messages read in slices. imapd-mailbox alone."""

import os
import shutil
import time

import pytest
from house import BUILD
from mailbox_role import MESSAGE, Mailbox

pytestmark = pytest.mark.skipif(not (BUILD / "libexec" / "imapd-mailbox").exists(),
                                reason="imapd-mailbox is not built")

PARTS = (b"From: a@x.example\r\nSubject: parts\r\nDate: Thu, 1 Feb 2001 23:30:00 -0500\r\n"
         b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
         b"--b\r\nContent-Type: text/plain\r\n\r\nfirst\r\n"
         b"--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
         b"%s\r\n--b--\r\n")
ITEMS = "(UID INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE)"


@pytest.fixture
def mailbox(tmp_path):
    made = Mailbox(tmp_path)
    yield made
    made.kill()


def index_of(mailbox):
    return mailbox.maildir / "staffetta-index"


def fetch(mailbox, items=ITEMS):
    with mailbox.connect() as client:
        client.ok("EXAMINE INBOX")
        return client.ok(f"FETCH 1:* {items}")


def spoil(directory):
    for name in os.listdir(directory):
        path = directory / name
        path.write_bytes(b"\x5a" * path.stat().st_size)


def fill(mailbox):
    for message in (MESSAGE, PARTS % b"JVBERi0=", b"no header\r\n", MESSAGE.replace(b"\r\n", b"\n")):
        path = mailbox.store(message)
        if b"\r\n" not in message:  # by another program, which knows no W=
            path.rename(path.with_name("1600000000.P1.host"))
    fetch(mailbox, "UID")
    return fetch(mailbox)


def test_answers_do_not_depend_on_the_index(mailbox):
    read = fill(mailbox)
    assert len(read) == 4 and b'"application" "pdf"' in b"".join(read)
    assert index_of(mailbox).is_dir()
    assert fetch(mailbox) == read  # from the index
    mailbox.restart()
    assert fetch(mailbox) == read
    mailbox.role.stop()
    shutil.rmtree(index_of(mailbox))
    mailbox.start()
    assert fetch(mailbox) == read and index_of(mailbox).is_dir()


def test_damaged_index_is_begun_anew(mailbox):
    read = fill(mailbox)
    mailbox.role.stop()
    spoil(index_of(mailbox))
    mailbox.start()
    assert fetch(mailbox) == read
    mailbox.restart()
    assert fetch(mailbox) == read


def test_no_index_can_be_made(mailbox):
    read = fill(mailbox)
    mailbox.role.stop()
    shutil.rmtree(index_of(mailbox))
    index_of(mailbox).write_text("a file")
    mailbox.start()
    assert fetch(mailbox) == read
    assert any(b"index_not_used" in event for event in mailbox.role.events())


def test_index_is_read_not_the_message(mailbox):
    """The file is replaced under its name: what the index has is what the client was told before."""
    read = fill(mailbox)
    for path in (mailbox.maildir / "cur").iterdir():
        path.write_bytes(b"x" * path.stat().st_size)
    assert fetch(mailbox, "(UID ENVELOPE BODYSTRUCTURE)") == [
        line.replace(line[line.index(b" INTERNALDATE") : line.index(b" ENVELOPE")], b"")
        .replace(line[line.index(b" BODY (") : line.index(b" BODYSTRUCTURE")], b"")
        for line in read]


def test_search_remembers_when_a_message_was_sent(mailbox):
    fill(mailbox)
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        for _ in range(2):
            assert client.ok("SEARCH SENTON 1-Feb-2001") == [b"* SEARCH 3"]
            assert client.ok("SEARCH SENTBEFORE 1-Feb-2001") == [b"* SEARCH 1 2"]
            assert client.ok("SEARCH NOT SENTSINCE 1-Jan-1990") == [b"* SEARCH 4"]
    mailbox.restart()
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        assert client.ok("SEARCH SENTON 1-Feb-2001") == [b"* SEARCH 3"]


def test_messages_that_went_leave_the_index(mailbox):
    fill(mailbox)
    mailbox.role.stop()
    for path in list((mailbox.maildir / "cur").iterdir())[:2]:
        path.unlink()
    mailbox.start()
    assert len(fetch(mailbox)) == 2
    mailbox.store(PARTS % b"bmV3")
    fetch(mailbox, "UID")
    assert len(fetch(mailbox)) == 3


def test_renamed_by_another_program_between(mailbox):
    path = mailbox.store(PARTS % b"JVBERi0=", flags="", place="cur")
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        for flags in "S", "FS", "FRS":
            found, = (mailbox.maildir / "cur").iterdir()
            found.rename(found.with_name(found.name.split(":2,")[0] + ":2," + flags))
            lines = client.ok("FETCH 1 (BODY.PEEK[2] INTERNALDATE)")
            assert any(b"BODY[2] {8}\r\nJVBERi0=" in line for line in lines)
    assert not path.exists()


def test_part_in_pieces(mailbox):
    body = os.urandom(30000).hex().encode()
    mailbox.store(PARTS % body)
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        got = b""
        for offset in range(0, 70000, 7000):
            line, = client.ok(f"FETCH 1 BODY.PEEK[2]<{offset}.7000>")
            head, rest = line.split(b"\r\n", 1)
            got += rest[: int(head[head.rindex(b"{") + 1 : -1])]
        assert got == body


LARGE = PARTS % (b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2\r\n" * 600000)


@pytest.mark.parametrize("command", [
    "FETCH 1 BODYSTRUCTURE",
    "FETCH 1 BODY.PEEK[2]<0.10>",
    "SEARCH BODY nowhere",
])
def test_others_go_on_while_a_large_message_is_read(mailbox, command):
    mailbox.store(LARGE)
    with mailbox.connect() as reader, mailbox.connect() as other:
        reader.ok("SELECT INBOX")
        reader.send(b"x " + command.encode() + b"\r\n")
        longest = 0
        for _ in range(20):
            start = time.monotonic()
            other.ok("NOOP")
            longest = max(longest, time.monotonic() - start)
        _, tagged = reader.answer()
        assert tagged.startswith(b"OK")
        assert longest < 0.5
