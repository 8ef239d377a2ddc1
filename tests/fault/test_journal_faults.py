"""The journal while its disk is slow: a checkpoint of the history waits for it, events do not."""

import os
import re
import shutil
import subprocess
import time

import pytest

DELAY_S = 6  # of each flush
FLUSHES = "fsync,fdatasync"

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("strace"),
                                reason="only root can trace a role, with strace")


def flushes(trace):
    """When each began and ended, of those that have."""
    found = re.findall(r"^\d+ +(\d+\.\d+) .*<(\d+\.\d+)>$", trace.read_text(), re.M)
    return [(float(begun), float(begun) + float(lasted)) for begun, lasted in found]


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
