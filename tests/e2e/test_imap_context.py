"""CONTEXT=SEARCH (RFC 5267 4, RFC 5465 7): results that are kept up to date. imapd-mailbox alone."""

import itertools

import pytest

from mailbox_role import client_of_shared, needs_mailbox, shared  # noqa: F401

pytestmark = needs_mailbox
NUMBERS = itertools.count(1)

other = client_of_shared()


def message(subject):
    return f"Subject: {subject}\r\n\r\nbody\r\n".encode()


@pytest.fixture
def box():
    return f"box{next(NUMBERS)}"


@pytest.fixture
def client(shared, other, box):
    """A mailbox of its own with three messages, 1 and 3 from the boss, selected by both."""
    other.ok(f"CREATE {box}")
    for subject in ("boss", "x", "boss"):
        other.append(message(subject), folder=box)
    other.ok(f"SELECT {box}")
    with shared.connect() as connected:
        connected.ok(f"SELECT {box}")
        yield connected


def test_capability(client):
    assert b"CONTEXT=SEARCH" in client.ok("CAPABILITY")[0].split()


def test_flags_arrivals_and_removals(client, other, box):
    """4.3 to 4.3.4: behind the FETCH and EXISTS that cause it, before the EXPUNGE and the command's answer."""
    client.talk(r"""
        C: b01 UID SEARCH RETURN (UPDATE COUNT) UNSEEN SUBJECT boss
        S: * ESEARCH (TAG "b01") UID COUNT 2
        S: b01 OK *""")
    other.ok(r"STORE 1 +FLAGS.SILENT (\Seen)")
    client.talk(r"""
        C: a NOOP
        S: * 1 FETCH (FLAGS (\\Seen*))
        S: * ESEARCH (TAG "b01") UID REMOVEFROM (0 1)
        S: a OK *""")
    other.ok(r"STORE 1 -FLAGS.SILENT (\Seen)")
    other.append(message("boss"), folder=box)
    other.append(message("x"), folder=box)
    client.talk(r"""
        C: c NOOP
        S: * 1 FETCH *
        S: * 5 EXISTS
        S: ...
        S: * ESEARCH (TAG "b01") UID ADDTO (0 1,4)
        S: c OK *""")
    other.ok(r"STORE 3 +FLAGS.SILENT (\Deleted)")
    other.ok("EXPUNGE")
    client.talk(r"""
        C: d NOOP
        S: * ESEARCH (TAG "b01") UID REMOVEFROM (0 3)
        S: * 3 EXPUNGE
        S: ...
        S: d OK *
        C: e UID STORE 1 +FLAGS.SILENT (\\Seen)
        S: * ESEARCH (TAG "b01") UID REMOVEFROM (0 1)
        S: e OK *
        C: f NOOP
        S: f OK *""")


def test_pipelined(client):
    """RFC 9051 5.5: each answer behind what its own command has changed, and before the next command."""
    client.talk(r"""
        C: b01 SEARCH RETURN (UPDATE COUNT) FLAGGED
        S: * ESEARCH (TAG "b01") COUNT 0
        S: b01 OK *""")
    client.send(b"a STORE 1 +FLAGS.SILENT (\\Flagged)\r\nb STORE 1 -FLAGS.SILENT (\\Flagged)\r\nc LOGOUT\r\n")
    client.talk(r"""
        S: * ESEARCH (TAG "b01") ADDTO (0 1)
        S: a OK *
        S: * ESEARCH (TAG "b01") REMOVEFROM (0 1)
        S: b OK *
        S: * BYE *
        S: c OK *
        S: (closed)""")


def test_message_numbers(client, other, box):
    """4.3.2: a SEARCH is told by message numbers, as they are then."""
    client.talk(r"""
        C: b01 SEARCH RETURN (UPDATE ALL) SUBJECT boss
        S: * ESEARCH (TAG "b01") ALL 1,3
        S: b01 OK *""")
    other.ok(r"STORE 1 +FLAGS.SILENT (\Deleted)")
    other.ok("EXPUNGE")
    other.append(message("boss"), folder=box)
    client.talk(r"""
        C: a NOOP
        S: * ESEARCH (TAG "b01") REMOVEFROM (0 1)
        S: * 1 EXPUNGE
        S: * 3 EXISTS
        S: ...
        S: * ESEARCH (TAG "b01") ADDTO (0 3)
        S: a OK *""")


def test_idle(client, other):
    """4.3.2: while the client idles, too."""
    client.talk(r"""
        C: b01 UID SEARCH RETURN (UPDATE) FLAGGED
        S: * ESEARCH (TAG "b01") UID
        S: b01 OK *
        C: idling IDLE
        S: + idling""")
    other.ok(r"STORE 2 +FLAGS.SILENT (\Flagged)")
    client.talk(r"""
        S: * 2 FETCH *
        S: * ESEARCH (TAG "b01") UID ADDTO (0 2)
        C: DONE
        S: idling OK *""")


