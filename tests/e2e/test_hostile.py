"""Clients that mean ill, against a whole house: whatever they send or leave unsent, no process dies,
memory stays bounded, and an honest client is served meanwhile. Limits of SMTP by name are tried by
test_smtp_limits.py."""

import contextlib
import multiprocessing
import os
import pathlib
import re
import select
import socket
import ssl
import time

import pytest

from house import PASSWORD, SERVICES, is_sanitized

MEGABYTE = 1 << 20
GIGABIT = 125 * MEGABYTE  # a second: attackers come by a network, and on another machine
PLAIN = ("smtp", "submission", "imap", "pop3")
IMPLICIT_TLS = ("submissions", "imaps", "pop3s")
NETWORK_ROLES = ("smtpd-session", "imapd-login", "pop3d-login")
LASTING_ROLES = (*NETWORK_ROLES, "smtpd-filter", "smtpd-queue", "auth", "keys", "journal")
STRANGER = "127.0.200.1"  # of a network that no attacker is in
P99_SECONDS = 0.05  # of the visits in all that is done here
P95_SECONDS = 0.05  # of those in each: the burst with which one begins hinders a few
BUSY = 0.2  # processors that others have: then nothing is known of how fast we are
GROWTH = 8 * MEGABYTE  # of a role, at most, whatever it is sent
HASH = 20 * MEGABYTE  # that one Argon2id hash takes, in `check` alone
NEWCOMER = 24 * MEGABYTE  # resident octets of a user's process that is started meanwhile
VISITS = 150  # of the honest client, while he is hindered
SANITIZED_VISITS = 30
ALL_VISITS = 1000  # whose p99 is not an accident

# Words at which a server has nothing more to say before it is spoken to.
GREETINGS = {"smtp": b"220 ", "submission": b"220 ", "imap": b"* OK ", "pop3": b"+OK "}
FAREWELLS = {"smtp": b"421 ", "submission": b"421 ", "imap": b"* BYE ", "pop3": b"-ERR "}


# --- The honest client ----------------------------------------------------------------------------


def send_mail(house, account):
    with house.connect("smtp", source=STRANGER) as smtp:
        smtp.talk(r"""
            C: EHLO client.example
            S: ...
            S: 250 *
            C: MAIL FROM:<>\r\nRCPT TO:<{account}>\r\nDATA\r\n
            S: 250 *
            S: 250 *
            S: 354 *
            C: Subject: hello\r\n\r\nhello\r\n.\r\nQUIT\r\n
            S: 250 *
            S: 221 *
            S: (closed)""", account=account)


def read_imap(house, account):
    with house.connect("imap", source=STRANGER) as imap:
        imap.talk(r"""
            C: a LOGIN {account} {password}
            S: a OK *
            C: b SELECT INBOX
            S: ...
            S: b OK *
            C: c LOGOUT
            S: ...
            S: c OK *
            S: (closed)""", account=account, password=PASSWORD)


def read_pop3(house, account):
    with house.connect("pop3", source=STRANGER) as pop3:
        pop3.talk(r"""
            C: USER {account}
            S: +OK*
            C: PASS {password}
            S: +OK*
            C: STAT
            S: +OK*
            C: QUIT
            S: +OK*
            S: (closed)""", account=account, password=PASSWORD)


WAYS = {"smtp": send_mail, "imap": read_imap, "pop3": read_pop3}


def time_visits(house, account, rounds=4):
    """The longest of a few visits: what this machine gives the honest client now."""
    took = []
    for visit in list(WAYS.values()) * rounds:
        start = time.monotonic()
        visit(house, account)
        took.append(time.monotonic() - start)
    return max(took)


def visit_until(house, account, leave, made, took):
    """In a process of its own: the attacker's thread should not slow this one down."""
    while not leave.is_set():
        for visit in WAYS.values():
            start = time.monotonic()
            visit(house, account)
            took.put(time.monotonic() - start)
            made.value += 1
        leave.wait(0.005)


def percentile(took, percent):
    return sorted(took)[int(len(took) * percent / 100)]


