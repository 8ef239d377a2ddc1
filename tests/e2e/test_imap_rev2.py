"""IMAP4rev2 (RFC 9051) beside IMAP4rev1: what ENABLE changes, and what it leaves. imapd-mailbox
alone."""

import pytest

from mailbox_role import client, mailbox, needs_mailbox  # noqa: F401

pytestmark = needs_mailbox
NAME = "Büro & Käse".encode()
UTF7 = b"B&APw-ro &- K&AOQ-se"


@pytest.fixture
def rev2(client):
    assert client.ok("ENABLE imap4REV2") == [b"* ENABLED IMAP4rev2"]
    return client


def test_capability(client):
    """Appendix A: both are advertised; 6.3.1: ENABLE does not change the list."""
    before = client.ok("CAPABILITY")
    assert {b"IMAP4rev1", b"IMAP4rev2"} <= set(before[0].split())
    client.ok("ENABLE IMAP4rev2")
    assert client.ok("CAPABILITY") == before


def test_select(mailbox, client):
    """6.3.2, E 10 to 12: LIST; no RECENT, no UNSEEN; 7.1: CLOSED."""
    for _ in range(2):
        mailbox.store()
    client.ok("UNSUBSCRIBE INBOX")
    client.talk(r"""
        C: a ENABLE IMAP4rev2
        S: * ENABLED IMAP4rev2
        S: a OK *
        C: b SELECT inbox
        S: * FLAGS *
        S: * OK [PERMANENTFLAGS *
        S: * 2 EXISTS
        S: * LIST (\\HasNoChildren) "/" INBOX
        S: * OK [UIDVALIDITY *
        S: * OK [UIDNEXT *
        S: * OK [HIGHESTMODSEQ *
        S: * OK [MAILBOXID *
        S: b OK [READ-WRITE] *
        C: c EXAMINE Sent
        S: * OK [CLOSED] *
        S: * FLAGS *
        S: * OK [PERMANENTFLAGS *
        S: * 0 EXISTS
        S: * LIST (\\HasNoChildren \\Sent \\Subscribed) "/" Sent
        S: ...
        S: c OK [READ-ONLY] *""")


def test_nothing_is_recent(mailbox, rev2):
    """E 12; E 21: FETCH that nobody asked for says the UID."""
    mailbox.store()
    rev2.ok("SELECT INBOX")
    with mailbox.connect() as other:
        other.ok("SELECT INBOX")
        mailbox.store()
        mailbox.changed()
        assert rev2.ok("NOOP") == [b"* 2 EXISTS"]
        assert rev2.ok("FETCH 1:* FLAGS") == [b"* 1 FETCH (FLAGS ())", b"* 2 FETCH (FLAGS ())"]
        other.ok(r"STORE 1 +FLAGS (\Seen)")
    assert rev2.ok("NOOP") == [rb"* 1 FETCH (UID 1 FLAGS (\Seen))"]
    assert rev2.ok("STATUS INBOX (MESSAGES DELETED SIZE)")[0].startswith(
        b"* STATUS INBOX (MESSAGES 2 SIZE ")


@pytest.mark.parametrize("command, answer", [
    ("SEARCH ALL", b'* ESEARCH (TAG "x") ALL 1:2'), ("SEARCH RETURN () 2", b'* ESEARCH (TAG "x") ALL 2'),
    ("UID SEARCH CHARSET UTF-8 SEEN", b'* ESEARCH (TAG "x") UID'),
    ("SEARCH RETURN (COUNT) 1", b'* ESEARCH (TAG "x") COUNT 1')])
def test_search(mailbox, client, command, answer):
    """6.4.4, 7.3.4: ESEARCH, and SEARCH never again."""
    mailbox.store()
    mailbox.store()
    client.ok("SELECT INBOX")
    assert client.ok("SEARCH ALL") == [b"* SEARCH 1 2"]
    client.ok("ENABLE IMAP4rev2")
    assert client.ok(command) == [answer]
    client.ok("SEARCH RETURN (SAVE) 2")
    assert client.ok("SEARCH $") == [b'* ESEARCH (TAG "x") ALL 2']


