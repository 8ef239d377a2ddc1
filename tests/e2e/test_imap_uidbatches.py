"""UIDBATCHES (RFC 10022): ranges of UIDs with as many messages in each.
imapd-mailbox alone."""

import pytest

from mailbox_role import Mailbox, needs_mailbox  # noqa: F401

pytestmark = needs_mailbox


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """1 201 messages with the UIDs 2 to 1202."""
    mailbox = Mailbox(tmp_path_factory.mktemp("batches"))
    with mailbox.connect() as connected:
        connected.send(b"x APPEND INBOX" + b" {1+}\r\nx" * 1202 + b"\r\n")
        assert connected.answer()[1].startswith(b"OK")
        connected.ok("SELECT INBOX")
        connected.ok(r"STORE 1 FLAGS.SILENT (\Deleted)")
        connected.ok("EXPUNGE")
        yield connected
    mailbox.stop()


@pytest.mark.parametrize("arguments, ranges", [
    ("500", b" 1202:703,702:203,202:1"), ("1000", b" 1202:203,202:1"), ("1200", b" 1202:3,2:1"),
    ("1201", b" 1202:1"), ("4294967295", b" 1202:1"), ("500 2:3", b" 702:203,202:1"),
    ("500 2:2", b" 702:203"), ("500 3:99", b" 202:1"), ("500 4:4294967295", b"")])
def test_batches(client, arguments, ranges):
    """Newest first, without gaps; the oldest reaches down to UID 1."""
    assert b"UIDBATCHES" in client.ok("CAPABILITY")[0].split()
    assert client.ok(f"UIDBATCHES {arguments}") == [b'* UIDBATCHES (TAG "x")' + ranges]


def test_saved_result_stays(client):
    client.ok("SEARCH RETURN (SAVE) 7")
    client.ok("UIDBATCHES 500")
    assert client.ok("SEARCH $") == [b"* SEARCH 7"]


@pytest.mark.parametrize("arguments, answer", [
    ("499", b"NO [TOOFEW]"), ("499 1:2", b"NO [TOOFEW]"), ("500 2:1", b"BAD"), ("500 1", b"BAD"),
    ("500 0:1", b"BAD"), ("500 1:*", b"BAD"), ("0", b"BAD"), ("", b"BAD"), ("x", b"BAD"),
    ("500 1:2 ", b"BAD")])
def test_refused(client, arguments, answer):
    lines, tagged = client.command(f"UIDBATCHES {arguments}".rstrip() if not arguments else
                                   f"UIDBATCHES {arguments}")
    assert tagged.startswith(answer) and lines == []


def test_empty_mailbox(client):
    client.ok("EXAMINE Sent")
    assert client.ok("UIDBATCHES 500") == [b'* UIDBATCHES (TAG "x")']
    client.ok("CLOSE")
    assert client.command("UIDBATCHES 500")[1].startswith(b"BAD")
