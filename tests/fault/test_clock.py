"""The wall's clock is set, back and forth, while mail leaves (step_clock.c): no storm of attempts, no early bounce, no
message that waits for a time that does not come again."""

import calendar
import os
import smtplib
import socket
import struct
import tempfile
import time

import house as house_module
import pytest
from house import BUILD, DOMAIN, free_ports
from name_server import KNOTD, NameServer
from sink import Sink
from test_resolver import A, Asker

LIBRARY = BUILD / "fault" / "step_clock.so"
TORTURE = bool(os.environ.get("STAFFETTA_TORTURE"))
HOUR, DAY = 3600, 86400
ALICE = f"alice@{DOMAIN}"
SETTINGS = {"relay": {"networks": "127.0.0.1/32", "idle": "200ms"},
            "queue": {"retry": "500ms", "lifetime": "2d", "delay-warning": "4h"}}


def by_local_part(connection, line):
    """When who asked for `wait` came, on a clock that nobody sets."""
    if not line.startswith(b"RCPT TO:<wait@"):
        return None
    connection.sink.attempts.append(time.monotonic())
    return b"450 4.2.0 not yet"


@pytest.fixture
def clock():
    """Sets it so many seconds off."""
    if not LIBRARY.exists():
        pytest.skip("step_clock.so is not built")
    # Not pytest's directory: that is closed to the uids of the roles, and without a word here.
    with tempfile.NamedTemporaryFile(prefix="staffetta-") as file:
        os.chmod(file.name, 0o644)

        def step(seconds):
            os.pwrite(file.fileno(), struct.pack("=q", round(seconds * 1e9)), 0)

        step(0)
        options = house_module.ENVIRONMENT["ASAN_OPTIONS"] + ":verify_asan_link_order=0"
        step.environment = {"LD_PRELOAD": str(LIBRARY), "STEP_CLOCK": file.name, "ASAN_OPTIONS": options}
        yield step


@pytest.fixture
def world(make_house, clock, monkeypatch):
    monkeypatch.setattr(house_module, "ENVIRONMENT", {**house_module.ENVIRONMENT, **clock.environment})
    with Sink(answers={"RCPT": by_local_part}) as sink:
        sink.attempts = []
        house = make_house(settings=SETTINGS, services=("smtp",),
                           extra=f'route "*" {{ host = "127.0.0.1" port = {sink.port} }}')
        house.add_account(ALICE)
        yield house, sink


def send(house, recipient):
    with smtplib.SMTP("127.0.0.1", house.ports["smtp"], timeout=20) as client:
        client.sendmail(ALICE, [recipient], "Subject: s\r\n\r\nhello\r\n")


def attempts_within(sink, seconds):
    sink.attempts.clear()
    time.sleep(seconds)
    return len(sink.attempts)


def at_its_pace(house, sink, name):
    """It is tried about twice a second, not more; others go out at once, and no mail comes back."""
    before = len(sink.messages)
    send(house, f"{name}@elsewhere.example")
    sink.wait(before + 1, seconds=10)
    assert 1 <= attempts_within(sink, 2) <= 6
    assert not house.events("failed")


def test_clock_is_set_while_mail_waits(world, clock):
    house, sink = world
    send(house, "wait@elsewhere.example")
    for number, off in enumerate((3 * HOUR, -3 * HOUR, 30 * DAY, -365 * DAY)):
        clock(off)
        is_so_for_them(house, off)
        at_its_pace(house, sink, f"u{number}")
    clock(0)
    for number in range(40):  # a time server that is out of its mind
        clock((-1) ** number * number * HOUR)
        time.sleep(0.05)
    clock(0)
    at_its_pace(house, sink, "last")
    assert not house.messages(ALICE)  # not even that it is late


@pytest.mark.skipif(not os.path.exists(KNOTD), reason="knot is not installed")
def test_what_the_resolver_knew_before_the_clock_was_set_back(tmp_path, clock):
    """It does not count for hours what counted for seconds: here an address."""
    port = free_ports(1)[0]
    asker = Asker(tmp_path, port, "", environment=clock.environment)
    for off, zone in ((0, "www 60 A 192.0.2.8\n"), (-6 * HOUR, "www 60 A 192.0.2.9\n")):
        server = NameServer(tmp_path / f"knot{off}", {"plain.test": zone}, port=port)
        clock(off)
        assert asker.ask(A, "www.plain.test")[2] == [socket.inet_aton(zone.split()[-1])]
        server.stop()
    asker.stop()


def is_so_for_them(house, off):
    """By the newest line of their log, which comes a moment later."""
    send(house, "now@elsewhere.example")
    deadline = time.monotonic() + 10
    while True:
        line = house.log_text().rstrip("\n").rsplit("\n", 1)[1]
        theirs = calendar.timegm(time.strptime(line[:19], "%Y-%m-%dT%H:%M:%S"))
        if abs(time.time() + off - theirs) < 60:
            return
        assert time.monotonic() < deadline, line
        time.sleep(0.05)


@pytest.mark.parametrize("off", [30 * DAY, -30 * DAY] if TORTURE else [30 * DAY])
def test_clock_is_set_and_the_queue_starts_again(world, clock, off):
    """On disk times are the wall's: what seems too old is tried for a while
    first (its sender may hear that it is late), what is of the future at once."""
    house, sink = world
    send(house, "wait@elsewhere.example")
    deadline = time.monotonic() + 10
    while not sink.attempts:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for kill in (True, False):
        clock(off if kill else 0)
        house.kill_everything()
        house.start()
        at_its_pace(house, sink, f"u{kill}")