def test_names(mailbox, rev2):
    """5.1, 4.3: UTF-8, quoted or as a literal; a "&" stands for itself. Who has not enabled it has
    modified UTF-7 (A.1)."""
    rev2.ok(b'CREATE "' + NAME + b'"')
    rev2.ok(b"SUBSCRIBE {%d+}\r\n%s" % (len(NAME), NAME))
    listed = b'* LIST (\\HasNoChildren) "/" "' + NAME + b'"'
    assert rev2.ok(b'LIST "" "B\xc3\xbcr*"') == [listed]
    assert rev2.ok(b'LIST (SUBSCRIBED) "" "B*"') == [
        b'* LIST (\\HasNoChildren \\Subscribed) "/" "' + NAME + b'"']
    assert rev2.ok(b'LIST "" "B%" RETURN (STATUS (MESSAGES))')[1] == (
        b'* STATUS "' + NAME + b'" (MESSAGES 0)')
    assert rev2.ok('LSUB "" B*') == [b'* LSUB () "/" "' + NAME + b'"']
    assert rev2.ok(b'GETQUOTAROOT "' + NAME + b'"') == [b'* QUOTAROOT "' + NAME + b'"']
    rev2.ok("CREATE a&b")
    with mailbox.connect() as other:
        assert other.ok('LIST "" B*') == [b'* LIST (\\HasNoChildren) "/" "' + UTF7 + b'"']
        assert other.ok('LIST "" a*')[0].endswith(b' "/" a&-b')
        other.ok(b'SELECT "' + UTF7 + b'"')
        assert other.command(b'SELECT "' + NAME + b'"')[1].startswith(b"BAD")
        assert other.command("SELECT a&b")[1].startswith(b"NO [NONEXISTENT]")
    assert rev2.command(b'SELECT "' + UTF7 + b'"')[1].startswith(b"NO [NONEXISTENT]")
    rev2.ok(b'DELETE "' + NAME + b'"')


@pytest.mark.parametrize("name", [b'"\xff"', b'"a\xc3"', b'"\xed\xa0\x80"', b"\xc3\xbc"])
def test_names_that_are_no_utf8(rev2, name):
    """4.3: quoted is UTF8-2, -3 and -4 of RFC 3629, and atoms are ASCII."""
    assert rev2.command(b"CREATE " + name)[1].startswith(b"BAD")


def test_name_that_is_no_utf8_in_a_literal(rev2):
    assert rev2.command(b"CREATE {1+}\r\n\xff")[1].startswith(b"NO [CANNOT]")


def test_old_names(rev2):
    """6.3.4, 6.3.6, 6.3.9.7: what is not in form NFC becomes so, and the client is told."""
    composed, apart = "\u00e9".encode(), "e\u0301".encode()
    assert rev2.ok(b'CREATE "' + apart + b'/"') == [
        b'* LIST (\\HasNoChildren) "/" "' + composed + b'" ("OLDNAME" ("' + apart + b'"))']
    assert rev2.ok(b'CREATE "a' + composed + b'"') == []
    assert rev2.ok(b'RENAME "' + composed + b'" "b' + apart + b'"') == [
        b'* LIST (\\HasNoChildren) "/" "b' + composed + b'" ("OLDNAME" ("' + composed + b'"))']


def test_delete_with_inferiors(rev2):
    """6.3.5, 7.1: HASCHILDREN; 7.3.1: \\NonExistent"""
    rev2.ok("CREATE a/b")
    rev2.ok("DELETE a")
    assert rev2.ok('LIST "" a') == [rb'* LIST (\NonExistent \HasChildren) "/" a']
    assert rev2.command("DELETE a")[1].startswith(b"NO [HASCHILDREN]")


def test_search_in_utf8(mailbox, rev2):
    """4.3: strings of SEARCH may be quoted UTF-8."""
    mailbox.store("Subject: Käse\r\n\r\n".encode())
    rev2.ok("SELECT INBOX")
    assert rev2.ok('SEARCH SUBJECT "käse"'.encode()) == [b'* ESEARCH (TAG "x") ALL 1']
    assert rev2.command(b'SEARCH SUBJECT "\xe4"')[1].startswith(b"BAD")
