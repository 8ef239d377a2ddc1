"""NOTIFY (RFC 5465). imapd-mailbox alone; one client listens, another one does something."""

import pytest

from mailbox_role import MESSAGE, Mailbox, client_of_shared, needs_mailbox, shared  # noqa: F401

pytestmark = needs_mailbox

client = client_of_shared()
other = client_of_shared()


@pytest.fixture
def box(other):
    """A mailbox of its own for each test, with one message, selected by nobody."""
    box.number = getattr(box, "number", 0) + 1
    name = f"box{box.number}"
    other.ok(f"CREATE {name}")
    other.append(MESSAGE, folder=name)
    return name


def test_capability(client):
    assert b"NOTIFY" in client.ok("CAPABILITY")[0].split()


def test_selected(client, other, box):
    """5.1 to 5.3, 6.1.1: between commands; FETCH has the UID; and its own data for new messages."""
    client.talk("""
        C: a SELECT {box}
        S: ...
        S: a OK *
        C: b NOTIFY SET (selected (MessageNew (UID BODY.PEEK[HEADER.FIELDS (Subject)]) MessageExpunge FlagChange))
        S: b OK *""", box=box)
    other.ok(f"SELECT {box}")
    other.append(MESSAGE, folder=box)
    client.talk(r"""
        S: * 2 EXISTS
        S: ...
        S: * 2 FETCH (UID 2 BODY[HEADER.FIELDS (Subject)] {29}
        S: Subject: IMAP4rev1 WG mtg
        S: 
        S: )""")
    other.ok(r"STORE 1 +FLAGS.SILENT (\Flagged)")
    client.talk(r"S: * 1 FETCH (UID 1 FLAGS (\\Flagged *))")
    other.ok(r"STORE 1 +FLAGS.SILENT (\Deleted)")
    client.talk(r"S: * 1 FETCH (UID 1 FLAGS (\\Flagged \\Deleted *))")
    other.ok("EXPUNGE")
    client.talk("S: * 1 EXPUNGE")
    client.talk("""
        C: c NOOP
        S: ...
        S: c OK *""")


def test_selected_delayed(client, other, box):
    """6.1.2: EXPUNGE waits for a command that allows it, all else need not."""
    client.ok(f"SELECT {box}")
    client.ok("NOTIFY SET (selected-delayed (MessageNew MessageExpunge))")
    other.append(MESSAGE, folder=box)
    client.talk("""
        S: * 2 EXISTS
        S: * 2 RECENT""")
    other.ok(f"SELECT {box}")
    other.ok(r"STORE 1 +FLAGS.SILENT (\Deleted)")
    other.ok("EXPUNGE")
    client.talk("""
        S: (quiet 0.1)
        C: a FETCH 2 UID
        S: * 2 FETCH (UID 2)
        S: a OK *
        C: b NOOP
        S: * 1 EXPUNGE
        S: ...
        S: b OK *""")


def test_flags_are_told_only_if_asked_for(client, other, box):
    """5: FlagChange is not among the events."""
    client.ok(f"SELECT {box}")
    client.ok("NOTIFY SET (selected (MessageNew MessageExpunge))")
    other.ok(f"SELECT {box}")
    other.ok(r"STORE 1 +FLAGS.SILENT (\Flagged)")
    client.talk(r"""
        S: (quiet 0.1)
        C: a NOOP
        S: a OK *
        C: b STORE 1 +FLAGS (\\Seen)
        S: * 1 FETCH (FLAGS (\\Flagged \\Seen *))
        S: b OK *""")


def test_none(client, other, box):
    """3.1: no news at all, but the answers to its own commands."""
    client.ok(f"SELECT {box}")
    other.append(MESSAGE, folder=box)
    client.talk("""
        C: a NOTIFY NONE
        S: * 2 EXISTS
        S: ...
        S: a OK *""")
    other.append(MESSAGE, folder=box)
    client.talk(r"""
        S: (quiet 0.05)
        C: b NOOP
        S: b OK *
        C: c UID STORE 1 +FLAGS.SILENT (\\Deleted)
        S: c OK *
        C: d EXPUNGE
        S: ...
        S: * 1 EXPUNGE
        S: ...
        S: d OK *""")


