"""QUOTA (RFC 9208). imapd-mailbox alone."""

import pytest

from mailbox_role import MESSAGE, Mailbox, client, mailbox, needs_mailbox  # noqa: F401

pytestmark = needs_mailbox


@pytest.fixture
def limited(tmp_path):
    """An account that may have 4 KiB and 10 messages."""
    made = Mailbox(tmp_path, quota_octets=4096, quota_messages=10)
    with made.connect() as connected:
        yield connected
    made.stop()


def test_capabilities(client):
    """3: a resource at least; 4.1.3: no QUOTASET, so SETQUOTA does not work."""
    words = client.ok("CAPABILITY")[0].split()
    for word in (b"QUOTA", b"QUOTA=RES-STORAGE", b"QUOTA=RES-MESSAGE"):
        assert word in words
    assert b"QUOTASET" not in words


def test_one_root_for_all_mailboxes(limited):
    """4.1.1, 4.1.2, 4.2; STORAGE is in units of 1024 octets (5.1), begun ones count."""
    limited.talk(r"""
        C: a GETQUOTA ""
        S: * QUOTA "" (STORAGE 0 4 MESSAGE 0 10)
        S: a OK *""")
    limited.append(b"x" * 1024)
    limited.append(b"x", folder="Sent")
    limited.talk(r"""
        C: a GETQUOTAROOT inbox
        S: * QUOTAROOT INBOX ""
        S: * QUOTA "" (STORAGE 2 4 MESSAGE 2 10)
        S: a OK *
        C: b GETQUOTAROOT Sent
        S: * QUOTAROOT Sent ""
        S: * QUOTA "" (STORAGE 2 4 MESSAGE 2 10)
        S: b OK *
        C: c SELECT INBOX
        S: ...
        S: c OK *
        C: d STORE 1 +FLAGS.SILENT (\\Deleted)
        S: d OK *
        C: e STATUS INBOX (DELETED DELETED-STORAGE)
        S: * STATUS INBOX (DELETED 1 DELETED-STORAGE 1024)
        S: e OK *
        C: f EXPUNGE
        S: ...
        S: f OK *
        C: g GETQUOTA {0}
        S: + *
        C: \r\n
        S: * QUOTA "" (STORAGE 1 4 MESSAGE 1 10)
        S: g OK *""")


def test_over_quota(limited):
    """4.3.1: the code for APPEND, COPY and MOVE that would exceed a limit."""
    limited.append(b"x" * 3000)
    limited.ok("SELECT INBOX")
    lines, tagged = limited.command("COPY 1 Sent")
    assert tagged.startswith(b"NO [OVERQUOTA]")
    limited.ok("MOVE 1 Sent")
    for _ in range(9):
        limited.append(b"x")
    limited.send(b"a APPEND INBOX {1}\r\n")
    assert limited.read_line().startswith(b"a NO [OVERQUOTA]")
    assert limited.ok('GETQUOTA ""') == [b'* QUOTA "" (STORAGE 3 4 MESSAGE 10 10)']


def test_one_limit(tmp_path):
    """Only what is limited is told."""
    mailbox = Mailbox(tmp_path, quota_octets=1 << 30)
    with mailbox.connect() as client:
        assert client.ok('GETQUOTA ""') == [b'* QUOTA "" (STORAGE 0 1048576)']
    mailbox.stop()


def test_no_quota(client):
    """4.2.2: a mailbox may have no quota root."""
    client.talk(r"""
        C: a GETQUOTAROOT INBOX
        S: * QUOTAROOT INBOX
        S: a OK *
        C: b GETQUOTA ""
        S: b NO [NONEXISTENT] *""")


def test_refused(limited):
    limited.talk(r"""
        C: a GETQUOTA other
        S: a NO [NONEXISTENT] *
        C: b GETQUOTAROOT nothing
        S: b NO [NONEXISTENT] *
        C: c SETQUOTA "" (STORAGE 512)
        S: c NO [NOPERM] *
        C: d SETQUOTA "" ()
        S: d NO [NOPERM] *
        C: e SETQUOTA "" (STORAGE)
        S: e BAD *
        C: f SETQUOTA "" STORAGE 512
        S: f BAD *
        C: g SETQUOTA
        S: g BAD *
        C: h GETQUOTA
        S: h BAD *
        C: i GETQUOTA "" x
        S: i BAD *
        C: j GETQUOTAROOT
        S: j BAD *
        C: k GETQUOTAROOT a//b
        S: k NO [NONEXISTENT] *
        C: l GETQUOTA ""
        S: * QUOTA "" (STORAGE 0 4 MESSAGE 0 10)
        S: l OK *""")
