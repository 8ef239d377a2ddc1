"""imapd-mailbox, the session: commands in and answers out, whatever comes (RFC 3501 2, 3, 6.1, 6.2).
imapd-mailbox alone; what needs a login is in test_imap_login.py."""

import random
import socket

import pytest

from mailbox_role import MESSAGE, Mailbox, client, mailbox, needs_mailbox  # noqa: F401

pytestmark = needs_mailbox


def test_the_login_is_answered_with_capabilities(client):
    """RFC 3501 6.2.2 and 7.1: CAPABILITY in the tagged OK."""
    assert client.greeting.startswith(b"login OK [CAPABILITY IMAP4rev1 ")


def test_what_came_behind_the_login_is_run(mailbox):
    """RFC 3501 5.5: commands may follow without waiting; half a command goes on in the stream."""
    with mailbox.connect(pending=b"a NOOP\r\nb NO") as client:
        client.send(b"OP\r\nc NOOP\r\n")
        client.talk("""
            S: a OK *
            S: b OK *
            S: c OK *""")


def test_a_carried_client_is_served_alike(mailbox):
    """With TLS the login process goes on carrying octets (common/role/handoff.h)."""
    with mailbox.connect(carried=True, pending=b"a NOOP\r\n") as client:
        client.talk("""
            S: a OK *
            C: b LOGOUT
            S: * BYE *
            S: b OK *
            S: (closed)""")


def test_commands_of_any_state(client):
    """RFC 3501 6.1"""
    client.talk("""
        C: a CAPABILITY
        S: * CAPABILITY IMAP4rev1 *
        S: a OK *
        C: b noop
        S: b OK *
        C: c LogOut
        S: * BYE *
        S: c OK *
        S: (closed)""")


def test_extensions_without_a_mailbox(client):
    """RFC 2342 5, RFC 5161 3.1, RFC 2971 3"""
    client.talk(r"""
        C: a NAMESPACE
        S: * NAMESPACE (("" "/")) NIL NIL
        S: a OK *
        C: b ENABLE X-NOTHING
        S: * ENABLED
        S: b OK *
        C: c ENABLE
        S: c BAD *
        C: d ID ("name" "test" "version" NIL)
        S: * ID ("name" "staffetta")
        S: d OK *
        C: e ID NIL
        S: * ID *
        S: e OK *
        C: f ID ()
        S: * ID *
        S: f OK *
        C: g ID ("name")
        S: g BAD *
        C: h ID
        S: h BAD *""")


def test_commands_are_pipelined(client):
    """RFC 3501 5.5: answered in the order they came."""
    client.send(b"".join(b"t%d NOOP\r\n" % i for i in range(500)))
    for i in range(500):
        assert client.read_line().startswith(b"t%d OK" % i)


@pytest.mark.parametrize("line, answer", [
    (b"", b"* BAD"),
    (b" ", b"* BAD"),
    (b"a", b"a BAD"),
    (b"a ", b"a BAD"),
    (b"a  NOOP", b"a BAD"),
    (b"a NOOP ", b"a BAD"),
    (b"a NOOP x", b"a BAD"),
    (b"a FOO", b"a BAD"),
    (b"a UID", b"a BAD"),
    (b"a UID NOOP", b"a BAD"),
    (b"a UID FOO", b"a BAD"),
    (b"+ NOOP", b"* BAD"),
    (b"* NOOP", b"* BAD"),
    (b"a(b NOOP", b"a BAD"),
    (b"\xc3\xa4 NOOP", b"* BAD"),
    (b"a \xc3\xa4", b"a BAD"),
    (b"a NOOP\0", b"a BAD"),
    (b'a SELECT "x', b"a BAD"),
    (b"a SELECT", b"a BAD"),
    (b'a SELECT "\xc3\xa4"', b"a BAD"),
    (b"a FETCH 1 FLAGS", b"a BAD"),       # no mailbox is selected, RFC 3501 3
    (b"a CLOSE", b"a BAD"),
    (b"a LOGIN u p", b"a BAD"),           # logged in already
    (b"a AUTHENTICATE PLAIN", b"a BAD"),
    (b"a STARTTLS", b"a BAD"),
])
def test_what_is_no_command_is_bad(client, line, answer):
    """RFC 3501 2.2.1, 7.1.3; the session goes on."""
    client.send(line + b"\r\nnext NOOP\r\n")
    assert client.read_line().startswith(answer)
    assert client.read_line().startswith(b"next OK")