class Honest:
    """Visits the house in all three protocols, over and over; `took` says how long each took."""

    def __init__(self, house, account, wanted):
        context = multiprocessing.get_context("fork")
        self.leave, self.made, self.wanted = context.Event(), context.Value("i", 0), wanted
        self.queue = context.SimpleQueue()
        self.took = []
        self.process = context.Process(
            target=visit_until, args=(house, account, self.leave, self.made, self.queue))

    def __enter__(self):
        self.process.start()
        return self

    def __exit__(self, *_):
        self.leave.set()
        deadline = time.monotonic() + 30
        while self.process.is_alive() and time.monotonic() < deadline:
            self.hear()  # a full pipe would keep him
            self.process.join(0.01)
        self.hear()
        if self.process.is_alive():
            self.process.kill()
            self.process.join()

    def hear(self):
        while not self.queue.empty():
            self.took.append(self.queue.get())

    def has_seen_enough(self):
        self.hear()
        return self.made.value >= self.wanted or not self.process.is_alive()

    def seconds_worked(self):
        stat = pathlib.Path("/proc", str(self.process.pid), "stat").read_text().rsplit(")", 1)[1]
        return sum(map(int, stat.split()[11:15])) / os.sysconf("SC_CLK_TCK")

    def percentile(self, percent):
        return percentile(self.took, percent)


def lasting(house):
    return {role: house.pids(role) for role in LASTING_ROLES}


def forget_peaks(house):
    for pid in house.processes():
        with contextlib.suppress(OSError):
            pathlib.Path("/proc", str(pid), "clear_refs").write_text("5")


def resident(house):
    """{(pid, name): (resident octets now, at their highest)}; only root can have peaks forgotten, so others see what is."""
    found, highest = {}, "VmHWM:" if os.geteuid() == 0 else "VmRSS:"
    for pid, name in house.processes().items():
        with contextlib.suppress(OSError, IndexError):
            status = pathlib.Path("/proc", str(pid), "status").read_text()
            found[pid, name] = tuple(int(status.split(key)[1].split()[0]) * 1024
                                     for key in ("VmRSS:", highest))
    return found


def seconds_worked(house):
    """(of the whole machine, of this test and its house): processor time so far."""
    tick = os.sysconf("SC_CLK_TCK")
    fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    machine = sum(map(int, fields)) - int(fields[3]) - int(fields[4])
    ours = sum(os.times()[:4]) * tick
    for pid in (house.process.pid, *house.processes()):
        with contextlib.suppress(OSError):
            stat = pathlib.Path("/proc", str(pid), "stat").read_text().rsplit(")", 1)[1].split()
            ours += sum(map(int, stat[11:15]))
    return machine / tick, ours / tick


class Watch:
    """What a test that is under way may ask: whether the honest client has seen enough of it. It
    looks at everybody's memory meanwhile."""

    def __init__(self, house, honest):
        self.house, self.honest = house, honest
        self.before, self.peaks = resident(house), {}

    def look(self):
        for who, (_, peak) in resident(self.house).items():
            self.peaks[who] = max(peak, self.peaks.get(who, 0))

    def goes_on(self):
        self.look()
        return not self.honest.has_seen_enough()

    def wait(self):
        while self.goes_on():
            time.sleep(0.1)

    def most_grown(self):
        return max((self.peaks[who] - now - (HASH if who[1] == "check" else 0), who)
                   for who, (now, _) in self.before.items() if who in self.peaks)

    def largest_newcomer(self):
        return max(((octets, who) for who, octets in self.peaks.items() if who not in self.before),
                   default=(0, ""))


hindered_visits = []  # of all tests, seconds each


