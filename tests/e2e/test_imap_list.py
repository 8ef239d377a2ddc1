"""LIST with its extensions (RFC 5258, 5819, 6154), STATUS with what was added to it (RFC 7889, 8438,
9051, 9208), CREATE with a special use (RFC 6154). imapd-mailbox alone."""

import os
import re

import pytest
from house import looking_into_a_role
from mailbox_role import MESSAGE, Mailbox, client, mailbox, needs_mailbox  # noqa: F401

pytestmark = needs_mailbox


@pytest.fixture
def fruit(client):
    """The mailboxes of RFC 5258 5: Fruit/Banana and Tofu are subscribed to, and so is a Peach that
    does not exist; Vegetable is only the superior of others."""
    for line in client.ok('LSUB "" *'):
        client.ok("UNSUBSCRIBE " + line.rsplit(b" ", 1)[1].decode())
    for name in ("Fruit/Apple", "Fruit/Banana", "Tofu", "Vegetable/Broccoli"):
        client.ok(f"CREATE {name}")
    client.ok("DELETE Vegetable")
    for name in ("INBOX", "Fruit/Banana", "Fruit/Peach", "Tofu", "Vegetable/Broccoli"):
        client.ok(f"SUBSCRIBE {name}")
    return client


def test_capabilities(client):
    """RFC 5258 1, 5819 1, 6154 3, 8438 2, 7889 2 (the number is for all mailboxes)."""
    words = client.ok("CAPABILITY")[0].split()
    for word in (b"LIST-EXTENDED", b"LIST-STATUS", b"CREATE-SPECIAL-USE", b"STATUS=SIZE"):
        assert word in words
    limit = int(re.search(rb" APPENDLIMIT=(\d+)", b" ".join(words)).group(1))
    assert client.ok("STATUS INBOX (APPENDLIMIT)") == [b"* STATUS INBOX (APPENDLIMIT %d)" % limit]
    client.send(b"a APPEND INBOX {%d}\r\n" % (limit + 1))
    assert client.read_line().startswith(b"a NO [TOOBIG]")


def test_subscribed(fruit):
    """RFC 5258 3.1, 5 example 2: with SUBSCRIBED as it is said, and \\NonExistent where it is so."""
    fruit.talk(r"""
        C: a LIST (SUBSCRIBED) "" *
        S: * LIST (\\HasNoChildren \\Subscribed) "/" Fruit/Banana
        S: * LIST (\\NonExistent \\HasNoChildren \\Subscribed) "/" Fruit/Peach
        S: * LIST (\\HasNoChildren \\Subscribed) "/" INBOX
        S: * LIST (\\HasNoChildren \\Subscribed) "/" Tofu
        S: * LIST (\\HasNoChildren \\Subscribed) "/" Vegetable/Broccoli
        S: a OK *
        C: b LIST (SUBSCRIBED) "" F% RETURN ()
        S: b OK *
        C: c LIST (SUBSCRIBED REMOTE) "" F* RETURN ()
        S: * LIST (\\Subscribed) "/" Fruit/Banana
        S: * LIST (\\NonExistent \\Subscribed) "/" Fruit/Peach
        S: c OK *""")


def test_return_subscribed(fruit):
    """RFC 5258 3.2: told of those that exist; what does not is not listed for that."""
    fruit.talk(r"""
        C: a LIST "" F* RETURN (SUBSCRIBED)
        S: * LIST () "/" Fruit
        S: * LIST () "/" Fruit/Apple
        S: * LIST (\\Subscribed) "/" Fruit/Banana
        S: a OK *
        C: b LIST () "" V* RETURN (CHILDREN SUBSCRIBED)
        S: * LIST (\\NonExistent \\HasChildren) "/" Vegetable
        S: * LIST (\\HasNoChildren \\Subscribed) "/" Vegetable/Broccoli
        S: b OK *
        C: c LIST "" V*
        S: * LIST (\\Noselect \\HasChildren) "/" Vegetable
        S: * LIST (\\HasNoChildren) "/" Vegetable/Broccoli
        S: c OK *""")


def test_children(fruit):
    """RFC 5258 4: only mailboxes that exist are children."""
    fruit.ok("SUBSCRIBE Tofu/smoked")
    fruit.talk(r"""
        C: a LIST "" % RETURN (CHILDREN)
        S: * LIST (\\HasNoChildren) "/" Archive
        S: * LIST (\\HasNoChildren) "/" Drafts
        S: * LIST (\\HasChildren) "/" Fruit
        S: * LIST (\\HasNoChildren) "/" INBOX
        S: ...
        S: * LIST (\\HasNoChildren) "/" Tofu
        S: ...
        S: * LIST (\\NonExistent \\HasChildren) "/" Vegetable
        S: a OK *""")