@pytest.mark.parametrize("octets", [
    b"a NOOP\nb NOOP\r\n", b"a NOOP\rb NOOP\r\n", b"a NOOP\n\r\n", b'a SELECT "x\ny"\r\n'])
def test_only_crlf_ends_a_line(client, octets):
    """RFC 3501 2.2: what stands behind a bare CR or LF is no command of its own."""
    client.send(octets + b"c NOOP\r\n")
    client.talk("""
        S: a BAD *
        S: c OK *""")


def test_literals_wait_for_the_server(client):
    """RFC 3501 4.3 and 7.5"""
    client.talk(r"""
        C: a STATUS {5}
        S: + *
        C: INBOX (MESSAGES)
        S: * STATUS INBOX (MESSAGES 0)
        S: a OK *
        C: b STATUS {5+}
        C: INBOX {3}
        S: + *
        C: (UI
        S: b BAD *""")


@pytest.mark.parametrize("size", [2**63 - 1, 2**64, 10**30, 100 << 20])
def test_a_huge_literal_is_refused_before_it_comes(client, size):
    """RFC 3501 7.5: no "+", and the command is over."""
    client.talk(f"""
        C: a SELECT {{{size}}}
        S: a BAD *
        C: b NOOP
        S: b OK *""")


def test_a_huge_literal_that_does_not_wait_ends_the_connection(client):
    """RFC 7888 4: what cannot be skipped ends it."""
    client.talk("""
        C: a SELECT {9223372036854775807+}
        S: a BAD *
        S: * BYE *
        S: (closed)""")


def test_a_refused_literal_is_skipped(client):
    """RFC 7888 4: its octets are no commands."""
    literal = b"x LOGOUT\r\n" * 200000
    client.send(b"a SELECT {%d+}\r\n" % len(literal) + literal + b"\r\nb NOOP\r\n")
    client.talk("""
        S: a BAD *
        S: b OK *""")


def test_a_long_line_is_refused_and_skipped(client):
    client.send(b"a NOOP " + b"x" * (10 << 20) + b"\r\nb NOOP\r\n")
    client.talk("""
        S: a BAD *
        S: b OK *""")


def test_a_long_search_is_not(mailbox):
    """Lines of 64 KiB and more are what clients write when they search by UID (RFC 2683 3.2.1.5)."""
    mailbox.store()
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        uids = ",".join(str(n) for n in range(1, 30000, 2))
        assert len(uids) > 65536
        assert client.ok(f"UID SEARCH UID {uids}") == [b"* SEARCH 1"]


def test_deep_searches_are_refused(mailbox):
    mailbox.store()
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        assert client.ok("SEARCH " + "OR 1 " * 100 + "1") == [b"* SEARCH 1"]
        lines, tagged = client.command("SEARCH " + "(" * 10000)
        assert not lines and tagged.startswith(b"BAD")
        lines, tagged = client.command("SEARCH " + "NOT " * 10000 + "1")
        assert not lines and tagged.startswith(b"BAD")


def test_a_client_that_ends_its_side_is_answered_first(mailbox):
    with mailbox.connect() as client:
        client.send(b"a NOOP\r\nb CAPABILITY\r\n")
        client.socket.shutdown(socket.SHUT_WR)
        client.talk("""
            S: a OK *
            S: * CAPABILITY *
            S: b OK *
            S: * BYE *
            S: (closed)""")