@pytest.fixture(scope="module", autouse=True)
def the_honest_are_served():
    """At the end: whatever was done, hardly a visit took long."""
    yield
    if len(hindered_visits) >= ALL_VISITS:
        print(f"\np99 of all {len(hindered_visits)} visits {percentile(hindered_visits, 99) * 1000:.0f} ms")
        assert percentile(hindered_visits, 99) < P99_SECONDS, sorted(hindered_visits)[-len(hindered_visits) // 50:]


@contextlib.contextmanager
def unharmed(house, growth=GROWTH, newcomer=NEWCOMER):
    """What is done inside kills nobody, makes no process grow much, and hinders nobody else; it
    goes on until the honest client has seen enough."""
    account, sanitized = house.new_account(), is_sanitized()
    time_visits(house, account)
    roles = lasting(house)
    forget_peaks(house)
    undisturbed = time_visits(house, account)
    start, worked = time.monotonic(), seconds_worked(house)
    with Honest(house, account, SANITIZED_VISITS if sanitized else VISITS) as honest:
        watch = Watch(house, honest)
        yield watch
        watch.wait()
        machine, ours = (now - then for now, then in zip(seconds_worked(house), worked))
        others = (machine - ours - honest.seconds_worked()) / (time.monotonic() - start)
    assert honest.process.exitcode == 0, "the honest client was not served"
    assert lasting(house) == roles
    assert not house.events("role_ended"), house.events("role_ended")
    assert not house.sanitizer_reports()
    grown, new = watch.most_grown(), watch.largest_newcomer()
    print(f"\np99 of {len(honest.took)} visits {honest.percentile(99) * 1000:.0f} ms, undisturbed at most "
          f"{undisturbed * 1000:.0f} ms, {others:.1f} processors for others; {grown[1]} grew by {grown[0] >> 10} KiB, {new[1]} has "
          f"{new[0] >> 10} KiB")
    if not sanitized:
        assert grown[0] < growth, grown
        assert new[0] < newcomer, new
    bound = P95_SECONDS * (1 if others < BUSY else 10) * (10 if sanitized else 1)
    assert honest.percentile(95) < bound, sorted(honest.took)[-20:]
    if not sanitized and others < BUSY:
        hindered_visits.extend(honest.took)


@pytest.fixture(scope="module")
def stage(make_module_house):
    """A house with the limits it has by default."""
    return make_module_house()


# --- Those who say nothing ------------------------------------------------------------------------


def connect(house, service, source="127.0.0.1"):
    """A socket, no octet of it read."""
    return socket.create_connection(("127.0.0.1", house.ports[service]), 20,
                                    source_address=(source, 0))


def last_words(connection):
    """All that has come, until the end."""
    heard = b""
    connection.settimeout(20)
    with contextlib.suppress(ConnectionResetError):
        while octets := connection.recv(65536):
            heard += octets
    return heard


def has_ended(connection):
    connection.setblocking(False)
    try:
        while connection.recv(65536):
            pass
        return True
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def close_all(connections):
    for connection in connections:
        connection.close()


@pytest.fixture(scope="module")
def narrow(make_module_house):
    return make_module_house(settings={
        "limits": {"unauthenticated-connections": 50, "unauthenticated-per-network": 5}})


@pytest.mark.parametrize("service", SERVICES)
def test_who_is_silent_makes_room(narrow, service):
    house, source = narrow, "127.0.5.1"
    held = [connect(house, service, source) for _ in range(5)]
    time.sleep(1.1)  # only who was silent for a second makes room
    with house.connect(service, source=source) as newcomer, \
            house.connect(service, source=source) as another:
        if service in PLAIN:
            for conversation in (newcomer, another):
                assert conversation.greeting.startswith(GREETINGS[service])
            words = last_words(held[0])
            assert FAREWELLS[service] in words and b"limits.unauthenticated-per-network" in words
        else:
            assert last_words(held[0]) == b""
        assert [has_ended(connection) for connection in held[1:]] == [True, False, False, False]
    close_all(held)


@pytest.mark.parametrize("service", SERVICES)
def test_a_thousand_idle_connections(stage, service):
    """First all from one network, which has a tenth of the places; then nearly all of those."""
    with unharmed(stage, growth=1000 * 24576) as watch:
        held = [connect(stage, service) for _ in range(1000)]
        time.sleep(1.1)  # only who was silent for a second makes room
        for _ in range(10):
            stage.connect(service).close()
        close_all(held)
        held = [connect(stage, service, f"127.0.{number % 10}.1") for number in range(980)]
        watch.wait()
        assert sum(map(has_ended, held)) == 0
        close_all(held)


# --- Lines and literals without end ---------------------------------------------------------------


LOGIN = r"""
    C: login LOGIN {account} {password}
    S: login OK *"""
SELECT = LOGIN + r"""
    C: select SELECT INBOX
    S: ...
    S: select OK *"""
POP3_LOGIN = r"""
    C: USER {account}
    S: +OK*
    C: PASS {password}
    S: +OK*"""
DATA = r"""
    C: EHLO client.example
    S: ...
    S: 250 *
    C: MAIL FROM:<>\r\nRCPT TO:<{account}>\r\nDATA\r\n
    S: 250 *
    S: 250 *
    S: 354 *"""
IMAP_ENDS = "S: a BAD *\nS: * BYE *\nS: (closed)"

# Where the line stands: service, what is said before it, its beginning, its end, what is answered.
LINES = {
    "smtp command": ("smtp", "", b"NOOP ", b"\r\n", "S: 500 5.5.2 *\nC: NOOP\nS: 250 *"),
    "smtp header": ("smtp", DATA, b"Subject: ", b"\r\n.\r\n", "S: 55* 5.*\nC: NOOP\nS: 250 *"),
    "smtp body": ("smtp", DATA, b"\r\n", b"\r\n.\r\n", "S: 55* 5.*\nC: NOOP\nS: 250 *"),
    "smtp auth": ("submission", "C: EHLO c\nS: ...\nS: 250 *\nC: AUTH PLAIN\nS: 334 *", b"",
                  b"\r\n", "S: 500 5.5.6 *\nC: NOOP\nS: 250 *"),
    "imap command": ("imap", "", b"a NOOP ", b"", IMAP_ENDS),
    "imap tag": ("imap", "", b"", b"", "S: * BAD *\nS: * BYE *\nS: (closed)"),
    "imap auth": ("imap", "C: a AUTHENTICATE PLAIN\nS: + *", b"", b"", IMAP_ENDS),
    "imap command after the login": ("imap", LOGIN, b"a NOOP ", b"", IMAP_ENDS),
    "imap quotes after the login": ("imap", LOGIN, b'a SELECT "', b"", IMAP_ENDS),
    "imap idle": ("imap", LOGIN + "\nC: a IDLE\nS: + *", b"DO", b"", IMAP_ENDS),
    "imaps command after the login": ("imaps", LOGIN, b"a NOOP ", b"", IMAP_ENDS),
    "pop3 command": ("pop3", "", b"USER ", b"\r\n", "S: -ERR *limits.pop3-line*\nC: CAPA\nS: +OK*"),
    "pop3 auth": ("pop3", "C: AUTH PLAIN\nS: + *", b"", b"\r\n", "S: -ERR *\nC: CAPA\nS: +OK*"),
    "pop3 command after the login": ("pop3", POP3_LOGIN, b"TOP ", b"\r\n",
                                     "S: -ERR *limits.pop3-line*\nC: NOOP\nS: +OK*"),
    "pop3s command after the login": ("pop3s", POP3_LOGIN, b"TOP ", b"\r\n",
                                      "S: -ERR *limits.pop3-line*\nC: NOOP\nS: +OK*"),
}


def pour(conversation, octets):
    """So many octets of a line, or as many as the server takes, as fast as a line of one Gbit/s
    brings them; what is answered meanwhile is kept for the conversation."""
    piece, sock, sent = b"x" * (1 << 18), conversation.socket, 0
    start = time.monotonic()
    sock.setblocking(False)
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while sent < octets:
            readable, writable, _ = select.select([sock], [sock], [], 20)
            assert readable or writable, "the server neither reads nor ends it"
            time.sleep(max(0, start + sent / GIGABIT - time.monotonic()))
            with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                if writable:
                    sent += sock.send(piece)
            with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                if readable:
                    heard = sock.recv(65536)
                    conversation.pending += heard
                    if not heard:
                        break
    sock.settimeout(20)
    return sent


def send_whatever_is_taken(conversation, octets):
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        conversation.send(octets)


@pytest.mark.parametrize("protocol", ["smtp", "imap", "pop3"])
def test_lines_of_a_hundred_megabytes(stage, protocol):
    """Each is refused as too long, then skipped; IMAP, which must look for literals in it, has it
    end the connection."""
    with unharmed(stage) as watch:
        for place in (place for place in LINES if place.startswith(protocol)):
            service, opening, begin, end, answer = LINES[place]
            with stage.connect(service) as attacker:
                attacker.talk(opening, account=stage.new_account(), password=PASSWORD)
                attacker.send(begin)
                pour(attacker, 100 * MEGABYTE)
                watch.look()
                send_whatever_is_taken(attacker, end)
                attacker.talk(answer)


HUGE = (2**63 - 1, 2**64 - 1, 2**64 + 5, 10**40)


@pytest.mark.parametrize("opening, command", [
    ("", "LOGIN"), ("", "AUTHENTICATE"), ("", "NOOP"), (LOGIN, "SELECT"), (LOGIN, "NOOP"),
    (LOGIN, "APPEND INBOX"), (LOGIN, 'APPEND INBOX (\\Seen) "17-Jul-1996 02:44:25 -0700"')])
def test_a_literal_of_half_the_world(stage, opening, command):
    """RFC 3501 7.5: never "+". RFC 7888 4: what will not be skipped ends the connection."""
    account = stage.new_account()
    for octets in HUGE:
        with stage.connect("imap") as imap:
            imap.talk(opening, account=account, password=PASSWORD)
            imap.talk("C: a " + command + " {" + str(octets) + "}\nC: b NOOP")
            assert imap.read_line()[:5] in (b"a BAD", b"a NO ")
            imap.talk("S: b OK *")
        with stage.connect("imap") as imap:
            imap.talk(opening, account=account, password=PASSWORD)
            imap.talk("C: a " + command + " {" + str(octets) + "+}")
            assert pour(imap, 400 * MEGABYTE) < 200 * MEGABYTE
            assert imap.read_line()[:5] in (b"a BAD", b"a NO ")
            imap.talk("S: * BYE *\nS: (closed)")


# --- Mail that is hard to read --------------------------------------------------------------------


def deep_multipart(depth):
    return b"Subject: deep\r\n" + b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
        for n in range(depth)) + b"\r\nend\r\n"