def test_recursive_match(fruit):
    """RFC 5258 3.5 and 5, examples 8 and 9: superiors of what is chosen, with CHILDINFO, whether or
    not what is below them matches the pattern or exists."""
    fruit.talk(r"""
        C: a LIST (SUBSCRIBED RECURSIVEMATCH) "" % RETURN ()
        S: * LIST () "/" Fruit ("CHILDINFO" ("SUBSCRIBED"))
        S: * LIST (\\Subscribed) "/" INBOX
        S: * LIST (\\Subscribed) "/" Tofu
        S: * LIST (\\NonExistent) "/" Vegetable ("CHILDINFO" ("SUBSCRIBED"))
        S: a OK *
        C: b SUBSCRIBE Vegetable
        S: b OK *
        C: c SUBSCRIBE Nowhere/at/all
        S: c OK *
        C: d LIST (RECURSIVEMATCH SUBSCRIBED) "" (V% N%/%) RETURN ()
        S: * LIST (\\NonExistent) "/" Nowhere/at ("CHILDINFO" ("SUBSCRIBED"))
        S: * LIST (\\NonExistent \\Subscribed) "/" Vegetable ("CHILDINFO" ("SUBSCRIBED"))
        S: d OK *""")


def test_recursive_match_is_not_redundant(fruit):
    """RFC 5258 3.5: "Servers SHOULD ONLY return a non-matching mailbox name along with CHILDINFO if at
    least one matching child is not also being returned"."""
    fruit.talk(r"""
        C: a LIST (SUBSCRIBED RECURSIVEMATCH) "" * RETURN ()
        S: * LIST (\\Subscribed) "/" Fruit/Banana
        S: * LIST (\\NonExistent \\Subscribed) "/" Fruit/Peach
        S: * LIST (\\Subscribed) "/" INBOX
        S: * LIST (\\Subscribed) "/" Tofu
        S: * LIST (\\Subscribed) "/" Vegetable/Broccoli
        S: a OK *
        C: b LIST (SUBSCRIBED RECURSIVEMATCH) "" (Fruit Fruit/Banana Fruit/Peach) RETURN ()
        S: * LIST (\\Subscribed) "/" Fruit/Banana
        S: * LIST (\\NonExistent \\Subscribed) "/" Fruit/Peach
        S: b OK *
        C: c SUBSCRIBE Fruit/Cherry/red
        S: c OK *
        C: d LIST (SUBSCRIBED RECURSIVEMATCH) "" (Fruit Fruit/%) RETURN ()
        S: * LIST () "/" Fruit ("CHILDINFO" ("SUBSCRIBED"))
        S: * LIST (\\Subscribed) "/" Fruit/Banana
        S: * LIST (\\NonExistent) "/" Fruit/Cherry ("CHILDINFO" ("SUBSCRIBED"))
        S: * LIST (\\NonExistent \\Subscribed) "/" Fruit/Peach
        S: d OK *""")


def test_several_patterns(fruit):
    """RFC 5258 3 and 5, example 6: each name once, whichever of them it matches; an empty pattern is
    no question for the delimiter."""
    fruit.talk(r"""
        C: a LIST "" (INBOX Tofu "T%" Drafts) RETURN ()
        S: * LIST () "/" Drafts
        S: * LIST () "/" INBOX
        S: * LIST () "/" Tofu
        S: * LIST () "/" Trash
        S: a OK *
        C: b LIST Fruit/ (Ap% "Ban%")
        S: * LIST (\\HasNoChildren) "/" Fruit/Apple
        S: * LIST (\\HasNoChildren) "/" Fruit/Banana
        S: b OK *
        C: c LIST () "" ""
        S: c OK *
        C: d LIST "" ("" Tofu)
        S: * LIST (\\HasNoChildren) "/" Tofu
        S: d OK *""")


