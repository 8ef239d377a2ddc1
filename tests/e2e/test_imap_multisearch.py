"""ESEARCH over several mailboxes, MULTISEARCH (RFC 7377). imapd-mailbox alone."""

import pytest

from mailbox_role import MESSAGE, Mailbox, client_of_shared, needs_mailbox

pytestmark = needs_mailbox

client = client_of_shared()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """one: 3 messages, two/a: 2, two/a/deep: 1, two/b: none."""
    made = Mailbox(tmp_path_factory.mktemp("mailbox"))
    with made.connect() as client:
        for name, subjects in (("one", ("chad", "x", "chad")), ("two/a", ("x", "chad")),
                               ("two/a/deep", ("chad",)), ("two/b", ())):
            client.ok(f"CREATE {name}")
            for subject in subjects:
                client.append(f"Subject: {subject}\r\n\r\nbody\r\n".encode(), folder=name)
        client.ok("SUBSCRIBE two/a")
        client.ok("SUBSCRIBE missing")
    yield made
    made.stop()


def test_capability(client):
    assert b"MULTISEARCH" in client.ok("CAPABILITY")[0].split()


@pytest.mark.parametrize("source, found", [
    ("mailboxes one", {"one": "1,3"}),
    ("mailboxes (one two/a missing)", {"one": "1,3", "two/a": "2"}),
    ("subtree two", {"two/a": "2", "two/a/deep": "1"}),
    ("subtree-one two", {"two/a": "2"}),
    ("subtree-one two/a mailboxes one", {"one": "1,3", "two/a": "2", "two/a/deep": "1"}),
    ("personal", {"one": "1,3", "two/a": "2", "two/a/deep": "1"}),
    ("inboxes", {"one": "1,3", "two/a": "2", "two/a/deep": "1"}),
    ("subscribed", {"two/a": "2"}),
    ("mailboxes one mailboxes one", {"one": "1,3"}),
    ("mailboxes (INBOX two/b)", {}),
])
def test_sources(client, source, found):
    """2.1, 2.2: a response for each mailbox in which something was found, none for others."""
    lines = client.ok(f"ESEARCH IN ({source}) SUBJECT chad")
    told = {}
    for line in lines:
        words = line.decode().split()
        assert words[:4] == ["*", "ESEARCH", "(TAG", '"x"'] and words[4] == "MAILBOX"
        assert words[6] == "UIDVALIDITY" and words[8:10] == ["UID", "ALL"]
        told[words[5]] = words[10]
    assert told == found


def test_the_selected_mailbox(client):
    """2.2: the default; by UIDs in any case (2.1); SAVE is for it alone, and "$" means its messages."""
    client.ok("SELECT one")
    client.talk(r"""
        C: a ESEARCH SUBJECT chad
        S: * ESEARCH (TAG "a" MAILBOX one UIDVALIDITY {v}) UID ALL 1,3
        S: a OK *
        C: b ESEARCH IN (selected mailboxes two/a) RETURN (MIN COUNT) 2:*
        S: * ESEARCH (TAG "b" MAILBOX one UIDVALIDITY {v}) UID MIN 2 COUNT 2
        S: * ESEARCH (TAG "b" MAILBOX two/a UIDVALIDITY *) UID MIN 2 COUNT 1
        S: b OK *
        C: c ESEARCH RETURN (SAVE) SUBJECT chad
        S: c OK *
        C: d FETCH $ UID
        S: * 1 FETCH (UID 1)
        S: * 3 FETCH (UID 3)
        S: d OK *
        C: e ESEARCH IN (selected) RETURN (PARTIAL 1:1) $
        S: * ESEARCH (TAG "e" MAILBOX one UIDVALIDITY {v}) UID PARTIAL (1:1 1)
        S: e OK *
        C: f ESEARCH IN (mailboxes two/a) RETURN (SAVE) ALL
        S: f BAD *
        C: g ESEARCH CHARSET X-NONE SUBJECT chad
        S: g NO [BADCHARSET *] *""")


def test_the_selected_mailbox_stays_as_it_is(client, shared):
    """2.1: "does not affect which mailbox, if any, is currently selected"; numbers neither."""
    with shared.connect() as other:
        other.ok("CREATE moving")
        for _ in range(3):
            other.append(MESSAGE, folder="moving")
        client.ok("SELECT moving")
        other.ok("SELECT moving")
        other.ok(r"STORE 1 +FLAGS.SILENT (\Deleted)")
        other.ok("EXPUNGE")
        client.talk(r"""
            C: a ESEARCH IN (subtree moving) ALL
            S: * ESEARCH (TAG "a" MAILBOX moving UIDVALIDITY *) UID ALL 2:3
            S: ...
            S: * 1 EXPUNGE
            S: ...
            S: a OK *
            C: b FETCH 1:* UID
            S: * 1 FETCH (UID 2)
            S: * 2 FETCH (UID 3)
            S: b OK *""")
        other.ok("DELETE moving")


def test_recent_stays_recent(client, shared):
    """A search of other mailboxes opens them as EXAMINE does."""
    shared.store(folder="two.b")
    client.ok("ESEARCH IN (mailboxes two/b) ALL")
    assert b"* 1 RECENT" in client.ok("SELECT two/b")
    client.ok(r"STORE 1 +FLAGS.SILENT (\Deleted)")
    client.ok("CLOSE")


@pytest.mark.parametrize("arguments", [
    "", "SUBJECT chad", "IN (selected) ALL", "IN (selected mailboxes one) ALL",  # nothing is selected
    "IN () ALL", "IN mailboxes one ALL", "IN (mailboxes) ALL", "IN (selected-delayed) ALL",
    "IN (nowhere) ALL", "IN (mailboxes one", "IN (mailboxes one)", "IN (mailboxes one) NOTHING",
    "IN (mailboxes one) RETURN (NOTHING) ALL", "IN (mailboxes one) RETURN (ALL)",
])
def test_bad_syntax(client, arguments):
    """2.2, 4"""
    lines, tagged = client.command("ESEARCH " + arguments if arguments else "ESEARCH")
    assert tagged.startswith(b"BAD ") and not lines
