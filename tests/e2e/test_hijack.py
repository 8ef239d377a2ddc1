"""A hijacked network role: tests/e2e/hijacker.c stands in the place of smtpd-session or imapd-login,
with its channels and walls, and sends whatever an intruder could. The sender is ended, or refused,
and everybody else goes on."""

import concurrent.futures
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import struct
import time

import house as house_module
import pytest
from house import BUILD, PASSWORD

MASTER, AUTH, KEYS, FILTER, QUEUE = 0, 2, 4, 7, 8  # enum role_kind
NAMES = {AUTH: "auth", KEYS: "keys", FILTER: "smtpd-filter", QUEUE: "smtpd-queue"}
HIJACKER = BUILD / "e2e" / "hijacker"
STANDING = ("journal", "auth", "check", "keys", "smtpd-filter", "smtpd-queue")

pytestmark = pytest.mark.skipif(not HIJACKER.exists(), reason="build/e2e/hijacker is not built")


def record(kind, body=b"", request=1, version=1, length=None):
    """common/role/ipc.h: type, version, length, request."""
    size = 16 + len(body) if length is None else length
    return struct.pack("=HHIQ", kind, version, size, request) + body


class Hijacked(house_module.House):
    """A house whose `role` is the hijacker; `port` is the one it listens on."""

    def __init__(self, role, service, certificate, hijacker=HIJACKER, settings=None):
        # Many, so that no test waits for the back-off after the deaths of those before.
        count = {"processes": {"session" if service == "smtp" else "imap-login": 16}}
        super().__init__(services=("smtp", "submission", "imap", "pop3"), certificate=certificate,
                         settings=settings or count)
        self.programs = self.directory / "programs"
        shutil.copytree(BUILD / "libexec", self.programs / "libexec")
        shutil.copy2(BUILD / "staffetta", self.programs / "staffetta")
        shutil.copy2(hijacker, self.programs / "libexec" / role)
        self.hijacked, self.service = role, service

    def start(self, wait=True):
        original, house_module.BUILD = house_module.BUILD, self.programs
        try:
            super().start(wait=False)
        finally:
            house_module.BUILD = original
        self.wait_for_event("ready")

    def intruder(self, service=None):
        """A connection to the hijacker: function of a line, giving its answer, '' if it is dead."""
        connection = socket.create_connection(("127.0.0.1", self.ports[service or self.service]), 10)
        stream = connection.makefile("rwb")

        def say(line):
            try:
                stream.write(line.encode() + b"\n")
                stream.flush()
                return stream.readline().decode().strip()
            except OSError:
                return ""

        return say

    def ended(self, role=None):
        """How many processes of the hijacked role were ended for what they sent."""
        return len(self.events("hostile_role_ended", role=role or self.hijacked))

    def wait_until_ended(self, before, seconds=10, role=None):
        deadline = time.monotonic() + seconds
        while self.ended(role) <= before:
            assert time.monotonic() < deadline, self.log_text()
            time.sleep(0.01)

    def end_one(self, words):
        """One of the processes is ended for these. If others were ended just now, one of those may
        have taken the connection with it: then nobody heard them."""
        ended, deadline = self.ended(), time.monotonic() + 10
        while self.ended() == ended:
            assert time.monotonic() < deadline, self.log_text()
            self.intruder()(words)
            with contextlib.suppress(AssertionError):
                self.wait_until_ended(ended, 1)


@pytest.fixture(scope="module")
def certificate_pair(tmp_path_factory):
    return house_module.make_certificate(tmp_path_factory.mktemp("certificate"))


def make(role, service, certificate):
    hijacked = Hijacked(role, service, certificate)
    hijacked.start()
    return hijacked


@pytest.fixture(scope="module")
def smtp_house(certificate_pair):
    hijacked = make("smtpd-session", "smtp", certificate_pair)
    yield hijacked
    hijacked.stop()
    assert not hijacked.sanitizer_reports()
    hijacked.remove()


@pytest.fixture(scope="module")
def imap_house(certificate_pair):
    hijacked = make("imapd-login", "imap", certificate_pair)
    yield hijacked
    hijacked.stop()
    assert not hijacked.sanitizer_reports()
    hijacked.remove()


def standing(hijacked):
    return {role: hijacked.pids(role) for role in STANDING}


