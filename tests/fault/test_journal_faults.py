"""The journal while it is slow: a checkpoint of the history waits for the disk, events do not; and
what it has no time for waits for it."""

import os
import re
import shutil
import signal
import smtplib
import subprocess
import time

import pytest

DELAY_S = 6  # of each flush
FLUSHES = "fsync,fdatasync"

slow_disk = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("strace"),
                               reason="only root can trace a role, with strace")


def flushes(trace):
    """When each began and ended, of those that have."""
    found = re.findall(r"^\d+ +(\d+\.\d+) .*<(\d+\.\d+)>$", trace.read_text(), re.M)
    return [(float(begun), float(begun) + float(lasted)) for begun, lasted in found]


@slow_disk
def test_events_are_heard_while_a_checkpoint_waits_for_the_disk(make_house, tmp_path):
    house = make_house(services=("smtp",))
    account = house.new_account()
    trace = tmp_path / "trace"
    tracer = subprocess.Popen(
        ["strace", "-f", "-ttt", "-T", "-o", trace, "-p", str(house.pids("journal")[0]),
         "-e", f"trace={FLUSHES}", "-e",
         f"inject={FLUSHES}:delay_enter={int(DELAY_S * 1e6)}"], stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        house.send(account, "Subject: first\n\nhello\n")
        time.sleep(2.5)  # a second without events, then a checkpoint
        known = len(house.events("message"))
        sent = time.time()
        house.send(account, "Subject: second\n\nhello\n")
        while len(house.events("message")) == known:
            assert time.time() < sent + 4 * DELAY_S
            time.sleep(0.02)
        heard = time.time()
        while not any(end > heard for _, end in flushes(trace)):
            assert time.time() < heard + 4 * DELAY_S
            time.sleep(0.2)
    finally:
        tracer.terminate()
        tracer.wait()
    assert any(begun < sent and heard < end for begun, end in flushes(trace)), flushes(trace)


def test_nothing_is_lost_while_the_journal_stands_still(make_house):
    """As it does where others have the processors: what it has not read waits, a thousand events."""
    house = make_house(services=("smtp",))
    account, count = house.new_account(), 300
    journal, = house.pids("journal")
    os.kill(journal, signal.SIGSTOP)
    try:
        with smtplib.SMTP("127.0.0.1", house.ports["smtp"], timeout=60) as client:
            for number in range(count):
                client.sendmail("a@elsewhere.example", [account], f"Subject: {number}\r\n\r\nhello\r\n")
        house.wait_for_messages(account, count)
    finally:
        os.kill(journal, signal.SIGCONT)
    house.send(account, "Subject: last\n\nhello\n")
    house.wait_for_messages(account, count + 1)
    deadline = time.monotonic() + 10
    while len(house.events("message")) + len(house.events("delivered")) < 2 * (count + 1):
        assert time.monotonic() < deadline, len(house.events("delivered"))
        time.sleep(0.05)
    assert "events_lost" not in house.log_text()
