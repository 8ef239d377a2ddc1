"""When a message came and which it is: WITHIN (RFC 5032), SAVEDATE (RFC 8514), OBJECTID (RFC 8474).
imapd-mailbox alone."""

import os
import re
import time

import pytest

from mailbox_role import MESSAGE, client, mailbox, needs_mailbox  # noqa: F401

pytestmark = needs_mailbox


def email_ids(client, numbers="1:*"):
    return [re.search(rb"EMAILID \(([A-Za-z0-9_-]{1,255})\)", line)[1]
            for line in client.ok(f"FETCH {numbers} (EMAILID)")]


def mailbox_id(client, folder="INBOX"):
    return re.search(rb"MAILBOXID \(([A-Za-z0-9_-]{1,255})\)\)$",
                     client.ok(f"STATUS {folder} (MAILBOXID)")[0])[1]


# ---- WITHIN ----

def test_older_and_younger(mailbox, client):
    """RFC 5032 3: by INTERNALDATE, to the second."""
    now = int(time.time())
    for age in (10, 1000, 100000):
        path = mailbox.store(place="cur", flags="")
        os.utime(path, (now - age, now - age))
    client.ok("SELECT INBOX")
    assert client.ok("SEARCH YOUNGER 500") == [b"* SEARCH 1"]
    assert client.ok("SEARCH OLDER 500") == [b"* SEARCH 2 3"]
    assert client.ok("SEARCH YOUNGER 50000 OLDER 500") == [b"* SEARCH 2"]
    assert client.ok("SEARCH NOT OLDER 4294967295") == [b"* SEARCH 1 2 3"]


# ---- SAVEDATE ----

def test_save_date(mailbox, client):
    """RFC 8514 4.2, 4.3: when it came into this mailbox, not its INTERNALDATE."""
    path = mailbox.store(place="cur", flags="", name="951782400.Q1.host")  # 29-Feb-2000
    os.utime(path, (0, 0))
    path = mailbox.store(place="cur", flags="", name="odd")
    os.utime(path, (951868800, 951868800))  # the day after
    client.ok("SELECT INBOX")
    assert sorted(client.ok("FETCH 1:2 (SAVEDATE)"), key=lambda line: b"NIL" in line) == [
        b'* 1 FETCH (SAVEDATE "29-Feb-2000 00:00:00 +0000")', b"* 2 FETCH (SAVEDATE NIL)"]
    assert client.ok("SEARCH SAVEDON 29-Feb-2000") == [b"* SEARCH 1"]
    assert client.ok("SEARCH SAVEDBEFORE 1-Mar-2000") == [b"* SEARCH 1"]
    assert client.ok("SEARCH SAVEDSINCE 1-Mar-2000") == [b"* SEARCH 2"]  # by INTERNALDATE
    assert client.ok("SEARCH SAVEDSINCE 29-Feb-2000 NOT SAVEDON 29-Feb-2000") == [b"* SEARCH 2"]
    assert client.ok("SEARCH SAVEDATESUPPORTED") == [b"* SEARCH 1 2"]


def test_copy_is_saved_now(mailbox, client):
    """RFC 8514 4.1: COPY and MOVE set it, and leave INTERNALDATE."""
    path = mailbox.store(place="cur", flags="", name="951782400.Q1.host")
    os.utime(path, (0, 0))
    client.ok("CREATE Other")
    client.ok("SELECT INBOX")
    client.ok("COPY 1 Other")
    client.ok("MOVE 1 Other")
    client.ok("SELECT Other")
    assert client.ok("SEARCH SAVEDSINCE 1-Jan-2020 BEFORE 2-Jan-1970") == [b"* SEARCH 1 2"]


# ---- OBJECTID ----

def test_email_id_goes_along(mailbox, client):
    """RFC 8474 5.1: COPY and MOVE keep it; flags and a restart too."""
    for _ in range(2):
        mailbox.store()
    client.ok("CREATE Other")
    client.ok("CREATE Third")
    client.ok("SELECT INBOX")
    one, two = email_ids(client)
    assert one != two
    client.ok("STORE 1 +FLAGS (key)")
    client.ok("COPY 1:2 Other")
    client.ok("MOVE 1 Other")
    assert email_ids(client) == [two]
    client.ok("SELECT Other")
    assert email_ids(client) == [one, two, one]
    assert client.ok(f"SEARCH EMAILID {one.decode()}") == [b"* SEARCH 1 3"]
    client.ok("COPY 3 Third")
    client.ok("RENAME Third Fourth")
    mailbox.restart()
    with mailbox.connect() as again:
        again.ok("SELECT Fourth")
        assert email_ids(again) == [one]
        again.append(MESSAGE, "Fourth")  # alike, and another all the same
        again.ok("NOOP")
        assert len(set(email_ids(again)) | {two}) == 3


def test_thread_id(mailbox, client):
    """RFC 8474 5.2: "a server that does not support THREADID SHOULD return NIL"."""
    mailbox.store()
    client.ok("SELECT INBOX")
    assert client.ok("FETCH 1 (THREADID)") == [b"* 1 FETCH (THREADID NIL)"]
    assert client.ok("SEARCH THREADID T1") == [b"* SEARCH"]


def test_mailbox_id(mailbox, client):
    """RFC 8474 4: in CREATE, SELECT and STATUS, the same after RENAME; a new mailbox has another."""
    tagged = client.command("CREATE One")[1]
    one = re.match(rb"OK \[MAILBOXID \(([A-Za-z0-9_-]{1,255})\)\] ", tagged)[1]
    assert mailbox_id(client, "One") == one != mailbox_id(client)
    assert any(line.startswith(b"* OK [MAILBOXID (" + one + b")] ")
               for line in client.ok("SELECT One"))
    client.ok("UNSELECT")
    client.ok("RENAME One Two")
    assert mailbox_id(client, "Two") == one
    mailbox.restart()
    with mailbox.connect() as again:
        assert mailbox_id(again, "Two") == one
        again.ok("DELETE Two")
        again.ok("CREATE Two")
        assert mailbox_id(again, "Two") != one


@pytest.mark.parametrize("command", [
    "SEARCH YOUNGER 0", "SEARCH OLDER", "SEARCH OLDER x", "SEARCH SAVEDON 1", "SEARCH SAVEDATE",
    "SEARCH EMAILID", 'SEARCH EMAILID "M1"', "SEARCH EMAILID M.1", "SEARCH THREADID",
    "SEARCH EMAILID " + 256 * "M", "FETCH 1 EMAILID (x)", "STATUS INBOX (MAILBOXID"])
def test_bad_arguments(mailbox, client, command):
    mailbox.store()
    client.ok("SELECT INBOX")
    assert client.command(command)[1].startswith(b"BAD")