def test_special_use(client):
    """RFC 6154 2, 5.2: as selection and as return option; a plain LIST tells it anyway."""
    client.ok("UNSUBSCRIBE Sent")
    client.talk(r"""
        C: a LIST (SPECIAL-USE) "" * RETURN ()
        S: * LIST (\\Archive) "/" Archive
        S: * LIST (\\Drafts) "/" Drafts
        S: * LIST (\\Junk) "/" Junk
        S: * LIST (\\Sent) "/" Sent
        S: * LIST (\\Trash) "/" Trash
        S: a OK *
        C: b LIST "" (INBOX Sent) RETURN (SPECIAL-USE)
        S: * LIST () "/" INBOX
        S: * LIST (\\Sent) "/" Sent
        S: b OK *
        C: c LIST (SUBSCRIBED SPECIAL-USE) "" (INBOX Sent Trash) RETURN ()
        S: * LIST (\\Trash \\Subscribed) "/" Trash
        S: c OK *
        C: d CREATE a/b/c (USE (\\Drafts))
        S: d OK *
        C: e LIST (SPECIAL-USE RECURSIVEMATCH) "" a% RETURN ()
        S: * LIST () "/" a ("CHILDINFO" ("SPECIAL-USE"))
        S: e OK *""")


def test_create_with_a_special_use(mailbox, client):
    """RFC 6154 3, 5.3: several uses, none, one that no folder can have, one that nobody knows."""
    client.talk(r"""
        C: a CREATE MySpecial (USE (\\Drafts \\sent))
        S: a OK *
        C: b CREATE Plain (USE ())
        S: b OK *
        C: c CREATE Everything (USE (\\All))
        S: c NO [USEATTR] *
        C: d CREATE Odd (USE (\\Odd))
        S: d NO [USEATTR] *
        C: e LIST "" (MySpecial Plain Everything Odd)
        S: * LIST (\\HasNoChildren \\Drafts \\Sent) "/" MySpecial
        S: * LIST (\\HasNoChildren) "/" Plain
        S: e OK *
        C: f CREATE x (USE \\Drafts)
        S: f BAD *
        C: g CREATE x (USE (Drafts))
        S: g BAD *
        C: h CREATE x (COLOUR (\\Drafts))
        S: h BAD *
        C: i CREATE x (USE (\\Drafts)
        S: i BAD *
        C: j CREATE x ()
        S: j BAD *""")
    mailbox.restart()
    with mailbox.connect() as again:
        assert again.ok('LIST "" MySpecial') == [
            rb'* LIST (\HasNoChildren \Drafts \Sent) "/" MySpecial']


@pytest.mark.parametrize("arguments", [
    '(RECURSIVEMATCH) "" *', '(REMOTE RECURSIVEMATCH) "" *',  # RFC 5258 3.1
    '(FOO) "" *', '(SUBSCRIBED "" *', '(SUBSCRIBED  REMOTE) "" *', '(CHILDREN) "" *', '() ""',
    '"" ()', '"" (a', '"" (a  b)', '"" (a b) c', '"" * RETURN', '"" * RETURN CHILDREN',
    '"" * RETURN (REMOTE)', '"" * RETURN (CHILDREN', '"" * RETURN (FOO)', '"" * (CHILDREN)',
    '"" * RETURN (STATUS)', '"" * RETURN (STATUS ())', '"" * RETURN (STATUS (FOO))',
    '"" * RETURN () x'])
def test_bad_arguments(client, arguments):
    lines, tagged = client.command("LIST " + arguments)
    assert not lines and tagged.startswith(b"BAD")


def test_patterns_are_bounded(client):
    lines, tagged = client.command('LIST "" (' + " ".join(["x"] * 101) + ")")
    assert not lines and tagged.startswith(b"NO [LIMIT]")
    client.ok('LIST "" (' + " ".join(['"' + "*a" * 250 + 'b"'] * 100) + ")")


def test_list_status(mailbox, fruit):
    """RFC 5819 2: behind the LIST of each that can be selected and is chosen itself."""
    mailbox.store(folder="Fruit.Banana")
    fruit.talk(r"""
        C: a LIST "" (Fruit* V*) RETURN (STATUS (MESSAGES UNSEEN) CHILDREN)
        S: * LIST (\\HasChildren) "/" Fruit
        S: * STATUS Fruit (MESSAGES 0 UNSEEN 0)
        S: * LIST (\\HasNoChildren) "/" Fruit/Apple
        S: * STATUS Fruit/Apple (MESSAGES 0 UNSEEN 0)
        S: * LIST (\\HasNoChildren) "/" Fruit/Banana
        S: * STATUS Fruit/Banana (MESSAGES 1 UNSEEN 1)
        S: * LIST (\\NonExistent \\HasChildren) "/" Vegetable
        S: * LIST (\\HasNoChildren) "/" Vegetable/Broccoli
        S: * STATUS Vegetable/Broccoli (MESSAGES 0 UNSEEN 0)
        S: a OK *
        C: b LIST (SUBSCRIBED RECURSIVEMATCH) "" (INBOX F%) RETURN (STATUS (MESSAGES))
        S: * LIST () "/" Fruit ("CHILDINFO" ("SUBSCRIBED"))
        S: * LIST (\\Subscribed) "/" INBOX
        S: * STATUS INBOX (MESSAGES 0)
        S: b OK *""")


