"""THREAD (RFC 5256 3). imapd-mailbox alone; tests/unit/thread_test.c has the algorithms."""

import os

import pytest

from mailbox_role import client, mailbox, needs_mailbox  # noqa: F401

pytestmark = needs_mailbox

# Message-ID, References, In-Reply-To, Subject, hour sent, day of arrival
MESSAGES = [
    ("<1@x>", None, None, "apples", 1, 9),
    ("<2@x>", "<1@x>", None, "Re: apples", 2, 2),
    ("<3@x>", "<1@x>\r\n <2@x>", "<ignored@x>", "Re: apples (fwd)", 3, 3),
    ("<4@x>", None, "your mail <1@x>", "pears", 4, 4),
    ("<5@x>", "nothing valid", None, "[list] pears", 5, 5),
    ("<6@x>", None, None, "plums", 0, 6),
    (None, None, None, "Re: plums", 7, 7),
    (None, None, None, None, 8, 1)]


@pytest.fixture
def eight(mailbox, client):
    for number, (own, references, reply_to, subject, hour, day) in enumerate(MESSAGES, 1):
        fields = [("Message-ID", own), ("References", references), ("In-Reply-To", reply_to),
                  ("Subject", subject), ("Date", f"Mon, 1 Jan 2024 {hour:02}:00:00 +0000")]
        head = "".join(f"{name}: {value}\r\n" for name, value in fields if value)
        path = mailbox.store(head.encode() + b"\r\nbody\r\n", place="cur", flags="",
                             name=f"{1700000000 + number}.Q{number}.host")
        os.utime(path, (day * 86400, day * 86400))
    client.ok("SELECT INBOX")
    return client


@pytest.mark.parametrize("algorithm, wanted", [
    ("REFERENCES", b"(6 7)(1 (2 3)(4))(5)(8)"),
    ("ORDEREDSUBJECT", b"(6 7)(1 (2)(3))(4 5)(8)"),
    ("REFS", b"(8)(5)(6)(7)(1 (2 3)(4))")])
def test_thread(eight, algorithm, wanted):
    for _ in range(2):  # from the files, and then from the index
        assert eight.ok(f"THREAD {algorithm} UTF-8 ALL") == [b"* THREAD " + wanted]


def test_of_what_is_found_only(eight):
    assert eight.ok("THREAD REFERENCES UTF-8 3:4") == [b"* THREAD ((3)(4))"]
    assert eight.ok("THREAD REFS US-ASCII SUBJECT fwd") == [b"* THREAD (3)"]
    assert eight.ok("THREAD REFERENCES UTF-8 DELETED") == [b"* THREAD"]
    assert eight.ok("UID SEARCH RETURN (SAVE) SUBJECT apples") == []
    assert eight.ok("THREAD ORDEREDSUBJECT UTF-8 $") == [b"* THREAD (1 (2)(3))"]


def test_by_uid(eight):
    eight.ok(r"STORE 1 FLAGS.SILENT (\Deleted)")
    eight.ok("EXPUNGE")
    assert eight.ok("UID THREAD REFERENCES UTF-8 UID 2:4") == [b"* THREAD ((2 3)(4))"]
    assert eight.ok("THREAD REFERENCES UTF-8 UID 2:4") == [b"* THREAD ((1 2)(3))"]


@pytest.mark.parametrize("command", [
    "THREAD", "THREAD REFERENCES", "THREAD REFERENCES UTF-8", "THREAD FOO UTF-8 ALL",
    "THREAD RETURN () REFS UTF-8 ALL", "THREAD REFERENCES UTF-8 FOO"])
def test_bad_arguments(eight, command):
    lines, tagged = eight.command(command)
    assert tagged.startswith(b"BAD") and lines == []


def test_bad_charset(eight):
    assert eight.command("THREAD REFS NONE ALL")[1].startswith(b"NO [BADCHARSET")
