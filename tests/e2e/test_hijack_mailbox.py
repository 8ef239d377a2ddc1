"""A hijacked imapd-mailbox: tests/e2e/mailbox_hijacker.c is the process of one account, with its channel to the real
master and its walls. What it gains is what its account may do anyway (docs/architecture.md, Shared mailboxes)."""

import contextlib
import os
import signal
import socket
import struct

import house as house_module
import pytest
from house import BUILD, PASSWORD, looking_into_a_role
from mailbox_role import HANDOFF_DESCRIPTOR, HANDOFF_MAGIC, HANDOFF_RESUMED
from test_hijack import Hijacked, record
from test_imap_shared import MESSAGE, Client, eventually

HIJACKER = BUILD / "e2e" / "mailbox_hijacker"
MASTER_SHARES, MASTER_VISITS, MASTER_KNOWN = 117, 119, 120
ROLE_VISIT, ROLE_NO_VISIT, ROLE_KNOWN = 27, 28, 30
FOUND, UNKNOWN, TEMPORARY = 0, 1, 2
SESSIONS = 5  # limits.account-sessions
HANDOFF = struct.pack("=IIIII", HANDOFF_MAGIC, HANDOFF_RESUMED, 5, 0, 1) + b"\1\0\0\0\0"

pytestmark = pytest.mark.skipif(not HIJACKER.exists(), reason="build/e2e/mailbox_hijacker is not built")


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    settings = {"imap": {"shared-mailboxes": "Shared"}, "limits": {"account-sessions": SESSIONS}, "timeouts": {"linger": "300ms"}}
    made = Hijacked("imapd-mailbox", "imap", house_module.make_certificate(tmp_path_factory.mktemp("certificate")),
                    HIJACKER, settings)
    made.start()
    yield made
    made.stop()
    assert not made.sanitizer_reports()
    made.remove()


def visits(owner, session=7):
    return record(MASTER_VISITS, struct.pack("=Q", session) + owner.encode())


class Thief:
    def __init__(self, house):
        self.house, self.account = house, house.new_account("thief")
        before = set(house.pids("imapd-mailbox"))
        self.socket = socket.create_connection(("127.0.0.1", house.ports["imap"]), 20)
        self.stream = self.socket.makefile("rwb")
        self.stream.readline()
        assert self.say(f"a LOGIN {self.account} {PASSWORD}\r") == "ready"
        self.pid = (set(house.pids("imapd-mailbox")) - before).pop()

    def say(self, line):
        try:
            self.stream.write(line.encode() + b"\n")
            self.stream.flush()
            return self.stream.readline().decode().strip()
        except OSError:
            return ""

    def ask(self, octets):
        """The next thing that the master says behind it: ("way", number), or (type, outcome)."""
        words = self.say(f"send {octets.hex()}").split()
        while words and words[0] == "answer" and int(words[1]) not in (ROLE_NO_VISIT, ROLE_KNOWN):
            words = self.say("read").split()
        if words[:1] == ["way"]:
            return "way", int(words[1])
        if words[:1] == ["answer"]:
            return int(words[1]), struct.unpack_from("=I", bytes.fromhex(words[2]), 16)[0]
        return (words or ["closed"])[0], None

    def enter(self, owner):
        kind, number = self.ask(visits(owner))
        assert kind == "way"
        self.say(f"say {number} {HANDOFF.hex()}")
        return number

    def command(self, number, line):
        """What the owner's process answers; "" if that way is closed."""
        heard, octets = b"", f"x {line}\r\n".encode()
        self.say(f"say {number} {octets.hex()}")
        while b"\r\nx " not in b"\r\n" + heard:
            words = self.say(f"hear {number}").split()
            if words[0] != "heard":
                return ""
            heard += bytes.fromhex(words[1])
        return heard.decode()

    def close(self):
        with contextlib.suppress(OSError):
            self.stream.close()
        self.socket.close()


class Owner:
    def __init__(self, house, *visitors, rights="lr"):
        self.house, self.account = house, house.new_account()
        before = set(house.pids("imapd-mailbox"))
        self.client = Client(house, self.account)
        self.pid = (set(house.pids("imapd-mailbox")) - before).pop()
        self.client.ok("CREATE Work")
        self.client.append(MESSAGE, "Work")
        for visitor in visitors:
            self.client.ok(f"SETACL Work {visitor} {rights}")
        self.work = f"Shared/{self.account}/Work"


@pytest.fixture
def thief(house):
    made = Thief(house)
    yield made
    made.close()


