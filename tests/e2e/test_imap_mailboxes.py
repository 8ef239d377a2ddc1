"""Mailboxes by name: RFC 3501 6.3.3 to 6.3.10, RFC 3348, RFC 6154. imapd-mailbox alone."""

import os

import pytest
from house import looking_into_a_role
from mailbox_role import MESSAGE, Mailbox, client, mailbox, needs_mailbox  # noqa: F401

pytestmark = needs_mailbox


def names(lines):
    return [line.rsplit(b' "/" ', 1)[1].decode() for line in lines]


def test_a_new_account_is_furnished(client):
    """RFC 6154 2: special uses in a plain LIST; all of it subscribed."""
    client.talk(r"""
        C: a LIST "" *
        S: * LIST (\\HasNoChildren \\Archive) "/" Archive
        S: * LIST (\\HasNoChildren \\Drafts) "/" Drafts
        S: * LIST (\\HasNoChildren) "/" INBOX
        S: * LIST (\\HasNoChildren \\Junk) "/" Junk
        S: * LIST (\\HasNoChildren \\Sent) "/" Sent
        S: * LIST (\\HasNoChildren \\Trash) "/" Trash
        S: a OK *""")
    assert len(client.ok('LSUB "" *')) == 6


def test_an_account_with_folders_is_not(tmp_path):
    """What another program made stays as it is."""
    maildir = tmp_path / "test.example" / "u" / "Maildir"
    for directory in (maildir, maildir / ".Mine"):
        for part in ("cur", "new", "tmp"):
            os.makedirs(directory / part)
    mailbox = Mailbox(tmp_path)
    with mailbox.connect() as client:
        assert names(client.ok('LIST "" *')) == ["INBOX", "Mine"]
    mailbox.stop()


def test_create_makes_superiors(client):
    """RFC 3501 6.3.3; "/" at the end only says that others will follow."""
    client.talk(r"""
        C: a CREATE a/b/c
        S: a OK *
        C: b LIST "" a*
        S: * LIST (\\HasChildren) "/" a
        S: * LIST (\\HasChildren) "/" a/b
        S: * LIST (\\HasNoChildren) "/" a/b/c
        S: b OK *
        C: c CREATE a/b
        S: c NO [ALREADYEXISTS] *
        C: d CREATE d/
        S: d OK *
        C: e STATUS d (MESSAGES)
        S: * STATUS d (MESSAGES 0)
        S: e OK *
        C: f CREATE inbox
        S: f NO *
        C: g CREATE Inbox/x
        S: g OK *
        C: h LIST "" INBOX/%
        S: * LIST (\\HasNoChildren) "/" INBOX/x
        S: h OK *""")


@pytest.mark.parametrize("name", [
    '""', "/", "a//b", "/a", "&", "&AGE-", "&Jjo", "&AAA-", "{1}\r\n\n", "x" * 300, "a/" * 200 + "a",
    '"' + "y" * 1001 + '"'])
def test_impossible_names_are_refused(client, name):
    """RFC 3501 5.1.3, RFC 9051 5.1: NO, not BAD: the grammar is kept."""
    name = name.replace("{1}", "{1+}")
    lines, tagged = client.command(f"CREATE {name}")
    assert not lines and tagged.startswith(b"NO [CANNOT]")


@pytest.mark.parametrize("name, directory", [
    ("&U,BTFw-/&ZeVnLIqe-", ".&U,BTFw-.&ZeVnLIqe-"),  # RFC 3501 5.1.3
    ("v1.2/x", ".v1&AC4-2.x"),
    ("a&-b", ".a&-b"),
    ('"with space"', ".with space"),
    ("{7+}\r\nliteral", ".literal"),
    ("..", ".&AC4ALg-"),
])
def test_names_become_directories(mailbox, client, name, directory):
    client.ok(f"CREATE {name}")
    assert (mailbox.maildir / directory / "cur").is_dir()
    assert len(client.ok(f"STATUS {name} (MESSAGES)")) == 1
    listed = names(client.ok('LIST "" *'))
    wire = name.split("\r\n")[-1]
    assert wire in listed
    client.ok(f"DELETE {name}")
    assert not (mailbox.maildir / directory).exists()