MAIL = {
    "multipart in multipart": lambda: deep_multipart(10000),
    "message in message": lambda: b"Content-Type: message/rfc822\r\n\r\n" * 10000 + b"end\r\n",
    "a million parts": lambda: b"Content-Type: multipart/mixed; boundary=b\r\n"
                               + b"\r\n--b\r\n" * 10**6,
    "one boundary inside the other": lambda: b"".join(
        b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n--%b\r\n" % (b"b" * n, b"b" * n)
        for n in range(1, 100)) + b"--bb\r\n" * 300000,
    "a million header lines in a part": lambda:
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        + b"Content-Type: text/plain; a=b\r\n" * 10**6 + b"\r\nend\r\n",
    "a folded header of a part": lambda:
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain;\r\n"
        + b" a=b;\r\n" * 10**6 + b"\r\nend\r\n",
    "encoded words": lambda: b"Subject: " + b"=?utf-8?q?=41?=\r\n " * 50000 + b"x\r\n\r\nend\r\n",
    "addresses": lambda: b"To: " + b"(((((((a@b.example,\r\n " * 40000 + b"x\r\n\r\nend\r\n",
}
HEADER_LINES = b"Subject: x\r\n" + b"X-Line: y\r\n" * 10**6 + b"\r\nend\r\n"