def test_idle_tells_the_same(client, other, box):
    """4: exactly the events that NOTIFY asked for, with the data for new messages."""
    client.ok(f"SELECT {box}")
    client.ok("NOTIFY SET (selected (MessageNew (UID) MessageExpunge))")
    client.talk("""
        C: idling IDLE
        S: + idling""")
    for uid in (2, 3):
        other.append(MESSAGE, folder=box)
        client.talk("""
            S: * {uid} EXISTS
            S: * * RECENT
            S: * {uid} FETCH (UID {uid})""", uid=uid)
    client.talk("""
        C: DONE
        S: idling OK *
        C: b NOOP
        S: b OK *""")


@pytest.mark.parametrize("filter", ["personal", "inboxes", "mailboxes {}", "mailboxes (x {})",
                                    "subtree {}", "subscribed"])
def test_other_mailboxes(client, other, box, filter):
    """3.1, 5.1 to 5.3, 6.2 to 6.6: STATUS at once if that is asked for, and whenever it changes."""
    client.ok(f"SUBSCRIBE {box}")
    lines = client.ok(f"NOTIFY SET STATUS ({filter.format(box)} (MessageNew MessageExpunge FlagChange))")
    assert any(line.startswith(b"* STATUS " + box.encode()
                               + b" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY ") for line in lines)
    if filter.startswith(("mailboxes", "subtree")):
        assert len(lines) == 1
    other.append(MESSAGE, folder=box)
    client.talk("S: * STATUS {box} (MESSAGES 2 UIDNEXT 3 UIDVALIDITY * UNSEEN 2)", box=box)
    other.ok(f"SELECT {box}")
    other.ok(r"STORE 1 +FLAGS.SILENT (\Seen)")
    client.talk("S: * STATUS {box} (UIDVALIDITY * UNSEEN 1)")
    client.ok("ENABLE CONDSTORE")
    other.ok(r"STORE 1 +FLAGS.SILENT (\Flagged)")
    client.talk("S: * STATUS {box} (UIDVALIDITY * HIGHESTMODSEQ *)")
    other.ok(r"STORE 1 +FLAGS.SILENT (\Deleted)")
    client.talk("S: * STATUS {box} (UIDVALIDITY * HIGHESTMODSEQ *)")
    other.ok("EXPUNGE")
    client.talk("S: * STATUS {box} (MESSAGES 1 UIDNEXT 3 * HIGHESTMODSEQ *)")
    client.ok("NOTIFY NONE")
    other.append(MESSAGE, folder=box)
    client.talk("S: (quiet 0.05)")


def test_delivery_is_told(client, other, shared, box):
    """What another process does, too."""
    client.ok(f"NOTIFY SET (mailboxes {box} (MessageNew MessageExpunge))")
    shared.store(folder=box)
    client.talk("""
        S: * STATUS {box} (MESSAGES 2 UIDNEXT 3)
        C: a NOOP
        S: a OK *""", box=box)


def test_the_selected_mailbox_is_told_by_its_own_group_alone(client, other, box):
    """3.1: "even if the selected mailbox also appears by name"."""
    client.ok(f"SELECT {box}")
    client.ok(f"NOTIFY SET (mailboxes {box} (MessageNew MessageExpunge))")
    other.append(MESSAGE, folder=box)
    client.talk("""
        S: (quiet 0.1)
        C: a UNSELECT
        S: a OK *""")
    other.append(MESSAGE, folder=box)
    client.talk("S: * STATUS {box} (MESSAGES 3 UIDNEXT 4)", box=box)