# Records that are malformed for every receiver.
MALFORMED = {
    "unknown type": record(999),
    "type of an answer": record(101, b"\0" * 64),
    "type 0": record(0),
    "wrong version": record(1, b"\0" * 64, version=9),
    "length says more": record(1, b"\0" * 8, length=4000),
    "length says less": record(1, b"\0" * 64, length=16),
    "shorter than a header": b"\1\0",
    "one octet": b"\0",
    "too long": record(1, b"\0" * 130000),
    "all ones": b"\xff" * 64,
    "lengths beyond the record": record(1, b"\xff" * 64),
    "lengths beyond the record, second type": record(2, b"\xff" * 256),
    "lengths beyond the record, third type": record(3, b"\xff" * 256),
}


@pytest.fixture(scope="module", params=[AUTH, FILTER, QUEUE, KEYS], ids=NAMES.get)
def receiver_house(request, certificate_pair):
    """A fresh house for each receiver."""
    hijacked = make("smtpd-session", "smtp", certificate_pair)
    yield request.param, hijacked
    hijacked.stop()
    assert not hijacked.sanitizer_reports()
    hijacked.remove()


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_record_ends_the_sender(receiver_house, what):
    receiver, hijacked = receiver_house
    before, ended = standing(hijacked), hijacked.ended()
    hijacked.intruder()(f"send {receiver} {MALFORMED[what].hex()}")
    hijacked.wait_until_ended(ended)
    assert standing(hijacked) == before


def test_unexpected_descriptors_end_the_sender(receiver_house):
    receiver, hijacked = receiver_house
    before, ended = standing(hijacked), hijacked.ended()
    record_and_three = f"send {receiver} {record(1, bytes(64)).hex()} 3"
    hijacked.intruder()(record_and_three)
    hijacked.wait_until_ended(ended)
    assert standing(hijacked) == before


def test_master_ends_who_speaks_out_of_turn(smtp_house):
    """A session is no auth: MASTER_ADMIT, MASTER_TARGET, MASTER_CHECKS, MASTER_IDLE are not its."""
    before = standing(smtp_house)
    for kind in (105, 106, 107, 108, 109, 1, 999):
        smtp_house.end_one(f"send {MASTER} {record(kind, bytes(200)).hex()}")
    assert standing(smtp_house) == before


def test_session_cannot_have_others_killed(smtp_house):
    before = standing(smtp_house)

    def accuse(kind):
        say = smtp_house.intruder()
        for number in range(1, 15):
            say(f"send {MASTER} {record(103, struct.pack('=II', kind, number)).hex()}")

    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(accuse, NAMES))
    assert standing(smtp_house) == before


@pytest.mark.parametrize("deed", ["exec", "socket", "connect", "ptrace", "kill"])
def test_forbidden_system_call_ends_the_process(smtp_house, deed):
    before = standing(smtp_house)
    smtp_house.may_trap = True
    say = smtp_house.intruder()
    assert say(f"call {deed}") == ""
    smtp_house.wait_for_event("forbidden_system_call", role="smtpd-session")
    assert standing(smtp_house) == before


@pytest.mark.parametrize("deed", ["sendfile", "splice", "send-pages", "sendmsg-pages", "sendmmsg-pages"])
def test_pages_of_a_lent_body_cannot_be_held(smtp_house, deed):
    """A socket would show what is in them when it is read: the next body in that file."""
    smtp_house.may_trap = True
    traps = len(smtp_house.events("forbidden_system_call", role="smtpd-session"))
    assert smtp_house.intruder()(f"call {deed}") == ""
    deadline = time.monotonic() + 10
    while len(smtp_house.events("forbidden_system_call", role="smtpd-session")) == traps:
        assert time.monotonic() < deadline, smtp_house.log_text()
        time.sleep(0.01)


def test_last_words_are_heard_with_the_death(smtp_house):
    """Both are there when the master looks: what was forbidden is said before the end is."""
    smtp_house.may_trap = True
    sessions = smtp_house.pids("smtpd-session")
    say = smtp_house.intruder()
    master = smtp_house.process.pid
    os.kill(master, signal.SIGSTOP)
    try:
        assert say("call sendfile") == ""
        wait_until(lambda: any(is_zombie(pid) for pid in sessions))
        dead = next(pid for pid in sessions if is_zombie(pid))
    finally:
        os.kill(master, signal.SIGCONT)
    smtp_house.wait_for_event("role_ended", pid=dead)
    assert smtp_house.events("forbidden_system_call", pid=dead), smtp_house.log_text()