def send_message(house, account, octets, reply):
    with house.connect("smtp", source="127.0.7.1") as smtp:
        smtp.talk(DATA, account=account)
        smtp.send(octets + b".\r\n")
        smtp.talk("S: " + reply)


def skim(conversation, ending):
    """Reads up to the line that begins so, however much that is."""
    heard = bytearray(b"\r\n" + conversation.pending)
    while b"\r\n" + ending not in heard[-4096:]:
        octets = conversation.read_some(60)
        assert octets, f"closed: {heard[-200:]!r}"
        heard += octets
    conversation.pending = b""


def read_all_of_it(house, account):
    """As a client does that shows it, searches it, and another that takes it away."""
    with house.connect("imap", source="127.0.7.1") as imap:
        imap.talk(SELECT, account=account, password=PASSWORD)
        for number, command in enumerate([
                "FETCH 1 (RFC822.SIZE ENVELOPE BODYSTRUCTURE)", "FETCH 1 BODY",
                "FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT TO X-LINE)]", "FETCH 1 BODY.PEEK[1.MIME]",
                "FETCH 1 BODY.PEEK[" + "1." * 150 + "1]", "SEARCH TEXT end", "SEARCH SUBJECT end",
                "SEARCH HEADER X-LINE none", "FETCH 1 BODY.PEEK[]<100.200>"]):
            imap.send(b"t%d %b\r\n" % (number, command.encode()))
            skim(imap, b"t%d OK " % number)
    with house.connect("pop3", source="127.0.7.1") as pop3:
        pop3.talk(POP3_LOGIN + "\nC: TOP 1 1\nS: +OK*", account=account, password=PASSWORD)
        skim(pop3, b".\r\n")
        pop3.talk("C: QUIT\nS: +OK*")


