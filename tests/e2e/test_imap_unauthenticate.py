"""UNAUTHENTICATE (RFC 8437): the connection goes back to the login process, and its client is nobody
until it logs in again, as whomever. A whole house; and the mailbox process alone, for what it gives back.
What the login process makes of that, whoever sent it: tests/unit/login_test.c."""

import base64
import os
import socket
import time

import pytest

from deflate import compress
from house import PASSWORD
from mailbox_role import MESSAGE, Mailbox, needs_mailbox
from one_role import session_body

pytestmark = needs_mailbox
MASTER_RETURNS = 115
PATIENCE = 20


@pytest.fixture
def other(house):
    return house.new_account()


@pytest.fixture
def client(house, imaps, account):
    """Logged in; a message is in INBOX."""
    imaps.talk(f"""
        C: a LOGIN {account} {PASSWORD}
        S: a OK [* UNAUTHENTICATE *] *""")
    imaps.send(b"b APPEND INBOX {%d+}\r\n%s\r\n" % (len(MESSAGE), MESSAGE))
    imaps.talk("S: b OK *")
    return imaps


def initial(account):
    return base64.b64encode(f"\0{account}\0{PASSWORD}".encode()).decode()


def count_of(client, mailbox="INBOX"):
    values = client.talk(f"""
        C: s STATUS {mailbox} (MESSAGES)
        S: * STATUS * (MESSAGES {{messages}})
        S: s OK *""")
    del client.values[b"messages"]
    return int(values["messages"])


def test_another_account_is_next(client, other):
    """3: not authenticated, nothing selected, no EXPUNGE; then anybody logs in, and again."""
    client.talk(f"""
        C: a SELECT INBOX
        S: ...
        S: a OK *
        C: b STORE 1 +FLAGS.SILENT (\\\\Deleted)
        S: b OK *
        C: c UNAUTHENTICATE
        S: c OK *
        C: d SELECT INBOX
        S: d BAD *
        C: e CAPABILITY
        S: * CAPABILITY {{before}}
        S: e OK *
        C: f LOGIN {other} {PASSWORD}
        S: f OK [* UNAUTHENTICATE *] *""")
    before = client.values[b"before"].split()
    assert {b"AUTH=PLAIN", b"SASL-IR"} <= set(before)
    assert not {b"UNAUTHENTICATE", b"IDLE", b"STARTTLS", b"LOGINDISABLED"} & set(before)
    assert count_of(client) == 0
    client.talk("""
        C: g UNAUTHENTICATE
        S: g OK *
        C: h LOGOUT
        S: * BYE *
        S: h OK *
        S: (closed)""")


def test_pipelined(client, account, other):
    """3: AUTHENTICATE may come in the same packet; every command is run by whom it is meant for."""
    client.send(f"a UNAUTHENTICATE\r\nb AUTHENTICATE PLAIN {initial(other)}\r\n"
                f"c STATUS INBOX (MESSAGES)\r\nd UNAUTHENTICATE\r\ne STATUS INBOX (MESSAGES)\r\n"
                f"f LOGIN {account} {PASSWORD}\r\ng STATUS INBOX (MESSAGES)\r\n".encode())
    client.talk("""
        S: a OK *
        S: b OK *
        S: * STATUS INBOX (MESSAGES 0)
        S: c OK *
        S: d OK *
        S: e BAD *
        S: f OK *
        S: * STATUS INBOX (MESSAGES 1)
        S: g OK *""")


def test_more_than_any_process_reads_at_once(client, other):
    """What waits in sockets and processes when the command is run comes behind it, in its order."""
    commands = [b"n%d NOOP\r\n" % i for i in range(200)]
    bodies = [MESSAGE + b"%07d\r\n" % i * 30000 for i in range(3)]
    client.send(b"a UNAUTHENTICATE\r\nb LOGIN %s %s\r\n" % (other.encode(), PASSWORD.encode())
                + b"".join(b"m APPEND INBOX {%d+}\r\n%s\r\n" % (len(body), body) for body in bodies)
                + b"".join(commands))
    client.talk("S: a OK *\nS: b OK *\n" + "S: m OK *\n" * len(bodies)
                + "".join(f"S: n{i} OK *\n" for i in range(len(commands))))
    client.talk("""
        C: c SELECT INBOX
        S: ...
        S: c OK *""")
    for number, body in enumerate(bodies, 1):
        client.talk(f"C: f FETCH {number} BODY.PEEK[]\nS: * {number} FETCH (BODY[] *")
        assert client.read_octets(len(body)) == body
        client.talk("S: )\nS: f OK *")


def test_answers_that_wait_come_before(client):
    """A client that reads slowly has all of them, then OK, then what the login process says."""
    body = MESSAGE + b"x" * 76 * 20000 + b"\r\n"
    client.send(b"a APPEND INBOX {%d+}\r\n%s\r\n" % (len(body), body))
    client.talk("S: a OK *\nC: b SELECT INBOX\nS: ...\nS: b OK *")
    client.send(b"c FETCH 2 BODY.PEEK[]\r\nd UNAUTHENTICATE\r\ne CAPABILITY\r\n")
    time.sleep(0.3)  # all buffers on the way are full meanwhile
    client.talk("S: * 2 FETCH (BODY[] *")
    assert client.read_octets(len(body)) == body
    client.talk("S: )\nS: c OK *\nS: d OK *\nS: * CAPABILITY * AUTH=PLAIN *\nS: e OK *")


