"""The journal while its disk is slow: a checkpoint of the history waits for it, events do not."""

import os
import shutil
import subprocess
import time

import pytest

DELAY_S = 1.5  # of each flush
MESSAGES = 200
FLUSHES = "fsync,fdatasync"

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("strace"),
                                reason="only root can trace a role, with strace")


def test_no_event_is_lost_while_a_checkpoint_waits_for_the_disk(make_house, tmp_path):
    house = make_house(services=("smtp",))
    account = house.new_account()
    house.send(account, "Subject: first\n\nhello\n")
    house.wait_for_messages(account, 1)
    trace = tmp_path / "trace"
    tracer = subprocess.Popen(
        ["strace", "-f", "-o", trace, "-p", str(house.pids("journal")[0]), "-e", f"trace={FLUSHES}", "-e",
         f"inject={FLUSHES}:delay_enter={int(DELAY_S * 1e6)}"], stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        house.send(account, "Subject: second\n\nhello\n")
        deadline = time.monotonic() + 20
        while not (trace.exists() and trace.read_text()):  # a second without events, then a checkpoint
            assert time.monotonic() < deadline
            time.sleep(0.05)
        begun = time.monotonic()
        for number in range(MESSAGES):
            house.send(account, f"Subject: m{number}\n\nhello\n")
            if time.monotonic() - begun > 4 * DELAY_S and number > MESSAGES // 2:
                break
        sent = number + 1
    finally:
        tracer.terminate()
        tracer.wait()
    deadline = time.monotonic() + 30
    while len(house.events("message")) < sent + 2:
        assert "events_lost" not in house.log_text()
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert "events_lost" not in house.log_text()