def test_mail_that_is_hard_to_read(stage):
    with unharmed(stage, newcomer=64 * MEGABYTE) as watch:
        for make in MAIL.values():
            account = stage.new_account()
            send_message(stage, account, make(), "250 *")
            stage.wait_for_messages(account, 1)
            read_all_of_it(stage, account)
            watch.look()


def test_a_million_header_lines(stage):
    """SMTP has a limit for them; IMAP takes what its own user brings, and can read it."""
    account = stage.new_account()
    with unharmed(stage, newcomer=64 * MEGABYTE) as watch:
        send_message(stage, account, HEADER_LINES, "552 5.3.4 *limits.header-size*")
        with stage.connect("imap") as imap:
            imap.talk(LOGIN, account=account, password=PASSWORD)
            imap.send(b"a APPEND INBOX {%d+}\r\n" % len(HEADER_LINES) + HEADER_LINES + b"\r\n")
            imap.talk("S: a OK *")
        read_all_of_it(stage, account)
        watch.look()


# --- Those who are slow ---------------------------------------------------------------------------


def open_conversations(house, count, service, opening, **values):
    """From ten networks, each of which may hold a tenth of all strangers."""
    conversations = [house.connect(service, source=f"127.0.{number % 10}.1")
                     for number in range(count)]
    for conversation in conversations:
        conversation.talk(opening, **values)
    return conversations


def test_slow_writers(stage):
    """An octet a second each, of a message, a command, a literal, a handshake."""
    account = stage.new_account()
    with unharmed(stage) as watch, contextlib.ExitStack() as held:
        slow = [
            *open_conversations(stage, 200, "smtp", DATA, account=account),
            *open_conversations(stage, 100, "imap", "C: a LOGIN {9}\nS: + *"),
            *open_conversations(stage, 50, "imap", LOGIN + "\nC: a APPEND INBOX {99}\nS: + *",
                                account=account, password=PASSWORD),
            *open_conversations(stage, 100, "pop3", ""),
        ]
        plain = [conversation.socket for conversation in slow]
        secret = [connect(stage, service, f"127.0.{number % 10}.1")
                  for service in IMPLICIT_TLS for number in range(50)]
        for each in plain + secret:
            held.callback(each.close)
        for octet in b"\x16\x03\x01\x02":  # a handshake begins
            for each in plain:
                each.send(b"x")
            for each in secret:
                each.send(bytes([octet]))
            watch.look()
            time.sleep(1)  # an octet a second: what makes them slow
        watch.wait()
        assert sum(map(has_ended, plain + secret)) == 0


LARGE = b"Subject: large\r\n\r\n" + (b"x" * 78 + b"\r\n") * 650000