def test_nothing_of_before_is_left(client, account):
    """4.1: CONDSTORE, QRESYNC, UTF8=ACCEPT, IMAP4rev2, NOTIFY and SEARCHRES are as at the beginning."""
    login = f"LOGIN {account} {PASSWORD}"
    client.talk(f"""
        C: a ENABLE QRESYNC IMAP4rev2 UTF8=ACCEPT
        S: * ENABLED * QRESYNC*
        S: a OK *
        C: b CREATE "f\u00fc&"
        S: b OK *
        C: c SELECT INBOX
        S: ...
        S: c OK *
        C: d SEARCH RETURN (SAVE) ALL
        S: d OK *
        C: e NOTIFY SET (selected (MessageNew MessageExpunge FlagChange)) (personal (MailboxName))
        S: e OK *
        C: f UNAUTHENTICATE
        S: f OK *
        C: g {login}
        S: g OK *
        C: h LIST "" "f*"
        S: * LIST * "/" f&APw-&-
        S: h OK *
        C: i SELECT INBOX
        S: ...
        S: * 0 RECENT
        S: ...
        S: i OK *
        C: j UID FETCH $ UID
        S: j *
        C: k STORE 1 +FLAGS (\\\\Flagged)
        S: * 1 FETCH (FLAGS (\\\\Flagged))
        S: k OK *""")


def test_with_compression(client, other):
    """4.1: the OK is the last that is compressed, the command's CRLF the last that may be."""
    plain = client.socket
    compress(client)
    client.talk("""
        C: a UNAUTHENTICATE
        S: a OK *""")
    client.socket = plain
    client.talk(f"""
        C: b LOGIN {other} {PASSWORD}
        S: b OK *""")
    assert count_of(client) == 0
    compress(client)
    assert count_of(client) == 0


@pytest.mark.parametrize("ahead", [b"b NOOP\r\n", b"b LOGIN x y\r\n" * 40])
def test_compressed_octets_behind_it_end_the_connection(client, ahead):
    """3: NO is not allowed, BYE is. They are nobody's."""
    compress(client)
    client.send(b"a UNAUTHENTICATE\r\n" + ahead)
    client.talk("S: * BYE *\nS: (closed)")


def test_refused(client, imap, account, other, house):
    """3: BAD for arguments, and before a login. Without TLS it is not offered: a socket that a mailbox
    process has had it could keep."""
    client.talk(r"""
        C: a UNAUTHENTICATE now
        S: a BAD *
        C: b UNAUTHENTICATE \r\n
        S: b BAD *
        C: c UNAUTHENTICATE
        S: c OK *
        C: d UNAUTHENTICATE
        S: d BAD *""")
    imap.talk(f"""
        C: a CAPABILITY
        S: * CAPABILITY {{capabilities}}
        S: a OK *
        C: b UNAUTHENTICATE
        S: b BAD *
        C: c LOGIN {account} {PASSWORD}
        S: c OK [{{more}}] *
        C: d UNAUTHENTICATE
        S: d BAD *
        C: e NOOP
        S: e OK *""")
    assert b"UNAUTHENTICATE" not in (imap.values[b"capabilities"] + imap.values[b"more"]).split()


def test_a_wrong_password_is_only_that(client, other):
    client.talk(f"""
        C: a UNAUTHENTICATE
        S: a OK *
        C: b LOGIN {other} wrong
        S: b NO [AUTHENTICATIONFAILED] *
        C: c STATUS INBOX (MESSAGES)
        S: c BAD *
        C: d LOGIN {other} {PASSWORD}
        S: d OK *""")


def served(house, account):
    """Sessions of the mailbox processes that have opened one of the account and not closed it."""
    opened = {event["session"] for event in house.events("opened", account=account)}
    closed = {event["session"] for event in house.events("closed")}
    return opened - closed


def wait_until_nobody_is_served(house, account):
    deadline = time.monotonic() + PATIENCE
    while served(house, account):
        assert time.monotonic() < deadline, house.log_text()
        time.sleep(0.01)


def test_who_is_served_is_counted(client, house, account, other):
    """The session ends in the one process before the next begins under a number of its own."""
    before = house.wait_for_event("opened", account=account)["session"]
    assert served(house, account) == {before}
    client.talk("C: a UNAUTHENTICATE\nS: a OK *")
    wait_until_nobody_is_served(house, account)
    assert house.events("closed", session=before, reason="UNAUTHENTICATE")
    event = house.wait_for_event("unauthenticated", before=before)
    client.talk(f"C: b LOGIN {other} {PASSWORD}\nS: b OK *")
    house.wait_for_event("opened", account=other, session=event["session"])
    assert served(house, other) == {event["session"]} != {before}


def test_who_leaves_meanwhile(client, house, account):
    client.send(b"a UNAUTHENTICATE\r\n")
    client.close()
    wait_until_nobody_is_served(house, account)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    made = Mailbox(tmp_path_factory.mktemp("alone"))
    yield made
    made.stop()


def test_what_the_mailbox_process_gives_back(alone):
    """Its end of the connection, under the pass that came with it, and what it had read and not run."""
    with alone.connect(carried=True) as client:
        client.send(b"a UNAUTHENTICATE\r\nb LOGIN x secret\r\nc {3}\r\n")
        client.talk("S: a OK *")
        request, body, fds = alone.role.master.expect(MASTER_RETURNS)
        given = session_body(alone.session)[:-8]
        assert (body[: len(given)], body[len(given) :]) == (given, b"b LOGIN x secret\r\nc {3}\r\n")
        with socket.socket(fileno=fds[0]) as back:
            assert len(fds) == 1 and os.fstat(fds[0])
            client.send(b"later")
            assert back.recv(100) == b"later"
            back.sendall(b"* hello\r\n")
            client.talk("S: * hello")
        client.talk("S: (closed)")  # nobody else has it
