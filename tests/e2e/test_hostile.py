"""Clients that mean ill, against a whole house: whatever they send or leave unsent, no process dies,
memory stays bounded, and an honest client is served meanwhile. Limits of SMTP by name are tried by
test_smtp_limits.py."""

import contextlib
import multiprocessing
import os
import pathlib
import re
import signal
import socket
import ssl
import struct
import threading
import time

import pytest

from house import DOMAIN, PASSWORD, SERVICES

MEGABYTE = 1 << 20
PLAIN = ("smtp", "submission", "imap", "pop3")
IMPLICIT_TLS = ("submissions", "imaps", "pop3s")
NETWORK_ROLES = ("smtpd-session", "imapd-login", "pop3d-login")
LASTING_ROLES = (*NETWORK_ROLES, "smtpd-filter", "smtpd-queue", "auth", "keys", "journal")
STRANGER = "127.0.200.1"  # of a network that no attacker is in
P99_SECONDS = 0.05
GROWTH = 8 * MEGABYTE  # of a role, at most, whatever it is sent

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


VISITS = {"smtp": send_mail, "imap": read_imap, "pop3": read_pop3}


def time_visits(house, account, rounds=4):
    """The longest of a few visits: what this machine gives the honest client now."""
    took = []
    for visit in list(VISITS.values()) * rounds:
        start = time.monotonic()
        visit(house, account)
        took.append(time.monotonic() - start)
    return max(took)


def visit_until(house, account, leave, took):
    """In a process of its own: the attacker's thread should not slow this one down."""
    while not leave.is_set():
        for name, visit in VISITS.items():
            start = time.monotonic()
            visit(house, account)
            took.put((name, time.monotonic() - start))
        leave.wait(0.02)
    took.put(None)


class Honest:
    """Visits the house in all three protocols, over and over; `took` says how long each took."""

    def __init__(self, house, account):
        self.context = multiprocessing.get_context("fork")
        self.leave = self.context.Event()
        self.queue = self.context.SimpleQueue()
        self.took = []
        self.process = self.context.Process(
            target=visit_until, args=(house, account, self.leave, self.queue))

    def __enter__(self):
        self.process.start()
        return self

    def __exit__(self, *_):
        self.leave.set()
        self.process.join(30)
        while not self.queue.empty():
            visit = self.queue.get()
            self.took += [visit[1]] if visit else []
        if self.process.is_alive():
            self.process.kill()
            self.process.join()

    def p99(self):
        return sorted(self.took)[int(len(self.took) * 0.99)]


def is_sanitized(house):
    maps = pathlib.Path("/proc", str(house.pids("smtpd-session")[0]), "maps").read_text()
    return "asan" in maps


def lasting(house):
    return {role: house.pids(role) for role in LASTING_ROLES}


def forget_peaks(house):
    for pid in house.processes():
        with contextlib.suppress(OSError):
            pathlib.Path("/proc", str(pid), "clear_refs").write_text("5")


def resident(house):
    """{pid: (resident octets now, at their highest)}"""
    found = {}
    for pid in house.processes():
        with contextlib.suppress(OSError, IndexError):
            status = pathlib.Path("/proc", str(pid), "status").read_text()
            found[pid] = tuple(int(status.split(key)[1].split()[0]) * 1024
                               for key in ("VmRSS:", "VmHWM:"))
    return found


@contextlib.contextmanager
def unharmed(house, growth=GROWTH):
    """What is done inside kills nobody, makes no process grow much, and hinders nobody else."""
    account = house.new_account()
    time_visits(house, account)
    before, sanitized = lasting(house), is_sanitized(house)
    forget_peaks(house)
    at_first = resident(house)
    undisturbed = time_visits(house, account)
    busy = undisturbed > P99_SECONDS / 2  # others have this machine
    with Honest(house, account) as honest:
        yield
    grown = {f"{house.processes().get(pid)}[{pid}]": peak - at_first[pid][0]
             for pid, (_, peak) in resident(house).items() if pid in at_first}
    assert honest.process.exitcode == 0, "the honest client was not served"
    assert lasting(house) == before
    assert not house.events("role_ended"), house.events("role_ended")
    assert not house.sanitizer_reports()
    most = max(grown, key=grown.get)
    print(f"\np99 of {len(honest.took)} visits {honest.p99() * 1000:.0f} ms, undisturbed "
          f"{undisturbed * 1000:.0f} ms; {most} grew by {grown[most] >> 10} KiB")
    if not sanitized:
        assert grown[most] < growth, (most, grown[most])
        assert busy or honest.p99() < P99_SECONDS, sorted(honest.took)[-10:]


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


@pytest.mark.parametrize("service", SERVICES)
def test_who_is_silent_makes_room(make_house, service):
    house = make_house(services=("smtp", service) if service != "smtp" else ("smtp",), settings={
        "limits": {"unauthenticated-connections": 50, "unauthenticated-per-network": 5}})
    source = "127.0.5.1"
    held = [connect(house, service, source) for _ in range(5)]
    time.sleep(1.1)
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
    with unharmed(stage, growth=1000 * 24576):
        held = [connect(stage, service) for _ in range(1000)]
        time.sleep(1.1)
        for _ in range(10):
            stage.connect(service).close()
        close_all(held)
        held = [connect(stage, service, f"127.0.{number % 10}.1") for number in range(980)]
        time.sleep(1)
        assert sum(map(has_ended, held)) == 0
        close_all(held)