def test_names(client, other, box):
    """5.4, 5.5: a mailbox and its parent; OLDNAME; what the client does itself it is not told."""
    client.ok(f"NOTIFY SET (subtree {box} (MailboxName SubscriptionChange))")
    other.ok(f"CREATE {box}/a")
    client.talk(r"""
        S: * LIST (\\HasNoChildren) "/" {box}/a
        S: * LIST (\\HasChildren) "/" {box}""", box=box)
    other.ok(f"SUBSCRIBE {box}/a")
    client.talk(r'S: * LIST (\\HasNoChildren \\Subscribed) "/" {box}/a')
    other.ok(f"UNSUBSCRIBE {box}/a")
    client.talk(r'S: * LIST (\\HasNoChildren) "/" {box}/a')
    other.ok(f"RENAME {box}/a {box}/b")
    client.talk(r'S: * LIST (\\HasNoChildren) "/" {box}/b ("OLDNAME" ({box}/a))')
    other.ok(f"DELETE {box}/b")
    client.talk(r"""
        S: * LIST (\\NonExistent \\HasNoChildren) "/" {box}/b
        S: * LIST (\\HasNoChildren) "/" {box}
        C: a CREATE {box}/mine
        S: a OK *
        S: (quiet 0.05)""")
    other.ok("CREATE elsewhere" + box)
    client.talk("""
        C: b NOOP
        S: b OK *""")


def test_superiors(client, other, box):
    """5.4: what CREATE and RENAME make above the mailbox is told, too, and what has it below now, or no more."""
    client.ok(f"NOTIFY SET (subtree {box} (MailboxName))")
    other.ok(f"CREATE {box}/a/b")
    client.talk(r"""
        S: * LIST (\\HasNoChildren) "/" {box}/a
        S: * LIST (\\HasChildren) "/" {box}
        S: * LIST (\\HasNoChildren) "/" {box}/a/b
        S: * LIST (\\HasChildren) "/" {box}/a""", box=box)
    other.ok(f"RENAME {box}/a/b {box}/c/d")
    client.talk(r"""
        S: * LIST (\\HasChildren) "/" {box}/c
        S: * LIST (\\HasChildren) "/" {box}
        S: * LIST (\\HasNoChildren) "/" {box}/c/d ("OLDNAME" ({box}/a/b))
        S: * LIST (\\HasChildren) "/" {box}/c
        S: * LIST (\\HasNoChildren) "/" {box}/a""")
    other.ok(f"DELETE {box}/c")
    client.talk(r"""
        S: * LIST (\\NonExistent \\HasChildren) "/" {box}/c
        S: * LIST (\\HasChildren) "/" {box}""")
    other.ok(f"CREATE {box}/c/e")  # and {box}/c again
    client.talk(r"""
        S: * LIST (\\HasChildren) "/" {box}/c
        S: * LIST (\\HasChildren) "/" {box}
        S: * LIST (\\HasNoChildren) "/" {box}/c/e
        S: * LIST (\\HasChildren) "/" {box}/c
        C: a NOOP
        S: a OK *""")


def test_new_mailboxes_are_watched(client, other, box):
    """6.4, 6.5: which mailboxes are meant is found again when names or subscriptions change."""
    client.ok(f"NOTIFY SET (subtree {box} (MessageNew MessageExpunge)) "
              "(subscribed (MessageNew MessageExpunge))")
    other.ok(f"CREATE {box}/a")
    other.append(MESSAGE, folder=box + "/a")
    client.talk("S: * STATUS {box}/a (MESSAGES 1 UIDNEXT 2)", box=box)
    other.ok(f"RENAME {box}/a {box}/c")
    client.talk("S: * STATUS {box}/c (MESSAGES 1 UIDNEXT 2)")
    other.append(MESSAGE, folder=box + "/c")
    client.talk("S: * STATUS {box}/c (MESSAGES 2 UIDNEXT 3)")
    other.ok(f"CREATE sub{box}")
    other.ok(f"SUBSCRIBE sub{box}")
    other.append(MESSAGE, folder="sub" + box)
    client.talk("S: * STATUS sub{box} (MESSAGES 1 UIDNEXT 2)")
    other.ok(f"DELETE {box}/c")
    other.ok(f"UNSUBSCRIBE sub{box}")
    other.append(MESSAGE, folder="sub" + box)
    client.talk("""
        S: (quiet 0.05)
        C: a NOOP
        S: a OK *""")