def descriptors(pid):
    """Sockets: files come and go by themselves."""
    directory, count = f"/proc/{pid}/fd", 0
    with looking_into_a_role():
        numbers = os.listdir(directory)
    for number in numbers:
        with contextlib.suppress(OSError):
            count += os.readlink(f"{directory}/{number}").startswith("socket:")
    return count


def test_it_goes_where_its_account_may_go_alone(house, thief):
    """RFC 4314 4: the rights are the account's, and the owner's process judges at each command."""
    bob = house.new_account()
    owner, other = Owner(house, thief.account), Owner(house, bob)
    for nobody in (other.account, "nobody@test.example"):
        assert thief.ask(visits(nobody)) == (ROLE_NO_VISIT, UNKNOWN)
    way = thief.enter(owner.account)
    assert "OK [READ-ONLY]" in thief.command(way, f"SELECT {owner.work}")
    assert "NONEXISTENT" in thief.command(way, f"SELECT Shared/{owner.account}/INBOX")
    assert "NONEXISTENT" in thief.command(way, "SELECT INBOX")
    assert thief.command(way, f"MYRIGHTS {owner.work}").startswith(f"* MYRIGHTS {owner.work} lr\r\n")
    for command in (f"SETACL {owner.work} {thief.account} lrswipkxtea", f"APPEND {owner.work} {{1+}}\r\nx", f"DELETE {owner.work}",
                    "GETQUOTAROOT INBOX", "UNAUTHENTICATE", 'LIST "" *'):
        assert "NO [NO" in thief.command(way, command), command
    assert "OK [READ-ONLY]" in thief.command(way, f"SELECT {owner.work}")
    owner.client.ok(f"DELETEACL Work {thief.account}")
    assert "NO [NO" in thief.command(way, "FETCH 1 BODY[]")
    assert thief.ask(visits(owner.account)) == (ROLE_NO_VISIT, UNKNOWN)


def test_it_learns_nothing_of_mailboxes_that_are_not_shared_with_it(house, thief):
    """RFC 4314 4, by whatever a visitor may say: METADATA (RFC 5464 3.3), QUOTA, NOTIFY (RFC 5465), ESEARCH (RFC 7377), CATENATE (RFC 4469)."""
    bob = house.new_account()
    owner = Owner(house, thief.account, bob)
    client, work = owner.client, owner.work
    client.ok("CREATE Work/Hidden")
    client.ok("SUBSCRIBE Hidden")
    for name in ("INBOX", "Work/Hidden", "Sent"):
        client.append(MESSAGE, name)
        client.ok(f'SETMETADATA {name} (/private/comment "secret" /shared/comment "secret")')
    client.ok('SETMETADATA Work (/private/comment "secret")')
    with Client(house, bob) as other:
        other.ok(f'SETMETADATA {work} (/private/comment "secret" /private/thief/x "secret")')
    way = thief.enter(owner.account)
    top = f"Shared/{owner.account}"
    events = "(MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange MailboxMetadataChange ServerMetadataChange)"
    for filters in ("personal", "inboxes", "subscribed", "mailboxes (INBOX Sent Hidden)", f"mailboxes ({top}/INBOX {top}/Work/Hidden {top})", "subtree (INBOX Work)", f"subtree {work}",
                    f"subtree {top}"):
        heard = thief.command(way, f"NOTIFY SET STATUS ({filters} {events})") + thief.command(way, f"ESEARCH IN ({filters}) ALL")
        told = [line for line in heard.split("\r\n") if line.startswith("* ")]
        assert all(f" {work} " in line for line in told) and bool(told) == (filters in ("personal", "inboxes", f"subtree {work}")), (filters, heard)
    thief.command(way, f"NOTIFY SET (personal {events}) (subscribed {events}) (selected (MessageNew MessageExpunge))")
    for command in ("CREATE Secret", "RENAME Secret Work/Secret", "SUBSCRIBE Secret", "UNSUBSCRIBE Hidden", 'SETMETADATA Work (/private/a "x")', 'SETMETADATA "" (/private/a "x")',
                    'SETMETADATA Sent (/shared/a "x")', "DELETE Work/Secret", f"SETACL Sent {bob} lr"):
        client.ok(command)
    client.append(MESSAGE, "Work/Hidden")
    assert thief.command(way, "NOOP").startswith("x OK")
    told = thief.command(way, f"GETMETADATA (DEPTH infinity) {work} (/private /shared)")
    told += thief.command(way, f"GETMETADATA {work} (/private/comment /private/thief/x)")
    assert "secret" not in told
    for command in ('GETMETADATA "" /private/a', 'SETMETADATA "" (/private/a "x")', f"GETMETADATA {top}/INBOX /shared/comment", "GETMETADATA INBOX /shared/comment",
                    f"GETMETADATA {top}/Work/Hidden /shared/comment", f'SETMETADATA {work} (/shared/comment "x")', f"GETQUOTAROOT {top}/INBOX", f"GETQUOTAROOT {work}/Hidden",
                    f"GETMETADATA {top} /shared/comment", 'GETQUOTA ""', f"GETQUOTA {top}/Work"):
        assert "x NO [NO" in thief.command(way, command), command
    assert "secret" not in thief.command(way, f'SETMETADATA {work} (/private/../comment NIL)')
    client.ok(f"SETACL Work {thief.account} lri")
    assert "x NO [NOPERM]" in thief.command(way, f'APPEND {work} CATENATE (URL "/INBOX/;UID=1")')
    assert client.ok("GETMETADATA Work (/private/comment)") == [b'* METADATA Work (/private/comment "secret")']