def is_zombie(pid):
    """False as well if it was reaped."""
    with contextlib.suppress(FileNotFoundError):
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return False


def wait_until(true):
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_no_file_can_be_opened(smtp_house):
    """By seccomp; where that lets it through (a build with sanitizers), by chroot and Landlock."""
    answer = smtp_house.intruder()("call open")
    assert answer == "" or answer.startswith("result -1"), answer


def test_keys_signs_no_document(imap_house):
    """keys/KEYS_SIGN of anything but a handshake (RFC 8446 4.4.3, RFC 5246 7.4.3)."""
    say = imap_house.intruder()
    for content in (b"Subject: I owe you\r\n\r\n", b"\x30\x31" + bytes(47), bytes(200),
                    b" " * 64 + b"TLS 1.3, client CertificateVerify\0" + bytes(32)):
        for fixed in (8, 16, 24, 32):
            answer = say(f"send {KEYS} {record(1, bytes(fixed) + content).hex()}")
            assert len(answer) < 2 * 100, answer  # never the length of a signature
            if answer in ("closed", ""):
                say = imap_house.intruder()


def test_login_cannot_name_a_user(imap_house):
    """auth alone tells the master who logged in; a wrong password gives nothing."""
    account = imap_house.new_account()
    before = standing(imap_house)
    name, password = account.encode(), b"wrong"
    client = struct.pack("=Q", 7) + b"\4\x7f\0\0\1" + bytes(12) + b"\0" + struct.pack("=HI", 1, 0)
    body = client + struct.pack("=IIII", 3, len(name), len(password), 0) + name + password
    answer = imap_house.intruder()(f"send {AUTH} {record(3, body).hex()}")
    if answer == "silence":
        answer = imap_house.intruder()(f"send {AUTH} {record(3, body, request=2).hex()}")
    assert answer in ("silence", "closed", "") or answer.startswith("answer 67"), answer
    assert imap_house.pids("imapd-mailbox") == []
    after = standing(imap_house)  # auth may have asked for one more check worker
    assert all(set(pids) <= set(after[role]) for role, pids in before.items())


def test_login_wakes_nobody_and_puts_nobody_to_sleep(imap_house):
    """MASTER_WAKE and MASTER_GONE of sessions that it does not keep say nothing; MASTER_SLEEPS and
    MASTER_RETURNS are a mailbox's alone."""
    before = standing(imap_house)
    say = imap_house.intruder()
    for kind in (113, 114):
        for session in (0, 1, 1 << 32 | 1, 2**64 - 1):
            assert say(f"send {MASTER} {record(kind, request=session).hex()}") == "silence"
    assert imap_house.pids("imapd-mailbox") == []
    for kind, body in ((112, bytes(72) + b"x"), (115, bytes(56))):
        ended = imap_house.ended()
        imap_house.intruder()(f"send {MASTER} {record(kind, body).hex()} 1")
        imap_house.wait_until_ended(ended)
    assert standing(imap_house) == before


def test_login_shares_nothing_and_visits_nobody(imap_house):
    """MASTER_SHARES, MASTER_SHARED and MASTER_VISITS are a mailbox's alone, whose account the master knows."""
    before = standing(imap_house)
    owner = imap_house.new_account().encode()
    for kind, body in ((117, b"lr anyone\tINBOX\n"), (118, b""), (119, bytes(8) + owner + b"@test.example")):
        ended = imap_house.ended()
        imap_house.intruder()(f"send {MASTER} {record(kind, body).hex()}")
        imap_house.wait_until_ended(ended)
    assert imap_house.pids("imapd-mailbox") == []
    assert standing(imap_house) == before


AUTH_RECIPIENT, QUEUE_RECIPIENT, QUEUE_SUBMIT, QUEUE_MORE_IDS = 1, 1, 2, 5
AWAY, ELSEWHERE = b"away@test.example", b"x@elsewhere.example"