def test_readers_that_never_read(stage):
    """They are owed 50 MB each, of which nearly nothing is in memory; another session of the same
    user goes on."""
    account, others = stage.new_account(), [stage.new_account() for _ in range(2)]
    for recipient in (account, *others):
        send_message(stage, recipient, LARGE, "250 *")
        stage.wait_for_messages(recipient, 1)
    fetch = SELECT + "\nC: a FETCH 1 (BODY.PEEK[] BODY.PEEK[])"
    lost = len(stage.events("lost"))
    with unharmed(stage, growth=16 * MEGABYTE) as watch, contextlib.ExitStack() as held:
        deaf = [conversation for service in ("imap", "imaps")
                for conversation in open_conversations(stage, 30, service, fetch, account=account,
                                                       password=PASSWORD)]
        for service, recipient in zip(("pop3", "pop3s"), others):
            deaf += open_conversations(stage, 1, service, POP3_LOGIN + "\nC: RETR 1",
                                       account=recipient, password=PASSWORD)
        for conversation in deaf:
            held.callback(conversation.close)
        with stage.connect("imap", source=STRANGER) as other:
            other.talk(SELECT, account=account, password=PASSWORD)
            while watch.goes_on():
                start = time.monotonic()
                other.talk("C: n NOOP\nS: n OK *")
                assert time.monotonic() - start < 1
        assert len(stage.events("lost")) == lost


AWKWARD = b"".join(b"X%d: %d\r\n" % (number % 9, number) for number in range(20000)) + b"\r\nhello\r\n"
GREEDY = {
    "SEARCH of the header": " ".join(f"NOT HEADER X{number % 9} a{number}" for number in range(5000)),
    "SEARCH of all": " ".join(f"NOT TEXT aq{number}" for number in range(5000)),
    "FETCH of header fields": " ".join(f"BODY.PEEK[HEADER.FIELDS (Y{number})]" for number in range(3000)),
    "FETCH of other header fields":
        "BODY.PEEK[HEADER.FIELDS.NOT (" + " ".join(f"Y{number}" for number in range(20000)) + ")]",
}


@pytest.mark.parametrize("greed", GREEDY)
def test_many_questions_about_one_message(stage, greed):
    """A long command about a long header: each has its turns, and another session of the same user his."""
    account = stage.new_account()
    command = "SEARCH " + GREEDY[greed] if "SEARCH" in greed else f"FETCH 1 ({GREEDY[greed]})"
    with stage.connect("imap") as greedy, stage.connect("imap") as other:
        other.talk(LOGIN, account=account, password=PASSWORD)
        other.send(b"append APPEND INBOX {%d+}\r\n%s\r\n" % (len(AWKWARD), AWKWARD))
        other.talk("S: append OK *")
        greedy.talk(SELECT, account=account, password=PASSWORD)
        greedy.send(f"q {command}\r\n".encode())
        waited = []
        for _ in range(8):
            start = time.monotonic()
            other.talk("C: n NOOP\nS: n OK *")
            waited.append(time.monotonic() - start)
        assert max(waited) < (3 if is_sanitized() else 0.5), waited
        assert greedy.pending == b"" and not has_ended(greedy.socket)


def test_who_takes_nothing_is_let_go(make_house):
    """timeouts.write, in each protocol, in the clear and behind TLS."""
    house = make_house(settings={"timeouts": {"write": "1s"}})
    account = house.new_account()
    send_message(house, account, LARGE, "250 *")
    house.wait_for_messages(account, 1)
    fetch = SELECT + "\nC: a FETCH 1 BODY.PEEK[]"
    with contextlib.ExitStack() as held:
        for service, opening in (("imap", fetch), ("imaps", fetch),
                                 ("pop3", POP3_LOGIN + "\nC: RETR 1")):
            conversation = held.enter_context(house.connect(service))
            conversation.talk(opening, account=account, password=PASSWORD)
        flood = held.enter_context(house.connect("smtp"))
        flood.socket.settimeout(3)
        with contextlib.suppress(OSError):
            while True:
                flood.socket.send(b"HELP\r\n" * 10000)
        deadline = time.monotonic() + 20
        while count_sessions(house) > 0:
            assert time.monotonic() < deadline, house.command("status").stdout
            time.sleep(0.1)


def count_sessions(house):
    """With clients, as `staffetta status` says."""
    rows = re.findall(r"^\w+-(?:session|login|mailbox|maildrop) +\d+ +\d+ +(\d+)",
                      house.command("status").stdout, re.M)
    return sum(map(int, rows))