def test_it_shares_nothing_in_the_name_of_others(house):
    """MASTER_SHARES: a list of its own account, and never a line that could begin another's."""
    bob = house.new_account()
    victim = Owner(house)
    for lie in (f"={victim.account}\nlr {bob}\tWork\n", f"lr {bob}\tWork", "lr\n", f"lr {bob}\tWork\0\n"):
        thief, ended = Thief(house), house.ended()
        thief.say("send " + record(MASTER_SHARES, lie.encode()).hex())
        house.wait_until_ended(ended)
        thief.close()
    thief = Thief(house)
    thief.say("send " + record(MASTER_SHARES, f"lr {bob}\tShared/{victim.account}/Work\nlr {bob}\tx\ry\nlr {bob}\t../x\nlr {bob}\t/x\n".encode()
                                   + f"lr {bob}\t".encode() + b"\xff\n").hex())
    with Client(house, bob) as client:
        names = client.ok('LIST "" Shared*')
        top = f"Shared/{thief.account}"
        assert [name.split(b" ")[-1].decode() for name in names] == ["Shared", top, f"{top}/Shared", f"{top}/Shared/{victim.account}",
                                                                     f"{top}/Shared/{victim.account}/Work"]
        assert client.command(f"SELECT Shared/{victim.account}/Work")[1].startswith(b"NO ")
    thief.close()


def test_it_piles_nothing_up_in_the_master(house):
    """Who asks and does not read is ended; meanwhile the master keeps no descriptor of his."""
    thief = Thief(house)
    owner = Owner(house, thief.account)
    master = house.process.pid
    before, ended = descriptors(master), house.ended()
    for body in (visits(owner.account), record(MASTER_KNOWN, b"nobody@test.example")):
        for _ in range(200):
            if thief.say(f"flood 1000 {body.hex()}") in ("", "sent 0"):
                break
            assert descriptors(master) < before + 20
    house.wait_until_ended(ended)
    assert owner.client.ok("STATUS Work (MESSAGES)") == [b"* STATUS Work (MESSAGES 1)"]
    eventually(lambda: descriptors(master) <= before)
    thief.close()


def test_it_takes_no_more_places_than_its_account_has(house, thief):
    """limits.account-sessions, of each account by itself; a place is free again when its way is closed."""
    bob = house.new_account()
    owner = Owner(house, thief.account, bob)
    before = descriptors(owner.pid)
    entered = [thief.enter(owner.account) for _ in range(2 * SESSIONS)]
    assert all("OK" in thief.command(way, "NOOP") for way in entered)
    # One that says nothing holds a place, too.
    for _ in range(20):
        kind, number = thief.ask(visits(owner.account))
        assert kind == "way" and thief.say(f"hear {number}") == "closed"
    assert descriptors(owner.pid) <= before + 2 * SESSIONS
    with Client(house, bob) as client:
        client.ok(f"SELECT {owner.work}")
        assert client.ok(f"STATUS {owner.work} (MESSAGES)") == [f"* STATUS {owner.work} (MESSAGES 1)".encode()]
    for way in entered:
        thief.say(f"leave {way}")
    eventually(lambda: descriptors(owner.pid) <= before)
    assert "OK" in thief.command(thief.enter(owner.account), "NOOP")