def test_metadata(client, other, box):
    """5.6, 5.7: only the names of the entries; required beside METADATA."""
    client.ok(f"NOTIFY SET (mailboxes {box} (MailboxMetadataChange ServerMetadataChange))")
    other.ok(f'SETMETADATA {box} (/private/comment "x" /shared/comment NIL)')
    client.talk("S: * METADATA {box} /private/comment /shared/comment", box=box)
    other.ok('SETMETADATA "" (/private/vendor/v/x "x")')
    client.talk('S: * METADATA "" /private/vendor/v/x')
    client.ok(f'SETMETADATA {box} (/private/comment "y")')
    client.talk("S: (quiet 0.05)")


def test_overflow(tmp_path):
    """3.1, 5.8: more mailboxes than are watched, at once or in time."""
    mailbox = Mailbox(tmp_path)
    with mailbox.connect() as client, mailbox.connect() as other:
        for i in range(101):
            for place in ("tmp", "new", "cur"):
                (mailbox.folder(f"box.{i}") / place).mkdir(parents=True)
        lines, tagged = client.command("NOTIFY SET (personal (MessageNew MessageExpunge))")
        assert tagged.startswith(b"NO [NOTIFICATIONOVERFLOW] ")
        other.ok("DELETE box/0")
        client.ok("NOTIFY SET (subtree box (MessageNew MessageExpunge))")
        other.ok("CREATE box/0")
        client.talk("S: * OK [NOTIFICATIONOVERFLOW] *")
        other.append(MESSAGE, folder="box/1")
        client.talk("""
            C: a NOOP
            S: a OK *""")
    mailbox.stop()


def test_unknown_events(client):
    """3.1: NO with BADEVENT, which names those that there are."""
    lines, tagged = client.command("NOTIFY SET (personal (MessageNew MessageExpunge AnnotationChange))")
    assert tagged.startswith(b"NO [BADEVENT (MessageNew MessageExpunge FlagChange MailboxName "
                             b"SubscriptionChange MailboxMetadataChange ServerMetadataChange)] ")


@pytest.mark.parametrize("arguments", [
    "", "SET", "GET", "NONE x", "SET STATUS", "SET STATUS x", "SET personal (MessageNew MessageExpunge)",
    "SET (personal)", "SET (personal ())", "SET (personal MessageNew MessageExpunge)",
    "SET (nobody NONE)", "SET (personal NONE", "SET (personal NONE) x", "SET (subtree NONE)",
    "SET (mailboxes () NONE)",
    # 5: both or none; FlagChange only with them
    "SET (personal (MessageNew))", "SET (personal (MessageExpunge))", "SET (personal (FlagChange))",
    "SET (personal (MessageNew FlagChange))",
    # 6.1, 8: events of messages only, once
    "SET (selected (MailboxName))", "SET (selected (MessageNew MessageExpunge MailboxName))",
    "SET (selected NONE) (selected-delayed NONE)",
    "SET (selected (MessageNew (NOTHING) MessageExpunge))",
])
def test_bad_syntax(client, arguments):
    lines, tagged = client.command("NOTIFY " + arguments if arguments else "NOTIFY")
    assert tagged.startswith(b"BAD ") and not lines


def test_names_that_are_no_mailbox(client):
    """3.1: "If the name does not refer to an existing mailbox, the server MUST ignore it"."""
    assert client.ok("NOTIFY SET STATUS (mailboxes (nothing a//b) (MessageNew MessageExpunge))") == []