class Thief:
    """A captured process of port 25 that wants mail sent to another domain."""

    def __init__(self, hijacked):
        self.say = hijacked.intruder()
        self.session = 5 << 56 | int(self.say("number")) << 32 | 7

    def send(self, receiver, kind, body):
        answer = self.say(f"send {receiver} {record(kind, body).hex()}")
        return bytes.fromhex(answer[7:])[16:] if answer.startswith("answer ") else answer

    def ask(self, address, client=bytes(17), session=None):
        """What auth answers: (verdict, permits)."""
        fixed = struct.pack("=Q17s3xI", session or self.session, client, len(address))
        answer = self.send(AUTH, AUTH_RECIPIENT, fixed + address)
        if not isinstance(answer, bytes):
            return answer, []
        verdict, targets, text, _ = struct.unpack_from("=IIII", answer)
        rest, permits = answer[16 + text :], []
        for _ in range(targets):
            kind, octets = struct.unpack_from("=HH", rest)
            permits += [rest[4:52]] if kind == 2 else []
            rest = rest[(4 if kind == 1 else 52) + octets :]
        return verdict, permits

    def submit(self, address, permit, session=None):
        """'' if that ended us, 'silence' or an answer if it did not."""
        identity = struct.unpack_from("=Q", self.send(QUEUE, QUEUE_MORE_IDS, b""))[0]
        self.send(QUEUE, QUEUE_RECIPIENT,
                  struct.pack("=HHHH48s8x", 0, len(address), 0, 0, permit) + address)
        return self.send(QUEUE, QUEUE_SUBMIT,
                         struct.pack("=QQq48xIIHHHHIIQqq", identity, session or self.session,
                                     int(time.time()), 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))


def test_a_session_sends_elsewhere_by_permit_only(smtp_house):
    before = standing(smtp_house)
    smtp_house.command("alias", "add", AWAY.decode(), ELSEWHERE.decode())
    thief = Thief(smtp_house)
    assert thief.ask(ELSEWHERE)[0] == 3  # AUTH_RECIPIENT_FOREIGN
    assert thief.ask(ELSEWHERE, client=b"\4\x7f\0\0\1" + bytes(12)) == (3, [])
    verdict, permits = thief.ask(AWAY)
    assert (verdict, len(permits)) == (1, 1)
    assert thief.submit(ELSEWHERE, permits[0]) == b""  # QUEUE_COMMITTED: the alias allows it
    for address, permit in ((ELSEWHERE, bytes(48)), (b"y@elsewhere.example", permits[0])):
        ended = smtp_house.ended()
        assert Thief(smtp_house).submit(address, permit) in ("closed", "")
        smtp_house.wait_until_ended(ended)
    assert standing(smtp_house) == before


def test_a_session_uses_no_permit_of_another(smtp_house):
    before = standing(smtp_house)
    first, second = Thief(smtp_house), Thief(smtp_house)
    assert first.session != second.session
    permit = first.ask(AWAY)[1][0]
    ended = smtp_house.ended()
    assert second.submit(ELSEWHERE, permit, first.session) in ("closed", "")
    smtp_house.wait_until_ended(ended)
    third = Thief(smtp_house)
    assert third.ask(AWAY, session=first.session)[0] in ("closed", "")
    smtp_house.wait_until_ended(ended + 1)
    assert standing(smtp_house) == before


@pytest.mark.parametrize("service, role", [("smtp", "smtpd-session"), ("submission", "smtpd-submission")])
def test_a_session_reads_for_those_who_have_logged_in(smtp_house, service, role):
    """auth/AUTH_READ: from submission alone, with the token of the account's own session."""
    account = smtp_house.new_account().encode()
    before, ended = standing(smtp_house), smtp_house.ended(role)
    for token in (bytes(48), struct.pack("=QQ", 7, 1 << 62) + bytes(32)):
        body = token + struct.pack("=II", len(account), len(account)) + 2 * account
        assert smtp_house.intruder(service)(f"send {AUTH} {record(7, body).hex()}") in ("closed", "")
        smtp_house.wait_until_ended(ended, role=role)
        ended += 1
    assert standing(smtp_house) == before and not smtp_house.pids("imapd-mailbox")


def test_the_others_serve_meanwhile(smtp_house):
    account = smtp_house.new_account()
    with smtp_house.connect("pop3") as pop3:
        pop3.talk(rf"""
            C: USER {account}
            S: +OK*
            C: PASS {PASSWORD}
            S: +OK*
            C: STAT
            S: +OK 0 0
            C: QUIT
            S: +OK*""")