def test_list_patterns(client):
    """RFC 3501 6.3.8"""
    client.ok("CREATE foo/bar/zap")
    client.ok("DELETE foo/bar")
    client.talk(r"""
        C: a LIST "" ""
        S: * LIST (\\Noselect) "/" ""
        S: a OK *
        C: b LIST "" f%
        S: * LIST (\\HasChildren) "/" foo
        S: b OK *
        C: c LIST foo/ %
        S: * LIST (\\Noselect \\HasChildren) "/" foo/bar
        S: c OK *
        C: d LIST "" foo/%/%
        S: * LIST (\\HasNoChildren) "/" foo/bar/zap
        S: d OK *
        C: e LIST "" inbox
        S: * LIST (\\HasNoChildren) "/" INBOX
        S: e OK *
        C: f LIST "" nothing
        S: f OK *
        C: g LIST "" "*%*%*%zap"
        S: * LIST (\\HasNoChildren) "/" foo/bar/zap
        S: g OK *
        C: h LIST ""
        S: h BAD *
        C: i LIST "" a b
        S: i BAD *""")


def test_a_hostile_pattern_is_matched_in_linear_time(client):
    client.ok("CREATE " + "a" * 200)
    client.ok('LIST "" "' + "*a" * 250 + 'b"')
    client.ok('LIST "" "' + "%a" * 5000 + '"')


def test_delete(mailbox, client):
    """RFC 3501 6.3.4: the messages go; inferiors stay, and the name only as their superior."""
    client.ok("CREATE foo/bar")
    mailbox.store(folder="foo")
    client.talk(r"""
        C: a DELETE foo
        S: a OK *
        C: b LIST "" foo*
        S: * LIST (\\Noselect \\HasChildren) "/" foo
        S: * LIST (\\HasNoChildren) "/" foo/bar
        S: b OK *
        C: c SELECT foo
        S: c NO [NONEXISTENT] *
        C: d DELETE foo
        S: d NO *
        C: e DELETE foo/bar
        S: e OK *
        C: f LIST "" foo*
        S: f OK *
        C: g DELETE foo
        S: g NO [NONEXISTENT] *
        C: h DELETE INBOX
        S: h NO *
        C: i DELETE
        S: i BAD *""")


def test_uidvalidity_is_never_used_twice(client):
    """RFC 3501 2.3.1.1: a mailbox deleted and made again is another."""
    def validity():
        client.ok("CREATE x")
        line = client.ok("STATUS x (UIDVALIDITY)")[0]
        client.ok("DELETE x")
        return int(line.rstrip(b")").split()[-1])

    assert len({validity() for _ in range(5)}) == 5


def test_rename(mailbox, client):
    """RFC 3501 6.3.5: inferiors too, superiors are made; messages keep UIDs and UIDVALIDITY."""
    client.ok("CREATE a/b/c")
    mailbox.store(folder="a.b", flags="S", place="cur")
    before = client.ok("STATUS a/b (MESSAGES UIDNEXT UIDVALIDITY)")[0].split(b"(")[1]
    client.talk(r"""
        C: a RENAME a/b x/y
        S: a OK *
        C: b LIST "" a*
        S: * LIST (\\HasNoChildren) "/" a
        S: * LIST * "/" Archive
        S: b OK *
        C: c LIST "" x*
        S: * LIST (\\HasChildren) "/" x
        S: * LIST (\\HasChildren) "/" x/y
        S: * LIST (\\HasNoChildren) "/" x/y/c
        S: c OK *
        C: d RENAME nothing else
        S: d NO [NONEXISTENT] *
        C: e RENAME x/y a
        S: e NO [ALREADYEXISTS] *
        C: f RENAME x x/z
        S: f NO [CANNOT] * below it
        C: g RENAME x INBOX
        S: g NO *
        C: h RENAME x
        S: h BAD *""".replace("S: * LIST * \"/\" Archive\n", ""))
    assert client.ok("STATUS x/y (MESSAGES UIDNEXT UIDVALIDITY)")[0].split(b"(")[1] == before


def test_rename_of_inbox_moves_its_messages(mailbox, client):
    """RFC 3501 6.3.5: INBOX stays, empty, and so do its inferiors."""
    client.ok("CREATE INBOX/child")
    for _ in range(120):
        mailbox.store()
    client.talk(r"""
        C: a RENAME INBOX old-mail
        S: a OK *
        C: b STATUS INBOX (MESSAGES)
        S: * STATUS INBOX (MESSAGES 0)
        S: b OK *
        C: c STATUS old-mail (MESSAGES)
        S: * STATUS old-mail (MESSAGES 120)
        S: c OK *
        C: d LIST "" *child
        S: * LIST (\\HasNoChildren) "/" INBOX/child
        S: d OK *
        C: e RENAME INBOX old-mail
        S: e NO [ALREADYEXISTS] *""")