def test_a_stop_says_bye(mailbox):
    """RFC 3501 7.1.5"""
    with mailbox.connect() as client, mailbox.connect() as other:
        mailbox.role.master.send(7)
        client.talk("""
            S: * BYE *
            S: (closed)""")
        other.talk("""
            S: * BYE *
            S: (closed)""")
    assert mailbox.role.wait() == 0


def test_sessions_of_an_account_are_limited(tmp_path):
    """The login is right, but is answered with NO, which names the limit."""
    mailbox = Mailbox(tmp_path, config="limits { account-sessions = 2 }")
    first, second, third = (mailbox.connect() for _ in range(3))
    assert second.greeting.startswith(b"login OK")
    assert third.greeting.startswith(b"login NO [LIMIT] ") and b"account-sessions" in third.greeting
    third.talk("S: * BYE *\nS: (closed)")
    first.ok("LOGOUT")
    mailbox.connect().ok("NOOP")
    mailbox.stop()


def test_a_slow_reader_is_not_read(mailbox):
    """Commands wait while their answers do; memory stays bounded."""
    mailbox.store(MESSAGE + b"x" * 998 + b"\r\n" * 10)
    with mailbox.connect() as slow, mailbox.connect() as quick:
        slow.ok("SELECT INBOX")
        slow.socket.setblocking(False)
        sent = 0
        command = b"a FETCH 1 (ENVELOPE BODY.PEEK[])\r\n" * 1000
        try:
            while sent < 200 * len(command):
                sent += slow.socket.send(command)
        except BlockingIOError:
            pass
        assert sent < 100 * len(command)
        quick.ok("NOOP")
        slow.socket.setblocking(True)
        with open(f"/proc/{mailbox.role.pid}/status") as status:
            memory = next(line for line in status if line.startswith("VmRSS"))
        assert int(memory.split()[1]) < 400000  # an address sanitizer's shadow is in it


def test_sessions_do_not_wait_for_each_other(mailbox):
    for _ in range(300):
        mailbox.store()
    with mailbox.connect() as busy, mailbox.connect() as other:
        busy.ok("SELECT INBOX")
        busy.send(b"b FETCH 1:* (BODYSTRUCTURE ENVELOPE)\r\n" * 20)
        other.ok("NOOP")
        assert len(other.ok("LIST \"\" *")) == 6


WORDS = [b"FETCH", b"UID", b"STORE", b"SEARCH", b"COPY", b"MOVE", b"EXPUNGE", b"APPEND", b"LIST", b"LSUB",
         b"STATUS", b"SELECT", b"EXAMINE", b"CREATE", b"DELETE", b"RENAME", b"SUBSCRIBE", b"IDLE", b"DONE",
         b"ENABLE", b"ID", b"CLOSE", b"INBOX", b"Sent", b"1:*", b"1", b"*", b"FLAGS", b"+FLAGS.SILENT",
         b"(\\Seen)", b"(MESSAGES)", b"BODY[1.2.HEADER.FIELDS (a)]<0.5>", b"ALL", b"NOT", b"OR", b"(", b")",
         b'"', b'"x"', b"{3+}\r\nabc", b"{5}", b"\r\n", b" ", b"\0", b"\xff", b"%", b"a b", b"[", b"<"]


@pytest.mark.parametrize("seed", range(4))
def test_garbage_is_survived(mailbox, seed):
    """Words of the protocol in any order, as one stream; another session never notices."""
    chances = random.Random(seed)
    for _ in range(3):
        mailbox.store()
    with mailbox.connect() as other:
        for _ in range(6):
            garbage = b"".join(
                b"t" + b" ".join(chances.choices(WORDS, k=chances.randint(1, 8))) + b"\r\n"
                for _ in range(200))
            with mailbox.connect() as client:
                client.ok("SELECT INBOX")
                client.socket.settimeout(0.2)
                try:
                    client.socket.sendall(garbage)
                    while client.socket.recv(1 << 16):
                        pass
                except (TimeoutError, BrokenPipeError, ConnectionResetError):
                    pass
            other.ok("STATUS INBOX (MESSAGES)")