def test_list_status_of_what_cannot_be_read(mailbox, fruit):
    """RFC 5819 2: the STATUS is left out, the command goes on."""
    os.rmdir(mailbox.folder("Fruit.Apple") / "new")
    (mailbox.folder("Fruit.Apple") / "new").write_text("no directory")
    fruit.talk(r"""
        C: a LIST "" Fruit/% RETURN (STATUS (MESSAGES))
        S: * LIST () "/" Fruit/Apple
        S: * LIST () "/" Fruit/Banana
        S: * STATUS Fruit/Banana (MESSAGES 0)
        S: a OK *""")


def test_list_status_enables_condstore(mailbox, client):
    """RFC 7162 3.1, 3.1.7: as STATUS does."""
    mailbox.store()
    client.ok("SELECT INBOX")
    lines = client.ok('LIST "" INBOX RETURN (STATUS (HIGHESTMODSEQ))')
    assert any(line.startswith(b"* STATUS INBOX (HIGHESTMODSEQ ") for line in lines)
    assert b"MODSEQ (" in client.ok(r"STORE 1 FLAGS (\Answered)")[0]


def test_others_are_served_during_a_long_list(mailbox, client):
    """The status of 2 000 folders is told in as many turns."""
    for i in range(2000):
        for part in ("new", "tmp", "cur"):
            os.makedirs(mailbox.maildir / f".many.{i}" / part)
    with mailbox.connect() as other:
        client.send(b'a LIST "" many/% RETURN (STATUS (MESSAGES UIDNEXT))\r\n')
        assert client.read_line().startswith(b"* LIST")
        other.ok("NOOP")
        client.send(b"b NOOP\r\n")
        lines, tagged = client.answer(b"a")
        assert len(lines) == 2 * 2000 - 1 and tagged.startswith(b"OK")
        assert client.answer(b"b")[1].startswith(b"OK")
    with looking_into_a_role():
        assert len(os.listdir(f"/proc/{mailbox.role.pid}/fd")) < 100


def test_a_mailbox_that_goes_during_a_list(mailbox, client):
    for i in range(300):
        for part in ("new", "tmp", "cur"):
            os.makedirs(mailbox.maildir / f".many.{i:03}" / part)
    with mailbox.connect() as other:
        client.send(b'a LIST "" many/% RETURN (STATUS (MESSAGES))\r\n')
        assert client.read_line().startswith(b"* LIST")
        other.ok("DELETE many/299")
        assert client.answer(b"a")[1].startswith(b"OK")


def test_sizes(mailbox, client):
    """RFC 8438 3: the sum of what RFC822.SIZE is; also of files whose names do not say it, and that
    have LF alone. RFC 9051 6.3.11: DELETED; RFC 9208 4.1.4: DELETED-STORAGE."""
    octets = len(MESSAGE)
    mailbox.store()
    mailbox.store(place="cur", flags="ST")
    mailbox.store(MESSAGE.replace(b"\r\n", b"\n"), place="cur", name="1700000000.M1.host:2,T")
    on_disk = len(MESSAGE.replace(b"\r\n", b"\n"))
    assert client.ok("STATUS INBOX (SIZE DELETED DELETED-STORAGE)") == [
        b"* STATUS INBOX (SIZE %d DELETED 2 DELETED-STORAGE %d)" % (3 * octets, octets + on_disk)]
    client.ok("SELECT INBOX")
    sizes = [int(line.rstrip(b")").split()[-1]) for line in client.ok("FETCH 1:* RFC822.SIZE")]
    assert sum(sizes) == 3 * octets
    client.ok("EXPUNGE")
    assert client.ok('LIST "" INBOX RETURN (STATUS (SIZE DELETED))')[1] == (
        b"* STATUS INBOX (SIZE %d DELETED 0)" % octets)


def test_sizes_of_many(mailbox, client):
    client.ok("CREATE x")
    for i in range(12000):
        path = mailbox.folder("x") / "cur" / f"1700000000.M{i}.host,S=100,W=100:2,"
        path.touch()
    lines, tagged = client.command("STATUS x (MESSAGES SIZE)")
    assert lines == [b"* STATUS x (MESSAGES 12000 SIZE 1200000)"] and tagged.startswith(b"OK")