def test_data_of_new_messages(client, other, box):
    """RFC 5465 7: for those that came, not for those that match by a change of flags."""
    client.talk(r"""
        C: b01 UID SEARCH RETURN (UPDATE (UID BODY.PEEK[HEADER.FIELDS (Subject)]) COUNT) UNFLAGGED SUBJECT boss
        S: * ESEARCH (TAG "b01") UID COUNT 2
        S: b01 OK *""")
    other.ok(r"STORE 3 +FLAGS.SILENT (\Flagged)")
    client.talk(r"""
        C: a NOOP
        S: * 3 FETCH *
        S: * ESEARCH (TAG "b01") UID REMOVEFROM (0 3)
        S: a OK *""")
    other.ok(r"STORE 3 -FLAGS.SILENT (\Flagged)")
    other.append(message("boss"), folder=box)
    other.append(message("x"), folder=box)
    client.talk(r"""
        C: c NOOP
        S: * 3 FETCH *
        S: * 5 EXISTS
        S: ...
        S: * ESEARCH (TAG "b01") UID ADDTO (0 3:4)
        S: c OK *
        S: * 4 FETCH (UID 4 BODY[HEADER.FIELDS (Subject)] {17}
        S: Subject: boss
        S: 
        S: )
        C: d NOOP
        S: d OK *""")


def test_cancel(client, other, box):
    """4.3.5; and 4.3: updates cease when the mailbox is left."""
    client.talk(r"""
        C: b01 UID SEARCH RETURN (UPDATE CONTEXT) FLAGGED
        S: * ESEARCH (TAG "b01") UID
        S: b01 OK *
        C: b02 UID SEARCH RETURN (UPDATE) FLAGGED
        S: * ESEARCH (TAG "b02") UID
        S: b02 OK *
        C: b01 UID SEARCH RETURN (UPDATE) FLAGGED
        S: b01 BAD *
        C: a CANCELUPDATE "b01" "none"
        S: a BAD *
        C: b CANCELUPDATE "b01"
        S: b OK *""")
    other.ok(r"STORE 2 +FLAGS.SILENT (\Flagged)")
    client.talk(r"""
        C: c NOOP
        S: * 2 FETCH *
        S: * ESEARCH (TAG "b02") UID ADDTO (0 2)
        S: c OK *
        C: d UNSELECT
        S: d OK *
        C: e SELECT {box}
        S: ...
        S: e OK *""", box=box)
    other.ok(r"STORE 2 -FLAGS.SILENT (\Flagged)")
    client.talk(r"""
        C: f NOOP
        S: * 2 FETCH *
        S: f OK *
        C: g CANCELUPDATE "b02"
        S: g BAD *
        C: h CANCELUPDATE
        S: h BAD *""")


def test_refused(client):
    """4.3.1: NOUPDATE names the tag; all else is answered. At least one is kept up to date."""
    for i in range(8):
        client.talk(f"""
            C: t{i} UID SEARCH RETURN (UPDATE) ALL
            S: * ESEARCH (TAG "t{i}") UID
            S: t{i} OK *""")
    client.talk(r"""
        C: t9 UID SEARCH RETURN (UPDATE COUNT) ALL
        S: * ESEARCH (TAG "t9") UID COUNT 3
        S: * NO [NOUPDATE "t9"] *
        S: t9 OK *
        C: a CANCELUPDATE "t0" "t1"
        S: a OK *
        C: s UID SORT RETURN (UPDATE COUNT) (DATE) UTF-8 ALL
        S: * ESEARCH (TAG "s") UID COUNT 3
        S: * NO [NOUPDATE "s"] *
        S: s OK *
        C: n SEARCH RETURN (UPDATE COUNT) 1:2
        S: * ESEARCH (TAG "n") COUNT 2
        S: * NO [NOUPDATE "n"] *
        S: n OK *
        C: e ESEARCH RETURN (UPDATE COUNT) ALL
        S: * ESEARCH (TAG "e" MAILBOX * UIDVALIDITY *) UID COUNT 3
        S: * NO [NOUPDATE "e"] *
        S: e OK *
        C: c SEARCH RETURN (CONTEXT) ALL
        S: * ESEARCH (TAG "c")
        S: c OK *
        C: f SEARCH RETURN (UPDATE (NOTHING)) ALL
        S: f BAD *
        C: g SEARCH RETURN (UPDATE ()) ALL
        S: g BAD *""")