def test_it_joins_nobody_with_another(house, thief):
    """A descriptor that comes with a visitor is not spoken on: it could be the way to a third."""
    first, second = Owner(house, thief.account), Owner(house, thief.account)
    way = thief.enter(first.account)
    kind, other = thief.ask(visits(second.account))
    assert kind == "way"
    with_descriptor = struct.pack("=IIIII", HANDOFF_MAGIC, HANDOFF_RESUMED | HANDOFF_DESCRIPTOR, 5, 0, 1) + b"\1\0\0\0\0"
    thief.say(f"bring {other} {way} {with_descriptor.hex()}")
    assert thief.say(f"hear {other}") == "closed"
    assert "OK" in thief.command(way, "NOOP")
    assert second.client.ok("NOOP") == first.client.ok("NOOP") == []


def test_nothing_outlives_it(house):
    """The sessions of who is dead end; what it was in the middle of is not done."""
    thief = Thief(house)
    owner = Owner(house, thief.account, rights="lrswite")
    before = descriptors(owner.pid)
    ways = [thief.enter(owner.account) for _ in range(3)]
    thief.command(ways[0], f"SELECT {owner.work}")
    thief.say(f"say {ways[1]} " + f"x APPEND {owner.work} {{5+}}\r\nabc".encode().hex())
    os.kill(thief.pid, signal.SIGKILL)
    eventually(lambda: descriptors(owner.pid) <= before)
    assert owner.client.ok("STATUS Work (MESSAGES)") == [b"* STATUS Work (MESSAGES 1)"]
    assert not any((house.maildir(owner.account) / ".Work" / "tmp").iterdir())
    thief.close()


def test_it_knows_no_more_than_any_sender(house, thief):
    """MASTER_KNOWN: whether an address is an account here, as RCPT would say."""
    assert thief.ask(record(MASTER_KNOWN, house.new_account().encode())) == (ROLE_KNOWN, FOUND)
    assert thief.ask(record(MASTER_KNOWN, b"nobody@test.example")) == (ROLE_KNOWN, UNKNOWN)
    ended = house.ended()
    thief.say("send " + record(MASTER_KNOWN, b"a\0b").hex())
    house.wait_until_ended(ended)


def heard(thief, number, until):
    """What a visitor says to it, to the end of that line."""
    octets = b""
    while until not in octets or not octets.endswith(b"\r\n"):
        words = thief.say(f"hear {number}").split()
        assert words[0] == "heard", (words, octets)
        octets += bytes.fromhex(words[1])
    return octets


@pytest.mark.parametrize("fetched", [
    rb"FLAGS (\Seen {5+} INTERNALDATE BODY[] {5}",  # the rest of the line would be a flag, and its end among it
    rb'FLAGS (\Seen) INTERNALDATE "01-Jan-2024 10:00:00 +0000 BODY[] {5}',
    rb'UID 5 INTERNALDATE "01-Jan-2024 10:00:00 +0000" BODY[] {5}',
    rb'FLAGS (' + b"x " * 600000 + rb') INTERNALDATE "01-Jan-2024 10:00:00 +0000" BODY[] {5}',
], ids=["no end of flags", "no end of the date", "no flags", "a megabyte of flags"])
def test_what_it_says_of_a_message_begins_no_command(house, thief, fetched):
    """COPY out of its mailbox: the other's APPEND has nothing from it but flags, a date and octets."""
    bob = house.new_account()
    thief.say("send " + record(MASTER_SHARES, f"lr {bob}\tTrap\n".encode()).hex())
    with Client(house, bob) as client:
        eventually(lambda: client.ok('LIST "" Shared/%/Trap'))
        client.send(f"a SELECT Shared/{thief.account}/Trap\r\n".encode())
        words = thief.say("read").split()
        while words[0] != "way":
            words = thief.say("read").split()
        way = int(words[1])
        heard(thief, way, b"a SELECT")
        thief.say(f"say {way} " + b"* 1 EXISTS\r\na OK [READ-WRITE] Selected\r\n".hex())
        assert client.answer(b"a")[1].startswith(b"OK")
        client.send(b"b COPY 1 Drafts\r\n")
        heard(thief, way, b" FETCH 1 ")
        thief.say(f"say {way} " + b"* 1 FETCH (UID 5 RFC822.SIZE 5)\r\nc OK Fetched\r\n".hex())
        heard(thief, way, b"UID FETCH 5 ")
        octets = b"* 1 FETCH (" + fetched + b"\r\nhello)\r\nc OK Fetched\r\n"
        for at in range(0, len(octets), 100000):
            thief.say(f"say {way} " + octets[at:at + 100000].hex())
        assert client.read_line() == b"* BYE The other account's mailbox speaks no IMAP; log in again"  # before the target hears it
    with Client(house, bob) as client:
        assert client.ok("STATUS Drafts (MESSAGES)") == [b"* STATUS Drafts (MESSAGES 0)"]
