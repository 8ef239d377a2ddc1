"""COMPRESS=DEFLATE (RFC 4978). imapd-mailbox alone, and once behind the login process with TLS."""

import pytest

from deflate import compress
from mailbox_role import MESSAGE, needs_mailbox, shared  # noqa: F401

pytestmark = needs_mailbox


@pytest.fixture(params=[False, True], ids=["own socket", "carried"])
def client(request, shared):
    with shared.connect(carried=request.param) as connected:
        yield connected


def test_answers_and_commands_are_compressed(client, shared):
    """3: from behind the tagged OK on, both ways, literals and IDLE too."""
    assert b"COMPRESS=DEFLATE" in client.ok("CAPABILITY")[0].split()
    compress(client)
    client.ok("CREATE box" if not shared.folder("box").exists() else "NOOP")
    body = MESSAGE + b"All work and no play makes Jack a dull boy.\r\n" * 5000
    client.append(body, folder="box")
    client.ok("SELECT box")
    before = client.socket.received
    lines = client.ok("FETCH * BODY.PEEK[]")
    assert body in lines[0]
    assert client.socket.received - before < len(body) / 20
    client.talk("""
        C: a IDLE
        S: + idling""")
    shared.store(folder="box")
    client.talk("""
        S: * {n} EXISTS
        S: * {r} RECENT
        C: DONE
        S: a OK *
        C: b LOGOUT
        S: * BYE *
        S: b OK *
        S: (closed)""")


def test_refused(client):
    """3: BAD for an unknown argument; 5: exactly one space and an atom. Nothing is compressed."""
    client.talk(r"""
        C: a COMPRESS
        S: a BAD *
        C: b COMPRESS LZ4
        S: b BAD *
        C: c COMPRESS DEFLATE 9
        S: c BAD *
        C: d COMPRESS DEFLATE\r\ne NOOP\r\n
        S: d BAD *
        S: e OK *
        C: f NOOP
        S: f OK *""")


def test_once(client):
    """3: BAD where COMPRESS is active already; it stays so."""
    compress(client)
    client.talk("""
        C: a compress deflate
        S: a BAD *
        C: b NOOP
        S: b OK *""")


def test_what_is_not_compressed_ends_the_connection(client):
    compress(client)
    client.socket.socket.sendall(b"a NOOP\r\n")
    assert client.read_line() is None


def test_a_bomb_is_a_line_that_is_too_long(client):
    """32 MiB of one octet in 32 KiB: bounded as if it had come so; common/net/deflate_stream's own test
    shows that no more is expanded than is read."""
    compress(client)
    client.send(b"a NOOP " + b"x" * (1 << 25))
    client.talk(r"""
        S: a BAD *
        C: \r\n
        C: b NOOP
        S: b OK *""")


def test_behind_tls(imaps, account):
    """3: compressed first, then encrypted; the login process carries what it cannot read."""
    imaps.talk("""
        C: a LOGIN {account} staffetta
        S: a OK [* COMPRESS=DEFLATE *] *""", account=account)
    compress(imaps)
    message = b"Subject: x\r\n\r\n" + b"0123456789\r\n" * 20000
    imaps.send(b"b APPEND INBOX {%d+}\r\n%s\r\n" % (len(message), message))
    imaps.talk(r"""
        S: b OK *
        C: c SELECT INBOX
        S: ...
        S: c OK *
        C: d FETCH 1 BODY.PEEK[]
        S: * 1 FETCH (BODY[] *""")
    assert imaps.read_octets(len(message)) == message
    imaps.talk("""
        S: )
        S: d OK *
        C: e LOGOUT
        S: ...
        S: e OK *
        S: (closed)""")