def test_a_selected_folder_that_is_renamed_stays_selected(mailbox, client):
    client.ok("CREATE a/b")
    mailbox.store(folder="a.b")
    client.ok("SELECT a/b")
    with mailbox.connect() as other:
        other.ok("RENAME a z")
        client.ok("STORE 1 +FLAGS (\\Flagged)")
        assert b"UNSEEN 1" in other.ok("STATUS z/b (UNSEEN)")[0]
    mailbox.store(folder="z.b")
    mailbox.eventually(lambda: b"* 2 EXISTS" in client.ok("NOOP") or client.ok("SEARCH ALL")
                       == [b"* SEARCH 1 2"])


def test_a_selected_folder_that_is_deleted_becomes_empty(mailbox, client):
    client.ok("CREATE a")
    mailbox.store(folder="a")
    client.ok("SELECT a")
    with mailbox.connect() as other:
        other.ok("DELETE a")
        other.ok("CREATE a")
    assert b"* 1 EXPUNGE" in client.ok("NOOP")
    assert client.ok("SEARCH ALL") == [b"* SEARCH"]
    client.ok("CLOSE")


def test_subscriptions(mailbox, client):
    """RFC 3501 6.3.6, 6.3.7, 6.3.9: names that do not exist stay, and superiors show for "%"."""
    client.talk(r"""
        C: a SUBSCRIBE news/comp/mail
        S: a OK *
        C: b SUBSCRIBE news/comp/mail
        S: b OK *
        C: c LSUB "" news/*
        S: * LSUB () "/" news/comp/mail
        S: c OK *
        C: d LSUB "" n%
        S: * LSUB (\\Noselect) "/" news
        S: d OK *
        C: e SUBSCRIBE news/comp
        S: e OK *
        C: f LSUB "" news/%
        S: * LSUB () "/" news/comp
        S: f OK *
        C: g UNSUBSCRIBE news/comp
        S: g OK *
        C: h UNSUBSCRIBE news/comp
        S: h NO *
        C: i SUBSCRIBE
        S: i BAD *
        C: j SUBSCRIBE &
        S: j NO *""")
    mailbox.restart()
    with mailbox.connect() as again:
        assert names(again.ok('LSUB "" news/*')) == ["news/comp/mail"]


def test_many_subscriptions(client):
    for batch in range(4):
        client.send(b"".join(b"s SUBSCRIBE news/%d/%d\r\n" % (batch, i) for i in range(50)))
        for _ in range(50):
            assert client.read_line().startswith(b"s OK")
    assert len(client.ok('LSUB "" news/*')) == 200
    assert len(client.ok('LSUB "" news/%')) == 4


def test_status(mailbox, client):
    """RFC 3501 6.3.10, of a mailbox that is not selected; nobody is told that it is recent."""
    client.ok("CREATE x")
    mailbox.store(folder="x")
    mailbox.store(folder="x", place="cur", flags="S")
    client.talk(r"""
        C: a STATUS x (MESSAGES RECENT UIDNEXT UNSEEN)
        S: * STATUS x (MESSAGES 2 RECENT 2 UIDNEXT 3 UNSEEN 1)
        S: a OK *
        C: b STATUS x (UNSEEN)
        S: * STATUS x (UNSEEN 1)
        S: b OK *
        C: c SELECT x
        S: ...
        S: * 2 RECENT
        S: ...
        S: c OK *
        C: d STATUS x (MESSAGES RECENT)
        S: * STATUS x (MESSAGES 2 RECENT 0)
        S: d OK *
        C: e STATUS nothing (MESSAGES)
        S: e NO [NONEXISTENT] *
        C: f STATUS x ()
        S: f BAD *
        C: g STATUS x (FOO)
        S: g BAD *
        C: h STATUS x MESSAGES
        S: h BAD *""")


def test_the_number_of_mailboxes_is_limited(tmp_path):
    mailbox = Mailbox(tmp_path, config="limits { mailboxes = 10 }")
    with mailbox.connect() as client:
        for name in "abcd":
            client.ok(f"CREATE {name}")
        lines, tagged = client.command("CREATE e")
        assert tagged.startswith(b"NO [CANNOT]")
    mailbox.stop()


def test_a_thousand_folders(mailbox, client):
    """Listed at once; each is opened for STATUS, only the last few stay open."""
    for i in range(1000):
        for part in ("new", "tmp", "cur"):
            os.makedirs(mailbox.maildir / f".many.{i}" / part)
    assert len(client.ok('LIST "" many/%')) == 1000
    client.send(b"".join(b"s STATUS many/%d (MESSAGES)\r\n" % i for i in range(200)))
    for i in range(200):
        assert client.read_line() == b"* STATUS many/%d (MESSAGES 0)" % i
        assert client.read_line().startswith(b"s OK")
    with looking_into_a_role():
        assert len(os.listdir(f"/proc/{mailbox.role.pid}/fd")) < 60
